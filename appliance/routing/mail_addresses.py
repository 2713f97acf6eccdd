"""Mail addresses, also where people write them so that programs do not find them."""

import re
from collections.abc import Iterator

_OPEN, _CLOSE = r"[ \t]?[\[({<][ \t]?", r"[ \t]?[\])}>][ \t]?"
_AT_WORDS = "at|ät|arroba|arobase|chiocciola|kukac|malpa|małpa|zavinac|zavináč|snabel-a|apenstaartje|klammeraffe"
_DOT_WORDS = "dot|punkt|punto|point|ponto|punt|kropka|tečka|tecka|pont"
_AT = rf"(?:@|%40|{_OPEN}(?:@|{_AT_WORDS}){_CLOSE})"
_DOT = rf"(?:\.|{_OPEN}(?:\.|{_DOT_WORDS}){_CLOSE})"
_SPELT_DOT = r"[ \t](?:dot|punkt|punto|ponto|kropka|tečka|tecka)[ \t]"
_CHARACTER = r"[\w.!#$%&'*+/=?^`{|}~-]"
_LOCAL = rf"(?<!{_CHARACTER}){_CHARACTER}{{1,254}}"
_ENCODED_LOCAL = r"(?<![\w.+-])[\w.+-]{1,64}"
_LABEL = r"[\w-]{1,63}"
_TOP = r"(?:xn--[\w-]{1,59}|[^\W\d_]{2,63})"
_TOPS = (
    r"(?:com|org|net|edu|gov|info|eu|example|de|at|ch|fr|it|es|pt|nl|be|uk|ie|pl|cz|sk|hu|ro|bg|hr|gr|dk|se|no|fi|us|co|io)"
    r"(?!\w)"
)
"""What ends the usual names of hosts."""
_TORN = r"[ \t]{0,2}\n?[ \t]{0,2}"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,8}}{_DOT}{_TOP}",
        rf"{_ENCODED_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,8}}{_DOT}{_TOP}",
        rf"(?<!{_CHARACTER})(?:{_CHARACTER}{{1,64}}{_SPELT_DOT}){{0,3}}{_CHARACTER}{{1,254}}[ \t](?:{_AT_WORDS})[ \t]"
        rf"{_LABEL}(?:{_SPELT_DOT}{_LABEL}){{1,8}}",
        rf"{_LOCAL}[ \t]arobase[ \t]{_LABEL}(?:[ \t]point[ \t]{_LABEL}){{1,8}}",
        # Half in words, where both sides look like parts of an address.
        rf"(?<![\w.+-])[\w+-]{{1,64}}[.+][\w.+-]{{1,64}}[ \t]at[ \t]{_LABEL}(?:\.{_LABEL}){{0,8}}\.{_TOPS}",
        rf"{_ENCODED_LOCAL}{_OPEN}a{_CLOSE}{_LABEL}(?:\.{_LABEL}){{0,8}}\.{_TOPS}",
        # Torn apart by blanks or the end of a line, as text from a page is.
        rf"{_LOCAL}{_TORN}@{_TORN}{_LABEL}(?:\.{_LABEL}){{0,8}}\.{_TOP}",
        # The same at a dot, where only what ends names of hosts may follow.
        rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL}){{0,8}}(?:[ \t]?\n?\.|\.[ \t]?\n?)(?:{_LABEL}\.){{0,2}}"
        rf"{_TOPS}",
        # With a quoted name, or an address in figures in place of a host.
        rf'(?<!\w)"[^"\n@]{{1,64}}"@(?:{_LABEL}(?:\.{_LABEL}){{0,8}}|\[[\w.:]{{2,60}}\])',
        rf"{_ENCODED_LOCAL}@\[[\w.:]{{2,60}}\]",
        rf"{_ENCODED_LOCAL}@\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\w)",
        # With its password, in an address of the web.
        rf"(?<=//)[^\s/@:]{{1,64}}:[^\s/@]{{1,64}}@{_LABEL}(?:\.{_LABEL}){{0,8}}",
        # Of a machine nearby, without a dot.
        r"(?<![\w.+-])(?=[\w.+-]{0,63}[^\W\d_])[\w.+-]{1,64}@[^\W\d_][\w-]{0,62}",
    )
)


def mail_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Places of mail addresses in a plain text."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.span()
