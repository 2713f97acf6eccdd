"""`stillroom jobs`: what ran, how it went, and what to do with it."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from appliance.commands.corrections import correct_command, corrections_command
from appliance.commands.job_control import (
    cancel_command,
    pause_command,
    remove_command,
    resume_command,
    retry_command,
)
from appliance.commands.join import join_command
from appliance.documents.left_out import left_out_text
from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option, with_settings
from appliance.ground.errors import UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job import JobConfig, job_dir, read_config
from appliance.jobs.job_plan import refuse_among_documents
from appliance.jobs.job_run import export_rows
from appliance.jobs.ledger import DocumentEntry, JobSummary, LedgerReader, list_jobs, open_readonly
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.reader_pool import STILL_WRITTEN
from appliance.jobs.states import State

_PAGE = 500


@click.group("jobs", cls=CommandGroup)
def command() -> None:
    """List, show, pause, resume, retry, cancel, export, join and remove jobs."""


@command.command("list")
@json_option("one JSON object per job")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all jobs, newest first."""
    jobs = list_jobs(settings)
    if as_json:
        for job in jobs:
            print_json(asdict(job))
        return
    if not jobs:
        note("no jobs yet: `stillroom run TASK DOCUMENTS --out DIR` makes one")
        return
    width = max(len(job.id) for job in jobs)
    print_lines(f"{'JOB':{width}}  {'STATE':11}  {'DONE':>7}  {'FAILED':>6}  {'TOTAL':>7}  STARTED           NAME")
    print_lines(*(f"{job.id:{width}}  {_job_line(job)}" for job in jobs))


@command.command("show")
@click.argument("job")
@click.option("--failed", is_flag=True, help="Also list the documents that have no answer.")
@click.option(
    "--document", metavar="NAME", help="Show the row of this document instead, with the rows that it superseded."
)
@json_option("one JSON object")
@with_settings
def show_command(settings: Settings, job: str, failed: bool, document: str | None, as_json: bool) -> None:
    """Show one job.

    JOB is an id, or the beginning of one.
    """
    directory = job_dir(settings, job)
    config = read_config(directory)
    with open_readonly(directory) as reader:
        if document is not None:
            _show_document(reader, document, as_json)
            return
        summary, for_review = reader.summary(), reader.for_review()
        failures = _failures(reader) if failed else []
    if as_json:
        values = {**asdict(summary), "for_review": for_review}
        print_json({**values, "config": asdict(config), "failures": failures})
        return
    for name, value in _facts(summary, config, for_review).items():
        print_lines(f"{name + ':':11} {value}")
    for failure in failures:
        reason = f"{failure['message']} ({failure['error']})" if failure["message"] else failure["error"]
        print_lines(f"{failure['document']}: {reason}")


def _facts(summary: JobSummary, config: JobConfig, for_review: int) -> dict[str, str]:
    waiting = f", {summary.waiting} still being written" if summary.waiting else ""
    waiting += f", {summary.missing} missing" if summary.missing else ""
    review = f", {for_review} of them {'needs' if for_review == 1 else 'need'} a person" if for_review else ""
    facts = {
        "job": summary.id, "name": summary.name, "state": ": ".join(filter(None, (summary.state, summary.message))),
        "documents": f"{summary.total} ({summary.done} finished{review}, {summary.failed} failed,"
        f" {summary.quarantined} of them quarantined{waiting})",
        "speed": f"{summary.documents_per_second:.1f} documents/s in the latest run",
        "model": f"{config.model_name} {config.model[:16]}" + (" (not approved)" if config.unsafe else ""),
        "folder": config.documents_dir, "out": config.out_dir or "the rows stay in the job",
    }  # fmt: skip
    if left_out := left_out_text(summary.left_out):
        facts["left out"] = left_out
    if (fallback := config.fallback) is not None:
        caps = [
            *([human_count(fallback.cap_documents, "document")] if fallback.cap_documents else []),
            *([human_count(fallback.cap_tokens, "token")] if fallback.cap_tokens else []),
            *([f"a cost of {fallback.cap_money:g}"] if fallback.cap_money else []),
        ]
        facts["fallback"] = f"frontier {fallback.name}, for fields with a confidence below {fallback.threshold:g}"
        facts["fallback"] += f"; in one run at most {', '.join(caps)}" if caps else ""
    return facts


def _show_document(reader: LedgerReader, name: str, as_json: bool) -> None:
    """The state, the row and the superseded rows of one document."""
    entry = reader.document(name)
    if entry is None:
        raise UsageError(f"the job has no document {name}", "name it as `jobs show --failed` and the rows do")
    row, superseded = reader.row(entry.id), reader.superseded_rows(entry.id)
    if as_json:
        values = {"document": entry.name, "state": entry.state, "row": asdict(row) if row else None}
        print_json({**values, "superseded": [asdict(one) for one in superseded]})
        return
    print_lines(f"{entry.name}: {entry.state}")
    for kind, one in [("row", row), *(("superseded", one) for one in superseded)]:
        if one is not None:
            print_lines(f"{kind}: {one.to_json()}")


@command.command("export")
@click.argument("job")
@click.option("--out", "out_dir", type=NamedPath(path_type=Path), required=True, help="Folder for the rows.")
@click.option(
    "--format", "output_format", type=click.Choice([choice.value for choice in OutputFormat]), default="jsonl",
    show_default=True, help="How rows are written.",
)  # fmt: skip
@json_option("one JSON object")
@with_settings
def export_command(settings: Settings, job: str, out_dir: Path, output_format: str, as_json: bool) -> None:
    """Write the rows that a job has so far."""
    directory = job_dir(settings, job)
    refuse_among_documents("output", out_dir, read_config(directory).documents_dir)
    path = export_rows(directory, out_dir, OutputFormat(output_format))
    if as_json:
        print_json({"job": directory.name, "output": str(path)})
    else:
        note(f"rows: {path}")


for _subcommand in (pause_command, resume_command, retry_command, cancel_command, remove_command):
    command.add_command(_subcommand)
command.add_command(join_command)
command.add_command(correct_command)
command.add_command(corrections_command)


def _job_line(job: JobSummary) -> str:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else "-"
    return f"{job.state:11}  {job.done:7}  {job.failed:6}  {job.total:7}  {started:16}  {job.name}"


def _failures(reader: LedgerReader) -> list[dict[str, str]]:
    """Documents without an answer, in path order of each state."""
    failures: list[dict[str, str]] = []
    for state in (State.FAILED, State.QUARANTINED, State.MISSING, State.PAUSED):
        offset = 0
        while page := reader.documents_page(state, offset, _PAGE):
            # A missing document whose row has an answer is none without one.
            failures += [_failure(reader, entry) for entry in page if state is not State.MISSING or entry.error]
            offset += len(page)
    return failures


def _failure(reader: LedgerReader, entry: DocumentEntry) -> dict[str, str]:
    if entry.state is State.PAUSED:
        return {"document": entry.name, "error": "still_written", "message": STILL_WRITTEN}
    row = reader.row(entry.id)
    return {"document": entry.name, "error": entry.error or "", "message": row.error_message if row else ""}
