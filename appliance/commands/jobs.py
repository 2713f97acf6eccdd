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
from appliance.ground.text import human_count, printable_name
from appliance.jobs.job import JobConfig, job_dir, read_config
from appliance.jobs.job_plan import refuse_output
from appliance.jobs.job_run import export_rows
from appliance.jobs.ledger import DocumentEntry, JobSummary, LedgerReader, list_jobs, open_readonly
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.reader_pool import STILL_WRITTEN
from appliance.jobs.review import corrected_count
from appliance.jobs.states import State

_PAGE = 500


@click.group("jobs", cls=CommandGroup)
def command() -> None:
    """List, show, pause, resume, retry, cancel, export, join and remove jobs."""


@command.command("list")
@json_option("one JSON object per job")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all jobs, newest first.

    REVIEW counts the documents, of those that are done, whose answer needs a person.
    """
    jobs = list_jobs(settings)
    if as_json:
        for job in jobs:
            print_json(asdict(job))
        return
    if not jobs:
        note("no jobs yet: `stillroom run TASK DOCUMENTS --out DIR` makes one")
        return
    width = max(len(job.id) for job in jobs)
    heads = f"{'STATE':11}  {'DONE':>7}  {'REVIEW':>6}  {'FAILED':>6}  {'TOTAL':>7}  {'MISSING':>7}"
    print_lines(f"{'JOB':{width}}  {heads}  STARTED           NAME")
    print_lines(*(f"{job.id:{width}}  {_job_line(job)}" for job in jobs))


@command.command("show")
@click.argument("job")
@click.option("--failed", is_flag=True, help="Also list the documents that have no answer.")
@click.option("--review", is_flag=True, help="Also list the documents whose answer needs a person.")
@click.option(
    "--document", metavar="NAME", help="Show the row of this document instead, with the rows that it superseded."
)
@json_option("one JSON object")
@with_settings
def show_command(settings: Settings, job: str, failed: bool, review: bool, document: str | None, as_json: bool) -> None:
    """Show one job.

    JOB is an id, or the beginning of one.
    """
    directory = job_dir(settings, job)
    config = read_config(directory)
    with open_readonly(directory) as reader:
        if document is not None:
            _show_document(reader, document, as_json)
            return
        summary = reader.summary()
        corrected = corrected_count(directory)
        failures = _failures(reader) if failed else []
        reviews = _reviews(reader) if review else []
    if as_json:
        values = {**asdict(summary), "corrected": corrected, "config": asdict(config), "failures": failures}
        print_json({**values, **({"reviews": reviews} if review else {})})
        return
    for name, value in _facts(summary, config, corrected).items():
        print_lines(f"{name + ':':11} {value}")
    for failure in [*failures, *reviews]:
        reason = f"{failure['message']} ({failure['error']})" if failure["message"] else failure["error"]
        print_lines(f"{printable_name(failure['document'])}: {reason}")


def _facts(summary: JobSummary, config: JobConfig, corrected: int) -> dict[str, str]:
    waiting = f", {summary.waiting} still being written" if summary.waiting else ""
    waiting += f", {summary.missing} missing" if summary.missing else ""
    need = "needs" if summary.for_review == 1 else "need"
    review = f", {summary.for_review} of them {need} a person" if summary.for_review else ""
    facts = {
        "job": summary.id, "name": summary.name, "state": ": ".join(filter(None, (summary.state, summary.message))),
        "documents": f"{summary.total} ({summary.done} finished{review}, {summary.failed} failed,"
        f" {summary.quarantined} of them quarantined{waiting})",
        **({"corrected": f"by people: {human_count(corrected, 'document')}"} if corrected else {}),
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
        values = {"document": entry.name, "state": entry.state, "row": row.record() if row else None}
        print_json({**values, "superseded": [one.record() for one in superseded]})
        return
    print_lines(f"{printable_name(entry.name)}: {entry.state}")
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
@click.option(
    "--corrected", is_flag=True,
    help="With what people corrected: their value in place of the model's, and the model's beside it.",
)  # fmt: skip
@click.option(
    "--records", "by_record", metavar="FIELD", default="",
    help="With `--format csv`: a row for each record of this field, with the document's other values.",
)  # fmt: skip
@json_option("one JSON object")
@with_settings
def export_command(
    settings: Settings, job: str, out_dir: Path, output_format: str, corrected: bool, by_record: str, as_json: bool
) -> None:
    """Write the rows that a job has so far.

    They are as the model answered; with --corrected each row also says what people changed in it, who and when.
    """
    directory = job_dir(settings, job)
    config = read_config(directory)
    refuse_output(settings, out_dir, config)
    path = export_rows(directory, out_dir, OutputFormat(output_format), corrected=corrected, by_record=by_record)
    documents = corrected_count(directory)
    if as_json:
        print_json({"job": directory.name, "output": str(path), "corrected": documents if corrected else 0})
        return
    note(f"rows: {path}")
    if corrected:
        note(f"{human_count(documents, 'document')} with corrections")
        if config.out_dir and out_dir.resolve() == Path(config.out_dir).resolve():
            note("the next run of this job writes these rows anew, without the corrections")
    elif documents:
        note(f"people corrected {human_count(documents, 'document')}; add `--corrected` for rows with the corrections")


for _subcommand in (pause_command, resume_command, retry_command, cancel_command, remove_command):
    command.add_command(_subcommand)
command.add_command(join_command)
command.add_command(correct_command)
command.add_command(corrections_command)


def _job_line(job: JobSummary) -> str:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else "-"
    counts = f"{job.done:7}  {job.for_review:6}  {job.failed:6}  {job.total:7}  {job.missing:7}"
    waits = f": {job.message}" if job.state is State.QUEUED and job.message else ""
    return f"{job.state:11}  {counts}  {started:16}  {job.name}{waits}"


def _failures(reader: LedgerReader) -> list[dict[str, str]]:
    """Documents without an answer, in path order of each state."""
    failures: list[dict[str, str]] = []
    for state in (State.FAILED, State.QUARANTINED, State.MISSING, State.PAUSED):
        offset = 0
        while page := reader.documents_page(state, offset, _PAGE):
            failures += [_failure(reader, entry) for entry in page if not _left_with_answer(reader, entry)]
            offset += len(page)
    return failures


def _reviews(reader: LedgerReader) -> list[dict[str, str]]:
    """Documents whose answer needs a person, in path order."""
    reviews: list[dict[str, str]] = []
    while page := reader.review_page(len(reviews), _PAGE):
        reviews += [_failure(reader, entry) for entry in page]
    return reviews


def _left_with_answer(reader: LedgerReader, entry: DocumentEntry) -> bool:
    """Whether the document left the folder and has an answer, which is none of the failures."""
    row = reader.row(entry.id) if entry.state is State.MISSING else None
    return row is not None and row.fields is not None


def _failure(reader: LedgerReader, entry: DocumentEntry) -> dict[str, str]:
    if entry.state is State.PAUSED:
        return {"document": entry.name, "error": "still_written", "message": STILL_WRITTEN}
    row = reader.row(entry.id)
    return {"document": entry.name, "error": entry.error or "", "message": row.error_message if row else ""}
