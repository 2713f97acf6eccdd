"""HTML to lines: blocks end lines, cells of a table row are separated by tabs, scripts and hidden parts are dropped."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from appliance.documents import plain
from appliance.documents.declared_charset import decode_declared

_BLOCKS = frozenset(
    "address article aside blockquote body br center dd details div dl dt fieldset figcaption figure footer form h1 h2"
    " h3 h4 h5 h6 header hr html legend li main nav ol option p pre section select summary table tbody tfoot thead tr"
    " ul".split()
)
_DROPPED = frozenset("script style template noscript head svg math object iframe".split())
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_MAX_NESTED = 100
"""Lists and tables inside each other that are told apart."""
_MOST_LINES = 3
"""Of a cell in a row of data; a cell with more lines lays out a page."""
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
        return decode_declared(data, declared.group(1).decode("ascii"))
    return plain.decode(data)


@dataclass
class _Row:
    """A row of a table that has not ended."""

    cells: list[list[str]] = field(default_factory=list)
    has_table: bool = False

    def lines(self) -> list[str]:
        """One line with tabs between cells; a row that lays out a page gives the lines of its cells, cell by cell."""
        if self.has_table or any(len(cell) > _MOST_LINES for cell in self.cells):
            return [line for cell in self.cells for line in cell]
        joined = "\t".join(" ".join(cell) for cell in self.cells if cell)
        return [joined] if joined else []


class _LineParser(HTMLParser):
    """Collects lines; keeps a stack only of what is being dropped, so that deep nesting costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = False
        self._lines: list[str] = []
        self._parts: list[str] = []
        self._dropped: list[str] = []
        self._pre = 0
        self._tables: list[_Row | None] = []
        """Open tables, each with its open row."""
        self._lists: list[int | None] = []
        """Open lists: the next number, or None where entries have none."""
        self._number = ""
        """Of the entry whose first line has not come yet."""

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
        if tag in _BLOCKS or tag in ("td", "th"):
            self._end_line()
        self._open_table_part(tag)
        if tag == "pre":
            self._pre += 1
        elif tag in ("ol", "ul") and len(self._lists) < _MAX_NESTED:
            start = dict(attrs).get("start") or "1"
            self._lists.append((int(start) if _is_count(start) else 1) if tag == "ol" else None)
        elif tag == "li":
            self._number_entry(dict(attrs).get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[0]:
                self._dropped.pop()
            return
        if tag in _BLOCKS or tag in ("td", "th"):
            self._end_line()
        if tag in ("tr", "table"):
            self._end_row()
            if tag == "table" and self._tables:
                self._tables.pop()
        if tag == "pre" and self._pre:
            self._pre -= 1
        elif tag in ("ol", "ul") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._number = ""

    def _open_table_part(self, tag: str) -> None:
        if tag == "table" and len(self._tables) < _MAX_NESTED:
            row = self._tables[-1] if self._tables else None
            if row is not None:
                row.has_table = True
            self._tables.append(None)
        elif tag == "tr" and self._tables:
            self._end_row()
            self._tables[-1] = _Row()
        elif tag in ("td", "th") and self._tables:
            row = self._tables[-1] = self._tables[-1] or _Row()
            row.cells.append([])

    def _end_row(self) -> None:
        """Writes the open row of the innermost table to where that table stands."""
        row = self._tables[-1] if self._tables else None
        if row is not None:
            self._end_line()
            self._tables[-1] = None
            for line in row.lines():
                self._put(line)

    def _put(self, line: str) -> None:
        """Adds a line to the innermost open cell, or to the page."""
        for row in reversed(self._tables):
            if row is not None and row.cells:
                row.cells[-1].append(line)
                return
        self._lines.append(line)

    def _number_entry(self, value: str) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            number = int(value) if _is_count(value) else number
            self._number = f"{number}. "
            self._lists[-1] = number + 1

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
        while self._tables:
            self._end_row()
            self._tables.pop()
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
            self._put(self._number + line)
            self._number = ""


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    return "hidden" in attributes or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
