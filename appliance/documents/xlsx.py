"""Excel workbooks (XLSX) to text: the name of each sheet, then one line for each row, with tabs between cells."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from xml.etree import ElementTree

from appliance.documents.archive import MAX_UNPACKED_BYTES, Package, usual_namespaces
from appliance.documents.charts import CHART, DRAWING, RELATION, drawn_text, graphic_lines
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines, table_line

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_THREAD = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"
_DRAWN = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
MAX_SHEETS = 1000
WIDEST_GAP = 20
"""Empty cells in a row beyond which the gap is written as one tab: a lone cell far to the right is no table."""
_BUILT_IN = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 36, *range(50, 55), 57, 58), "y"),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 34, 35, 45, 46, 47, 55, 56), "h"), 22: "yh", 9: "%", 10: "%",
}  # fmt: skip
"""What the number formats without a code of their own show: y a date, h a time of day, % a share."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
_SECOND = timedelta(seconds=1)
_CELL = re.compile(r"([A-Z]{1,3})\d+")


@dataclass
class _Workbook:
    """What the sheets share."""

    strings: list[str] = field(default_factory=list)
    shown_as: list[str] = field(default_factory=list)
    """For each cell style: y, h, yh, % or nothing."""
    epoch: datetime = datetime(1899, 12, 30)
    unsolved: bool = False
    """Whether a formula has no stored result."""


def read_workbook(package: Package) -> tuple[str, list[str]]:
    """Text and notes of an XLSX.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    named = package.related("", "officeDocument")
    name = named[0] if named else "xl/workbook.xml"
    root = package.parse(name)
    workbook = _shared(package, name, root)
    relations = package.relations(name)
    people = _people(package, name)
    lines, notes = Lines(), []
    sheets = list(root.iter(_SHEET + "sheet"))[:MAX_SHEETS]
    for sheet in sheets:
        if sheet.get("state", "visible") != "visible":
            notes.append(f"the hidden sheet {sheet.get('name', '')[:40]} was left out")
            continue
        relation = relations.get(sheet.get(RELATION + "id", ""))
        if relation is not None and relation.target in package:
            _add_sheet(lines, package, (sheet.get("name", ""), relation.target), workbook, people)
    if workbook.unsolved:
        notes.append("formulas without a stored result are written as formulas")
    return lines.text(), notes


def _add_sheet(
    lines: Lines, package: Package, sheet: tuple[str, str], workbook: _Workbook, people: dict[str, str]
) -> None:
    """Rows of a sheet, then what is drawn on it and what was said about it."""
    title, name = sheet
    content = Lines()
    target = _SheetTarget(workbook, content)
    parser = ElementTree.XMLParser(target=target)
    try:
        for number, chunk in enumerate(package.chunks(name, MAX_UNPACKED_BYTES)):
            parser.feed(usual_namespaces(chunk) if number == 0 else chunk)
        parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(Problem.UNREADABLE, f"{name[:80]} is broken XML: {error}") from error
    for drawing in package.related(name, "drawing"):
        root = package.parse_if_there(drawing)
        for line in _drawn_lines(package, drawing, root) if root is not None else ():
            content.add(line)
    for line in _comment_lines(package, name, people):
        content.add(line)
    if content:
        lines.add(title)
        lines.add_all(content)


class _SheetTarget:
    """Takes the sheet's XML as it streams by; a row is written when it ends, and forgotten."""

    def __init__(self, workbook: _Workbook, lines: Lines) -> None:
        self._workbook = workbook
        self._lines = lines
        self._cells: list[str] = []
        self._margin = 0
        self._column = 0
        self._kind, self._style = "n", 0
        self._parts: dict[str, list[str]] = {}
        self._into: str | None = None
        self._phonetic = False

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DocumentError(Problem.UNREADABLE, "the sheet's XML declares a document type, which is refused")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            reference = _CELL.fullmatch(attributes.get("r", ""))
            self._column = max(_column(reference.group(1)) - self._margin, 0) if reference else len(self._cells)
            self._kind, self._style = attributes.get("t", "n"), _index(attributes.get("s", "0"))
            self._parts = {"v": [], "t": [], "f": []}
        elif name in ("v", "t", "f"):
            self._into = name
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            self._cells = []
        elif name == "dimension":
            reference = _CELL.match(attributes.get("ref", ""))
            self._margin = _column(reference.group(1)) if reference else 0

    def data(self, text: str) -> None:
        if self._into is not None and not self._phonetic:
            self._parts.setdefault(self._into, []).append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name in ("v", "t", "f"):
            self._into = None
        elif name == "rPh":
            self._phonetic = False
        elif name == "c":
            self._put(self._value())
        elif name == "row" and any(cell.strip() for cell in self._cells):
            self._lines.add(table_line(self._cells))

    def close(self) -> None:
        return

    def _put(self, text: str) -> None:
        if not text:
            return
        gap = self._column - len(self._cells)
        self._cells += [""] * (gap if gap <= WIDEST_GAP else 1)
        self._cells.append(text)

    def _value(self) -> str:
        written, formula = "".join(self._parts["v"]), "".join(self._parts["f"])
        if self._kind == "s":
            index = _index(written)
            return self._workbook.strings[index] if index < len(self._workbook.strings) else ""
        if self._kind == "inlineStr":
            return "".join(self._parts["t"])
        if not written and formula:
            self._workbook.unsolved = True
            return f"={formula}"
        if self._kind == "b":
            return "TRUE" if written == "1" else "FALSE"
        if self._kind in ("str", "e", "d"):
            return written
        styles = self._workbook.shown_as
        return number_text(written, styles[self._style] if self._style < len(styles) else "", self._workbook.epoch)


