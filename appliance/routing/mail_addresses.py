"""Mail addresses, also where people write them so that programs do not find them."""

import re
from collections.abc import Iterator

_OPEN, _CLOSE = r"[ \t]?[\[({<][ \t]?", r"[ \t]?[\])}>][ \t]?"
_AT_WORDS = "at|@|ät|arroba|arobase|chiocciola|kukac|malpa|zavinac|zavináč|snabel-a|apenstaartje"
_AT = rf"(?:@|%40|&#(?:64|x40);|&commat;|{_OPEN}(?:{_AT_WORDS}){_CLOSE})"
_DOT = rf"(?:\.|{_OPEN}(?:dot|\.|punkt|punto|point|ponto){_CLOSE})"
_CHARACTER = r"[\w.!#$%&'*+/=?^`{|}~-]"
_LOCAL = rf"(?<!{_CHARACTER}){_CHARACTER}{{1,254}}"
_ENCODED_LOCAL = r"(?<![\w.+-])[\w.+-]{1,64}"
_LABEL = r"[\w-]{1,63}"
_TOP = r"(?:xn--[\w-]{1,59}|[^\W\d_]{2,63})"
_TORN = r"[ \t]{0,2}\n?[ \t]{0,2}"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,8}}{_DOT}{_TOP}",
        rf"{_ENCODED_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,8}}{_DOT}{_TOP}",
        rf"{_LOCAL}[ \t]at[ \t]{_LABEL}(?:[ \t]dot[ \t]{_LABEL}){{1,8}}",
        # Torn apart by blanks or the end of a line, as text from a page is.
        rf"{_LOCAL}{_TORN}@{_TORN}{_LABEL}(?:\.{_LABEL}){{0,8}}\.{_TOP}",
        # The same at a dot, where only what ends names of hosts may follow.
        rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL}){{0,8}}(?:[ \t]?\n?\.|\.[ \t]?\n?)(?:{_LABEL}\.){{0,2}}"
        r"(?:com|org|net|edu|gov|info|eu|example|de|at|ch|fr|it|es|pt|nl|be|uk|ie|pl|cz|sk|hu|ro|bg|hr|gr|dk|se|no|fi|us"
        r"|co|io)(?!\w)",
        # With a quoted name, or an address in figures in place of a host.
        rf'(?<!\w)"[^"\n@]{{1,64}}"@(?:{_LABEL}(?:\.{_LABEL}){{0,8}}|\[[\w.:]{{2,60}}\])',
        rf"{_ENCODED_LOCAL}@\[[\w.:]{{2,60}}\]",
        # Of a machine nearby, without a dot.
        r"(?<![\w.+-])(?=[\w.+-]{0,63}[^\W\d_])[\w.+-]{1,64}@[^\W\d_][\w-]{0,62}",
    )
)


def mail_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Places of mail addresses in a plain text."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.span()
