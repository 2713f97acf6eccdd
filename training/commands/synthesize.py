"""`stillroom synthesize`: new documents with known values, written by a teacher."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from appliance.commands.shared_options import cap_option
from appliance.ground.command_line import json_option
from appliance.ground.errors import Interrupted, NotAllGood
from appliance.ground.output import print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import load_settings
from appliance.ground.stopping import Stop, stopped_by_signals
from appliance.routing.policy import Caps
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task


@click.command("synthesize")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(min=1), required=True, metavar="N", help="Documents that there are to be.")
@click.option("--teacher", required=True, metavar="NAME", help="The frontier of config.toml that writes them.")
@click.option(
    "--language", "languages", multiple=True, metavar="NAME",
    help="A further language that documents may be in, such as German; repeat it for each.",
)  # fmt: skip
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Whether the teacher reads each document again and must find the planned values; this costs as much again.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Of what is drawn.")
@click.option(
    "--accept-unknown-licence", is_flag=True,
    help="Let a teacher write although nobody has written down what its terms allow of learning from it.",
)  # fmt: skip
@cap_option("documents", "Cap: requests that may be sent by this call.")
@cap_option("tokens", "Cap: tokens that this call may use.")
@cap_option("money", "Cap: money that this call may spend.")
@json_option("one JSON object")
def command(
    task_folder: Path,
    count: int,
    teacher: str,
    languages: tuple[str, ...],
    verify: bool,
    seed: int,
    accept_unknown_licence: bool,
    cap_documents: int | None,
    cap_tokens: int | None,
    cap_money: float | None,
    as_json: bool,
) -> None:
    """Let a teacher write new documents like those of TASK_FOLDER that have answers.

    Values are drawn first, so that what a document says is known; then the teacher writes a document that says them, in
    changing layouts, lengths and languages, with noise, missing and distracting values. A document that lacks a value,
    can be read otherwise, or copies another one is not kept. The rows are marked: nothing is ever judged by them, and
    `stillroom curate` lets at most 70 % of the training rows be such.
    """
    from training.synthesis.synthesise import SynthesisRequest, synthesise

    settings = load_settings(os.environ)
    request = SynthesisRequest(
        load_task(task_folder), TaskFolder(task_folder), teacher, count, languages, verify, seed,
        Caps(cap_documents, cap_tokens, cap_money), accept_unknown_licence,
    )  # fmt: skip
    stop = Stop()
    with progress_line(in_logs=True) as line, stopped_by_signals(stop):
        outcome = synthesise(settings, request, line, stop)
    if as_json:
        print_json(asdict(outcome), ascii_only=False)
    else:
        print_lines(*outcome.lines(), f"answers: {request.folder.answers_path}")
    if stop.graceful:
        raise Interrupted("writing was stopped", "the same call goes on")
    if outcome.before + outcome.kept < count:
        reason = outcome.ended or "too many of them were rejected or failed"
        raise NotAllGood(f"{outcome.before + outcome.kept:,} of {count:,} documents: {reason}", "the same call goes on")
