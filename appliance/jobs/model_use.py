"""Which unfinished jobs need an installed model, so that it is not removed under them."""

import sqlite3

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.ledger import open_readonly
from appliance.jobs.states import State
from appliance.models.store import InstalledModel, Store

UNFINISHED = (State.QUEUED, State.RUNNING, State.PAUSED, State.INTERRUPTED)
"""A job in one of these goes on with the model that it began with."""


def unfinished_jobs_of(settings: Settings, model_name: str) -> list[str]:
    """Ids of the unfinished jobs that were started with the model of this name in the store."""
    model_dir = str(settings.models_dir / model_name)
    job_ids = []
    for directory in job_dirs(settings):
        try:
            if read_config(directory).artifact_dir != model_dir:
                continue
            with open_readonly(directory) as reader:
                if reader.summary().state in UNFINISHED:
                    job_ids.append(directory.name)
        except (ApplianceError, sqlite3.Error, ValueError):
            continue  # a job that cannot be read cannot go on either
    return job_ids


def remove_model(settings: Settings, name: str) -> InstalledModel:
    """Removes a model from the store that is not active and that no unfinished job needs.

    Raises:
        UsageError: It is active, or a job needs it.
    """
    store = Store(settings)
    model = store.get(name)
    if not model.active:
        _refuse_used(settings, model.name)
    return store.remove(model.name)


def remove_broken_model(settings: Settings, name: str) -> None:
    """The same for a model whose manifest cannot be read.

    Raises:
        UsageError: It has the name of an active one, or a job needs it.
    """
    _refuse_used(settings, name)
    Store(settings).remove_broken(name)


def _refuse_used(settings: Settings, name: str) -> None:
    if job_ids := unfinished_jobs_of(settings, name):
        raise UsageError(
            f"model {name} is used by {human_count(len(job_ids), 'unfinished job')}: {', '.join(job_ids[:3])}",
            f"wait until {'it ends' if len(job_ids) == 1 else 'they end'}, or `stillroom jobs cancel {job_ids[0]}`",
        )
