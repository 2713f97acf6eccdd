"""`stillroom jobs`: what ran, how it went, and what to do with it."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import click

from appliance.jobs.batch import export_rows
from appliance.jobs.job import job_dir, read_config, remove_job
from appliance.jobs.ledger import DocumentEntry, JobSummary, LedgerReader, list_jobs, open_readonly
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.states import State
from appliance.settings import Settings, load_settings
from appliance.text import printable

_PAGE = 500


@click.group("jobs")
def command() -> None:
    """List, show, resume, export and remove jobs."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per job.")
def list_command(as_json: bool) -> None:
    """List all jobs, the latest first."""
    jobs = list_jobs(_settings())
    if as_json:
        for job in jobs:
            print(json.dumps(asdict(job)))
        return
    if not jobs:
        click.echo("no jobs yet: `stillroom run TASK DOCUMENTS --out DIR` makes one", err=True)
        return
    width = max(len(job.id) for job in jobs)
    print(f"{'JOB':{width}}  {'STATE':11}  {'DONE':>7}  {'FAILED':>6}  {'TOTAL':>7}  STARTED           NAME")
    for job in jobs:
        print(f"{job.id:{width}}  {_job_line(job)}")


@command.command("show")
@click.argument("job")
@click.option("--failed", is_flag=True, help="Also list the documents without an answer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_command(job: str, failed: bool, as_json: bool) -> None:
    """Show one job; JOB is an id or its start."""
    directory = job_dir(_settings(), job)
    config = read_config(directory)
    with open_readonly(directory) as reader:
        summary = reader.summary()
        failures = _failures(reader) if failed else []
    if as_json:
        print(json.dumps({**asdict(summary), "config": asdict(config), "failures": failures}))
        return
    facts = {
        "job": summary.id, "name": summary.name, "state": f"{summary.state} {summary.message}".strip(),
        "documents": f"{summary.total} ({summary.done} done, {summary.failed} failed,"
        f" {summary.quarantined} of them quarantined)",
        "speed": f"{summary.documents_per_second:.1f} documents/s in the latest run",
        "model": f"{config.model_name} {config.model[:16]}" + (" (no gate found it READY)" if config.unsafe else ""),
        "folder": config.documents_dir, "out": config.out_dir,
    }  # fmt: skip
    for name, value in facts.items():
        print(f"{name + ':':11} {printable(value)}")
    for failure in failures:
        print(f"{failure['error']}  {printable(failure['document'])}  {printable(failure['message'])}")


@command.command("resume")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def resume_command(job: str, as_json: bool) -> None:
    """Continue a job that was stopped, or do the documents that are new in its folder."""
    from appliance.commands.run import run_and_tell
    from appliance.models.manifest import verify_artifact

    settings = _settings()
    directory = job_dir(settings, job)
    verify_artifact(Path(read_config(directory).artifact_dir))
    run_and_tell(settings, directory, as_json)


@command.command("export")
@click.argument("job")
@click.option("--out", "out_dir", type=click.Path(path_type=Path), required=True, help="Folder for the rows.")
@click.option(
    "--format", "output_format", type=click.Choice([choice.value for choice in OutputFormat]), default="jsonl"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export_command(job: str, out_dir: Path, output_format: str, as_json: bool) -> None:
    """Write the rows that a job has so far."""
    directory = job_dir(_settings(), job)
    path = export_rows(directory, out_dir, OutputFormat(output_format))
    _done(as_json, {"job": directory.name, "output": str(path)}, f"rows: {printable(str(path))}")


@command.command("remove")
@click.argument("job")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def remove_command(job: str, yes: bool, as_json: bool) -> None:
    """Delete a job with its rows and all text that it kept; files in its output folder stay."""
    settings = _settings()
    identifier = job_dir(settings, job).name
    if not yes:
        click.confirm(f"delete job {identifier} with its rows and texts?", abort=True, err=True)
    remove_job(settings, identifier)
    _done(as_json, {"removed": identifier}, f"removed {identifier}")


def _settings() -> Settings:
    return load_settings(dict(os.environ))


def _done(as_json: bool, values: dict[str, str], text: str) -> None:
    if as_json:
        print(json.dumps(values))
    else:
        click.echo(text, err=True)


def _job_line(job: JobSummary) -> str:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else "-"
    return f"{job.state:11}  {job.done:7}  {job.failed:6}  {job.total:7}  {started:16}  {printable(job.name)}"


def _failures(reader: LedgerReader) -> list[dict[str, str]]:
    """Documents without an answer, in path order of each state."""
    failures: list[dict[str, str]] = []
    for state in (State.FAILED, State.QUARANTINED):
        offset = 0
        while page := reader.documents_page(state, offset, _PAGE):
            failures += [_failure(reader, entry) for entry in page]
            offset += len(page)
    return failures


def _failure(reader: LedgerReader, entry: DocumentEntry) -> dict[str, str]:
    row = reader.row(entry.id)
    return {"document": entry.name, "error": entry.error or "", "message": row.error_message if row else ""}
