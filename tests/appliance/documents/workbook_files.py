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
    styles: dict[tuple[int, int], int] | None = None, codes: dict[int, str] | None = None, more: bytes = b"",
) -> bytes:  # fmt: skip
    """An XLS: cells by row and column for each sheet; `styles` gives a cell another of the number formats.

    Args:
        codes: Number formats of the workbook's own, by number.
        more: Records that are put into every sheet.
    """
    begin = xls_record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
    head = begin + xls_record(0x0042, struct.pack("<H", 1200))
    for number, code in (codes or {}).items():
        head += xls_record(0x041E, struct.pack("<HHB", number, len(code), 1) + code.encode("utf-16-le"))
    head += b"".join(
        xls_record(0x00E0, struct.pack("<HHHHHHIIH", 0, number, 0, 0, 0, 0, 0, 0, 0)) for number in formats
    )
    bodies = [_xls_sheet(cells, styles or {}, more) for cells in sheets.values()]
    names = [struct.pack("<BB", len(name), 1) + name.encode("utf-16-le") for name in sheets]
    position = len(head) + sum(len(name) + 10 for name in names) + 4
    for title, name, body in zip(sheets, names, bodies, strict=True):
        head += xls_record(0x0085, struct.pack("<IBB", position, int(title in hidden), 0) + name)
        position += len(body)
    return compound_file({"Workbook": head + xls_record(0x000A) + b"".join(bodies)})


def _xls_sheet(cells: dict[tuple[int, int], Cell], styles: dict[tuple[int, int], int], more: bytes) -> bytes:
    records = [xls_record(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0)), more]
    for place, value in sorted(cells.items()):
        at = struct.pack("<HHH", *place, styles.get(place, 0))
        if isinstance(value, bool):
            records.append(xls_record(0x0205, at + struct.pack("<BB", value, 0)))
        elif isinstance(value, str):
            text = value.encode("utf-16-le")
            records.append(xls_record(0x0204, at + struct.pack("<HB", len(value), 1) + text))
        else:
            records.append(xls_record(0x0203, at + struct.pack("<d", value)))
    return b"".join([*records, xls_record(0x000A)])


def xls_record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def xlsb(
    sheets: dict[str, dict[tuple[int, int], Cell]], hidden: tuple[str, ...] = (), more: bytes = b"",
    codes: tuple[str, ...] = (), styles: dict[tuple[int, int], int] | None = None, folded: tuple[int, ...] = (),
) -> bytes:  # fmt: skip
    """An XLSB: cells by row and column for each sheet; `more` is put into every sheet.

    Args:
        codes: Number formats of the styles 1, 2, ...
        styles: Style of a cell, where it is another than 0.
        folded: Rows that are hidden.
    """
    targets = [("worksheet", f"worksheets/sheet{number}.bin") for number in range(1, len(sheets) + 1)]
    bundle = b"".join(
        _binary(0x9C, struct.pack("<II", int(name in hidden), number) + _wide(f"r{number}") + _wide(name))
        for number, name in enumerate(sheets, 1)
    )
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "xl/workbook.bin")),
        "xl/workbook.bin": _binary(0x83) + _binary(0x8F) + bundle + _binary(0x90) + _binary(0x84),
        "xl/_rels/workbook.bin.rels": relations(*targets, ("styles", "styles.bin")),
        "xl/styles.bin": _styles(codes),
    }
    for number, cells in enumerate(sheets.values(), 1):
        rows = b""
        for row in sorted({row for row, _ in cells}):
            rows += _binary(0, struct.pack("<I", row) + bytes(7) + bytes((0x10 * (row in folded),)) + bytes(5))
            rows += b"".join(
                _xlsb_cell(at[1], value, (styles or {}).get(at, 0))
                for at, value in sorted(cells.items())
                if at[0] == row
            )
        data = _binary(0x91) + rows + more + _binary(0x92)
        columns = [column for _, column in cells]
        lines = [row for row, _ in cells]
        size = struct.pack("<IIII", min(lines), max(lines), min(columns), max(columns)) if cells else bytes(16)
        parts[f"xl/worksheets/sheet{number}.bin"] = _binary(0x81) + _binary(0x94, size) + data + _binary(0x82)
    return archive(parts)


def _styles(codes: tuple[str, ...]) -> bytes:
    formats = (struct.pack("<H", 164 + number) + _wide(code) for number, code in enumerate(codes))
    styles = (struct.pack("<HH12x", 0, number) for number in (0, *range(164, 164 + len(codes))))
    begin = _binary(0xE7, struct.pack("<I", len(codes)), 4) + b"".join(_binary(44, data) for data in formats)
    cells = _binary(0xE9, struct.pack("<I", len(codes) + 1), 4) + b"".join(_binary(47, data) for data in styles)
    return begin + _binary(0xE8, b"", 4) + cells + _binary(0xEA, b"", 4)


def _xlsb_cell(column: int, value: Cell, style: int) -> bytes:
    at = struct.pack("<II", column, style)
    if isinstance(value, bool):
        return _binary(4, at + struct.pack("<B", value))
    if isinstance(value, str):
        return _binary(6, at + _wide(value))
    return _binary(5, at + struct.pack("<d", value))


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _binary(kind: int, data: bytes = b"", upper: int = 1) -> bytes:
    """A record whose type and size are written in sevens of bits; types of two bytes are given as they are written."""
    size, number = b"", len(data)
    while number > 0x7F:
        size, number = size + bytes((number & 0x7F | 0x80,)), number >> 7
    return (bytes((kind, upper)) if kind > 0x7F else bytes((kind,))) + size + bytes((number,)) + data
