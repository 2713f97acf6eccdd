"""Which installed or exported model answers a task."""

import os
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.models.manifest import Manifest, read_manifest
from appliance.models.store import Store
from appliance.tasks.task import Task, task_hash


def choose_model(settings: Settings, task: Task, model: str | None) -> tuple[Path, Manifest]:
    """The artifact folder that answers, with its manifest.

    Raises:
        UsageError: No such model, none is active, or the model was made for another task.
    """
    if model is None:
        installed = Store(settings).active(task.name)
        if installed is None:
            raise UsageError(
                f"no model is active for task {task.name}",
                "name one with `--model`, or `stillroom models add` and `stillroom models activate` one",
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
