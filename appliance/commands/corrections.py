"""`stillroom jobs correct` and `stillroom jobs corrections`: what people put right in a job's answers."""

import time
from dataclasses import asdict

import click

from appliance.ground.command_line import json_option, with_settings
from appliance.ground.errors import UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job import job_dir
from appliance.jobs.review import correct_field, corrected_records, read_corrections
from appliance.tasks.typed_values import typed_value


@click.command("correct")
@click.argument("job")
@click.argument("document")
@click.argument("field")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@click.option("--null", is_flag=True, help="The document does not contain this value.")
@json_option("the correction as one JSON object")
@with_settings
def correct_command(
    settings: Settings, job: str, document: str, field: str, values: tuple[str, ...], null: bool, as_json: bool
) -> None:
    """Correct one field of a document.

    Several VALUEs are the entries of a list, or the records of a table with `|` between their cells. The row stays as
    the model answered; the correction is kept beside it
    with the original and the user's name, and `stillroom jobs export --corrected` writes rows with it.
    """
    if null == bool(values):
        problem = "both a value and `--null` are given" if null else "no value is given"
        raise UsageError(problem, "give the right value, or `--null` alone if the document does not contain it")
    if not null and not any(value.strip() for value in values):
        hint = "give the right value, or `--null` if the document does not contain it"
        raise UsageError("the value is empty; is a variable not set?", hint)
    directory = job_dir(settings, job)
    value = None if null else values[0] if len(values) == 1 else list(values)
    correction = correct_field(directory, document, field, value)
    if as_json:
        print_json(asdict(correction))
        return
    original, corrected = (
        repr(typed_value(value)) if value else "nothing" for value in (correction.original, correction.correction)
    )
    note(
        f"{correction.document}: {correction.user} corrected {correction.field} to {corrected};"
        f" the model answered {original}"
    )


@click.command("corrections")
@click.argument("job")
@click.option("--history", is_flag=True, help="Show every correction, also those that were corrected again.")
@json_option("one JSON object per document, or per correction")
@with_settings
def corrections_command(settings: Settings, job: str, history: bool, as_json: bool) -> None:
    """Show what people corrected in a job.

    With --json, each corrected document is one record with its text and the corrected answer, which
    `stillroom collect --recorded` imports.
    """
    directory = job_dir(settings, job)
    corrections = read_corrections(directory)
    if as_json:
        for record in [asdict(one) for one in corrections] if history else corrected_records(directory):
            print_json(record, ascii_only=False)
        return
    if not history:
        corrections = list({(one.document, one.field): one for one in corrections}.values())
    for one in corrections:
        stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.time))
        original, corrected = typed_value(one.original) or "-", typed_value(one.correction) or "-"
        print_lines(f"{stamp}  {one.user}  {one.document}  {one.field}: {original} -> {corrected}")
    note(human_count(len(corrections), "correction"))
    if corrections:
        note(f"rows with them: stillroom jobs export {directory.name} --corrected --out DIR")
