"""Models: what is installed, what it was judged, which one answers each task."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.widget import Widget

from appliance.models.manifest import READY, Manifest
from appliance.models.store import InstalledModel
from appliance.text import human_size
from tui.cells import BAD, DOUBTFUL, GOOD, PLAIN, STRONG, Cell, Line
from tui.screens.listing import Listing
from tui.widgets.table import Column, ListedRows, Table

if TYPE_CHECKING:
    from tui.app import Looked

COLUMNS = (
    Column("Model"),
    Column("Task", 14),
    Column("Format", 11),
    Column("Size", 7, right=True),
    Column("Verdict", 17),
    Column("Kind", 7, from_width=100),
    Column("Target", 6, from_width=100),
    Column("Identity", 16, from_width=120),
)


@dataclass(frozen=True)
class ModelRow:
    """A model as it is shown."""

    name: str
    cells: Line
    facts: tuple[Line, Line]
    command: str
    words: tuple[str, ...]
    """What the filter looks in."""


class ModelsScreen(Listing):
    """All models of the store, by name."""

    TAB = "Models"
    NOTHING_YET = "No models yet"
    NEXT_STEP = "This installs a model that `stillroom export` wrote, from a USB disk for example:"
    NEXT_COMMAND = "stillroom models add FOLDER"
    HELP_LINES = (
        "Models: each is a folder with a manifest that names size, hash and origin of its files. `* ` marks the active"
        " one, which answers its task where no other is named. `stillroom gate` computes the verdict; a model that is"
        " not READY is activated only with --unsafe.",
    )
    KEYS = (
        ("Enter", "Open", "lineage, files with hashes, measurements"),
        ("/", "Filter", "only models whose name, kind, verdict or task contains a text"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[ModelRow] = []
        self._chosen_name = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def take(self, looked: "Looked") -> None:
        """Shows the models that pass the filter; the chosen one stays chosen."""
        everything = [*map(model_row, looked.models.models), *map(broken_row, looked.models.broken)]
        self._shown = [row for row in everything if self.passes(*row.words)]
        position = next((n for n, row in enumerate(self._shown) if row.name == self._chosen_name), None)
        rows = ListedRows([row.cells for row in self._shown])
        self.query_one(Table).show(rows, self.notice(looked.models_problem, bool(everything)), position)

    def on_table_moved(self) -> None:
        """Tells about the chosen model."""
        position = self.query_one(Table).position
        if position < len(self._shown):
            row = self._shown[position]
            self._chosen_name = row.name
            self.tell(row.facts, row.command)
        else:
            self.tell([[], []], "stillroom models list")

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the model, or tells why it cannot be."""
        from tui.screens.model import ModelScreen

        if message.index < len(self._shown):
            self.app.push_screen(ModelScreen(self._shown[message.index].name))


def model_row(model: InstalledModel) -> ModelRow:
    """A model as a row of the table; one whose manifest holds other things than expected shows as broken."""
    try:
        return checked_row(model)
    except (TypeError, ValueError, AttributeError):
        return broken_row(model.name)


def checked_row(model: InstalledModel) -> ModelRow:
    """A model as a row of the table.

    Raises:
        TypeError, ValueError, AttributeError: Its manifest holds other things than expected.
    """
    manifest = model.manifest
    form = f"{manifest.format} {manifest.quantization}".strip()
    verdict = verdict_cell(manifest)
    cells = (
        Cell(("* " if model.active else "  ") + model.name, STRONG if model.active else PLAIN),
        Cell(manifest.task_name),
        Cell(form),
        Cell(human_size(manifest.size_bytes)),
        verdict,
        Cell(manifest.family),
        Cell(manifest.target or "-"),
        Cell(manifest.identity[:16]),
    )
    active = f"   active: answers task {manifest.task_name}" if model.active else "   not active"
    about = f"{manifest.family}, {form} for {manifest.target or 'any device'}   identity {manifest.identity[:16]}"
    if any(not isinstance(cell.text, str) for cell in cells):
        raise TypeError("a manifest holds text in these places")
    return ModelRow(
        model.name, cells, ([Cell(model.name, STRONG), Cell(active)], [Cell(about)]),
        f"stillroom models show {model.name}",
        (model.name, manifest.task_name, form, manifest.family, verdict.text, "active" if model.active else ""),
    )  # fmt: skip


def broken_row(name: str) -> ModelRow:
    """A folder of the store whose manifest cannot be read."""
    dash = Cell("-")
    cells = (Cell("  " + name), dash, dash, dash, Cell("broken", BAD), dash, dash, dash)
    told: tuple[Line, Line] = (
        [Cell(name, STRONG), Cell("   broken: its manifest cannot be read", BAD)],
        [Cell("Enter tells why and what to do.")],
    )
    return ModelRow(name, cells, told, "stillroom models list", (name, "broken"))


def verdict_cell(manifest: Manifest) -> Cell:
    """The verdict's words in its colour."""
    if manifest.verdict is None:
        return Cell("not judged", DOUBTFUL)
    word = manifest.verdict.verdict
    return Cell(word, GOOD if word == READY else BAD if word.startswith("NOT") else DOUBTFUL)
