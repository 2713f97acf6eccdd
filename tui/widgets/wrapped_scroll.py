"""What scrolls through lines of a screen that were wrapped to its width; draws only those in sight."""

from textual.message import Message
from textual.strip import Strip

from tui.widgets.cursor_keys import CursorKeys


class WrappedScroll(CursorKeys):
    """Keeps which line is the first in sight; what the lines are is up to the class."""

    class Scrolled(Message):
        """Other lines came into sight."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._top = 0

    @property
    def line_count(self) -> int:
        """How many lines of the screen the whole takes."""
        raise NotImplementedError

    def wrap(self) -> None:
        """Lays the lines out for the present width, which is at least 1."""
        raise NotImplementedError

    def line_strip(self, index: int) -> Strip:
        """One of the lines."""
        raise NotImplementedError

    @property
    def position(self) -> int:
        """The first line in sight."""
        return self._top

    @property
    def last_position(self) -> int:
        """The first line in sight when the end is."""
        return max(0, self.line_count - self.size.height)

    @property
    def place(self) -> str:
        """Which lines are in sight; empty where all are."""
        count = self.line_count
        if count <= self.size.height:
            return ""
        return f"lines {self._top + 1:,}-{min(count, self._top + self.size.height):,} of {count:,}"

    def move_to(self, position: int) -> None:
        """Brings a line to the top."""
        top = max(0, min(position, self.last_position))
        if top != self._top:
            self._top = top
            self.refresh()
            self.post_message(self.Scrolled())

    def lay_out(self) -> None:
        """Wraps, and stays where the reader is as far as there are lines."""
        if self.size.width:
            self.wrap()
        self._top = max(0, min(self._top, self.last_position))
        self.refresh()
        self.post_message(self.Scrolled())

    def on_resize(self) -> None:
        """Wraps for the new width."""
        self.lay_out()

    def render_line(self, y: int) -> Strip:
        """A line, or nothing below the last one."""
        index = self._top + y
        return self.line_strip(index) if index < self.line_count else Strip.blank(self.size.width)
