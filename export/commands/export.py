"""`stillroom export`: a merged student as GGUF and ONNX artifacts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import json_option
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, note_error, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.text import human_size

if TYPE_CHECKING:
    from export.targets import ExportedArtifact, RefusedTarget


@click.command("export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--target",
    "targets",
    metavar="TARGET",
    multiple=True,
    help="gguf-f16, gguf-q8_0, gguf-q4_k_m, onnx-fp32, onnx-int8, or onnx for the usual form of the student's family;"
    " can be repeated.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Only say what FOLDER, which may also be a base model's, can become, without reading its weights.",
)
@click.option(
    "--family",
    type=click.Choice(["decoder", "encoder"]),
    default="decoder",
    show_default=True,
    help="With --check: of the student that the base would become.",
)
@json_option("one JSON object")
def command(folder: Path, targets: tuple[str, ...], check: bool, family: str, as_json: bool) -> None:
    """Write GGUF and ONNX artifacts of a merged student.

    FOLDER is a run, a folder of merged weights, or a task folder, whose newest merged run is taken. Each TARGET becomes
    a folder in `export/` of the run, and is checked against the merged weights.
    """
    if check:
        _show_check(folder, targets, family, as_json)
        return
    if not targets:
        raise click.UsageError("Missing option '--target'.", click.get_current_context())
    _export(folder, targets, as_json)


def _export(folder: Path, targets: tuple[str, ...], as_json: bool) -> None:
    """Writes all targets that can be written.

    Raises:
        ApplianceError: Of the only target, which was refused.
        NotAllGood: One of several was.
    """
    from export.targets import ExportedArtifact, RefusedTarget, export_each, find_merged

    with progress_line() as on_progress:
        results = list(export_each(find_merged(folder), targets, on_progress))
    exported = [result for result in results if isinstance(result, ExportedArtifact)]
    refused = [result for result in results if isinstance(result, RefusedTarget)]
    if as_json:
        print_json({"artifacts": list(map(_described, exported)), "refused": list(map(_refusal, refused))})
    for artifact in [] if as_json else exported:
        size = human_size(artifact.manifest.size_bytes)
        print_lines(f"{artifact.directory}  {artifact.manifest.identity[:16]}  {size}")
    for artifact in exported:
        if agreement := _agreement(artifact):
            note(f"{artifact.target}: {agreement}")
    if len(results) == 1 and refused:
        raise refused[0].error
    for refusal in refused:
        note_error(f"{refusal.target}: {refusal.error.message}", refusal.error.hint)
    if refused:
        raise NotAllGood(
            f"{len(refused)} of {len(results)} targets were refused: {', '.join(part.target for part in refused)}",
            "what was written stays; see each target's own hint above",
        )


def _refusal(refused: "RefusedTarget") -> dict[str, object]:
    return {"target": refused.target, "error": refused.error.message, "hint": refused.error.hint}


def _agreement(artifact: "ExportedArtifact") -> str:
    """How far a form is from the merged student, where that shows."""
    metrics = artifact.manifest.metrics["export"]
    if not isinstance(metrics, dict) or metrics.get("values") == metrics.get("same_values"):
        return ""
    return f"{metrics['same_values']} of {metrics['values']} values are written as the merged student writes them"


def _show_check(folder: Path, targets: tuple[str, ...], family: str, as_json: bool) -> None:
    """What a folder can become and what not, and why not.

    Raises:
        NotAllGood: It cannot become all that was named.
    """
    from export.base_check import base_problem
    from export.targets import TARGETS, choose_targets

    chosen = (
        choose_targets(targets, family) if targets else [each for each in TARGETS.values() if family in each.families]
    )
    names = [target.name for target in chosen]
    problems = {name: base_problem(folder, name, family) for name in names}
    if as_json:
        entries = [
            {"target": name, "problem": problem.message if problem else None, "hint": problem.hint if problem else ""}
            for name, problem in problems.items()
        ]
        print_json({"targets": entries})
        return
    for name, problem in problems.items():
        print_lines(f"{name}  {problem.message if problem else 'can be written'}")
    refused = [name for name, problem in problems.items() if problem]
    if refused:
        raise NotAllGood(f"{folder.name} cannot become {', '.join(refused)}", "name other targets, or another base")


def _described(artifact: "ExportedArtifact") -> dict[str, object]:
    manifest = artifact.manifest
    return {
        "target": artifact.target,
        "directory": str(artifact.directory),
        "identity": manifest.identity,
        "name": manifest.name,
        "size_bytes": manifest.size_bytes,
        "metrics": manifest.metrics["export"],
    }
