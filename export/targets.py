"""What a merged student can become: targets, and the artifact folder of each."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import disk_errors, fresh_directory
from appliance.ground.spelling import nearest
from appliance.ground.text import human_size
from appliance.models.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    verify_artifact,
    write_artifact,
)
from appliance.models.manifest_json import JSON
from appliance.tasks.folder import TASK_FILE, RunFolder, TaskFolder

WEIGHTS = "model.safetensors"
WORK = ".work"
SPARE_BYTES = 50_000_000
"""Space that an export leaves free."""


@dataclass(frozen=True)
class Target:
    """One form of a student."""

    name: str
    """Also the name of its folder."""
    format: Literal["gguf", "onnx"]
    quantization: str
    families: tuple[str, ...]
    space: float
    """Bytes that are needed for a while, as a multiple of the merged weights."""

    @property
    def device(self) -> str:
        """What the artifact was made for."""
        return "cpu" if self.quantization == "int8" else "any"


_BOTH = ("decoder", "encoder")
TARGETS = {
    target.name: target
    for target in (
        Target("gguf-f16", "gguf", "F16", ("decoder",), 3),
        Target("gguf-q8_0", "gguf", "Q8_0", ("decoder",), 2.5),
        Target("gguf-q4_k_m", "gguf", "Q4_K_M", ("decoder",), 2),
        Target("onnx-fp32", "onnx", "fp32", _BOTH, 6),
        Target("onnx-int8", "onnx", "int8", _BOTH, 6),
    )
}
USUAL_ONNX = {"decoder": "onnx-fp32", "encoder": "onnx-int8"}
"""What plain `onnx` means: a small decoder loses words to int8 sooner than an encoder loses labels."""


@dataclass(frozen=True)
class ExportedArtifact:
    """An artifact folder that was written."""

    target: str
    directory: Path
    manifest: Manifest


def choose_targets(names: Sequence[str], family: str) -> list[Target]:
    """The targets with these names, each once, in their order.

    Raises:
        UsageError: A name is unknown, or the target is not for this family.
    """
    chosen: dict[str, Target] = {}
    for requested in names:
        name = USUAL_ONNX.get(family, requested) if requested == "onnx" else requested
        target = TARGETS.get(name)
        if target is None:
            meant = nearest(requested, [*TARGETS, "onnx"])
            hint = f"did you mean {meant}? " if meant else ""
            raise UsageError(f"unknown export target {requested}", f"{hint}targets: {', '.join([*TARGETS, 'onnx'])}")
        if family not in target.families:
            fitting = [known.name for known in TARGETS.values() if family in known.families]
            raise UsageError(f"{name} is not a target for {family} students", f"targets for them: {', '.join(fitting)}")
        chosen[name] = target
    return list(chosen.values())


def find_merged(folder: Path) -> Path:
    """The merged folder that is meant: the folder itself, a run's, or that of a task's newest finished run.

    Raises:
        UsageError: Nothing there has been merged.
    """
    if (folder / MANIFEST_NAME).is_file():
        return folder
    if (RunFolder(folder).merged_dir / MANIFEST_NAME).is_file():
        return RunFolder(folder).merged_dir
    runs = [RunFolder(folder)] if RunFolder(folder).is_finished else TaskFolder(folder).finished_runs()
    merged = [run.merged_dir for run in runs if (run.merged_dir / MANIFEST_NAME).is_file()]
    if merged:
        return merged[-1]
    if runs:
        run_dir = runs[-1].path
        raise UsageError(f"the run {run_dir.name} has not been merged", f"merge it with `stillroom merge {run_dir}`")
    raise UsageError(
        f"{folder} is not a run, a merged model, or a task with a finished and merged run",
        "run `stillroom train` and `stillroom merge` first",
    )


def export_all(
    merged_dir: Path, names: Sequence[str], on_target: Callable[[str], None] = lambda target: None
) -> list[ExportedArtifact]:
    """Writes an artifact folder for each target to `export/` beside the merged folder.

    Args:
        on_target: Called with the name of each target before it is made.

    Raises:
        UsageError: A target is unknown or not for this student.
        ArtifactError: A merged file is not the one of its manifest.
        ResourceError: The disk has no room.
    """
    merged_dir = merged_dir.absolute()
    family = read_manifest(merged_dir).family
    targets = choose_targets(names, family)
    merged = verify_artifact(merged_dir)
    if merged.format != "merged":
        raise UsageError(
            f"{merged_dir} is a {merged.format} artifact, not a merged model", "name a run or its merged/ folder"
        )
    exports_dir = RunFolder(merged_dir.parent).exports_dir
    check_space(merged_dir, targets)
    exports_dir.mkdir(exist_ok=True)
    work_dir = exports_dir / WORK
    exported = []
    try:
        with disk_errors(work_dir):
            fresh_directory(work_dir)
        for target in targets:
            on_target(target.name)
            exported.append(_export(merged_dir, merged, target, work_dir))
    finally:
        for leftover in (work_dir, *(exports_dir / f".{target.name}.part" for target in targets)):
            shutil.rmtree(leftover, ignore_errors=True)
        if not any(exports_dir.iterdir()):
            exports_dir.rmdir()
    return exported


def check_space(merged_dir: Path, targets: Sequence[Target]) -> None:
    """Whether the disk holds what the exports need at the same time.

    Raises:
        ResourceError: It does not.
    """
    needed = round(max(target.space for target in targets) * (merged_dir / WEIGHTS).stat().st_size) + SPARE_BYTES
    free = shutil.disk_usage(merged_dir).free
    if free < needed:
        raise ResourceError(
            f"the export needs {human_size(needed)} with a reserve of {human_size(SPARE_BYTES)},"
            f" the disk of {merged_dir} has {human_size(free)} free",
            "free some space, or name fewer targets",
        )


def _export(merged_dir: Path, merged: Manifest, target: Target, work_dir: Path) -> ExportedArtifact:
    """One target: made and checked in the work folder, then put in place as a whole."""
    staging_dir = work_dir / target.name
    staging_dir.mkdir(parents=True)
    try:
        metrics = _make(merged_dir, merged.family, target, staging_dir)
    except OSError as error:
        raise ResourceError(
            f"cannot write the export {target.name}: {error.strerror or error}", "check the free space and the rights"
        ) from error
    if (merged_dir / TASK_FILE).is_file():
        shutil.copyfile(merged_dir / TASK_FILE, staging_dir / TASK_FILE)
    manifest = Manifest(
        identity="",
        name=f"{merged.task_name}-{target.name}",
        family=merged.family,
        format=target.format,
        task_name=merged.task_name,
        task_hash=merged.task_hash,
        quantization=target.quantization,
        target=target.device,
        prompt_form=merged.prompt_form,
        working=merged.working,
        lineage=merged.lineage,
        licence=merged.licence,
        metrics={"export": metrics},
        labels=merged.labels,
    )
    directory = RunFolder(merged_dir.parent).exports_dir / target.name
    written = write_artifact(directory, manifest, {path.name: path for path in sorted(staging_dir.iterdir())})
    shutil.rmtree(staging_dir)
    return ExportedArtifact(target.name, directory, written)


def _make(merged_dir: Path, family: str, target: Target, staging_dir: Path) -> dict[str, JSON]:
    """Fills the folder with the files of the artifact; gives what the checks measured."""
    task_folder = task_folder_of(merged_dir)
    if target.format == "gguf":
        from export.gguf.convert import export_gguf

        metrics = export_gguf(merged_dir, staging_dir / "model.gguf", target.quantization)
        for name in ("config.json", "tokenizer.json"):
            shutil.copyfile(merged_dir / name, staging_dir / name)
        return dict(metrics)
    quantization: Literal["fp32", "int8"] = "int8" if target.quantization == "int8" else "fp32"
    graph_path = staging_dir.parent / "graph.onnx"
    if family == "encoder":
        from export.onnx.encoder import export_encoder

        return dict(export_encoder(merged_dir, staging_dir, quantization, task_folder, graph_path))
    from export.onnx.decoder import export_decoder

    return dict(export_decoder(merged_dir, staging_dir, quantization, task_folder, graph_path))


def task_folder_of(merged_dir: Path) -> Path:
    """The task folder, whose validation rows check the exports; the merged folder itself where it lies alone."""
    folder = RunFolder(merged_dir.parent).task_folder
    return folder.path if folder and folder.task_path.is_file() else merged_dir
