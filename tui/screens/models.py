"""Models: what is installed, what it was judged, which one answers each task."""

from textual.binding import Binding
from textual.widget import Widget

from appliance.models.store import InstalledModel
from tui.data.snapshot import Snapshot
from tui.frames.action import Action, ActionScreen
from tui.frames.listing import Listing
from tui.rendering.model_lines import ModelRow, broken_row, model_row
from tui.screens import model_actions
from tui.widgets.table import Column, ListedRows, Table

COLUMNS = (
    Column("Model"),
    Column("Kind", 7),
    Column("Format", 11),
    Column("Target", 6),
    Column("Size", 6, right=True),
    Column("Verdict", 15),
    Column("Task", 16, from_width=100),
    Column("Identity", 16, from_width=120),
)


class ModelsScreen(Listing):
    """All models of the store, by name."""

    TAB = "Models"
    NOTHING_YET = "No models yet"
    NEXT_STEP = "Press i to import a model that `stillroom export` wrote, such as from a USB disk, or type:"
    NEXT_COMMAND = "stillroom models add FOLDER"
    HELP_LINES = (
        "Models: each is a folder with a manifest that names size, hash and origin of its files. `* ` marks the active"
        " one, which answers its task where no other is named. `stillroom gate` computes the verdict; a model that is"
        " not READY is activated only with the typed word `unsafe`, and each of its rows then says so.",
    )
    KEYS = (
        ("Enter", "Open", "lineage, files with hashes, measurements"),
        ("i", "Import", "import a model from a folder or a USB disk; it is checked first"),
        ("n", "New job", "run a folder of documents through this model"),
        ("v", "Verify", "compare every file with its hash"),
        ("a", "Activate", "let it answer its task"),
        ("b", "Roll back", "go back to the previous model of this task"),
        ("D", "Remove", "remove it from the store; asks first"),
        ("/", "Filter", "only models whose name, kind, verdict or task contains a text"),
    )
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("i", "import", show=False),
        Binding("n", "new_job", show=False),
        Binding("v", "verify", show=False),
        Binding("a", "activate", show=False),
        Binding("b", "roll_back", show=False),
        Binding("D,upper_d", "remove", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[ModelRow] = []
        self._selected_name = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Shows the models that pass the filter; the chosen one stays chosen."""
        everything = [*map(model_row, snapshot.models.models), *map(broken_row, snapshot.models.broken)]
        self._rows = [row for row in everything if self.passes(*row.words)]
        position = next((n for n, row in enumerate(self._rows) if row.name == self._selected_name), None)
        rows = ListedRows([row.cells for row in self._rows])
        self.query_one(Table).show(rows, self.notice(snapshot.models_problem, bool(everything)), position)

    def on_table_moved(self) -> None:
        """Tells about the chosen model."""
        position = self.query_one(Table).position
        if position < len(self._rows):
            row = self._rows[position]
            self._selected_name = row.name
            self.show_facts(row.facts, row.command)
        else:
            self.show_facts([[], []], "stillroom models list")

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the model, or shows why it cannot be used."""
        from tui.screens.model import ModelScreen

        if message.index < len(self._rows):
            self.app.push_screen(ModelScreen(self._rows[message.index].name))

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done with the chosen model, and why."""
        reasons = super().disabled_keys()
        position = self.query_one(Table).position
        row = self._rows[position] if position < len(self._rows) else None
        if row is None:
            return reasons | dict.fromkeys("nvabD", "no model in this list: i imports one")
        if row.model is None:
            return reasons | dict.fromkeys("nvabD", "its manifest cannot be read: Enter shows why")
        task_name, models = row.model.manifest.task_name, self.stillroom.snapshot.models
        if row.model.active:
            reasons["a"] = f"it already answers the task {task_name}"
            reasons["D"] = f"it answers the task {task_name}: activate another one or roll back first"
        if task_name not in models.previous:
            reasons["b"] = f"the task {task_name} has no previous model"
        return reasons

    def _selected(self) -> InstalledModel:
        model = self._rows[self.query_one(Table).position].model
        assert model is not None  # `why_not` refuses the keys of broken ones
        return model

    def _do(self, action: Action) -> None:
        self.app.push_screen(ActionScreen(self.TAB, action))

    def action_import(self) -> None:
        """Asks where the model is."""
        from tui.screens.import_model import ImportScreen

        self.app.push_screen(ImportScreen())

    def action_new_job(self) -> None:
        """Opens the form for a job with this model."""
        from tui.screens.new_job import NewJobScreen

        if not self.refuses("n"):
            self.app.push_screen(NewJobScreen(self._selected().name))

    def action_verify(self) -> None:
        """Verifies the model."""
        if not self.refuses("v"):
            self._do(model_actions.verify(self.stillroom.settings, self._selected()))

    def action_activate(self) -> None:
        """Asks whether to activate the model."""
        if not self.refuses("a"):
            model, models = self._selected(), self.stillroom.snapshot.models
            current = models.active(model.manifest.task_name)
            self._do(model_actions.activate(self.stillroom.settings, model, current))

    def action_roll_back(self) -> None:
        """Asks whether to go back to the previous model of the task."""
        if not self.refuses("b"):
            task_name, models = self._selected().manifest.task_name, self.stillroom.snapshot.models
            current, previous = models.active(task_name) or "-", models.previous[task_name]
            self._do(model_actions.roll_back(self.stillroom.settings, task_name, current, previous))

    def action_remove(self) -> None:
        """Asks whether to remove the model."""
        if not self.refuses("D"):
            self._do(model_actions.remove(self.stillroom.settings, self._selected()))
