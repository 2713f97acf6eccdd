"""Old and binary Excel workbooks (XLS, XLSB) to text, in the form that XLSX gives; calamine parses them.

Only cells are read: calamine knows no comments, text boxes and charts of these formats. How the cells are shown is
found out beside it.
"""

import io
import math
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import groupby

import olefile  # type: ignore[import-untyped]
import python_calamine

from appliance.documents.archive import MAX_UNPACKED_BYTES, Package
from appliance.documents.binary_formats import (
    ShownSheet,
    ShownWorkbook,
    TooManyCells,
    xls_formats,
    xlsb_formats,
    xlsb_records,
)
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import WORKBOOK_STREAMS
from appliance.documents.text_lines import Lines, table_line
from appliance.documents.xlsx import MAX_SHEETS, WIDEST_GAP

_MAX_AREA = 1 << 24
"""Cells between the first and the last of a sheet, which calamine lays out in full; an XLS sheet has no more."""
_ROW, _CELLS, _SHORT_CELLS = 0, range(1, 12), range(12, 20)
"""Record types of a sheet of an XLSB. Source: [MS-XLSB] 2.3.2. calamine passes over the short ones."""

Cell = int | float | str | bool | date | datetime | time | timedelta


def read_xls(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an XLS.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as compound:
            stream = next((name for name in WORKBOOK_STREAMS if compound.exists(name)), None)
            if stream is None:
                raise DocumentError(Problem.UNSUPPORTED, "the workbook is only a part of this file", "save it as PDF")
            content = bytes(compound.openstream(stream).read())
    except (OSError, ValueError, IndexError, struct.error, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the workbook is broken: {error}") from error
    return _read(data, lambda: xls_formats(content))


def read_xlsb(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an XLSB.

    Raises:
        DocumentError: The file is broken, encrypted or too large, or has cells that calamine would pass over.
    """
    package = Package(data)
    for name in package.names():
        if name.startswith("xl/worksheets/") and name.endswith(".bin"):
            _check_sheet(name, b"".join(package.chunks(name, MAX_UNPACKED_BYTES)))
    return _read(data, lambda: xlsb_formats(package))


def _read(data: bytes, formats: Callable[[], ShownWorkbook]) -> tuple[str, list[str]]:
    shown, notes = ShownWorkbook(), ["only cells were read: no comments, text boxes or charts"]
    hidden: set[str] = set()
    try:
        workbook = python_calamine.load_workbook(io.BytesIO(data))
        try:
            shown = formats()
        except (TooManyCells, struct.error, IndexError, ValueError, DocumentError):
            notes.append("number formats and hidden rows were not looked at: the workbook is too large or unusual")
        lines = Lines()
        for sheet in workbook.sheets_metadata[:MAX_SHEETS]:
            if sheet.visible != python_calamine.SheetVisibleEnum.Visible:
                notes.append(f"the hidden sheet {sheet.name[:40]} was left out")
            elif sheet.typ == python_calamine.SheetTypeEnum.WorkSheet:
                cells = workbook.get_sheet_by_name(sheet.name)
                place = shown.sheets.get(sheet.name, ShownSheet())
                _add_sheet(lines, sheet.name, _shown_rows(cells, place, shown, hidden))
    except python_calamine.PasswordError as error:
        raise DocumentError(
            Problem.ENCRYPTED, "the file is protected with a password", "save it without a password"
        ) from error
    except (python_calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the workbook is broken: {error}") from error
    except BaseException as error:
        # A panic of the Rust code is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise DocumentError(Problem.UNREADABLE, "the workbook is broken") from error
    return lines.text(), notes + [f"hidden {what} were left out" for what in sorted(hidden)]


def _shown_rows(
    cells: python_calamine.CalamineSheet, sheet: ShownSheet, book: ShownWorkbook, hidden: set[str]
) -> Iterator[list[str]]:
    """Rows that hold anything, as the sheet shows them."""
    left = cells.start[1] if cells.start else 0
    for number, row in enumerate(cells.iter_rows()):
        # Between two far cells lie millions of empty ones.
        if row.count("") == len(row):
            continue
        if number in sheet.hidden_rows:
            hidden.add("rows")
            continue
        texts = []
        for index, cell in enumerate(row):
            place = (number, left + index)
            if not sheet.hides_column(place[1]):
                texts.append(_shown_text(cell, place, sheet, book, hidden))
            elif cell != "":
                hidden.add("columns")
        yield texts


def _shown_text(cell: Cell, place: tuple[int, int], sheet: ShownSheet, book: ShownWorkbook, hidden: set[str]) -> str:
    style = book.format(sheet.styles[place]) if place in sheet.styles else None
    number = sheet.numbers.get(place)
    if style is None or isinstance(cell, bool):
        return _cell_text(cell)
    text = number is None or not math.isfinite(number)
    shown = style.text_text(_cell_text(cell)) if text else style.number_text(number or 0.0, book.epoch)
    if not shown and cell not in ("", 0):
        hidden.add("values")
    return shown


def _add_sheet(lines: Lines, title: str, rows: Iterator[list[str]]) -> None:
    content = Lines()
    for row in rows:
        cells = _without_wide_gaps(row)
        if any(cell.strip() for cell in cells):
            content.add(table_line(cells))
    if content:
        lines.add(title)
        lines.add_all(content)


def _without_wide_gaps(cells: list[str]) -> list[str]:
    """The row with one empty cell in place of more than a table would have."""
    narrow: list[str] = []
    for is_empty, run in groupby(cells, key=lambda text: not text):
        texts = list(run)
        narrow += texts[:1] if is_empty and len(texts) > WIDEST_GAP else texts
    return narrow


def _cell_text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return f"{cell:.15g}"
    if isinstance(cell, datetime):
        # The calendar ends with the year 9999.
        half_second = timedelta(microseconds=500_000 if cell.year < datetime.max.year else 0)
        return (cell + half_second).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, timedelta):
        seconds = round(cell.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(cell, time):
        return cell.strftime("%H:%M:%S")
    return str(cell)


def _check_sheet(name: str, data: bytes) -> None:
    """Refuses what calamine would lose, or would lay out in more memory than there is.

    Raises:
        DocumentError: The sheet has cells in the short form, or cells too far from each other.
    """
    rows, columns = set[int](), set[int]()
    for kind, record in xlsb_records(data):
        if kind == _ROW:
            rows.add(int.from_bytes(record[:4], "little"))
        elif kind in _CELLS:
            columns.add(int.from_bytes(record[:4], "little"))
        elif kind in _SHORT_CELLS:
            raise DocumentError(
                Problem.UNSUPPORTED, f"{name[:80]} stores cells in a short form that is not read", "save it as XLSX"
            )
    if rows and columns and (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) > _MAX_AREA:
        raise DocumentError(
            Problem.TOO_LARGE, f"the cells of {name[:80]} are too far apart: the area they span has more than"
            f" {_MAX_AREA:,} cells", "delete the outlying cells, or save it as XLSX"
        )  # fmt: skip
