"""A screen with a table that `/` filters."""

from typing import TYPE_CHECKING

from textual.binding import Binding

from tui.cells import BAD, FAINT, Cell, Line
from tui.screens.frame import Frame

if TYPE_CHECKING:
    from textual.widgets import Input

    from tui.app import Looked


class Listing(Frame):
    """Shows the rows that contain a text."""

    BINDINGS = [Binding("slash", "filter", show=False)]  # noqa: RUF012 - the form that Textual asks for

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""

    def passes(self, *words: str) -> bool:
        """Whether one of the words contains the text."""
        return self.filter_text.lower() in " ".join(words).lower()

    def notice(self, looked: "Looked", anything: bool, empty: tuple[Line, ...]) -> tuple[Line, ...]:
        """What a table without rows says.

        Args:
            anything: Whether there are rows that the filter hides.
            empty: What to say where there is nothing at all.
        """
        if looked.problem:
            return ([Cell(looked.problem.message, BAD)], [Cell(looked.problem.hint)])
        if not looked.seconds:
            return ([Cell("Looking ...", FAINT)],)
        if anything:
            return ([Cell(f"Nothing here contains `{self.filter_text}`: / changes the filter, Esc takes it away.")],)
        return empty

    async def action_filter(self) -> None:
        """Asks for the text."""
        await self.ask("only what contains ... (Enter keeps, Esc takes away)", self.filter_text)

    def on_input_changed(self, message: "Input.Changed") -> None:
        """Filters while it is typed."""
        self.filter_text = message.value.strip()
        self.take(self.stillroom.looked)

    async def on_input_submitted(self) -> None:
        """Keeps the filter."""
        await self.stop_asking()

    async def action_back(self) -> None:
        """Takes the filter away."""
        await self.stop_asking()
        self.filter_text = ""
        self.take(self.stillroom.looked)
