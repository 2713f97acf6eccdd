"""What a merged student can become: targets, and the artifact folder of each."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import disk_errors, fresh_directory
from appliance.ground.progress import OnProgress, Progress, ignore_progress
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
from appliance.models.safetensors_file import weight_paths
from appliance.tasks.folder import TASK_FILE, RunFolder, TaskFolder

if TYPE_CHECKING:
    from export.reference import Reference

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
    size: float
    """Bytes of the artifact, as a multiple of the merged weights."""
    space: float
    """Bytes that are needed for a while beside it, as such a multiple."""

    @property
    def device(self) -> str:
        """What the artifact was made for."""
        return "cpu" if self.quantization == "int8" else "any"


_BOTH = ("decoder", "encoder")
TARGETS = {
    target.name: target
    for target in (
        Target("gguf-f16", "gguf", "F16", ("decoder",), 1, 2),
        Target("gguf-q8_0", "gguf", "Q8_0", ("decoder",), 0.6, 2),
        Target("gguf-q4_k_m", "gguf", "Q4_K_M", ("decoder",), 0.4, 2),
        Target("onnx-fp32", "onnx", "fp32", _BOTH, 2, 2.5),
        Target("onnx-int8", "onnx", "int8", _BOTH, 1.5, 4),
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


@dataclass(frozen=True)
class RefusedTarget:
    """A target that this student did not become."""

    target: str
    error: ApplianceError


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
    merged_dir: Path, names: Sequence[str], on_progress: OnProgress = ignore_progress
) -> list[ExportedArtifact]:
    """Writes an artifact folder for each target to `export/` beside the merged folder, all that can be written.

    Raises:
        ApplianceError: As `export_each`, or of the first target that was refused.
    """
    results = list(export_each(merged_dir, names, on_progress))
    for result in results:
        if isinstance(result, RefusedTarget):
            raise result.error
    return [result for result in results if isinstance(result, ExportedArtifact)]


def export_each(
    merged_dir: Path, names: Sequence[str], on_progress: OnProgress = ignore_progress
) -> Iterator[ExportedArtifact | RefusedTarget]:
    """Writes an artifact folder for each target to `export/` beside the merged folder; one refusal stops no other.

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
    with disk_errors(exports_dir):
        exports_dir.mkdir(exist_ok=True)
    work = _Work(merged_dir, merged, exports_dir / WORK)
    try:
        with disk_errors(work.directory):
            fresh_directory(work.directory)
        for number, target in enumerate(targets):

            def on_stage(stage: str, number: int = number, target: Target = target) -> None:
                on_progress(Progress(number, len(targets), "step", f"{target.name}: {stage}"))

            try:
                yield _export(work, target, on_stage)
            except ApplianceError as error:
                yield RefusedTarget(target.name, error)
    finally:
        for leftover in (work.directory, *(exports_dir / f".{name}.part" for name in TARGETS)):
            shutil.rmtree(leftover, ignore_errors=True)
        if not any(exports_dir.iterdir()):
            exports_dir.rmdir()


@dataclass
class _Work:
    """What the targets of one export share."""

    merged_dir: Path
    merged: Manifest
    directory: Path
    """For what is not kept."""
    _reference: "Reference | None" = None

    @property
    def task_folder(self) -> Path:
        """The folder whose validation rows check the exports; the merged folder itself where it lies alone."""
        folder = RunFolder(self.merged_dir.parent).task_folder
        return folder.path if folder and folder.task_path.is_file() else self.merged_dir

    def reference(self, on_stage: Callable[[str], None]) -> "Reference":
        """What the merged decoder answers, computed for the first target that needs it."""
        from export.reference import read_reference

        if self._reference is None:
            on_stage("reading validation rows with the merged student")
            self._reference = read_reference(self.merged_dir, self.task_folder, self.directory / "reference.f32")
        return self._reference


def check_space(merged_dir: Path, targets: Sequence[Target]) -> None:
    """Whether the disk holds the artifacts, and beside them what the largest one needs while it is made.

    Raises:
        ResourceError: It does not.
    """
    weights_bytes = sum(path.stat().st_size for path in weight_paths(merged_dir))
    share = sum(target.size for target in targets) + max(target.space for target in targets)
    needed = round(share * weights_bytes) + SPARE_BYTES
    free = shutil.disk_usage(merged_dir).free
    if free < needed:
        raise ResourceError(
            f"the export needs {human_size(needed)} with a reserve of {human_size(SPARE_BYTES)},"
            f" the disk of {merged_dir} has {human_size(free)} free",
            "free some space, or name fewer targets",
        )


def _export(work: _Work, target: Target, on_stage: Callable[[str], None]) -> ExportedArtifact:
    """One target: made and checked in the work folder, then put in place as a whole."""
    merged_dir, merged = work.merged_dir, work.merged
    staging_dir = work.directory / target.name
    try:
        fresh_directory(staging_dir)
        metrics = _make(work, target, staging_dir, on_stage)
        if (merged_dir / TASK_FILE).is_file():
            shutil.copyfile(merged_dir / TASK_FILE, staging_dir / TASK_FILE)
    except OSError as error:
        shutil.rmtree(staging_dir, ignore_errors=True)
        raise ResourceError(
            f"cannot write the export {target.name}: {error.strerror or error}", "check the free space and the rights"
        ) from error
    except ApplianceError:
        shutil.rmtree(staging_dir, ignore_errors=True)  # The next target may need the space.
        raise
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


def _make(work: _Work, target: Target, staging_dir: Path, on_stage: Callable[[str], None]) -> dict[str, JSON]:
    """Fills the folder with the files of the artifact; gives what the checks measured."""
    merged_dir = work.merged_dir
    quantization: Literal["fp32", "int8"] = "int8" if target.quantization == "int8" else "fp32"
    if work.merged.family == "encoder":
        from export.onnx.encoder import export_encoder

        on_stage("writing")
        return dict(
            export_encoder(merged_dir, staging_dir, quantization, work.task_folder, work.directory / "graph.onnx")
        )
    if target.format == "gguf":
        from export.gguf.convert import export_gguf

        path = staging_dir / "model.gguf"
        metrics = export_gguf(merged_dir, path, target.quantization, work.reference(on_stage), on_stage)
        for name in ("config.json", "tokenizer.json"):
            shutil.copyfile(merged_dir / name, staging_dir / name)
        return dict(metrics)
    from export.onnx.decoder import export_decoder
    from export.onnx.offered import refuse_onnx

    refuse_onnx(json.loads((merged_dir / "config.json").read_text(encoding="utf-8")))
    reference = work.reference(on_stage)
    return dict(export_decoder(merged_dir, staging_dir, quantization, reference, work.directory, on_stage))
