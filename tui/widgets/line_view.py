"""A text of any length, wrapped to the width of the screen; draws only the lines in sight."""

from collections.abc import Sequence

from textual.strip import Strip

from tui.text.cells import Cell, Line, strip_of, wrap_line
from tui.widgets.wrapped_scroll import WrappedScroll


class LineView(WrappedScroll):
    """Scrolls through lines; those too long go on below, indented."""

    def __init__(self, id: str | None = None, indent: int = 2) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._wrapped: list[list[Cell]] = []
        self._indent = indent

    @property
    def line_count(self) -> int:
        """How many lines of the screen the text takes."""
        return len(self._wrapped)

    @property
    def lines(self) -> Sequence[Line]:
        """The lines before wrapping."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Shows these lines from the start, or where the reader is if there are as many as before."""
        if lines != self._lines:
            self._lines = lines
            self.lay_out()

    def wrap(self) -> None:
        """Wraps line for line; a label is followed by what it labels, a paragraph is one cell."""
        width = max(20, self.size.width - 2)
        self._wrapped = [
            row for line in self._lines for row in wrap_line(line, width, self._indent if len(line) > 1 else 0)
        ]

    def line_strip(self, index: int) -> Strip:
        """One line of the text."""
        return strip_of([Cell(" "), *self._wrapped[index]], self.size.width)
