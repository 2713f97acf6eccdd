"""Which installed or exported model answers a task, and whether it still is the one that was chosen."""

import os
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.models.manifest import ArtifactError, Manifest, read_manifest, verify_artifact, was_called
from appliance.models.store import Store
from appliance.tasks.task import Task, task_hash

_FileStates = tuple[tuple[str, int, int, int], ...]
_verified: dict[Path, tuple[str, _FileStates]] = {}
"""Artifact folder -> the identity that this process verified there, and the files as they were then."""


def choose_model(settings: Settings, task: Task, model: str | None) -> tuple[Path, Manifest]:
    """The artifact folder that answers, with its manifest.

    Raises:
        UsageError: No such model, none is active, or the model was made for another task.
    """
    if model is None:
        store = Store(settings)
        installed = store.active(task.name)
        if installed is None:
            fitting = [model.name for model in store.list() if model.manifest.task_name == task.name]
            activate = f"`stillroom models activate {fitting[0]}`" if fitting else "`stillroom models activate` it"
            raise UsageError(
                f"no model is active for task {task.name}"
                + (f"; installed for it: {', '.join(fitting[:3])}" if fitting else ", and none is installed for it"),
                f"{activate}, or name one with `--model`"
                if fitting
                else f"`stillroom models add` one and {activate}, or name an artifact folder with `--model`",
            )
        directory = installed.directory
    elif (Path(model) / "manifest.json").is_file():
        directory = Path(model).absolute()
    elif os.sep in model:
        raise UsageError(
            f"{model} is not a model: it has no manifest.json", "name a folder that `stillroom export` wrote"
        )
    else:
        directory = Store(settings).get(model).directory
    manifest = read_manifest(directory)
    if manifest.task_hash != task_hash(task):
        raise UsageError(
            f"model {manifest.name} was made for another version of a task: it answers {manifest.task_name}"
            f" {manifest.task_hash[:12]}, this task is {task.name} {task_hash(task)[:12]}",
            "use the task.toml in the model's folder, or distil again for the changed task",
        )
    return directory, manifest


def verify_chosen(directory: Path, identity: str) -> Manifest:
    """Verifies the artifact that was chosen before, file by file.

    Raises:
        ArtifactError: A file differs, or there is another model in this place now.
    """
    before = _file_states(directory)
    manifest = verify_artifact(directory)
    if was_called(manifest, identity):
        raise ArtifactError(
            f"this was begun by an earlier version, which did not bind the identity {identity[:16]} of"
            f" {manifest.name} to its files",
            "what is finished stays; to answer the rest, the same `stillroom run` with another `--out` makes a new job",
        )
    if manifest.identity != identity:
        raise ArtifactError(
            f"{directory} now holds model {manifest.identity[:16]}, this was begun with {identity[:16]}",
            "put the former model back to go on; `stillroom run` with another `--out` makes a new job with this one",
        )
    _verified[directory] = (identity, before)
    return manifest


def check_still_chosen(directory: Path, identity: str) -> None:
    """Verifies the artifact again where this process did not, or where a file was touched since.

    Hours can pass between the check of a job and the moment at which its turn comes and an engine opens the files.

    Raises:
        ArtifactError: As `verify_chosen`.
    """
    if _verified.get(directory) != (identity, _file_states(directory)):
        verify_chosen(directory, identity)


def _file_states(directory: Path) -> _FileStates:
    """Name, inode, size and time of the last change of each file; nobody but the kernel sets the last."""
    try:
        with os.scandir(directory) as entries:
            stats = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, each.st_ino, each.st_size, each.st_ctime_ns) for name, each in stats))
