"""A text of any length, wrapped to the width of the screen; draws only the lines in sight."""

from collections.abc import Sequence

from textual.message import Message
from textual.strip import Strip

from tui.cells import Cell, Line, strip_of, wrap_line
from tui.widgets.moving import Moving


class Lines(Moving):
    """Scrolls through lines; those too long go on below, indented."""

    class Scrolled(Message):
        """Other lines came into sight."""

    def __init__(self, id: str | None = None, indent: int = 2) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._wrapped: list[list[Cell]] = []
        self._indent = indent
        self._top = 0

    @property
    def position(self) -> int:
        """The first line in sight."""
        return self._top

    @property
    def last_position(self) -> int:
        """The first line in sight when the end is."""
        return max(0, len(self._wrapped) - self.size.height)

    @property
    def place(self) -> str:
        """Which lines are in sight; empty where all are."""
        count = len(self._wrapped)
        if count <= self.size.height:
            return ""
        return f"lines {self._top + 1:,}-{min(count, self._top + self.size.height):,} of {count:,}"

    @property
    def lines(self) -> Sequence[Line]:
        """What was given to show."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Shows these lines from the start, or where the reader is if there are as many as before."""
        if lines != self._lines:
            self._lines = lines
            self._wrap()

    def move_to(self, position: int) -> None:
        """Brings a line to the top."""
        top = max(0, min(position, self.last_position))
        if top != self._top:
            self._top = top
            self.refresh()
            self.post_message(self.Scrolled())

    def on_resize(self) -> None:
        """Wraps for the new width."""
        self._wrap()

    def _wrap(self) -> None:
        if (width := self.size.width - 2) > 0:
            self._wrapped = [row for line in self._lines for row in self._wrap_one(line, max(20, width))]
        self._top = max(0, min(self._top, self.last_position))
        self.refresh()
        self.post_message(self.Scrolled())

    def _wrap_one(self, line: Line, width: int) -> list[list[Cell]]:
        # A label is followed by what it labels; a paragraph is one cell.
        return wrap_line(line, width, self._indent if len(line) > 1 else 0)

    def render_line(self, y: int) -> Strip:
        """One line of the text."""
        index = self._top + y
        if index >= len(self._wrapped):
            return Strip.blank(self.size.width)
        return strip_of([Cell(" "), *self._wrapped[index]], self.size.width)
