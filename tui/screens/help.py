"""`?`: what the screen is for, its keys, and the commands that do the same."""

from textual.widget import Widget

from tui.cells import STRONG, Cell
from tui.screens.frame import Frame
from tui.widgets.lines import Lines
from tui.widgets.moving import MOVING_KEYS

_EVERYWHERE = (
    ("1 2", "models, jobs"),
    ("Esc", "back"),
    ("R", "look again now; it is done once a second anyway"),
    ("?", "this help"),
    ("q Ctrl+C", "quit; jobs go on, they never run in here"),
)


class HelpScreen(Frame):
    """The help for one screen."""

    KEYS = (("Esc", "Back", "back to the screen"),)

    def __init__(self, screen: Frame) -> None:
        super().__init__()
        self._explained = screen
        self.TAB = screen.TAB  # type: ignore[misc]  # the tab of the screen it explains

    def body(self) -> Widget:
        """The text."""
        return Lines(indent=14)

    def on_mount(self) -> None:
        """Fills in the text."""
        super().on_mount()
        screen = self._explained
        lines = [[Cell(line)] for line in screen.HELP_LINES]
        lines.append([])
        own = [(key, does) for key, _, does in screen.KEYS]
        for key, does in [*own, *MOVING_KEYS, *_EVERYWHERE]:
            lines.append([Cell(f"{key:12}  ", STRONG), Cell(does)])
        self.query_one(Lines).show(lines)

    async def action_help(self) -> None:
        """The same key closes it."""
        await self.action_back()
