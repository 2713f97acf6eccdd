"""`stillroom review`: a person looks at a teacher's answers before a student learns from them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import json_option
from appliance.ground.errors import UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.text import human_count, printable_name
from appliance.review.decisions import Action, Decision, decide, read_decisions, review_figures
from appliance.review.queue import QueueEntry, read_queue
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_labels, text_hash
from appliance.tasks.linecode import Value
from appliance.tasks.taskfile import load_task
from appliance.tasks.typed_values import parse_value, typed_value

if TYPE_CHECKING:
    from appliance.tasks.task import Task

_SHOWN = 20
_folder_argument = click.argument(
    "task_folder", metavar="TASK", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_document_argument = click.argument("document")


@click.group("review", cls=CommandGroup)
def command() -> None:
    """Look at the teacher's answers that are likely wrong, and at some drawn at random.

    `stillroom curate TASK` ranks them. What a person says is kept in TASK/teacher/reviews.jsonl, and the next
    `stillroom curate` takes it in place of the teacher's answer. `stillroom tui --task TASK` is the same on a screen.
    """


@command.command("list")
@_folder_argument
@click.option("--limit", type=click.IntRange(min=1), default=_SHOWN, metavar="N", show_default=True, help="At most N.")
@click.option("--all", "with_decided", is_flag=True, help="Also those that somebody has decided.")
@json_option("one JSON object per answer")
def list_command(task_folder: Path, limit: int, with_decided: bool, as_json: bool) -> None:
    """List the answers to look at, the next one first."""
    folder, decisions = TaskFolder(task_folder), read_decisions(TaskFolder(task_folder).reviews_path)
    entries = [each for each in read_queue(folder.queue_path) if with_decided or each.key not in decisions]
    for entry in entries[:limit]:
        decision = decisions.get(entry.key)
        if as_json:
            print_json(
                {"document": entry.row.document, "score": entry.score, "doubts": entry.doubts,
                 "answer": entry.row.answer, "decision": decision.action.value if decision else None},
                ascii_only=False,
            )  # fmt: skip
            continue
        reasons = "; ".join(entry.doubts.values()) or "no doubt"
        print_lines(f"{printable_name(entry.row.document)}  {decision.action.value if decision else reasons}")
    if not as_json:
        note(human_count(len(entries), "answer") + (f", the first {limit}" if len(entries) > limit else ""))


@command.command("show")
@_folder_argument
@click.argument("document", required=False)
@json_option("one JSON object")
def show_command(task_folder: Path, document: str | None, as_json: bool) -> None:
    """Show the answer to DOCUMENT with its text; without a name the next one."""
    entry = _entry(TaskFolder(task_folder), document)
    if as_json:
        print_json({"document": entry.row.document, "text": entry.row.text, "answer": entry.row.answer,
                    "teacher_answer": entry.row.teacher_answer, "doubts": entry.doubts}, ascii_only=False)  # fmt: skip
        return
    task = load_task(task_folder)
    print_lines(printable_name(entry.row.document), "", *entry.row.text.splitlines(), "")
    for each in task.output_fields:
        doubt = f"  <- {entry.doubts[each.name]}" if each.name in entry.doubts else ""
        print_lines(f"{each.name}: {typed_value(entry.row.answer.get(each.name)) or '-'}{doubt}")


@command.command("accept")
@_folder_argument
@_document_argument
def accept_command(task_folder: Path, document: str) -> None:
    """The answer to DOCUMENT is right as it is."""
    _decide(task_folder, document, Action.ACCEPT)


@command.command("correct")
@_folder_argument
@_document_argument
@click.argument("values", metavar="FIELD=VALUE...", nargs=-1, required=True)
def correct_command(task_folder: Path, document: str, values: tuple[str, ...]) -> None:
    """Say what is right in DOCUMENT: FIELD=VALUE, or FIELD= where the document has no such value.

    Entries of a list, and records, are parted by `;`, the cells of a record by `|`.
    """
    task, changed = load_task(task_folder), dict[str, Value]()
    for text in values:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"{text!r} is no FIELD=VALUE", "write the field, an equals sign and the right value")
        changed[name.strip()] = _parsed(task, name.strip(), value)
    _decide(task_folder, document, Action.CORRECT, changed)


def _parsed(task: "Task", name: str, value: str) -> Value:
    from appliance.tasks.person_values import output_field

    try:
        return parse_value(output_field(task, name), value)
    except ValueError as error:
        raise UsageError(f"{name} {error}", "type the cells of a record between |") from error


@command.command("reject")
@_folder_argument
@_document_argument
def reject_command(task_folder: Path, document: str) -> None:
    """Let nothing be learnt from DOCUMENT."""
    _decide(task_folder, document, Action.REJECT)


@command.command("skip")
@_folder_argument
@_document_argument
def skip_command(task_folder: Path, document: str) -> None:
    """Leave DOCUMENT as it is: you cannot tell."""
    _decide(task_folder, document, Action.SKIP)


@command.command("import")
@_folder_argument
@click.argument("labels_path", metavar="LABELS", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only for the first N answers of the queue.")
def import_command(task_folder: Path, labels_path: Path, limit: int | None) -> None:
    """Take answers that people gave elsewhere, as JSON Lines with `text` and `answer`, for those in the queue."""
    task, folder = load_task(task_folder), TaskFolder(task_folder)
    right = {text_hash(row.text): row.answer for row in read_labels(labels_path)}
    decisions = read_decisions(folder.reviews_path)
    entries = [each for each in read_queue(folder.queue_path) if each.key not in decisions][:limit]
    known = [each for each in entries if each.key in right]
    for entry in known:
        changed = {
            each.name: right[entry.key].get(each.name)
            for each in task.output_fields
            if right[entry.key].get(each.name) != entry.row.answer.get(each.name)
        }
        action = Action.CORRECT if changed else Action.ACCEPT
        decide(folder.reviews_path, task, entry, action, changed)
    note(f"{human_count(len(known), 'answer')} decided, {len(entries) - len(known):,} not in {labels_path.name}")


@command.command("status")
@_folder_argument
@json_option("one JSON object")
def status_command(task_folder: Path, as_json: bool) -> None:
    """Say how far the review is, and what it shows of the teacher."""
    folder = TaskFolder(task_folder)
    figures = review_figures(
        load_task(task_folder), read_queue(folder.queue_path), read_decisions(folder.reviews_path)
    )  # fmt: skip
    if as_json:
        print_json({**asdict(figures), "lift": figures.lift})
    else:
        print_lines(*figures.lines())


def _decide(task_folder: Path, document: str, action: Action, changed: dict[str, Value] | None = None) -> Decision:
    folder = TaskFolder(task_folder)
    decision = decide(folder.reviews_path, load_task(task_folder), _entry(folder, document), action, changed or {})
    note(f"{printable_name(decision.document)}: {decision.action.value} by {decision.user}")
    return decision


def _entry(folder: TaskFolder, document: str | None) -> QueueEntry:
    """The entry of a document; without a name the next one that nobody has decided."""
    entries = read_queue(folder.queue_path)
    if document is None:
        decisions = read_decisions(folder.reviews_path)
        if following := next((each for each in entries if each.key not in decisions), None):
            return following
        raise UsageError("every answer of the queue is decided", "run `stillroom curate` again")
    for entry in entries:
        if document in (entry.row.document, printable_name(entry.row.document)):
            return entry
    raise UsageError(f"the queue has no document {document}", "`stillroom review list TASK --all` shows all")
