"""`stillroom collect`: teacher answers into a task folder, asked for or recorded elsewhere."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.commands.shared_options import cap_option
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.command_line import json_option
from appliance.ground.errors import Interrupted, NotAllGood, UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings, load_settings
from appliance.ground.stopping import Stop, stopped_by_signals
from appliance.ground.text import human_count, printable
from appliance.routing.policy import Caps
from appliance.tasks.folder import ANSWERS_FILE, TaskFolder
from appliance.tasks.taskfile import load_task
from training.collect import Documents, collect_recorded
from training.soft_labels import Soft, SoftOptions

if TYPE_CHECKING:
    from training.collect_live import LiveOutcome, LiveRequest
    from training.logs.rows import LogResult

SHOWN_PROBLEMS, SHOWN_WORKLOADS = 10, 20


@click.command("collect")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "documents", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="[DOCUMENTS]"
)
@click.option(
    "--teacher", default="", metavar="NAME",
    help="The frontier of config.toml that is asked; with --recorded the teacher's name, for records without one.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be sent, and what it may cost; nothing is sent.")
@click.option("--offline", is_flag=True, help="Send nothing: make rows of the replies that were paid for before.")
@click.option(
    "--batch", is_flag=True,
    help="Send all in one batch, at the provider's price for batches; the same call later takes what has come.",
)  # fmt: skip
@click.option(
    "--soft", type=click.Choice([each.value for each in Soft]), default=Soft.OFF.value, show_default=True,
    help="How sure the teacher is: by the probabilities of its tokens, by votes of several answers, or by what it"
    " offers (auto).",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(1, 16), default=1, show_default=True, metavar="N",
    help="Answers to each document that vote; each is paid for.",
)  # fmt: skip
@click.option(
    "--accept-unknown-licence", is_flag=True,
    help="Ask a teacher although nobody has written down what its terms allow of learning from its answers.",
)  # fmt: skip
@cap_option("documents", "Cap: documents that may be sent by this call.")
@cap_option("tokens", "Cap: tokens that this call may use.")
@cap_option("money", "Cap: money that this call may spend.")
@click.option(
    "--recorded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answers that were recorded elsewhere, as JSON Lines, or as CSV if the name ends in .csv.",
)
@click.option(
    "--documents",
    "documents_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --recorded: folder that the paths in `document` are relative to.",
)
@click.option(
    "--from-logs", "logs_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Traffic with a frontier: OpenAI chat logs as JSON Lines, or an export of Langfuse. With --dry-run it only"
    " says what in it is worth distilling.",
)  # fmt: skip
@click.option(
    "--workload", type=click.IntRange(min=1), metavar="N",
    help="With --from-logs: the workload of this number, in place of the one that fits the task best.",
)  # fmt: skip
@json_option("one JSON object")
def command(
    task_folder: Path,
    documents: Path | None,
    teacher: str,
    dry_run: bool,
    offline: bool,
    batch: bool,
    soft: str,
    samples: int,
    accept_unknown_licence: bool,
    cap_documents: int | None,
    cap_tokens: int | None,
    cap_money: float | None,
    recorded: Path | None,
    documents_dir: Path | None,
    logs_path: Path | None,
    workload: int | None,
    as_json: bool,
) -> None:
    """Ask a teacher about the documents of a folder, or import what it answered elsewhere.

    The answers go into TASK_FOLDER/teacher/answers.jsonl. Documents are read by the same confined readers as in
    `stillroom run`, and leave the machine as the policy allows it, masked. Every reply is kept before it is read: the
    same call again asks for what is missing and pays for nothing twice. Records and documents without an answer are
    named, and the exit code is 3.
    """
    if sum(source is not None for source in (documents, recorded, logs_path)) != 1:
        raise UsageError(
            "name either a folder of documents to ask about, or a file with answers",
            "`stillroom collect TASK DOCUMENTS --teacher NAME`, `--recorded FILE` or `--from-logs FILE`",
        )
    if recorded is not None:
        _import(task_folder, recorded, documents_dir, teacher, as_json)
    elif logs_path is not None:
        _import_log(task_folder, logs_path, workload, dry_run, as_json)
    elif not teacher:
        raise UsageError("no teacher is named", "add --teacher NAME, a [frontier.NAME] of config.toml")
    else:
        assert documents is not None
        settings, task = load_settings(os.environ), load_task(task_folder)
        from training.collect_live import LiveRequest

        request = LiveRequest(
            task, TaskFolder(task_folder), documents, teacher, Caps(cap_documents, cap_tokens, cap_money),
            accept_unknown_licence, SoftOptions(Soft(soft), samples), offline, ReaderLimits(policy=settings.sandbox),
        )  # fmt: skip
        if dry_run:
            _estimate(settings, request, as_json)
        elif batch:
            _batch(settings, request, as_json)
        else:
            _ask(settings, request, as_json)


def _estimate(settings: Settings, request: "LiveRequest", as_json: bool) -> None:
    from training.collect_estimate import estimate

    expected = estimate(settings, request)
    if as_json:
        print_json(asdict(expected))
    else:
        print_lines(*expected.lines())


def _ask(settings: Settings, request: "LiveRequest", as_json: bool) -> None:
    from training.collect_live import collect_live

    stop = Stop()
    with progress_line(in_logs=True) as line, stopped_by_signals(stop):
        outcome = collect_live(settings, request, line, stop)
    _tell(request, outcome, as_json)
    if stop.graceful:
        raise Interrupted("collecting was stopped", "the same call asks for what is missing")


def _batch(settings: Settings, request: "LiveRequest", as_json: bool) -> None:
    from training.collect_batch import collect_batch

    with progress_line(in_logs=True) as line:
        state, outcome = collect_batch(settings, request, line)
    note(*state.lines())
    if outcome is None:
        if as_json:
            print_json(state.record())
        raise NotAllGood("the batch is not finished", "the same call later takes what has come")
    _tell(request, outcome, as_json)


def _tell(request: "LiveRequest", outcome: "LiveOutcome", as_json: bool) -> None:
    if as_json:
        print_json(asdict(outcome), ascii_only=False)
    else:
        print_lines(*outcome.lines(), f"answers: {request.folder.answers_path}")
    if outcome.ended:
        raise NotAllGood(
            f"{human_count(outcome.left, 'document')} not sent: {outcome.ended}",
            "what came is kept; the same call goes on once there is room",
        )
    if outcome.failures:
        raise NotAllGood(
            f"{human_count(outcome.failures, 'document')} of {outcome.documents:,} without an answer",
            f"{request.folder.answers_path.with_name('failures.jsonl')} names them; the same call asks again",
        )
    if outcome.left:
        raise NotAllGood(f"{human_count(outcome.left, 'document')} not sent", "the same call without --offline asks")


def _import_log(task_folder: Path, path: Path, workload: int | None, dry_run: bool, as_json: bool) -> None:
    from training.logs.rows import import_log, read_log

    result = read_log(path)[1] if dry_run else import_log(load_task(task_folder), task_folder, path, workload)
    if as_json:
        print_json(asdict(result), ascii_only=False)
    else:
        print_lines(*_workload_lines(result))
        if not dry_run:
            imported = human_count(result.imported, "answer")
            counts = f"{imported} of workload {result.workload} imported, {result.known:,} already there"
            print_lines(f"{counts}, {len(result.bad):,} not usable: {task_folder / ANSWERS_FILE}")
    if result.passed_over and not as_json:
        note("passed over: " + ", ".join(f"{count:,} {reason}" for reason, count in result.passed_over.items()))
    note(*result.bad[:SHOWN_PROBLEMS])
    if result.bad:
        raise NotAllGood(f"{human_count(len(result.bad), 'record')} not usable", "the others are imported")


def _workload_lines(result: "LogResult") -> list[str]:
    """The ranked workloads as a table."""
    lines = ["    EXCHANGES   A MONTH  MONEY/MONTH  NARROW  KIND      PROMPT"]
    for number, each in enumerate(result.workloads[:SHOWN_WORKLOADS], 1):
        month = "-" if each["a_month"] is None else f"{each['a_month']:,.0f}"
        money = "-" if each["money_a_month"] is None else f"{each['money_a_month']:,.2f}"
        narrow = f"{100 * float(str(each['narrow'])):.0f} %"
        lines.append(
            f"{number:2}  {each['exchanges']:9,}  {month:>8}  {money:>11}  {narrow:>6}  {each['kind']:8}  "
            f"{printable(str(each['prompt']))}"
        )
    return lines


def _import(task_folder: Path, recorded: Path, documents_dir: Path | None, teacher: str, as_json: bool) -> None:
    documents = Documents()
    if documents_dir is not None:
        documents = Documents(documents_dir, ReaderLimits(policy=load_settings(os.environ).sandbox))
    done = collect_recorded(load_task(task_folder), task_folder, recorded, documents, teacher)
    if as_json:
        print_json(asdict(done), ascii_only=False)
    else:
        imported = human_count(done.imported, "answer")
        counts = f"{imported} imported, {done.known} already there, {len(done.bad)} not usable"
        print_lines(f"{counts}: {task_folder / ANSWERS_FILE}")
    if done.ignored and not as_json:
        note("passed over: " + ", ".join(f"{key} ({count:,})" for key, count in done.ignored.items()))
    note(*done.bad[:SHOWN_PROBLEMS])
    if done.bad:
        more = len(done.bad) - SHOWN_PROBLEMS
        tail = f", {more} of them not shown" if more > 0 else ""
        unusable = "1 recorded answer is" if len(done.bad) == 1 else f"{len(done.bad):,} recorded answers are"
        message = f"{unusable} not usable{tail}"
        raise NotAllGood(message, "correct these lines, then import again")
