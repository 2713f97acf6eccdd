"""Which jobs still need a model, so that it is not deleted under them."""

import sqlite3
from typing import TYPE_CHECKING

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.ledger import open_readonly
from appliance.jobs.states import State

if TYPE_CHECKING:
    from appliance.models.store import InstalledModel

UNFINISHED = (State.QUEUED, State.RUNNING, State.PAUSED, State.INTERRUPTED)
"""A job in one of these goes on with the model that it began with."""


def jobs_using(settings: Settings, model_name: str) -> list[str]:
    """Ids of the unfinished jobs that were started with the model of this name in the store."""
    place = str(settings.models_dir / model_name)
    using = []
    for directory in job_dirs(settings):
        try:
            if read_config(directory).artifact_dir != place:
                continue
            with open_readonly(directory) as reader:
                if reader.summary().state in UNFINISHED:
                    using.append(directory.name)
        except (ApplianceError, sqlite3.Error, ValueError):
            continue  # a job that cannot be read cannot go on either
    return using


def why_not_deleted(settings: Settings, model: "InstalledModel") -> UsageError | None:
    """The reason why the model may not be deleted now; None where it may."""
    if model.active:
        return UsageError(
            f"model {model.name} answers the task {model.manifest.task_name}",
            "activate another one, or roll back, before you delete it",
        )
    if using := jobs_using(settings, model.name):
        return UsageError(
            f"model {model.name} is used by {human_count(len(using), 'unfinished job')}: {', '.join(using[:3])}",
            f"let it end, or `stillroom jobs cancel {using[0]}`",
        )
    return None
