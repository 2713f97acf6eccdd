"""The kind of screen that reads something once and shows it as a page of text."""

from collections.abc import Sequence

from textual.message import Message
from textual.widget import Widget

from tui.data.problems import READING_ERRORS, problem_of
from tui.frames.frame import Frame
from tui.rendering.facts import LABEL_CELLS
from tui.text.cells import BAD, Cell, Line
from tui.widgets.line_view import LineView


class TextPage(Frame):
    """Reads in a thread, then shows."""

    KEYS = (("Esc", "Back", ""),)

    class Read(Message):
        """The text is here."""

        def __init__(self, lines: Sequence[Line]) -> None:
            super().__init__()
            self.lines = lines

    def body(self) -> Widget:
        """The text."""
        return LineView(indent=LABEL_CELLS + 1)

    def read(self) -> Sequence[Line]:
        """What to show; runs in a thread."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Starts reading."""
        self.bar("facts").add_class("-hidden")
        self.run_worker(self._read, thread=True, group="read")

    def _read(self) -> None:
        try:
            lines = self.read()
        except READING_ERRORS as error:
            problem = problem_of(error)
            lines = [[Cell(problem.message, BAD)], [Cell(problem.hint)]]
        self.post_message(self.Read(lines))

    def on_text_page_read(self, message: "TextPage.Read") -> None:
        """Shows it."""
        self.query_one(LineView).show(message.lines)

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(LineView).place)
