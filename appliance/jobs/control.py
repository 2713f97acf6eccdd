"""What a person does with a job from outside: pause, cancel, try again, go on in the background, remove.

All of it works whether the job runs or not: a running job is asked through its folder and obeys within a second; of a
job that does not run the lock is taken for a moment. Nothing here ever writes into the ledger of a running job.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from appliance.answering.paid_answers import forget_paid_answers
from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import sync_directory
from appliance.ground.settings import Settings
from appliance.jobs.detached import refuse_running, start_and_wait
from appliance.jobs.frontiers import capped, check_fallback
from appliance.jobs.job import (
    LEDGER_NAME,
    REMOVED_PREFIX,
    JobConfig,
    delete_removed,
    finish_removals,
    job_dir,
    job_file,
    read_config,
    task_path,
    write_job,
)
from appliance.jobs.job_plan import JobRequest, make_job, plan
from appliance.jobs.job_run import open_ledger
from appliance.jobs.ledger import open_readonly
from appliance.jobs.locks import Purpose, clear_request, lock_holder, request_stop, take_lock
from appliance.jobs.needs import refuse_needed
from appliance.jobs.states import State
from appliance.routing.policy import Caps
from appliance.tasks.taskfile import load_task

_POLL_SECONDS = 0.05


def pause_job(settings: Settings, identifier: str, wait_seconds: float = 10.0) -> State:
    """Stops a job after what is in flight; `resume` goes on.

    Args:
        wait_seconds: How long to wait for a running job to stop; it stops later all the same.

    Returns:
        The job's state now: `running` where it is still finishing, `done` where nothing was left to stop.
    """
    return _stop(settings, identifier, State.PAUSED, wait_seconds)


def cancel_job(settings: Settings, identifier: str, wait_seconds: float = 10.0) -> State:
    """Stops a job at once; finished documents keep their rows, the others get none until somebody resumes it."""
    return _stop(settings, identifier, State.CANCELLED, wait_seconds)


def retry_failed(settings: Settings, identifier: str, caps: Caps | None = None) -> int:
    """Makes documents pending again, for the next `resume`: failed, quarantined, and those kept from the fallback.

    Args:
        caps: Those that are given replace the job's own, for this and later runs.

    Returns:
        How many documents.

    Raises:
        ResourceError: The job is running.
        UsageError: Caps are given and the job has no fallback, or its fallback would not be asked any more.
    """
    directory = job_dir(settings, identifier)
    with take_lock(directory, Purpose.CHANGE):
        config, task = read_config(directory), load_task(task_path(directory))
        if caps is not None and caps.is_set:
            config = _with_caps(config, caps)
        ledger = open_ledger(directory, config, task)
        try:
            if config.fallback is not None and ledger.reader.fallback_failures():
                # Before the rows go: a fallback that is refused would leave their documents without any.
                check_fallback(settings, config.fallback, task)
            write_job(directory, config, task_path(directory).read_bytes())
            # A person asks for new answers: replies that were paid for and no good answers count no more.
            forget_paid_answers(settings, directory.name, only_failed=True)
            return ledger.retry(fallback_unanswered=config.fallback is not None)
        finally:
            ledger.close()


def _with_caps(config: JobConfig, caps: Caps) -> JobConfig:
    if config.fallback is None:
        raise UsageError(f"job {config.id} has no fallback that could be capped", "leave the caps out")
    return replace(config, fallback=capped(config.fallback, caps))


def start_detached(settings: Settings, request: JobRequest) -> str:
    """Starts a job in a process session of its own, which outlives the caller and its terminal; gives the job's id.

    Raises:
        ApplianceError: The job cannot be made, is running already, or ended at once with an error.
    """
    planned = plan(settings, request)
    directory = settings.jobs_dir / planned.config.id
    is_new = not job_file(directory).exists()
    refuse_running(directory)
    make_job(settings, planned, Purpose.CHANGE).release()
    try:
        start_and_wait(settings, directory, ["jobs", "resume", directory.name])
    except ApplianceError:
        if is_new and not (directory / LEDGER_NAME).exists():
            # It never began; its folder would only show as broken in every list.
            remove_job(settings, directory.name)
        raise
    return directory.name


def resume_detached(settings: Settings, identifier: str) -> str:
    """Continues a job in a process session of its own; gives the job's id.

    Raises:
        ApplianceError: No job is called so, it is running already, or it ended at once with an error.
    """
    directory = job_dir(settings, identifier)
    refuse_running(directory)
    start_and_wait(settings, directory, ["jobs", "resume", directory.name])
    return directory.name


def remove_job(settings: Settings, identifier: str) -> str:
    """Deletes a job, everything it kept of the documents, and the answers that it paid for; gives its id.

    Raises:
        ResourceError: The job is running, or its files cannot be deleted.
        UsageError: A comparison needs its rows.
    """
    directory = job_dir(settings, identifier)
    with take_lock(directory, Purpose.CHANGE):
        refuse_needed(directory)
        finish_removals(settings)
        # Before the folder goes: a removal that is cut short in between can be repeated.
        forget_paid_answers(settings, directory.name)
        removed_dir = directory.with_name(REMOVED_PREFIX + directory.name)
        try:
            os.rename(directory, removed_dir)
            sync_directory(directory.parent)
            delete_removed(removed_dir)
        except OSError as error:
            raise ResourceError(
                f"cannot delete job {directory.name}: {error.strerror or error}", "check the rights of its folder"
            ) from error
    return directory.name


def _stop(settings: Settings, identifier: str, requested: State, wait_seconds: float) -> State:
    directory = job_dir(settings, identifier)
    deadline = time.monotonic() + wait_seconds
    requested_token = ""
    while True:
        holder = lock_holder(directory)
        if holder is None:
            try:
                return _stop_idle(directory, requested)
            except ResourceError:
                # It was started, or the disk refuses; only the first has a holder now.
                if lock_holder(directory) is None:
                    raise
                continue
        if holder.purpose is Purpose.RUN and holder.token != requested_token:
            request_stop(directory, holder, requested)
            requested_token = holder.token
        if time.monotonic() > deadline:
            return _state(directory)
        time.sleep(_POLL_SECONDS)


def _stop_idle(directory: Path, requested: State) -> State:
    """Notes the state in the ledger of a job that nobody runs."""
    with take_lock(directory, Purpose.CHANGE) as lock:
        clear_request(lock)
        config = read_config(directory)
        ledger = open_ledger(directory, config, load_task(task_path(directory)))
        try:
            state = ledger.reader.summary().state
            if state in (State.DONE, State.CANCELLED, requested):
                return state
            ledger.end_run(requested)
            return requested
        finally:
            ledger.close()


def _state(directory: Path) -> State:
    try:
        with open_readonly(directory) as reader:
            return reader.summary().state
    except ApplianceError:  # It runs, but has made no ledger yet.
        return State.RUNNING
