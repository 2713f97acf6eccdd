"""`stillroom jobs correct` and `stillroom jobs corrections`: what people put right in a job's answers."""

import json
import os
import time

import click

from appliance.ground.errors import UsageError
from appliance.ground.settings import load_settings
from appliance.ground.text import human_count, printable
from appliance.jobs.job import job_dir
from appliance.jobs.review import correct_field, corrected_records, read_corrections, typed_value


@click.command("correct")
@click.argument("job")
@click.argument("document")
@click.argument("field")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@click.option("--null", is_flag=True, help="The document holds no such value.")
@click.option("--json", "as_json", is_flag=True, help="Print the correction as one JSON object.")
def correct_command(job: str, document: str, field: str, values: tuple[str, ...], null: bool, as_json: bool) -> None:
    """Say what FIELD of DOCUMENT is; several VALUEs are the entries of a list.

    The row stays what the model said. Correction, original and user are kept beside it, and
    `stillroom jobs corrections` exports them.
    """
    if null == bool(values):
        raise UsageError("give the right value, or --null", "`stillroom jobs correct JOB DOCUMENT FIELD VALUE`")
    directory = job_dir(load_settings(dict(os.environ)), job)
    value = None if null else values[0] if len(values) == 1 else list(values)
    kept = correct_field(directory, document, field, value)
    if as_json:
        print(json.dumps({**kept.__dict__}))
        return
    before, after = (repr(typed_value(said)) if said else "nothing" for said in (kept.original, kept.correction))
    click.echo(printable(f"{kept.document}: {kept.field} is {after}, the model said {before}; {kept.user}"), err=True)


@click.command("corrections")
@click.argument("job")
@click.option("--history", is_flag=True, help="Every single correction instead, also those that were corrected again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per document, or per correction.")
def corrections_command(job: str, history: bool, as_json: bool) -> None:
    """Show what people corrected in a job.

    With --json each corrected document is one record with its text and the corrected answer, which
    `stillroom collect --recorded` imports.
    """
    directory = job_dir(load_settings(dict(os.environ)), job)
    found = read_corrections(directory)
    if as_json:
        for record in [kept.__dict__ for kept in found] if history else corrected_records(directory):
            print(json.dumps(record, ensure_ascii=False))
        return
    shown = found if history else list({(kept.document, kept.field): kept for kept in found}.values())
    for kept in shown:
        stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.time))
        original, correction = typed_value(kept.original) or "-", typed_value(kept.correction) or "-"
        print(printable(f"{stamp}  {kept.user}  {kept.document}  {kept.field}: {original} -> {correction}"))
    click.echo(human_count(len(shown), "correction"), err=True)
