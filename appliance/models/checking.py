"""What is checked before a model is added: format, hashes, licence, disk, memory, name; each with its numbers."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.memory import available_memory_bytes
from appliance.ground.progress import OnProgress, ProgressCounter, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size
from appliance.models.approval import how_to_approve, verdict_words, why_not_approved
from appliance.models.manifest import MANIFEST_NAME, Manifest, read_manifest, verify_artifact
from appliance.models.store import SPARE_BYTES, Store, check_name
from appliance.models.weights import RUNNABLE, check_weights
from appliance.tasks.folder import TASK_FILE
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

MOST_ARTIFACTS = 50
_MOST_FOLDERS = 2000
_DEPTH = 4


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; the model can be added."""
    BAD = "bad"
    """The model cannot be added."""


@dataclass(frozen=True)
class Finding:
    """One check."""

    check: str
    level: Level
    message: str
    hint: str = ""


@dataclass(frozen=True)
class ImportCheck:
    """Everything that was checked of one artifact folder."""

    directory: Path
    manifest: Manifest | None
    """None where there is none that can be read."""
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether the model can be added."""
        return all(finding.level is not Level.BAD for finding in self.findings)


def find_artifacts(folder: Path) -> list[Path]:
    """Artifact folders at or below a folder, a USB disk for example; at most `_DEPTH` levels deep.

    Raises:
        UsageError: There is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder at {folder}", "name a folder that `stillroom export` wrote, or one above it")
    artifact_dirs: list[Path] = []
    for visited, directory in enumerate(_folders_below(folder, _DEPTH), 1):
        if (directory / MANIFEST_NAME).is_file():
            artifact_dirs.append(directory)
        if len(artifact_dirs) >= MOST_ARTIFACTS or visited >= _MOST_FOLDERS:
            break
    if not artifact_dirs:
        raise UsageError(
            f"no model in {folder}: no folder in it holds a {MANIFEST_NAME}",
            "name a folder that `stillroom export` wrote",
        )
    return artifact_dirs


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if not depth:
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return  # a folder that cannot be read holds nothing that could be added
    for name in names:
        if not name.startswith("."):
            yield from _folders_below(folder / name, depth - 1)


def check_import(
    settings: Settings, directory: Path, name: str | None = None, on_progress: OnProgress = ignore_progress
) -> ImportCheck:
    """Checks everything that could make `Store.add` fail, and changes nothing.

    Args:
        on_progress: Bytes; each file is read once. What it raises ends the work.
    """
    try:
        manifest = read_manifest(directory)
    except ApplianceError as error:
        return ImportCheck(directory, None, (Finding("format", Level.BAD, error.message, error.hint),))
    hashes = _hashes(directory, manifest, on_progress)
    findings = (
        # Damaged weights are no attack: their hash already says so.
        _format(manifest) if hashes.level is Level.BAD else _weights(directory, manifest),
        _name(settings, manifest, name or manifest.name),
        _licence(manifest),
        _disk(settings, manifest),
        _memory(directory, manifest),
        _verdict(manifest),
        hashes,
    )
    return ImportCheck(directory, manifest, findings)


def _weights(directory: Path, manifest: Manifest) -> Finding:
    try:
        check_weights(directory, manifest)
    except ApplianceError as error:
        return Finding("format", Level.BAD, error.message, error.hint)
    return _format(manifest)


def _format(manifest: Manifest) -> Finding:
    kind = f"{manifest.family} as {manifest.format} {manifest.quantization}".strip()
    if (manifest.family, manifest.format) in RUNNABLE:
        return Finding("format", Level.OK, f"{kind}, for {manifest.target or 'any device'}")
    return Finding(
        "format",
        Level.BAD,
        f"no engine can run this kind of model ({kind})",
        "export it as GGUF or ONNX with `stillroom export`",
    )


def _name(settings: Settings, manifest: Manifest, name: str) -> Finding:
    try:
        check_name(name)
        installed = Store(settings).check_free(name, manifest)
    except ApplianceError as error:
        return Finding("name", Level.BAD, error.message, error.hint)
    if installed is not None:
        return Finding("name", Level.NOTE, f"this model is already installed as {name}")
    if (settings.models_dir / name).exists():
        return Finding("name", Level.NOTE, f"{name} replaces an installed model that cannot be read")
    return Finding("name", Level.OK, f"{name} is free")


def _licence(manifest: Manifest) -> Finding:
    if manifest.licence:
        return Finding("licence", Level.OK, manifest.licence)
    return Finding("licence", Level.NOTE, "not stated", "ask the maker of the model for its terms")


def _disk(settings: Settings, manifest: Manifest) -> Finding:
    place = settings.models_dir if settings.models_dir.is_dir() else settings.home_dir
    free_bytes = shutil.disk_usage(place).free
    message = (
        f"needs {human_size(manifest.size_bytes)} and a reserve of {human_size(SPARE_BYTES)};"
        f" {human_size(free_bytes)} are free"
    )
    if free_bytes < manifest.size_bytes + SPARE_BYTES:
        return Finding("disk", Level.BAD, message, "remove models that are not used with `stillroom models remove`")
    return Finding("disk", Level.OK, message)


def _memory(directory: Path, manifest: Manifest) -> Finding:
    from appliance.models.engine_memory import engine_memory
    from appliance.models.gguf_header import Unsound

    try:
        needed = engine_memory(directory, manifest, _task_of(directory))
    except (OSError, Unsound) as error:
        return Finding("memory", Level.NOTE, f"what it needs cannot be said: {error}")
    needed_bytes, available_bytes = needed.total, available_memory_bytes()
    message = f"needs about {human_size(needed_bytes)} ({needed.description})"
    if available_bytes is None:
        return Finding("memory", Level.NOTE, f"{message}; free memory is unknown")
    message = f"{message}, {human_size(available_bytes)} free now"
    if needed_bytes > available_bytes:
        return Finding("memory", Level.NOTE, message, "it can be added but would not run now; choose a smaller one")
    return Finding("memory", Level.OK, message)


def _task_of(directory: Path) -> Task | None:
    """The task that lies in the artifact; it says how long documents may be."""
    if not (directory / TASK_FILE).is_file():
        return None
    try:
        return load_task(directory)
    except ApplianceError:
        return None


def _verdict(manifest: Manifest) -> Finding:
    if reason := why_not_approved(manifest):
        return Finding("verdict", Level.NOTE, reason, how_to_approve(manifest))
    return Finding("verdict", Level.OK, verdict_words(manifest))


def _hashes(directory: Path, manifest: Manifest, on_progress: OnProgress) -> Finding:
    read = ProgressCounter(on_progress, manifest.size_bytes, "byte", f"checking {manifest.name}")
    try:
        verify_artifact(directory, read.add)
    except ApplianceError as error:
        return Finding("hash", Level.BAD, error.message, error.hint)
    files, size = human_count(len(manifest.files), "file"), human_size(manifest.size_bytes)
    return Finding("hash", Level.OK, f"{files}, {size}: all match the SHA-256 of the manifest")


def mounted_disks() -> list[Path]:
    """Folders where removable disks are mounted: those below `/media`, `/run/media` and `/mnt`."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    places = [line.split(" ")[1].replace("\\040", " ") for line in lines if line.count(" ") >= 2]
    return [Path(place) for place in places if place.startswith(("/media/", "/run/media/", "/mnt/"))]
