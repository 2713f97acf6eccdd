"""Old and binary Excel workbooks (XLS, XLSB) to text, in the form that XLSX gives; calamine parses them.

Only cells are read: calamine knows no comments, text boxes and charts of these formats, and no number formats beyond
dates and times.
"""

import io
import struct
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import groupby

import olefile  # type: ignore[import-untyped]
import python_calamine

from appliance.documents.archive import MAX_UNPACKED_BYTES, Package
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
            if not any(map(compound.exists, WORKBOOK_STREAMS)):
                raise DocumentError(Problem.UNSUPPORTED, "the workbook is only a part of this file", "save it as PDF")
    except (OSError, ValueError, IndexError, struct.error, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the workbook is broken: {error}") from error
    return _read(data)


def read_xlsb(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an XLSB.

    Raises:
        DocumentError: The file is broken, encrypted or too large, or has cells that calamine would pass over.
    """
    package = Package(data)
    for name in package.names():
        if name.startswith("xl/worksheets/") and name.endswith(".bin"):
            _check_sheet(name, b"".join(package.chunks(name, MAX_UNPACKED_BYTES)))
    return _read(data)


def _read(data: bytes) -> tuple[str, list[str]]:
    try:
        workbook = python_calamine.load_workbook(io.BytesIO(data))
        lines, notes = Lines(), ["only cells were read: no comments, text boxes or charts"]
        for sheet in workbook.sheets_metadata[:MAX_SHEETS]:
            if sheet.visible != python_calamine.SheetVisibleEnum.Visible:
                notes.append(f"the hidden sheet {sheet.name[:40]} was left out")
            elif sheet.typ == python_calamine.SheetTypeEnum.WorkSheet:
                _add_sheet(lines, sheet.name, workbook.get_sheet_by_name(sheet.name).iter_rows())
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
    return lines.text(), notes


def _add_sheet(lines: Lines, title: str, rows: Iterator[list[Cell]]) -> None:
    content = Lines()
    for row in rows:
        # Between two far cells lie millions of empty ones.
        if row.count("") == len(row):
            continue
        cells = _without_wide_gaps([_cell_text(cell) for cell in row])
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
    position = 0
    while position < len(data):
        # Type and size are written in sevens of bits, the lowest first.
        kind, position = data[position], position + 1
        if kind & 0x80 and position < len(data):
            kind, position = kind & 0x7F | (data[position] & 0x7F) << 7, position + 1
        size = 0
        for shift in (0, 7, 14, 21):
            byte = data[position] if position < len(data) else 0
            size, position = size | (byte & 0x7F) << shift, position + 1
            if not byte & 0x80:
                break
        if kind == _ROW:
            rows.add(int.from_bytes(data[position : position + 4], "little"))
        elif kind in _CELLS:
            columns.add(int.from_bytes(data[position : position + 4], "little"))
        elif kind in _SHORT_CELLS:
            raise DocumentError(
                Problem.UNSUPPORTED, f"{name[:80]} stores cells in a short form that is not read", "save it as XLSX"
            )
        position += size
    if rows and columns and (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) > _MAX_AREA:
        raise DocumentError(
            Problem.TOO_LARGE, f"the cells of {name[:80]} are too far apart: the area they span has more than"
            f" {_MAX_AREA:,} cells", "delete the outlying cells, or save it as XLSX"
        )  # fmt: skip
