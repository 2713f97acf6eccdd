"""`stillroom jobs pause|resume|retry|cancel|remove`: what a person does with a job."""

from pathlib import Path

import click

from appliance.commands.shared_options import cap_option, detach_option
from appliance.ground.command_line import NumberRange, json_option, with_settings, yes_option
from appliance.ground.output import confirm, note, print_json
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job import job_dir
from appliance.jobs.states import State

_WAIT = click.option(
    "--wait", "wait_seconds", type=NumberRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the job to stop; it stops in any case.",
)  # fmt: skip


@click.command("pause")
@click.argument("job")
@_WAIT
@json_option()
@with_settings
def pause_command(settings: Settings, job: str, wait_seconds: float, as_json: bool) -> None:
    """Stop a job after the documents in progress.

    `stillroom jobs resume` continues it.
    """
    from appliance.jobs.control import pause_job

    _note_state(job_dir(settings, job).name, pause_job(settings, job, wait_seconds), State.PAUSED, as_json)


@click.command("cancel")
@click.argument("job")
@_WAIT
@json_option()
@with_settings
def cancel_command(settings: Settings, job: str, wait_seconds: float, as_json: bool) -> None:
    """Stop a job at once.

    Finished documents keep their rows, and `stillroom jobs resume` can still continue the job.
    """
    from appliance.jobs.control import cancel_job

    _note_state(job_dir(settings, job).name, cancel_job(settings, job, wait_seconds), State.CANCELLED, as_json)


@click.command("resume")
@click.argument("job")
@detach_option
@json_option()
@with_settings
def resume_command(settings: Settings, job: str, detach: bool, as_json: bool) -> None:
    """Continue a job that was stopped.

    Documents that are new in its folder are answered, too.
    """
    _resume(settings, job, detach, as_json)


@click.command("retry")
@click.argument("job")
@cap_option("documents", "New cap: documents that may leave in a run.")
@cap_option("tokens", "New cap: tokens that a run may use.")
@cap_option("money", "New cap: money that a run may spend.")
@detach_option
@json_option()
@with_settings
def retry_command(
    settings: Settings,
    job: str,
    cap_documents: int | None,
    cap_tokens: int | None,
    cap_money: float | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Answer the documents of a job again that have no answer.

    These are documents that failed or were quarantined, and documents that need a person because the fallback did not
    answer: a cap was reached, or it failed. Their previous rows are kept as superseded. Answers that do not fit the
    task are not requested again, as the same model would give the same answer.
    """
    from appliance.jobs.control import retry_failed
    from appliance.routing.policy import Caps

    count = retry_failed(settings, job, Caps(cap_documents, cap_tokens, cap_money))
    note(f"{human_count(count, 'document')} will be answered again")
    _resume(settings, job, detach, as_json)


@click.command("remove")
@click.argument("job")
@yes_option
@json_option()
@with_settings
def remove_command(settings: Settings, job: str, yes: bool, as_json: bool) -> None:
    """Delete a job, its rows and the text that it kept.

    Files in its output folder stay.
    """
    from appliance.jobs.control import remove_job

    identifier = job_dir(settings, job).name
    if not yes:
        confirm(f"delete job {identifier} with its rows and texts?")
    remove_job(settings, identifier)
    if as_json:
        print_json({"removed": identifier})
    else:
        note(f"removed job {identifier}")


def _resume(settings: Settings, job: str, detach: bool, as_json: bool) -> None:
    from appliance.commands.run import note_detached, run_and_report
    from appliance.jobs.control import resume_detached
    from appliance.jobs.job import read_config
    from appliance.jobs.job_run import run_job
    from appliance.jobs.outputs import OutputFormat, require_format

    directory = job_dir(settings, job)
    require_format(OutputFormat(read_config(directory).output_format))
    if detach:
        note_detached(settings, resume_detached(settings, job), as_json)
    else:
        run_and_report(lambda on_progress: run_job(settings, Path(directory), on_progress), as_json)


def _note_state(job: str, state: State, goal: State, as_json: bool) -> None:
    if as_json:
        print_json({"job": job, "state": state})
    elif state is goal:
        note(f"job {job} is {state}; `stillroom jobs resume {job}` continues it")
    elif state in (State.RUNNING, State.QUEUED):
        note(f"job {job} is still stopping: it finishes the documents in progress first")
    else:
        note(f"job {job} is {state}: there is nothing to stop")
