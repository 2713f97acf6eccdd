"""Tables of web pages as lines: where a table holds data, an empty cell keeps its place among the others.

A table may also lay out a page, with empty cells for gaps: those are passed over. Data has a header, or a row that is
full; rows that are as wide as one of these keep their empty cells, and count those that a cell above reaches into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_MOST_LINES = 3
"""Of a cell in a row of data; a cell with more lines lays out a page."""
_FEWEST_COLUMNS = 3
"""Of a full row that shows a table to be one of data; with a header, two are enough."""
_MOST_COLUMNS_OF_A_CELL = 50
_MOST_ROWS_OF_A_CELL = 1000
_MOST_REACHING = 60
"""Columns from which cells may reach further: each costs time in every row below."""


@dataclass
class Cell:
    """A cell, and how far it reaches."""

    is_head: bool
    columns: int
    rows: int
    lines: list[str] = field(default_factory=list)


@dataclass
class Row:
    """Cells from left to right; those that reach into the row from above are not among them."""

    cells: list[Cell] = field(default_factory=list)
    has_table: bool = False

    @property
    def lays_out(self) -> bool:
        """Whether it parts a page rather than data."""
        return self.has_table or any(len(cell.lines) > _MOST_LINES for cell in self.cells)

    @property
    def shows_data(self) -> bool:
        """Whether it is a header, or a row that is full."""
        is_full = len(self.cells) >= _FEWEST_COLUMNS and all(cell.lines for cell in self.cells)
        return not self.lays_out and (is_full or (len(self.cells) > 1 and any(cell.is_head for cell in self.cells)))


@dataclass
class Table:
    """A table that has not ended."""

    rows: list[Row] = field(default_factory=list)
    row: Row | None = None
    """The row that is open."""

    def begin_row(self) -> None:
        """Begins a row behind those that have ended."""
        self.row = Row()

    def begin_cell(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        """Begins a cell, in a row of its own where none is open."""
        self.row = self.row or Row()
        columns = _count(attributes.get("colspan"), _MOST_COLUMNS_OF_A_CELL)
        self.row.cells.append(Cell(tag == "th", columns, _count(attributes.get("rowspan"), _MOST_ROWS_OF_A_CELL)))

    def end_row(self) -> None:
        """Ends the open row."""
        if self.row is not None:
            self.rows.append(self.row)
        self.row = None

    def lines(self) -> Iterator[str]:
        """One line for each row, with tabs between cells; a row that lays out a page gives the lines of its cells."""
        placed = list(self._placed_rows())
        widths = {width for row, width, _ in placed if row.shows_data}
        for row, width, texts in placed:
            if row.lays_out:
                yield from (line for cell in row.cells for line in cell.lines)
                continue
            line = "\t".join(texts if width in widths else filter(None, texts)).rstrip("\t")
            if line:
                yield line

    def _placed_rows(self) -> Iterator[tuple[Row, int, list[str]]]:
        """Each row with its width in columns and the text of each column."""
        reached: dict[int, int] = {}
        for row in self.rows:
            texts: list[str] = []
            below = {column: rows - 1 for column, rows in reached.items() if rows > 1}
            for cell in row.cells:
                while len(texts) in reached:
                    texts.append("")
                columns = cell.columns if len(texts) < _MOST_REACHING else 1
                if cell.rows > 1 and len(texts) < _MOST_REACHING:
                    below.update(dict.fromkeys(range(len(texts), len(texts) + columns), cell.rows - 1))
                texts += [" ".join(cell.lines), *[""] * (columns - 1)]
            while len(texts) in reached:
                texts.append("")
            reached = below
            yield row, len(texts), texts


def _count(text: str | None, most: int) -> int:
    text = (text or "").strip()
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 6 and int(text) else 1
