"""Japanese in seven bits (ISO-2022-JP) as mail programs write it: with signs of NEC and half-width letters as well.

Source: RFC 1468; Microsoft code pages 50220 to 50222, which put the signs of code page 932 behind the same escapes.
"""

import re

_ESCAPE = re.compile(rb"\x1b(\$[@B]|\$\([DOPQ]|\([BJIH])|\x0e|\x0f")
_DOUBLE, _KANA = (b"$@", b"$B"), (b"(I", b"\x0e")


def decode_jis(data: bytes) -> str:
    """Text of the bytes; what is no character becomes the replacement sign."""
    parts, position, shown_as = [], 0, b"(B"
    for escape in _ESCAPE.finditer(data):
        parts.append(_segment(data[position : escape.start()], shown_as))
        position, shown_as = escape.end(), escape.group(1) or escape.group()
    return "".join([*parts, _segment(data[position:], shown_as)])


def _segment(data: bytes, shown_as: bytes) -> str:
    if shown_as in _DOUBLE:
        pairs = (data[index : index + 2] for index in range(0, len(data), 2))
        return b"".join(map(_shifted, pairs)).decode("cp932", "replace")
    if shown_as in _KANA:
        return bytes(byte | 0x80 for byte in data if byte > 0x20).decode("cp932", "replace")
    return data.decode("ascii", "replace")


def _shifted(pair: bytes) -> bytes:
    """A place in the table of 94 rows as Shift-JIS writes it; a line end inside is kept."""
    if len(pair) < 2 or min(pair) < 0x21 or max(pair) > 0x7E:
        return bytes(byte for byte in pair if byte in b"\r\n ") or b"?"
    row, cell = pair
    high = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
    low = cell + (0x1F + (cell > 0x5F) if row % 2 else 0x7E)
    return bytes((high, low))
