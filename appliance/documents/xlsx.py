"""Excel workbooks (XLSX) to text: the name of each sheet, then one line for each row, with tabs between cells."""

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from xml.etree import ElementTree

from appliance.documents.archive import MAX_UNPACKED_BYTES, Package, usual_namespaces
from appliance.documents.charts import CHART, DIAGRAM, DRAWING, RELATION, drawn_text, graphic_lines
from appliance.documents.moments import EPOCH, EPOCH_1904
from appliance.documents.number_format import BUILT_IN, NumberFormat, plain_number
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.related_parts import unread_parts_note
from appliance.documents.sheet_comments import comment_lines, read_people
from appliance.documents.sheet_merges import Merges, column_number, find_merges
from appliance.documents.sheet_strings import page_text, shared_string, shown_string
from appliance.documents.text_lines import Lines, table_line

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DRAWN = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_PLACES = frozenset(_DRAWN + name for name in ("sp", "grpSp", "graphicFrame", "cxnSp", "pic"))
MAX_SHEETS = 1000
WIDEST_GAP = 20
"""Empty cells in a row beyond which the gap is written as one tab: a lone cell far to the right is no table."""
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_GENERAL = NumberFormat("General")
_DATE_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?Z?)?")
_LAST_COLUMN = 1 << 14
_OFF = ("0", "false", "")
_LOST_TEXT = "cells whose text is missing from the file are empty"


@dataclass
class _Workbook:
    """What the sheets share."""

    strings: list[str] = field(default_factory=list)
    formats: list[NumberFormat] = field(default_factory=list)
    """For each cell style."""
    epoch: datetime = EPOCH
    unsolved: bool = False
    """Whether a formula has no stored result."""
    hidden: set[str] = field(default_factory=set)
    """What was left out because the sheet does not show it: rows, columns, values, shapes."""
    notes: list[str] = field(default_factory=list)

    def format(self, style: int) -> NumberFormat:
        """The number format of a cell style."""
        return self.formats[style] if style < len(self.formats) else _GENERAL


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
    people = read_people(package, name)
    lines, notes = Lines(), []
    sheets = list(root.iter(_SHEET + "sheet"))[:MAX_SHEETS]
    for sheet in sheets:
        if sheet.get("state", "visible") != "visible":
            notes.append(f"the hidden sheet {sheet.get('name', '')[:40]} was left out")
            continue
        relation = relations.get(sheet.get(RELATION + "id", ""))
        if relation is not None and relation.target in package:
            _add_sheet(lines, package, (sheet.get("name", ""), relation.target), workbook, people)
        else:
            notes.append(f"the sheet {sheet.get('name', '')[:40]} is missing from the file")
    if workbook.unsolved:
        notes.append("formulas without a stored result are written as formulas")
    notes += [f"hidden {what} were left out" for what in sorted(workbook.hidden)] + workbook.notes
    if len(sheets) == MAX_SHEETS:
        notes.append(f"sheets after the first {MAX_SHEETS:,} were left out")
    text = lines.text()
    return text, notes + unread_parts_note(package, name, text)


def _add_sheet(
    lines: Lines, package: Package, sheet: tuple[str, str], workbook: _Workbook, people: dict[str, str]
) -> None:
    """Rows of a sheet, then what is drawn on it and what was said about it."""
    title, name = sheet
    content = Lines()
    chunks = package.chunks(name, MAX_UNPACKED_BYTES)
    head, merges = find_merges(chunks)
    target = _SheetTarget(workbook, content, merges)
    parser = ElementTree.XMLParser(target=target)
    try:
        for number, chunk in enumerate(chain((head,), chunks)):
            parser.feed(usual_namespaces(chunk) if number == 0 else chunk)
        parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(Problem.UNREADABLE, f"{name[:80]} is broken XML: {error}") from error
    for drawing in package.related(name, "drawing"):
        root = package.parse_if_there(drawing)
        for line in _drawn_lines(workbook, package, drawing, root) if root is not None else ():
            content.add(line)
    for comment in comment_lines(package, name, people):
        if not target.hides(comment.cell):
            content.add(comment.text)
    for line in target.page_lines:
        content.add(line)
    if content:
        lines.add(title)
        lines.add_all(content)


