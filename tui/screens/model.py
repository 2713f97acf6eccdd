"""One model: where it comes from, what it holds, what was measured on it."""

from collections.abc import Iterator, Sequence

from appliance.models.manifest import JSON, Manifest, Verdict
from appliance.models.store import InstalledModel, Store
from appliance.text import human_count, human_size
from tui.cells import GOOD, STRONG, Cell, Line
from tui.screens.models import verdict_cell
from tui.screens.reading import LABEL_CELLS, ReadingScreen, commands, fact, heading

_LINEAGE = ("teacher", "base", "base_hash", "adapter_hash", "data_hash", "run", "merge_method")


class ModelScreen(ReadingScreen):
    """A model's manifest."""

    TAB = "Models"
    HELP_LINES = (
        "One model: the verdict with what it rests on, lineage, files with size and SHA-256, measurements.",
        "`stillroom models verify` reads every file again and compares it with the hash that is shown here.",
    )

    def __init__(self, model_name: str) -> None:
        super().__init__()
        self._model_name = model_name

    def read(self) -> Sequence[Line]:
        """Reads the manifest."""
        return model_lines(Store(self.stillroom.settings).get(self._model_name))


def model_lines(model: InstalledModel) -> list[Line]:
    """Everything that the manifest says."""
    manifest = model.manifest
    active = Cell("   active: answers its task", GOOD) if model.active else Cell("   not active")
    lines = [
        fact("model", Cell(model.name, STRONG), active),
        fact("identity", manifest.identity),
        fact("kind", f"{manifest.family}, {manifest.format} {manifest.quantization}".rstrip()),
        fact("size", f"{human_size(manifest.size_bytes)} in {human_count(len(manifest.files), 'file')}"),
        fact("target", manifest.target or "-"),
        fact("task", f"{manifest.task_name}, hash {manifest.task_hash}"),
        fact("prompt form", manifest.prompt_form or "-"),
        fact("licence", manifest.licence or "not stated"),
        fact("created", manifest.created or "-"),
        fact("verdict", verdict_cell(manifest), *([_basis(manifest.verdict)] if manifest.verdict else [])),
        fact("folder", str(model.directory)),
    ]
    if manifest.labels:
        lines.append(fact("labels", f"{len(manifest.labels):,}: " + ", ".join(manifest.labels)))
    lines += _commands(model)
    lines += heading("Lineage")
    others = [key for key in manifest.lineage if key not in _LINEAGE]
    lines += [fact(key, manifest.lineage[key]) for key in (*_LINEAGE, *others) if manifest.lineage.get(key)]
    lines += heading("Files")
    for name, entry in manifest.files.items():
        lines.append([Cell(f"{name}  {human_size(entry.size_bytes)}")])
        lines.append(fact("  sha256", entry.sha256))
    lines += heading("Measured")
    measured = [fact(name, value) for name, value in _flat(manifest.metrics)]
    return [*lines, *(measured or [[Cell("nothing yet: `stillroom gate` measures it on labelled rows")]])]


def _basis(verdict: Verdict) -> str:
    against = "the teacher" if verdict.basis == "teacher" else "the truth"
    return (
        f"   against {against}: {verdict.estimate:+.4f}, at least {verdict.low:+.4f}, asked for more than"
        f" {verdict.threshold:+.4f}, on {human_count(verdict.fields, 'field')} of"
        f" {human_count(verdict.documents, 'document')}, {verdict.judged}"
    )


def _commands(model: InstalledModel) -> list[Line]:
    manifest: Manifest = model.manifest
    acting = (
        (f"stillroom models rollback {manifest.task_name}", "the one before it answers again")
        if model.active
        else (f"stillroom models activate {model.name}", "it answers its task from now on")
    )
    return commands(
        (f"stillroom models show {model.name}", "this page"),
        (f"stillroom models verify {model.name}", "compares every file with its hash"),
        acting,
        (f"stillroom run TASK DOCUMENTS --out DIR --model {model.name}", ""),
    )


def _flat(values: dict[str, JSON], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested measurements as lines; long lists only by their length."""
    for name, value in values.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and len(value) > 8:
            yield _padded(path), human_count(len(value), "value")
        else:
            yield _padded(path), f"{value:.4f}" if isinstance(value, float) else str(value)


def _padded(name: str) -> str:
    return name if len(name) <= LABEL_CELLS else name + " "
