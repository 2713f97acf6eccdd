"""A screen that reads something once and shows it as text."""

from collections.abc import Sequence

from textual.message import Message
from textual.widget import Widget

from tui.cells import BAD, FAINT, STRONG, Cell, Line
from tui.screens.frame import Frame
from tui.watching import READING_ERRORS, problem_of
from tui.widgets.lines import Lines

LABEL_CELLS = 12


class ReadingScreen(Frame):
    """Reads in a thread, then shows."""

    KEYS = (("Esc", "Back", ""),)

    class Read(Message):
        """The text is here."""

        def __init__(self, lines: Sequence[Line]) -> None:
            super().__init__()
            self.lines = lines

    def body(self) -> Widget:
        """The text."""
        return Lines(indent=LABEL_CELLS + 1)

    def read(self) -> Sequence[Line]:
        """What to show; runs in a thread."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Starts reading."""
        super().on_mount()
        self.bar("facts").add_class("-hidden")
        self.run_worker(self._read, thread=True, group="read")

    def _read(self) -> None:
        try:
            lines = self.read()
        except READING_ERRORS as error:
            problem = problem_of(error)
            lines = [[Cell(problem.message, BAD)], [Cell(problem.hint)]]
        self.post_message(self.Read(lines))

    def on_reading_screen_read(self, message: "ReadingScreen.Read") -> None:
        """Shows it."""
        self.query_one(Lines).show(message.lines)

    def on_scrolling_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(Lines).place)


def fact(label: str, *value: Cell | str) -> Line:
    """A label with what it labels."""
    cells = [part if isinstance(part, Cell) else Cell(str(part)) for part in value]
    return [Cell(f"{label:{LABEL_CELLS}} ", FAINT), *cells]


def heading(text: str) -> list[Line]:
    """A blank line and a line that stands out."""
    return [[], [Cell(text, STRONG)]]


def commands(*lines: tuple[str, str]) -> list[Line]:
    """What can be done with the thing, and the command that does it."""
    return [*heading("Commands"), *(fact(does, Cell(command, STRONG)) for does, command in lines)]
