"""`stillroom export`: a merged student as GGUF and ONNX artifacts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import json_option
from appliance.ground.output import note, on_terminal, print_json, print_lines
from appliance.ground.text import human_size

if TYPE_CHECKING:
    from export.targets import ExportedArtifact


@click.command("export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--target",
    "targets",
    metavar="TARGET",
    multiple=True,
    required=True,
    help="gguf-f16, gguf-q8_0, gguf-q4_k_m, onnx-fp32, onnx-int8, or onnx for the usual form of the student's family;"
    " can be repeated.",
)
@json_option("one JSON object")
def command(folder: Path, targets: tuple[str, ...], as_json: bool) -> None:
    """Write GGUF and ONNX artifacts of a merged student.

    FOLDER is a run, a folder of merged weights, or a task folder, whose newest merged run is taken. Each TARGET becomes
    a folder in `export/` of the run, and is checked against the merged weights.
    """
    from export.targets import export_all, find_merged

    def on_target(name: str) -> None:
        if on_terminal():
            note(f"exporting {name}")

    exported = export_all(find_merged(folder), targets, on_target)
    if as_json:
        print_json({"artifacts": [_described(artifact) for artifact in exported]})
        return
    for artifact in exported:
        size = human_size(artifact.manifest.size_bytes)
        print_lines(f"{artifact.directory}  {artifact.manifest.identity[:16]}  {size}")


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
