"""Writes small XLS and XLSB workbooks from their specifications.

Source: [MS-XLS] Excel Binary File Format; [MS-XLSB] Excel (.xlsb) Binary File Format.
"""

import struct

from tests.appliance.documents.document_files import archive, compound_file, relations

Cell = str | float | bool
DATE, TIME = 14, 21
"""Built-in number formats."""


def xls(
    sheets: dict[str, dict[tuple[int, int], Cell]], hidden: tuple[str, ...] = (), formats: tuple[int, ...] = (0,),
    styles: dict[tuple[int, int], int] | None = None,
) -> bytes:  # fmt: skip
    """An XLS: cells by row and column for each sheet; `styles` gives a cell another of the number formats."""
    begin = _record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
    head = begin + _record(0x0042, struct.pack("<H", 1200))
    head += b"".join(_record(0x00E0, struct.pack("<HHHHHHIIH", 0, number, 0, 0, 0, 0, 0, 0, 0)) for number in formats)
    bodies = [_xls_sheet(cells, styles or {}) for cells in sheets.values()]
    names = [struct.pack("<BB", len(name), 1) + name.encode("utf-16-le") for name in sheets]
    position = len(head) + sum(len(name) + 10 for name in names) + 4
    for title, name, body in zip(sheets, names, bodies, strict=True):
        head += _record(0x0085, struct.pack("<IBB", position, int(title in hidden), 0) + name)
        position += len(body)
    return compound_file({"Workbook": head + _record(0x000A) + b"".join(bodies)})


def _xls_sheet(cells: dict[tuple[int, int], Cell], styles: dict[tuple[int, int], int]) -> bytes:
    records = [_record(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0))]
    for place, value in sorted(cells.items()):
        at = struct.pack("<HHH", *place, styles.get(place, 0))
        if isinstance(value, bool):
            records.append(_record(0x0205, at + struct.pack("<BB", value, 0)))
        elif isinstance(value, str):
            text = value.encode("utf-16-le")
            records.append(_record(0x0204, at + struct.pack("<HB", len(value), 1) + text))
        else:
            records.append(_record(0x0203, at + struct.pack("<d", value)))
    return b"".join([*records, _record(0x000A)])


def _record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def xlsb(sheets: dict[str, dict[tuple[int, int], Cell]], hidden: tuple[str, ...] = (), more: bytes = b"") -> bytes:
    """An XLSB: cells by row and column for each sheet; `more` is put into every sheet."""
    targets = [("worksheet", f"worksheets/sheet{number}.bin") for number in range(1, len(sheets) + 1)]
    bundle = b"".join(
        _binary(0x9C, struct.pack("<II", int(name in hidden), number) + _wide(f"r{number}") + _wide(name))
        for number, name in enumerate(sheets, 1)
    )
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "xl/workbook.bin")),
        "xl/workbook.bin": _binary(0x83) + _binary(0x8F) + bundle + _binary(0x90) + _binary(0x84),
        "xl/_rels/workbook.bin.rels": relations(*targets),
    }
    for number, cells in enumerate(sheets.values(), 1):
        rows = b""
        for row in sorted({row for row, _ in cells}):
            rows += _binary(0, struct.pack("<I", row) + bytes(13))
            rows += b"".join(_xlsb_cell(at[1], value) for at, value in sorted(cells.items()) if at[0] == row)
        data = _binary(0x91) + rows + more + _binary(0x92)
        columns = [column for _, column in cells]
        lines = [row for row, _ in cells]
        size = struct.pack("<IIII", min(lines), max(lines), min(columns), max(columns)) if cells else bytes(16)
        parts[f"xl/worksheets/sheet{number}.bin"] = _binary(0x81) + _binary(0x94, size) + data + _binary(0x82)
    return archive(parts)


def _xlsb_cell(column: int, value: Cell) -> bytes:
    at = struct.pack("<II", column, 0)
    if isinstance(value, bool):
        return _binary(4, at + struct.pack("<B", value))
    if isinstance(value, str):
        return _binary(6, at + _wide(value))
    return _binary(5, at + struct.pack("<d", value))


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _binary(kind: int, data: bytes = b"") -> bytes:
    """A record whose type and size are written in sevens of bits; types of two bytes are given as they are written."""
    size, number = b"", len(data)
    while number > 0x7F:
        size, number = size + bytes((number & 0x7F | 0x80,)), number >> 7
    return (bytes((kind, 1)) if kind > 0x7F else bytes((kind,))) + size + bytes((number,)) + data
