"""HTML to lines: blocks end lines, cells of a table row are separated by tabs, scripts and hidden parts are dropped."""

import re
from html.parser import HTMLParser

from appliance.documents import plain

_BLOCKS = frozenset(
    "address article aside blockquote body br center dd details div dl dt fieldset figcaption figure footer form h1 h2"
    " h3 h4 h5 h6 header hr html legend li main nav ol option p pre section select summary table tbody tfoot thead tr"
    " ul".split()
)
_DROPPED = frozenset("script style template noscript head svg math object iframe".split())
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_BLANKS = re.compile(r"[^\S\t]+")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def read_html(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an HTML file."""
    text, notes = _decode(data)
    lines, hidden = html_lines(text)
    if hidden:
        notes.append("hidden text was left out")
    return lines, notes


def html_lines(markup: str) -> tuple[str, bool]:
    """Text of the markup as lines, and whether hidden text was dropped."""
    parser = _LineParser()
    parser.feed(markup)
    parser.close()
    return parser.text(), parser.hidden


def _decode(data: bytes) -> tuple[str, list[str]]:
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        encoding = declared.group(1).decode("ascii")
        try:
            return data.decode(encoding), []
        except (LookupError, UnicodeDecodeError):
            text, notes = plain.decode(data)
            return text, [*notes, f"the declared charset {encoding} does not fit"]
    return plain.decode(data)


class _LineParser(HTMLParser):
    """Collects lines; keeps a stack only of what is being dropped, so that deep nesting costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = False
        self._lines: list[str] = []
        self._parts: list[str] = []
        self._dropped: list[str] = []
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            if tag not in _VOID and tag == self._dropped[0]:
                self._dropped.append(tag)
            # A page without </head> still has a body.
            if tag == "body" and self._dropped[0] == "head":
                self._dropped.clear()
            return
        if tag in _DROPPED or (tag not in _VOID and _is_hidden(dict(attrs))):
            self.hidden = self.hidden or tag not in _DROPPED
            self._dropped.append(tag)
            return
        if tag in ("td", "th") and self._parts:
            self._parts.append("\t")
        elif tag in _BLOCKS:
            self._end_line()
        if tag == "pre":
            self._pre += 1

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[0]:
                self._dropped.pop()
            return
        if tag in _BLOCKS:
            self._end_line()
        if tag == "pre" and self._pre:
            self._pre -= 1

    def handle_data(self, data: str) -> None:
        if self._dropped:
            return
        if not self._pre:
            self._parts.append(data.replace("\t", " ").replace("\n", " ").replace("\r", " "))
            return
        for number, line in enumerate(data.splitlines() or [""]):
            if number:
                self._end_line()
            self._parts.append(line)
        if data.endswith("\n"):
            self._end_line()

    def text(self) -> str:
        """All lines so far."""
        self._end_line()
        return "\n".join(self._lines)

    def _end_line(self) -> None:
        joined = "".join(self._parts)
        self._parts = []
        if self._pre:
            line = joined.rstrip()
        else:
            cells = (_BLANKS.sub(" ", cell).strip() for cell in joined.split("\t"))
            line = "\t".join(cell for cell in cells if cell)
        if line:
            self._lines.append(line)


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    return "hidden" in attributes or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
