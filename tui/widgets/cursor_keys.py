"""The keys that move in a list or a text, the same everywhere."""

from textual.binding import Binding
from textual.widget import Widget

CURSOR_KEYS = (
    ("up k, down j", "one line up, down"),
    ("PgUp PgDn", "one page up, down"),
    ("g Home G End", "to the start, to the end"),
)
"""For the help."""


class CursorKeys(Widget, can_focus=True):
    """A widget in which the keys move; what moves is up to the class."""

    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("pagedown,ctrl+d,space", "page(1)", show=False),
        Binding("home,g", "edge(-1)", show=False),
        Binding("end,G,upper_g", "edge(1)", show=False),
    ]

    def move_to(self, position: int) -> None:
        """Moves to a line; numbers outside are brought inside."""
        raise NotImplementedError

    @property
    def position(self) -> int:
        """The line that was moved to."""
        raise NotImplementedError

    @property
    def last_position(self) -> int:
        """The last line that can be moved to."""
        raise NotImplementedError

    @property
    def page_lines(self) -> int:
        """How many lines a page has."""
        return max(1, self.size.height - 1)

    def action_move(self, lines: int) -> None:
        """One line up or down."""
        self.move_to(self.position + lines)

    def action_page(self, pages: int) -> None:
        """One page up or down."""
        self.move_to(self.position + pages * self.page_lines)

    def action_edge(self, edge: int) -> None:
        """To the start or the end."""
        self.move_to(0 if edge < 0 else self.last_position)

    def on_mouse_scroll_down(self) -> None:
        """Three lines down."""
        self.move_to(self.position + 3)

    def on_mouse_scroll_up(self) -> None:
        """Three lines up."""
        self.move_to(self.position - 3)
