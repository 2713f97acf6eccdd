"""The kind of screen that lists rows in a table, which `/` filters."""

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from appliance.ground.text import human_count
from tui.data.problems import Problem
from tui.frames.frame import NOTHING_TO_OPEN, Frame
from tui.text.cells import BAD, FAINT, STRONG, Cell, Line
from tui.widgets.table import Table

if TYPE_CHECKING:
    from textual.widgets import Input


class Listing(Frame):
    """Shows the rows that contain a text."""

    INPUT_KEYS = (("Enter", "Keep the filter"), ("Esc", "Clear it"))
    BINDINGS = [Binding("slash", "filter", show=False)]  # noqa: RUF012 - the form that Textual asks for

    NOTHING_YET: ClassVar[str] = ""
    """What a home folder without any says."""
    NEXT_STEP: ClassVar[str] = ""
    NEXT_COMMAND: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""

    def passes(self, *words: str) -> bool:
        """Whether one of the words contains the text."""
        return self.filter_text.lower() in " ".join(words).lower()

    def notice(self, problem: Problem | None, anything: bool) -> tuple[Line, ...]:
        """What a table without rows says.

        Args:
            anything: Whether there are rows that the filter hides.
        """
        if problem:
            return ([Cell(problem.message, BAD)], [], [Cell(problem.hint)])
        if not self.stillroom.snapshot.seconds:
            return ([Cell("Reading ...", FAINT)],)
        if anything:
            return ([Cell(f"No row contains `{self.filter_text}`: / changes the filter, Esc clears it.")],)
        home = [Cell(f"{self.NOTHING_YET} in {self.stillroom.settings.home_dir}.", STRONG)]
        return (home, [], [Cell(self.NEXT_STEP)], [], [Cell(self.NEXT_COMMAND, STRONG)])

    def disabled_keys(self) -> dict[str, str]:
        """An empty list can neither be opened nor filtered."""
        if len(self.query_one(Table).source):
            return {}
        return {"Enter": NOTHING_TO_OPEN} | ({} if self.filter_text else {"/": "there is nothing to filter"})

    def on_table_moved(self) -> None:
        """Shows which row is chosen and how many the filter leaves."""
        table = self.query_one(Table)
        left = f"filter `{self.filter_text}`: {human_count(len(table.source), 'row')}" if self.filter_text else ""
        self.show_keys("   ".join(filter(None, (left, table.place))))

    async def action_filter(self) -> None:
        """Asks for the text."""
        if self.refuses("/"):
            return
        await self.open_input("show only rows that contain ... (Enter keeps, Esc clears)", self.filter_text)

    def on_input_changed(self, message: "Input.Changed") -> None:
        """Filters while it is typed."""
        self.filter_text = message.value.strip()
        self.show_snapshot(self.stillroom.snapshot)

    async def on_input_submitted(self) -> None:
        """Keeps the filter."""
        await self.close_input()

    async def action_back(self) -> None:
        """Takes the filter away."""
        await self.close_input()
        self.filter_text = ""
        self.show_snapshot(self.stillroom.snapshot)