class _SheetTarget:
    """Takes the sheet's XML as it streams by; a row is written when it ends, and forgotten."""

    def __init__(self, workbook: _Workbook, lines: Lines, merges: Merges) -> None:
        self._merges = merges
        self.page_lines: list[str] = []
        """What is printed above and below the sheet."""
        self._workbook = workbook
        self._lines = lines
        self._cells: dict[int, str] = {}
        self._margin = 0
        self._row = self._column = -1
        self._row_is_hidden = False
        self._hidden_rows: set[int] = set()
        self._from_above: list[tuple[tuple[int, int], int, str]] = []
        """Texts of merged cells whose first row is hidden: where they end, their column, the text."""
        self._hidden_columns: list[tuple[int, int]] = []
        self._listed_columns: list[tuple[int, int]] = []
        self._is_narrow = False
        """Whether columns that are not listed have no width."""
        self._page_places = {"oddHeader", "oddFooter"}
        self._known_columns: dict[int, bool] = {}
        self._kind, self._style = "n", 0
        self._parts: dict[str, list[str]] = {}
        self._into: str | None = None
        self._phonetic = False

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DocumentError(Problem.UNREADABLE, "the sheet's XML declares a document type, which is refused")

    def hides(self, reference: str) -> bool:
        """Whether a cell lies in a row or a column that is not shown."""
        cell = _CELL.fullmatch(reference)
        return cell is not None and (
            int(cell.group(2)) - 1 in self._hidden_rows or self._in_hidden_column(column_number(cell.group(1)))
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            reference = _CELL.fullmatch(attributes.get("r", ""))
            # A cell that does not say where it is stands right of the one before it.
            self._column = min(column_number(reference.group(1)) if reference else self._column + 1, _LAST_COLUMN)
            self._kind, self._style = attributes.get("t", "n"), _index(attributes.get("s", "0"))
            self._parts = {}
        elif name in ("v", "t", "f") or name in self._page_places:
            self._into = name
            self._parts.setdefault(name, [])
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            self._start_row(attributes)
        elif name == "col":
            self._note_column(attributes)
        elif name == "sheetFormatPr":
            self._is_narrow = _size(attributes.get("defaultColWidth", "1")) == 0
        elif name == "headerFooter":
            for switch, place in (("differentFirst", "first"), ("differentOddEven", "even")):
                if attributes.get(switch, "0") not in _OFF:
                    self._page_places |= {place + "Header", place + "Footer"}
        elif name == "dimension":
            reference = _CELL.match(attributes.get("ref", ""))
            self._margin = column_number(reference.group(1)) if reference else 0

    def data(self, text: str) -> None:
        if self._into is not None and not self._phonetic:
            self._parts.setdefault(self._into, []).append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name in ("v", "t", "f"):
            self._into = None
        elif name in self._page_places:
            self._into = None
            self.page_lines += [page_text("".join(self._parts.pop(name, [])))]
        elif name == "rPh":
            self._phonetic = False
        elif name == "c":
            self._put(self._value())
        elif name == "row" and self._cells and any(cell.strip() for cell in self._cells.values()):
            self._lines.add(table_line(self._row_cells()))

    def close(self) -> None:
        self.page_lines = list(dict.fromkeys(line for line in self.page_lines if line))
        self._workbook.hidden |= {"rows"} if self._from_above else set()

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = _index(attributes.get("r", ""))
        self._row = number - 1 if number < 1 << 40 else self._row + 1
        self._cells, self._column = {}, -1
        flat = attributes.get("customHeight", "0") not in _OFF and _size(attributes.get("ht", "1")) == 0
        self._row_is_hidden = flat or attributes.get("hidden", "0") not in _OFF
        if self._row_is_hidden:
            self._hidden_rows.add(self._row)
            return
        waiting, self._from_above = self._from_above, []
        for end, column, text in waiting:
            if end[0] < self._row or not self._put_in_area(end[1], column, text):
                self._workbook.hidden.add("rows")

    def _note_column(self, attributes: dict[str, str]) -> None:
        is_hidden = attributes.get("hidden", "0") not in _OFF or _size(attributes.get("width", "1")) == 0
        columns = self._hidden_columns if is_hidden else self._listed_columns
        if len(columns) < _LAST_COLUMN:
            columns.append((_index(attributes.get("min", "")) - 1, _index(attributes.get("max", "")) - 1))

    def _in_hidden_column(self, column: int) -> bool:
        if column not in self._known_columns:
            is_hidden = any(first <= column <= last for first, last in self._hidden_columns)
            is_listed = any(first <= column <= last for first, last in self._listed_columns)
            self._known_columns[column] = is_hidden or (self._is_narrow and not is_listed)
        return self._known_columns[column]

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._row_is_hidden or self._in_hidden_column(self._column):
            end = self._merges.end(self._row, self._column)
            if end is not None and self._row_is_hidden and end[0] > self._row and len(self._from_above) < _LAST_COLUMN:
                self._from_above.append((end, self._column, text))
                return
            if end is not None and not self._row_is_hidden and self._put_in_area(end[1], self._column, text):
                return
            self._workbook.hidden.add("rows" if self._row_is_hidden else "columns")
            return
        if self._merges.covers(self._row, self._column):
            self._workbook.hidden.add("cells below others")
            return
        self._cells[self._column] = text

    def _put_in_area(self, last: int, column: int, text: str) -> bool:
        """Puts a text into the first column of its merged cell that is shown; tells whether there is one."""
        shown = next((at for at in range(column, last + 1) if not self._in_hidden_column(at)), None)
        if shown is not None:
            self._cells[shown] = text
        return shown is not None

    def _row_cells(self) -> list[str]:
        """The shown cells in their order, with empty ones between them."""
        cells: list[str] = []
        before = min(self._margin, *self._cells) - 1
        for column in sorted(self._cells):
            gap = column - before - 1
            if gap and self._hidden_columns:
                gap -= sum(
                    max(min(last, column - 1) - max(first, before + 1) + 1, 0) for first, last in self._hidden_columns
                )
            cells += [""] * (max(gap, 0) if gap <= WIDEST_GAP else 1)
            cells.append(self._cells[column])
            before = column
        return cells

    def _value(self) -> str:
        written, has_value = "".join(self._parts.get("v", [])), "v" in self._parts
        workbook = self._workbook
        if self._kind == "inlineStr":
            return self._text(shown_string("".join(self._parts.get("t", []))))
        if "f" in self._parts and not written and not (has_value and self._kind == "str"):
            workbook.unsolved = True
            formula = "".join(self._parts["f"])
            return f"={formula}" if formula else ""
        if self._kind == "s":
            index = _index(written)
            if written and index >= len(workbook.strings) and _LOST_TEXT not in workbook.notes:
                workbook.notes.append(_LOST_TEXT)
            return self._text(workbook.strings[index]) if index < len(workbook.strings) else ""
        if self._kind == "str":
            return self._text(shown_string(written))
        if self._kind == "b":
            return "TRUE" if written.strip() in ("1", "true") else "FALSE" if written.strip() else ""
        if self._kind == "e":
            return written
        if self._kind == "d":
            return self._date(written.strip())
        return self._number(written)

    def _date(self, written: str) -> str:
        """A date that is stored as one, as the cell's format shows it; as it stands where that is for numbers."""
        date = _DATE_TEXT.fullmatch(written)
        if date is None:
            return written
        day, time = date.groups()
        time = "" if time is None or re.fullmatch(r"00:00(:00)?", time) else time
        form = self._workbook.format(self._style)
        if form is not _GENERAL and form.shows_moments:
            try:
                moment = datetime.fromisoformat(f"{day} {time}".strip())
            except ValueError:
                return written
            number = (moment - self._workbook.epoch) / timedelta(days=1)
            return form.number_text(number, self._workbook.epoch) or self._hide_value()
        return f"{day} {time}".strip()

    def _text(self, text: str) -> str:
        shown = self._workbook.format(self._style).text_text(text)
        return shown if shown or not text.strip() else self._hide_value()

    def _number(self, written: str) -> str:
        try:
            number = float(written)
        except ValueError:
            return written
        if not math.isfinite(number):
            return plain_number(number)
        # A zero that is shown as nothing hides no value.
        shown = self._workbook.format(self._style).number_text(number, self._workbook.epoch)
        return shown if shown or not number else self._hide_value()

    def _hide_value(self) -> str:
        self._workbook.hidden.add("values")
        return ""


def _shared(package: Package, name: str, root: ElementTree.Element) -> _Workbook:
    workbook = _Workbook()
    properties = root.find(_SHEET + "workbookPr")
    if properties is not None and properties.get("date1904", "0") not in _OFF:
        workbook.epoch = EPOCH_1904
    # Some programs write the texts and forget to point to them.
    for part in package.related(name, "sharedStrings") or {"xl/sharedstrings.xml"}.intersection(package.names()):
        workbook.strings += [shared_string(element) for element in package.parse(part).iter(_SHEET + "si")]
    for part in package.related(name, "styles"):
        styles = package.parse_if_there(part)
        if styles is not None:
            workbook.formats += _formats(styles)
    return workbook


def _formats(styles: ElementTree.Element) -> list[NumberFormat]:
    """The number format of each cell style; equal codes are parsed once."""
    codes: dict[int, str] = dict(BUILT_IN)
    for element in styles.iter(_SHEET + "numFmt"):
        codes[_index(element.get("numFmtId", ""))] = element.get("formatCode", "")
    parsed: dict[str, NumberFormat] = {}
    formats = styles.find(_SHEET + "cellXfs")
    listed = [
        codes.get(_index(one.get("numFmtId", "0")), "General") for one in (formats if formats is not None else ())
    ]
    return [parsed.setdefault(code, NumberFormat(code)) if code not in parsed else parsed[code] for code in listed]


def _drawn_lines(workbook: _Workbook, package: Package, part: str, root: ElementTree.Element) -> list[str]:
    """Charts and text boxes of a sheet."""
    drawn_lines: list[str] = []
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if element.tag in _PLACES and _is_hidden_shape(element):
            workbook.hidden.add("shapes")
        elif element.tag == CHART + "chart" or element.tag == DIAGRAM + "relIds":
            drawn_lines += graphic_lines(package, part, element)
        elif element.tag == _DRAWN + "txBody":
            drawn_lines += [drawn_text(paragraph) for paragraph in element.iter(DRAWING + "p")]
        elif element.tag != _FALLBACK:
            waiting += reversed(element)
    return [line for line in drawn_lines if line.strip()]


def _is_hidden_shape(element: ElementTree.Element) -> bool:
    properties = next((child.find(_DRAWN + "cNvPr") for child in element if child.tag.startswith(_DRAWN + "nv")), None)
    return properties is not None and properties.get("hidden", "0") not in _OFF


def _size(text: str) -> float:
    """A width or a height; what is none is not zero."""
    try:
        return float(text)
    except ValueError:
        return 1.0


def _index(text: str) -> int:
    """A place in a list; what is none lies beyond every list."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1 << 40
