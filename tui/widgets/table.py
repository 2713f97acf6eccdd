"""A table of any length: asks its source only for the rows in sight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from tui.text.cells import CURSOR, FAINT, PLAIN, Cell, Line, fit, strip_of, wrap_line
from tui.widgets.cursor_keys import CursorKeys

_GAP = 2
_NOT_LOADED = (Cell("..."),)


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    width: int = 0
    """In cells; 0 takes what the others leave, or its part of that."""
    right: bool = False
    cut_start: bool = False
    """Cut long text at its start rather than its end."""
    from_width: int = 0
    """Shown where the table is at least so wide."""


class RowSource(Protocol):
    """Where rows come from."""

    def __len__(self) -> int: ...

    def cells(self, index: int) -> Line | None:
        """One cell for each column; None while the row is not loaded, in which case it will be asked for again."""
        ...


class ListedRows:
    """Rows that are all at hand."""

    def __init__(self, rows: Sequence[Line] = ()) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def cells(self, index: int) -> Line | None:
        """The row's cells."""
        return self._rows[index]


class Table(CursorKeys):
    """Rows under a line of titles, with one row chosen."""

    BINDINGS = [Binding("enter", "open", show=False)]  # noqa: RUF012 - the form that Textual asks for

    class Moved(Message):
        """Another row was chosen, or the rows changed."""

    class NothingToOpen(Message):
        """A person wants to see a row, but there is none."""

    class Opened(Message):
        """A person wants to see the chosen row."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, columns: Sequence[Column], id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._source: RowSource = ListedRows()
        self._notice: Sequence[Line] = ()
        self._cursor = 0
        self._top = 0
        self._drawn: dict[int, Strip] = {}

    @property
    def position(self) -> int:
        """The chosen row."""
        return self._cursor

    @property
    def source(self) -> RowSource:
        """Where the rows come from."""
        return self._source

    @property
    def last_position(self) -> int:
        """The last row."""
        return max(0, len(self._source) - 1)

    @property
    def place(self) -> str:
        """Which row is chosen; empty where all are in sight."""
        count = len(self._source)
        return f"{self._cursor + 1:,} of {count:,}" if count > self._height else ""

    @property
    def rows_in_sight(self) -> range:
        """The rows that the screen shows."""
        return range(self._top, min(len(self._source), self._top + self._height))

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 1)

    def show(self, source: RowSource, notice: Sequence[Line] = (), position: int | None = None) -> None:
        """Shows these rows; draws only the lines that differ from what is on the screen.

        Args:
            notice: Lines to show where there are no rows: what to do next.
            position: The row to choose; None keeps the number of the chosen one.
        """
        self._source, self._notice = source, notice
        self._place(self._cursor if position is None else position)
        self.redraw()
        self.post_message(self.Moved())

    def redraw(self) -> None:
        """Draws the lines that differ from what is on the screen."""
        for y in range(self.size.height):
            if self._drawn.get(y) != self._strip(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def move_to(self, position: int) -> None:
        """Chooses a row."""
        before, top = self._cursor, self._top
        self._place(position)
        if self._cursor != before or self._top != top:
            self.redraw()
            self.post_message(self.Moved())

    def _place(self, position: int) -> None:
        self._cursor = max(0, min(position, self.last_position))
        lowest = max(0, len(self._source) - self._height)
        self._top = min(max(self._cursor - self._height + 1, min(self._top, self._cursor)), max(lowest, 0))

    def on_resize(self) -> None:
        """Keeps the chosen row in sight."""
        self._drawn.clear()
        self._place(self._cursor)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Chooses the row; a second click opens it."""
        row = self._top + event.y - 1
        if event.y >= 1 and row < len(self._source):
            if row == self._cursor:
                self.post_message(self.Opened(row))
            else:
                self.move_to(row)

    def action_open(self) -> None:
        """Opens the chosen row; a binding like those that move, so that keys that come fast keep their order."""
        self.post_message(self.Opened(self._cursor) if len(self._source) else self.NothingToOpen())

    def render_line(self, y: int) -> Strip:
        """One line: the titles, a row, or the notice of an empty table."""
        strip = self._strip(y)
        self._drawn[y] = strip
        return strip

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        if not len(self._source):
            return self._notice_strip(y, width)
        if y == 0:
            titles = [Cell(column.title) for column in self._columns]
            return self._row_strip(titles, width, FAINT)
        index = self._top + y - 1
        if index >= len(self._source):
            return Strip.blank(width)
        chosen = CURSOR if index == self._cursor else PLAIN
        cells = self._source.cells(index)
        return self._row_strip(cells if cells is not None else _NOT_LOADED, width, chosen)

    def _row_strip(self, cells: Line, width: int, style: Style) -> Strip:
        columns = [(column, cell) for column, cell in zip(self._columns, cells, strict=False)]
        visible = [(column, cell) for column, cell in columns if width >= column.from_width]
        visible_columns = [column for column in self._columns if width >= column.from_width]
        taken = sum(column.width for column in visible_columns) + _GAP * (len(visible_columns) - 1) + 2
        room = (width - taken) // max(1, sum(not column.width for column in visible_columns))
        line = [Cell(">" if style.reverse else " ")]
        for number, (column, cell) in enumerate(visible):
            if number:
                line.append(Cell(" " * _GAP))
            text = fit(cell.text, column.width or max(4, room), column.right, column.cut_start)
            # On the cursor a colour would make reversed letters hard to read.
            line.append(Cell(text, PLAIN if style.reverse else cell.style))
        return strip_of(line, width, style)

    def _notice_strip(self, y: int, width: int) -> Strip:
        lines = [row for line in self._notice for row in wrap_line(line, max(10, width - 4))]
        if 1 <= y <= len(lines):
            return strip_of([Cell("  "), *lines[y - 1]], width)
        return Strip.blank(width)
