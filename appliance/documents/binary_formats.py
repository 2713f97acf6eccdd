"""How XLS and XLSB workbooks show their cells: number formats, and rows and columns that are hidden.

calamine gives values alone; what is needed beside them stands in a dozen kinds of records, which are walked over here.
Source: [MS-XLS] 2.4 and 2.5; [MS-XLSB] 2.3.2 and 2.4.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from appliance.documents.archive import MAX_UNPACKED_BYTES, Package
from appliance.documents.moments import EPOCH, EPOCH_1904
from appliance.documents.number_format import BUILT_IN, NumberFormat

_MOST_CELLS = 1_000_000
"""Cells of a workbook whose formats are kept; beyond, values are written as they are stored."""
_MOST_FORMATS = 10_000
_XLS_VALUES = frozenset((0x0203, 0x027E, 0x0006, 0x0204, 0x00FD, 0x00D6, 0x0205))
_XLSB_VALUES = frozenset(range(2, 12))

Record = tuple[int, bytes]


class TooManyCells(Exception):
    """The workbook has more cells than formats are kept for."""


@dataclass
class ShownSheet:
    """What a sheet does with the values of its cells."""

    styles: dict[tuple[int, int], int] = field(default_factory=dict)
    numbers: dict[tuple[int, int], float] = field(default_factory=dict)
    """Numbers as they are stored, of cells whose format is not the general one."""
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    _known: dict[int, bool] = field(default_factory=dict)

    def hides_column(self, column: int) -> bool:
        """Whether a column is not shown."""
        if column not in self._known:
            self._known[column] = any(first <= column <= last for first, last in self.hidden_columns)
        return self._known[column]


@dataclass
class ShownWorkbook:
    """What the sheets of a workbook share."""

    epoch: datetime = EPOCH
    formats: list[NumberFormat] = field(default_factory=list)
    """For each cell style."""
    sheets: dict[str, ShownSheet] = field(default_factory=dict)

    def format(self, style: int) -> NumberFormat | None:
        """The number format of a cell style; None where it is not known."""
        return self.formats[style] if style < len(self.formats) else None


def xls_formats(stream: bytes) -> ShownWorkbook:
    """What the stream of an XLS says.

    Raises:
        TooManyCells: It has too many.
        struct.error: A record is cut off.
    """
    shown, codes, indices = ShownWorkbook(), dict(BUILT_IN), list[int]()
    places: list[tuple[str, int]] = []
    is_wide = stream[4:6] == b"\x00\x06"
    for kind, data in _xls_records(stream, 0):
        if kind == 0x0022:
            shown.epoch = EPOCH_1904 if data[:1] == b"\x01" else EPOCH
        elif kind == 0x041E and len(codes) < _MOST_FORMATS:
            codes[int.from_bytes(data[:2], "little")] = _xls_string(data[2:], is_wide, 2)
        elif kind == 0x00E0:
            indices.append(int.from_bytes(data[2:4], "little"))
        elif kind == 0x0085:
            places.append((_xls_string(data[6:], is_wide, 1), int.from_bytes(data[:4], "little")))
    shown.formats = _parsed(codes, indices)
    kept = 0
    for name, place in places:
        sheet = ShownSheet()
        for kind, data in _xls_records(stream, place):
            kept += _take_xls(sheet, kind, data)
            if kept > _MOST_CELLS:
                raise TooManyCells
        shown.sheets[name] = sheet
    return shown


def _take_xls(sheet: ShownSheet, kind: int, data: bytes) -> int:
    """Takes a record of a sheet; how many cells it has."""
    if kind == 0x0208:
        row, flags = struct.unpack_from("<H10xH", data)
        if flags & 0x20:
            sheet.hidden_rows.add(row)
    elif kind == 0x007D:
        first, last, width, _, flags = struct.unpack_from("<HHHHH", data)
        if flags & 1 or not width:
            sheet.hidden_columns.append((first, last))
    elif kind == 0x00BD:
        row, first = struct.unpack_from("<HH", data)
        for index in range((len(data) - 6) // 6):
            style, packed = struct.unpack_from("<HI", data, 4 + 6 * index)
            sheet.styles[row, first + index] = style
            sheet.numbers[row, first + index] = _unpacked(packed)
        return (len(data) - 6) // 6
    elif kind in _XLS_VALUES:
        row, column, style = struct.unpack_from("<HHH", data)
        sheet.styles[row, column] = style
        if kind == 0x0203 or (kind == 0x0006 and data[12:14] != b"\xff\xff"):
            sheet.numbers[row, column] = struct.unpack_from("<d", data, 6)[0]
        elif kind == 0x027E:
            sheet.numbers[row, column] = _unpacked(struct.unpack_from("<I", data, 6)[0])
        return 1
    return 0


def xlsb_formats(package: Package, book: str = "xl/workbook.bin") -> ShownWorkbook:
    """What the parts of an XLSB say.

    Raises:
        TooManyCells: It has too many.
        struct.error: A record is cut off.
        DocumentError: A part is broken.
    """
    shown, codes, indices = ShownWorkbook(), dict(BUILT_IN), list[int]()
    relations = package.relations(book)
    for name in package.related(book, "styles"):
        in_cell_styles = False
        for kind, data in xlsb_records(package.read(name)):
            if kind == 44 and len(codes) < _MOST_FORMATS:
                codes[int.from_bytes(data[:2], "little")] = _wide(data, 2)[0]
            elif kind in (617, 618):
                in_cell_styles = kind == 617
            elif kind == 47 and in_cell_styles:
                indices.append(int.from_bytes(data[2:4], "little"))
    shown.formats = _parsed(codes, indices)
    kept = 0
    for kind, data in xlsb_records(package.read(book)):
        if kind == 153:
            shown.epoch = EPOCH_1904 if data[:1] and data[0] & 1 else EPOCH
        elif kind == 156:
            target, position = _wide(data, 8)
            relation = relations.get(target)
            if relation is None or relation.target not in package:
                continue
            sheet = shown.sheets[_wide(data, position)[0]] = ShownSheet()
            row = 0
            for inner, cell in xlsb_records(b"".join(package.chunks(relation.target, MAX_UNPACKED_BYTES))):
                row, count = _take_xlsb(sheet, row, inner, cell)
                kept += count
                if kept > _MOST_CELLS:
                    raise TooManyCells
    return shown


def _take_xlsb(sheet: ShownSheet, row: int, kind: int, data: bytes) -> tuple[int, int]:
    """Takes a record of a sheet; the row that it is in, and how many cells it has."""
    if kind == 0:
        row = int.from_bytes(data[:4], "little")
        if len(data) > 11 and data[11] & 0x10:
            sheet.hidden_rows.add(row)
    elif kind == 60:
        first, last, width, _, flags = struct.unpack_from("<IIIIH", data)
        if flags & 1 or not width:
            sheet.hidden_columns.append((first, last))
    elif kind in _XLSB_VALUES:
        column, style = struct.unpack_from("<II", data)
        sheet.styles[row, column] = style & 0xFFFFFF
        if kind == 2:
            sheet.numbers[row, column] = _unpacked(struct.unpack_from("<I", data, 8)[0])
        elif kind in (5, 9):
            sheet.numbers[row, column] = struct.unpack_from("<d", data, 8)[0]
        return row, 1
    return row, 0


def _parsed(codes: dict[int, str], indices: list[int]) -> list[NumberFormat]:
    parsed: dict[str, NumberFormat] = {}
    for index in indices:
        code = codes.get(index, "General")
        if code not in parsed:
            parsed[code] = NumberFormat(code)
    return [parsed[codes.get(index, "General")] for index in indices]


def _xls_records(stream: bytes, position: int) -> Iterator[Record]:
    """Records from a place up to the end of what begins there; a chart inside a sheet is passed over."""
    depth = 0
    while position + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, position)
        data = stream[position + 4 : position + 4 + size]
        position += 4 + size
        if kind in (0x0809, 0x0409, 0x0209, 0x0009):
            depth += 1
        elif kind == 0x000A:
            depth -= 1
            if depth <= 0:
                return
        elif depth == 1:
            yield kind, data


def xlsb_records(data: bytes) -> Iterator[Record]:
    """Records of a part of an XLSB, whose types and sizes are written in sevens of bits, the lowest first."""
    position = 0
    while position < len(data):
        kind, position = data[position], position + 1
        if kind & 0x80 and position < len(data):
            kind, position = kind & 0x7F | (data[position] & 0x7F) << 7, position + 1
        size = 0
        for shift in (0, 7, 14, 21):
            byte = data[position] if position < len(data) else 0
            size, position = size | (byte & 0x7F) << shift, position + 1
            if not byte & 0x80:
                break
        yield kind, data[position : position + size]
        position += size


def _unpacked(packed: int) -> float:
    """A number in four bytes: the upper part of a float or a whole number, either of it perhaps in hundredths."""
    if packed & 2:
        whole = packed >> 2
        number = float(whole - (1 << 30) if whole & 0x20000000 else whole)
    else:
        number = struct.unpack("<d", struct.pack("<Q", (packed & 0xFFFFFFFC) << 32))[0]
    return number / 100 if packed & 1 else number


def _xls_string(data: bytes, is_wide: bool, count_bytes: int) -> str:
    count = int.from_bytes(data[: count_bytes if is_wide else 1], "little")
    if not is_wide:
        return data[1 : 1 + count].decode("cp1252", "replace")
    flags = data[count_bytes] if len(data) > count_bytes else 0
    start = count_bytes + 1
    if flags & 1:
        return data[start : start + 2 * count].decode("utf-16-le", "replace")
    return data[start : start + count].decode("latin-1")


def _wide(data: bytes, position: int) -> tuple[str, int]:
    """A string with its length before it, and where it ends."""
    count = struct.unpack_from("<I", data, position)[0]
    end = position + 4 + 2 * count
    return data[position + 4 : end].decode("utf-16-le", "replace"), end