def number_text(written: str, shown_as: str, epoch: datetime) -> str:
    """A stored number as a person would write it: a date, a time, a share, or the shortest form of the number."""
    try:
        number = float(written)
    except ValueError:
        return written
    if shown_as == "%":
        return f"{number * 100:.10g}%"
    if shown_as and 0 <= number < (datetime.max - epoch).days + 1:  # the last day is in the year 9999
        moment = epoch + timedelta(seconds=min(round(number * 86400), (datetime.max - epoch) // _SECOND))
        if shown_as == "h" or (number < 1 and "h" in shown_as):
            return moment.strftime("%H:%M:%S")
        return moment.strftime("%Y-%m-%d") if shown_as == "y" else moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{number:.15g}"


def _shared(package: Package, name: str, root: ElementTree.Element) -> _Workbook:
    workbook = _Workbook()
    properties = root.find(_SHEET + "workbookPr")
    if properties is not None and properties.get("date1904") in ("1", "true"):
        workbook.epoch = datetime(1904, 1, 1)
    for part in package.related(name, "sharedStrings"):
        workbook.strings += [_string(element) for element in package.parse(part).iter(_SHEET + "si")]
    for part in package.related(name, "styles"):
        styles = package.parse_if_there(part)
        if styles is not None:
            workbook.shown_as += _shown_as(styles)
    return workbook


def _string(element: ElementTree.Element) -> str:
    """A shared string without the reading aids that Japanese text carries."""
    runs = [child for child in element if child.tag in (_SHEET + "t", _SHEET + "r")]
    return "".join((run.text or "") if run.tag == _SHEET + "t" else run.findtext(_SHEET + "t") or "" for run in runs)


def _shown_as(styles: ElementTree.Element) -> list[str]:
    own = {
        _index(element.get("numFmtId", "")): _meaning(element.get("formatCode", ""))
        for element in styles.iter(_SHEET + "numFmt")
    }
    formats = styles.find(_SHEET + "cellXfs")
    numbers = [_index(element.get("numFmtId", "0")) for element in formats] if formats is not None else []
    return [own.get(number, _BUILT_IN.get(number, "")) for number in numbers]


def _meaning(code: str) -> str:
    """Whether a format code shows a date, a time or a share."""
    bare = _LITERAL.sub("", code.partition(";")[0]).lower()
    if "%" in bare:
        return "%"
    if "general" in bare:
        return ""
    date = "y" in bare or "d" in bare or ("m" in bare and "h" not in bare and "s" not in bare)
    return ("y" if date else "") + ("h" if "h" in bare or "s" in bare else "")


def _drawn_lines(package: Package, part: str, root: ElementTree.Element) -> list[str]:
    """Charts and text boxes of a sheet."""
    drawn_lines: list[str] = []
    for element in root.iter():
        if element.tag == CHART + "chart":
            drawn_lines += graphic_lines(package, part, element)
        elif element.tag == _DRAWN + "txBody":
            drawn_lines += [drawn_text(paragraph) for paragraph in element.iter(DRAWING + "p")]
    return [line for line in drawn_lines if line.strip()]


def _people(package: Package, name: str) -> dict[str, str]:
    """Names of those who comment, by id."""
    names: dict[str, str] = {}
    for part in package.related(name, "person"):
        root = package.parse_if_there(part)
        for person in root.iter(_THREAD + "person") if root is not None else ():
            names[person.get("id", "")] = person.get("displayName", "")
    return names


def _comment_lines(package: Package, name: str, people: dict[str, str]) -> list[str]:
    comment_lines: list[str] = []
    threaded: set[str] = set()
    for part in package.related(name, "threadedComment"):
        root = package.parse_if_there(part)
        for comment in root.iter(_THREAD + "threadedComment") if root is not None else ():
            threaded.add(comment.get("ref", ""))
            author = people.get(comment.get("personId", ""), "")
            comment_lines.append(_comment(comment.get("ref", ""), author, comment.findtext(_THREAD + "text") or ""))
    for part in package.related(name, "comments"):
        root = package.parse_if_there(part)
        authors = [author.text or "" for author in root.iter(_SHEET + "author")] if root is not None else []
        for comment in root.iter(_SHEET + "comment") if root is not None else ():
            # A thread is also stored as an old comment, for old programs.
            if comment.get("ref", "") not in threaded:
                index = _index(comment.get("authorId", ""))
                text = "".join(piece.text or "" for piece in comment.iter(_SHEET + "t"))
                comment_lines.append(
                    _comment(comment.get("ref", ""), authors[index] if index < len(authors) else "", text)
                )
    return comment_lines


def _comment(cell: str, author: str, text: str) -> str:
    return f"[comment on {cell[:10]} by {author}] {' '.join(text.split())}"


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _index(text: str) -> int:
    """A place in a list; what is none lies beyond every list."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1 << 40
