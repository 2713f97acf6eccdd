"""`stillroom jobs pause|resume|retry|cancel|remove`: what a person does with a job."""

import json
import os
import sys
from pathlib import Path

import click

from appliance.ground.settings import Settings, load_settings
from appliance.ground.text import human_count
from appliance.jobs.job import job_dir
from appliance.jobs.states import State

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
_DETACH = click.option("--detach", is_flag=True, help="Run in the background, whatever becomes of this terminal.")
_WAIT = click.option(
    "--wait", "wait_seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
    help="How long to wait until the job has stopped; it stops later all the same.",
)  # fmt: skip


@click.command("pause")
@click.argument("job")
@_WAIT
@_JSON
def pause_command(job: str, wait_seconds: float, as_json: bool) -> None:
    """Stop a job after what is in flight; `resume` goes on."""
    from appliance.jobs.control import pause_job

    _tell_state(job, pause_job(_settings(), job, wait_seconds), State.PAUSED, as_json)


@click.command("cancel")
@click.argument("job")
@_WAIT
@_JSON
def cancel_command(job: str, wait_seconds: float, as_json: bool) -> None:
    """Stop a job at once; finished documents keep their rows, and `resume` can still go on."""
    from appliance.jobs.control import cancel_job

    _tell_state(job, cancel_job(_settings(), job, wait_seconds), State.CANCELLED, as_json)


@click.command("resume")
@click.argument("job")
@_DETACH
@_JSON
def resume_command(job: str, detach: bool, as_json: bool) -> None:
    """Continue a job that was stopped, or do the documents that are new in its folder."""
    _resume(_settings(), job, detach, as_json)


@click.command("retry")
@click.argument("job")
@click.option(
    "--cap-documents", type=click.IntRange(min=0), help="From now on at most so many documents leave in a run."
)
@click.option("--cap-tokens", type=click.IntRange(min=0), help="From now on at most so many tokens are used in a run.")
@click.option("--cap-money", type=click.FloatRange(min=0), help="From now on at most so much is spent in a run.")
@_DETACH
@_JSON
def retry_command(
    job: str,
    cap_documents: int | None,
    cap_tokens: int | None,
    cap_money: float | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Run documents of a job again that have no answer, or no answer from the fallback.

    That is those that failed or were quarantined, and those with the route review whose fallback did not answer: a cap
    kept them back, or it failed. Their former rows are kept as superseded. Answers that do not fit the task are not
    asked again, as the same model says the same.
    """
    from appliance.jobs.control import retry_failed
    from appliance.routing.policy import Caps

    settings = _settings()
    count = retry_failed(settings, job, Caps(cap_documents, cap_tokens, cap_money))
    sys.stderr.write(f"{human_count(count, 'document')} to be tried again\n")
    _resume(settings, job, detach, as_json)


@click.command("remove")
@click.argument("job")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def remove_command(job: str, yes: bool, as_json: bool) -> None:
    """Delete a job with its rows and all text that it kept; files in its output folder stay."""
    from appliance.jobs.control import remove_job

    settings = _settings()
    identifier = job_dir(settings, job).name
    if not yes:
        click.confirm(f"delete job {identifier} with its rows and texts?", abort=True, err=True)
    remove_job(settings, identifier)
    if as_json:
        print(json.dumps({"removed": identifier}))
    else:
        sys.stderr.write(f"removed {identifier}\n")


def _resume(settings: Settings, job: str, detach: bool, as_json: bool) -> None:
    from appliance.commands.run import run_and_tell, tell_detached
    from appliance.jobs.batch import run_job
    from appliance.jobs.control import resume_detached
    from appliance.jobs.job import read_config
    from appliance.jobs.outputs import OutputFormat, require_format

    directory = job_dir(settings, job)
    require_format(OutputFormat(read_config(directory).output_format))
    if detach:
        tell_detached(settings, resume_detached(settings, job), as_json)
    else:
        run_and_tell(lambda progress: run_job(settings, Path(directory), progress), as_json)


def _settings() -> Settings:
    return load_settings(dict(os.environ))


def _tell_state(job: str, state: State, wanted: State, as_json: bool) -> None:
    job = job_dir(_settings(), job).name
    if as_json:
        print(json.dumps({"job": job, "state": state}))
    elif state is wanted:
        sys.stderr.write(f"job {job} is {state}; `stillroom jobs resume {job}` goes on\n")
    elif state in (State.RUNNING, State.QUEUED):
        sys.stderr.write(f"job {job} was asked to stop and still finishes what is in flight\n")
    else:
        sys.stderr.write(f"job {job} is {state}: nothing to stop\n")
