"""An installed model as a row of the table, and as a page."""

from dataclasses import dataclass
from pathlib import Path

from appliance.ground.text import human_count, human_size
from appliance.models.approval import how_to_approve, is_approved, why_not_approved
from appliance.models.manifest import Manifest
from appliance.models.store import InstalledModel
from appliance.models.verdict import READY, Verdict
from appliance.quality.manifest_metrics import measured_lines
from tui.data.problems import Problem
from tui.rendering.facts import commands, fact, heading
from tui.text.cells import BAD, DOUBTFUL, FAINT, GOOD, PLAIN, STRONG, Cell, Line
from tui.text.shell_commands import shell_word

_LINEAGE = ("teacher", "data_hash", "base", "base_hash", "run", "adapter_hash", "merge_method")
"""In the order of the way: who taught, on what data, which base, which run, how it was merged; then the rest."""


@dataclass(frozen=True)
class ModelRow:
    """A model of the list."""

    name: str
    cells: Line
    facts: tuple[Line, Line]
    command: str
    words: tuple[str, ...]
    """What the filter searches."""
    model: InstalledModel | None = None
    """None where its manifest cannot be read."""


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
        Cell(manifest.family),
        Cell(form),
        Cell(manifest.target or "any"),
        Cell(human_size(manifest.size_bytes)),
        verdict,
        Cell(manifest.task_name),
        Cell(manifest.identity[:16]),
    )
    active = f"   active: answers task {manifest.task_name}" if model.active else "   not active"
    about = (
        f"task {manifest.task_name}   identity {manifest.identity[:16]}   licence {manifest.licence or 'not stated'}"
    )
    if any(not isinstance(cell.text, str) for cell in cells):
        raise TypeError("a manifest holds text in these places")
    return ModelRow(
        model.name, cells, ([Cell(model.name, STRONG), Cell(active)], [Cell(about)]),
        f"stillroom models show {shell_word(model.name)}",
        (model.name, manifest.task_name, form, manifest.family, verdict.text, "active" if model.active else ""),
        model,
    )  # fmt: skip


def broken_row(name: str) -> ModelRow:
    """A folder of the store whose manifest cannot be read."""
    dash = Cell("-")
    cells = (Cell("  " + name), dash, dash, dash, dash, Cell("broken", BAD), dash, dash)
    facts: tuple[Line, Line] = (
        [Cell(name, STRONG), Cell("   broken: its manifest cannot be read", BAD)],
        [Cell("Enter shows why, and what to do.")],
    )
    return ModelRow(name, cells, facts, "stillroom models list", (name, "broken"))


def verdict_cell(manifest: Manifest) -> Cell:
    """The verdict's words in its colour."""
    if manifest.verdict is None:
        return Cell("not judged", DOUBTFUL)
    word = manifest.verdict.verdict
    if word == READY and not is_approved(manifest):
        return Cell("READY elsewhere", DOUBTFUL)
    return Cell(word, GOOD if word == READY else BAD if word.startswith("NOT") else DOUBTFUL)


def broken_lines(directory: Path, problem: Problem) -> list[Line]:
    """The page of a folder of the store whose manifest cannot be read, with what to do."""
    return [
        fact("model", Cell(directory.name, STRONG), Cell("   broken", BAD)),
        fact("reason", Cell(problem.message, BAD)),
        fact("folder", str(directory)),
        [],
        [Cell("It cannot be used. Remove this folder, then add the model again from its source:")],
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
        fact("template", manifest.prompt_form or "-"),
        fact("licence", manifest.licence or "not stated"),
        fact("created", manifest.created or "-"),
        fact("verdict", verdict_cell(manifest), *([_basis(manifest.verdict)] if manifest.verdict else [])),
        *_approval(manifest),
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
    measured = measured_lines(manifest)
    width = min(32, max((len(name) for name, _ in measured), default=0))
    if measured:
        lines.append([Cell("Shares with their 95\N{NO-BREAK SPACE}% interval and sample size.", FAINT)])
    lines += [[Cell(f"{name:{width}} ", FAINT), Cell(value)] for name, value in measured]
    return lines if measured else [*lines, [Cell("not measured yet: `stillroom gate` does, on labelled rows")]]


def _approval(manifest: Manifest) -> list[Line]:
    """Where the verdict was found, and what speaks against answers of the model here."""
    verdict, lines = manifest.verdict, []
    if verdict is not None and verdict.identity:
        lines.append(fact("judged on", "; ".join(map(str, verdict.classes))))
    if reason := why_not_approved(manifest):
        lines += [fact("not approved", Cell(reason, DOUBTFUL)), fact("", how_to_approve(manifest))]
    return lines


def _basis(verdict: Verdict) -> str:
    if verdict.basis == "teacher":
        what, unit = "difference to the teacher", "points"
        numbers = [f"{100 * value:+.1f}" for value in (verdict.estimate, verdict.low, verdict.threshold)]
    else:
        what, unit = "accuracy", "%"
        numbers = [f"{100 * value:.1f}" for value in (verdict.estimate, verdict.low, verdict.threshold)]
    estimate, low, threshold = numbers
    return (
        f"   {what} {estimate} {unit} (95\N{NO-BREAK SPACE}% confidence: at least {low},"
        f" required: more than {threshold}),"
        f" {human_count(verdict.fields, 'field')} of {human_count(verdict.documents, 'document')}, {verdict.judged}"
    )


def _commands(model: InstalledModel) -> list[Line]:
    manifest: Manifest = model.manifest
    name = shell_word(model.name)
    acting = (
        ("roll back", f"stillroom models roll-back {shell_word(manifest.task_name)}")
        if model.active
        else ("activate", f"stillroom models activate {name}" + ("" if is_approved(manifest) else " --unsafe"))
    )
    return commands(
        ("show", f"stillroom models show {name}"),
        ("verify", f"stillroom models verify {name}"),
        acting,
        ("run", f"stillroom run TASK DOCUMENTS --out DIR --model {name}"),
    )
