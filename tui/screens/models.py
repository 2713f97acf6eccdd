"""Models: what is installed, what it was judged, which one answers each task."""

from typing import TYPE_CHECKING

from textual.widget import Widget

from appliance.models.manifest import READY, Manifest
from appliance.models.store import InstalledModel
from appliance.text import human_size
from tui.cells import BAD, DOUBTFUL, GOOD, STRONG, Cell, Line
from tui.screens.listing import Listing
from tui.widgets.table import Column, ListedRows, Table

if TYPE_CHECKING:
    from tui.app import Looked

COLUMNS = (
    Column("Model"),
    Column("Kind", 7),
    Column("Format", 6),
    Column("Quant", 6),
    Column("Size", 7, right=True),
    Column("Target", 6),
    Column("Verdict", 14),
    Column("Task", 20, from_width=100),
    Column("Identity", 16, from_width=120),
)
_NO_MODELS: tuple[Line, ...] = (
    [Cell("No models yet.", STRONG)],
    [],
    [Cell("This installs a model that `stillroom export` wrote, from a USB disk for example:")],
    [],
    [Cell("stillroom models add FOLDER", STRONG)],
)


class ModelsScreen(Listing):
    """All models of the store, by name."""

    TAB = "Models"
    HELP_LINES = (
        "Models: each is a folder with a manifest that names its size, hash and origin file by file.",
        "A model marked `* ` is active: it answers its task where no other is named.",
        "The verdict is computed by `stillroom gate`; a model that is not READY is activated only with --unsafe.",
    )
    KEYS = (
        ("Enter", "Open", "lineage, files with hashes, measurements"),
        ("/", "Filter", "only models whose name, kind, verdict or task contains a text"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[InstalledModel] = []
        self._broken: tuple[str, ...] = ()
        self._chosen_name = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def take(self, looked: "Looked") -> None:
        """Shows the models that pass the filter; the chosen one stays chosen."""
        self._shown = [model for model in looked.models.models if self.passes(*_searched(model))]
        self._broken = tuple(name for name in looked.models.broken if self.passes(name, "broken"))
        names = [*(model.name for model in self._shown), *self._broken]
        position = names.index(self._chosen_name) if self._chosen_name in names else None
        rows = [*(model_cells(model) for model in self._shown), *(_broken_cells(name) for name in self._broken)]
        anything = bool(looked.models.models or looked.models.broken)
        self.query_one(Table).show(ListedRows(rows), self.notice(looked, anything, _NO_MODELS), position)

    def on_table_moved(self) -> None:
        """Tells about the chosen model."""
        position = self.query_one(Table).position
        if position < len(self._shown):
            model = self._shown[position]
            self._chosen_name = model.name
            active = f"active: answers task {model.manifest.task_name}" if model.active else "not active"
            facts = f"identity {model.manifest.identity[:16]}   task {model.manifest.task_name}"
            self.tell([[Cell(facts)], [Cell(active)]], f"stillroom models show {model.name}")
        elif position < len(self._shown) + len(self._broken):
            self._chosen_name = name = self._broken[position - len(self._shown)]
            self.tell([[Cell(f"{name}: its manifest cannot be read", BAD)], []], f"stillroom models verify {name}")
        else:
            self.tell([[], []], "stillroom models list")

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the model."""
        from tui.screens.model import ModelScreen

        if message.index < len(self._shown):
            self.app.push_screen(ModelScreen(self._shown[message.index].name))


def _searched(model: InstalledModel) -> tuple[str, ...]:
    manifest = model.manifest
    words = (model.name, manifest.family, manifest.format, manifest.quantization, manifest.task_name)
    return (*words, verdict_cell(manifest).text, "active" if model.active else "")


def model_cells(model: InstalledModel) -> Line:
    """A model as a row of the table."""
    manifest = model.manifest
    return (
        Cell(("* " if model.active else "  ") + model.name, STRONG if model.active else Cell("").style),
        Cell(manifest.family),
        Cell(manifest.format),
        Cell(manifest.quantization or "-"),
        Cell(human_size(manifest.size_bytes)),
        Cell(manifest.target or "-"),
        verdict_cell(manifest),
        Cell(manifest.task_name),
        Cell(manifest.identity[:16]),
    )


def _broken_cells(name: str) -> Line:
    dash = Cell("-")
    return (Cell("  " + name), dash, dash, dash, dash, dash, Cell("broken", BAD), dash, dash)


def verdict_cell(manifest: Manifest) -> Cell:
    """The verdict's words in its colour."""
    if manifest.verdict is None:
        return Cell("not judged", DOUBTFUL)
    word = manifest.verdict.verdict
    return Cell(word, GOOD if word == READY else BAD if word.startswith("NOT") else DOUBTFUL)
