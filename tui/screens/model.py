"""One model: where it comes from, what it holds, what was measured on it."""

from collections.abc import Sequence
from pathlib import Path

from appliance.ground.text import human_count, human_size
from appliance.models.manifest import MANIFEST_NAME, Manifest, Verdict, read_manifest
from appliance.models.store import InstalledModel, Store
from appliance.quality.measured import measured_lines
from tui.cells import BAD, FAINT, GOOD, STRONG, Cell, Line
from tui.screens.models import checked_row, verdict_cell
from tui.screens.reading import ReadingScreen, commands, fact, heading
from tui.shell import shell_word
from tui.watching import READING_ERRORS, Problem, problem_of

_LINEAGE = ("teacher", "data_hash", "base", "base_hash", "run", "adapter_hash", "merge_method")
"""In the order of the way: who taught, on what data, which base, which run, how it was merged; then the rest."""


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
        settings = self.stillroom.settings
        directory = settings.models_dir / self._model_name
        for model in Store(settings).list():
            if model.name == self._model_name:
                try:
                    checked_row(model)
                    return model_lines(model)
                except (TypeError, ValueError, AttributeError) as error:
                    return _broken_lines(directory, Problem(f"{directory / MANIFEST_NAME} is no manifest: {error}"))
        if not directory.is_dir():
            return [[Cell("This model was deleted: Esc goes back.", BAD)]]
        try:
            read_manifest(directory)
        except READING_ERRORS as error:
            return _broken_lines(directory, problem_of(error))
        return [[Cell("This model has just changed: Esc goes back, Enter opens it again.")]]


def _broken_lines(directory: Path, problem: Problem) -> list[Line]:
    return [
        fact("model", Cell(directory.name, STRONG), Cell("   broken", BAD)),
        fact("reason", Cell(problem.message, BAD)),
        fact("folder", str(directory)),
        [],
        [Cell("It cannot answer. Take this folder away, then add the model again from where it came from:")],
        [],
        [Cell("stillroom models add FOLDER", STRONG)],
    ]


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
    lines += [
        fact(key.replace("_", " "), manifest.lineage[key]) for key in (*_LINEAGE, *others) if manifest.lineage.get(key)
    ]
    lines.append(fact("quantized", f"{manifest.format} {manifest.quantization} for {manifest.target or 'any device'}"))
    lines += heading("Files")
    for name, entry in manifest.files.items():
        lines.append([Cell(f"{name}  {human_size(entry.size_bytes)}")])
        lines.append(fact("  sha256", entry.sha256))
    lines += heading("Measured")
    measured = measured_lines(manifest.metrics)
    width = min(32, max((len(name) for name, _ in measured), default=0))
    if measured:
        lines.append(
            [Cell("Shares with their 95\N{NO-BREAK SPACE}% interval and the number that they rest on.", FAINT)]
        )
    lines += [[Cell(f"{name:{width}} ", FAINT), Cell(value)] for name, value in measured]
    return lines if measured else [*lines, [Cell("nothing yet: `stillroom gate` measures it on labelled rows")]]


def _basis(verdict: Verdict) -> str:
    if verdict.basis == "teacher":
        what, unit = "difference to the teacher", "points"
        numbers = [f"{100 * value:+.1f}" for value in (verdict.estimate, verdict.low, verdict.threshold)]
    else:
        what, unit = "accuracy", "%"
        numbers = [f"{100 * value:.1f}" for value in (verdict.estimate, verdict.low, verdict.threshold)]
    estimate, low, threshold = numbers
    return (
        f"   {what} {estimate} {unit}, with 95\N{NO-BREAK SPACE}% confidence at least {low},"
        f" more than {threshold} asked for;"
        f" {human_count(verdict.fields, 'field')} of {human_count(verdict.documents, 'document')}, {verdict.judged}"
    )


def _commands(model: InstalledModel) -> list[Line]:
    manifest: Manifest = model.manifest
    name = shell_word(model.name)
    acting = (
        ("roll back", f"stillroom models roll-back {shell_word(manifest.task_name)}")
        if model.active
        else ("activate", f"stillroom models activate {name}" + ("" if manifest.ready else " --unsafe"))
    )
    return commands(
        ("show", f"stillroom models show {name}"),
        ("verify", f"stillroom models verify {name}"),
        acting,
        ("run", f"stillroom run TASK DOCUMENTS --out DIR --model {name}"),
    )
