"""`?`: what the screen is for, its keys, and the commands that do the same."""

from textual.widget import Widget

from tui.frames.frame import Frame
from tui.text.cells import STRONG, Cell
from tui.widgets.cursor_keys import CURSOR_KEYS
from tui.widgets.line_view import LineView

_EVERYWHERE = (
    ("1 2 3", "models, jobs, compare; the key of the current tab goes back to its list"),
    ("Esc", "back"),
    ("R", "refresh now; it happens once a second anyway"),
    ("? F1", "this help; F1 also while something is typed"),
    ("q Ctrl+C", "quit; jobs continue, they run in processes of their own"),
)


class HelpScreen(Frame):
    """The help for one screen."""

    KEYS = (("Esc", "Back", ""),)

    def __init__(self, screen: Frame) -> None:
        super().__init__()
        self._explained = screen
        self.TAB = screen.TAB  # type: ignore[misc]  # the tab of the screen it explains

    def body(self) -> Widget:
        """The text."""
        return LineView(indent=14)

    def on_mount(self) -> None:
        """Fills in the text."""
        screen = self._explained
        lines = [[Cell(line)] for line in screen.HELP_LINES]
        lines.append([])
        own = [(key, does) for key, _, does in screen.KEYS if does]
        for key, does in [*own, *CURSOR_KEYS, *_EVERYWHERE]:
            lines.append([Cell(f"{key:12}  ", STRONG), Cell(does)])
        self.bar("facts").add_class("-hidden")
        self.query_one(LineView).show(lines)

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(LineView).place)
