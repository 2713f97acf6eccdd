"""Merged cells of a sheet: only the first of them is shown, whatever the others still hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_MERGE = re.compile(
    rb"<(?:\w{1,20}:)?mergeCell\s[^>]{0,200}?ref=[\"\']\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})[\"\']"
)
_MOST_BYTES = 32 << 20
"""Of a sheet's XML, in which the merged cells stand behind all others; a larger sheet is not searched for them."""
_MOST_IN_A_ROW = 2000
_MOST_ROWS = 200_000
"""Of all merged areas together."""


@dataclass
class Merges:
    """Columns that are covered, by row."""

    _rows: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    _ends: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Last row and last column of each area, by its first cell."""

    def end(self, row: int, column: int) -> tuple[int, int] | None:
        """Last row and last column of the area that a cell is the first of, and which shows what it holds."""
        return self._ends.get((row, column))

    def covers(self, row: int, column: int) -> bool:
        """Whether a cell lies below another one."""
        return any(first <= column <= last for first, last in self._rows.get(row, ()))


def find_merges(chunks: Iterator[bytes]) -> tuple[bytes, Merges]:
    """The beginning of a sheet's XML, which is all of it where it is small enough, and the merged cells in it."""
    head, size = [], 0
    for chunk in chunks:
        head.append(chunk)
        size += len(chunk)
        if size > _MOST_BYTES:
            return b"".join(head), Merges()
    data = b"".join(head)
    merges, rows = Merges(), 0
    for area in _MERGE.finditer(data):
        top, bottom = int(area.group(2)) - 1, int(area.group(4)) - 1
        left, right = (column_number(area.group(index).decode("ascii")) for index in (1, 3))
        rows += max(bottom - top + 1, 0)
        if rows > _MOST_ROWS:
            break
        merges._ends[top, left] = bottom, right
        for row in range(top, bottom + 1):
            # The first cell of the first row shows what the area says.
            areas = merges._rows.setdefault(row, [])
            if len(areas) < _MOST_IN_A_ROW:
                areas.append((left + (row == top), right))
    return data, merges


def column_number(letters: str) -> int:
    """Number of a column, from 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
