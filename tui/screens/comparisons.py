"""Compare: which models were compared on which documents, and how far each comparison is."""

from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.widget import Widget

from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from tui.data.snapshot import Snapshot
from tui.data.state_readers import AT_WORK
from tui.frames.action import Action, ActionProgress, ActionResult, ActionScreen
from tui.frames.listing import Listing
from tui.text.cells import BAD, STRONG, Cell, Line, state_cell
from tui.widgets.table import Column, ListedRows, Table

if TYPE_CHECKING:
    from appliance.comparison.view import ComparisonSummary

COLUMNS = (
    Column("State", 11),
    Column("Task", 14),
    Column("Models"),
    Column("Answered", 13, right=True),
    Column("Created", 20, from_width=100),
)


class ComparisonsScreen(Listing):
    """All comparisons, the newest first."""

    TAB = "Compare"
    NOTHING_YET = "No comparisons yet"
    NEXT_STEP = "Press n to compare two models, or a model and a frontier, on one folder, or type:"
    NEXT_COMMAND = "stillroom compare TASK DOCUMENTS --model A --model B --detach"
    HELP_LINES = (
        "Compare: two or more models answer the same documents. Open a comparison for the totals, then look at the"
        " documents that they answer differently and judge who is right; the verdict uses your judgements.",
        "Comparisons run in processes of their own; closing this program does not stop them.",
    )
    KEYS = (
        ("Enter", "Open", "totals, and the documents that are answered differently"),
        ("n", "New", "compare two models on a folder, or a model with a frontier"),
        ("r", "Resume", "continue where it stopped"),
        ("D", "Remove", "remove it with its answers and judgements; asks first"),
        ("/", "Filter", "only comparisons whose task, models, state or id contains a text"),
    )
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("n", "new", show=False),
        Binding("r", "resume", show=False),
        Binding("D,upper_d", "remove", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._comparisons: list[ComparisonSummary] = []
        self._selected_id = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Shows the comparisons that pass the filter; the chosen one stays chosen."""
        self._comparisons = [
            comparison
            for comparison in snapshot.comparisons
            if self.passes(comparison.task, *comparison.sides, comparison.state, comparison.id)
        ]
        position = next(
            (n for n, comparison in enumerate(self._comparisons) if comparison.id == self._selected_id), None
        )
        rows = ListedRows([comparison_cells(comparison) for comparison in self._comparisons])
        notice = self.notice(snapshot.comparisons_problem, bool(snapshot.comparisons))
        self.query_one(Table).show(rows, notice, position)

    def on_table_moved(self) -> None:
        """Tells about the chosen comparison."""
        comparison = self._selected()
        if comparison is None:
            self.show_facts([[], []], "stillroom comparisons list")
            return
        self._selected_id = comparison.id
        about = (
            [Cell(comparison.message, BAD)] if comparison.message else [Cell(f"created {comparison.created or '-'}")]
        )
        self.show_facts([[Cell(" against ".join(comparison.sides) or comparison.id, STRONG)], about],
                  f"stillroom comparisons show {comparison.id}")  # fmt: skip

    def _selected(self) -> "ComparisonSummary | None":
        position = self.query_one(Table).position
        return self._comparisons[position] if position < len(self._comparisons) else None

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done with the chosen comparison."""
        reasons, comparison = super().disabled_keys(), self._selected()
        if comparison is None:
            return reasons | dict.fromkeys("rD", "no comparison in this list: n starts one")
        if comparison.state in AT_WORK:
            return reasons | {"r": "it is already in progress", "D": "it is in progress: wait until it ends"}
        if not comparison.sides:
            return reasons | {"r": "it cannot be read: D removes it"}
        return reasons

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the comparison."""
        from tui.screens.comparison import ComparisonScreen

        self.app.push_screen(ComparisonScreen(self._comparisons[message.index].id))

    def action_new(self) -> None:
        """Opens the form."""
        from tui.screens.new_comparison import NewComparisonScreen

        self.app.push_screen(NewComparisonScreen())

    def action_resume(self) -> None:
        """Asks whether to resume."""
        comparison = self._selected()
        if not self.refuses("r") and comparison:
            self.app.push_screen(ActionScreen(self.TAB, resume(self.stillroom.settings, comparison)))

    def action_remove(self) -> None:
        """Asks whether to remove it."""
        comparison = self._selected()
        if not self.refuses("D") and comparison:
            self.app.push_screen(ActionScreen(self.TAB, remove(self.stillroom.settings, comparison)))


def comparison_cells(comparison: "ComparisonSummary") -> Line:
    """A comparison as a row of the table."""
    return (
        state_cell(comparison.state),
        Cell(comparison.task or comparison.id),
        Cell(" | ".join(comparison.sides)),
        Cell(f"{comparison.answered:,}/{comparison.documents:,}" if comparison.sides else "-"),
        Cell(comparison.created or "-"),
    )


def resume(settings: Settings, comparison: "ComparisonSummary") -> Action:
    """Goes on in a process of its own."""
    from appliance.comparison.view import resume_comparison

    def act(_on_progress: ActionProgress) -> ActionResult:
        resume_comparison(settings, comparison.id)
        return ActionResult([[Cell("The comparison continues.")]])

    left = comparison.documents - comparison.answered
    verb = "is" if left == 1 else "are"
    lines: list[Line] = [
        [Cell(f"{human_count(left, 'document')} {verb} still to be answered; new ones in the folder are left out.")],
        [Cell("A frontier among them receives the documents that it has not answered.")],
    ]
    command = f"stillroom comparisons resume {comparison.id}"
    return Action(f"Resume {comparison.id}", lines, command, "Resume", act)


def remove(settings: Settings, comparison: "ComparisonSummary") -> Action:
    """Removes it."""
    from appliance.comparison.folder import remove_comparison

    def act(_on_progress: ActionProgress) -> ActionResult:
        remove_comparison(settings, comparison.id)
        return ActionResult([[Cell(f"The comparison {comparison.id} was removed.")]])

    lines: list[Line] = [
        [Cell("This cannot be undone.", STRONG)],
        [Cell("The judgements are deleted, and the jobs that were made for this comparison alone.")],
        [Cell("Jobs that a person ran, and the documents themselves, stay.")],
    ]
    command = f"stillroom comparisons remove {comparison.id} --yes"
    return Action(f"Remove {comparison.id}", lines, command, "Remove", act, key="y")
