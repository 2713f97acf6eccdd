"""`stillroom egress`: what may leave this machine, what would leave, and what left."""

import os
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option, with_settings
from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.output import note, print_bytes, print_json, print_lines
from appliance.ground.settings import Settings
from appliance.ground.text import human_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appliance.routing.egress_log import Record
    from appliance.routing.egress_state import EgressState


@click.group("egress", cls=CommandGroup)
def command() -> None:
    """Show what may leave this machine, and what left it."""


@command.command("status")
@json_option("one JSON object")
@with_settings
def status_command(settings: Settings, as_json: bool) -> None:
    """Show whether anything may leave, and what left today."""
    from appliance.routing.egress_state import egress_state

    state = egress_state(settings, os.environ)
    if as_json:
        print_json(state.record())
    else:
        print_lines(*_state_lines(state))


def _checked_day(_: click.Context, __: click.Parameter, day: str) -> str:
    """The day as the record writes it: a slip must not read as a day on which nothing left.

    Raises:
        UsageError: It is no date.
    """
    if day:
        try:
            written = date.fromisoformat(day).isoformat() == day
        except ValueError:
            written = False
        if not written:
            raise UsageError(f"--day {day} is not a date", "write year, month and day, such as 2026-11-25")
    return day


@command.command("show")
@click.option("--run", default="", metavar="ID", help="Only requests of this run, such as a job's id.")
@click.option(
    "--document", default="", metavar="NAME",
    help="Only requests for this document: its path in its folder, its file name, or its number in the list.",
)  # fmt: skip
@click.option(
    "--day",
    default="",
    metavar="DATE",
    callback=_checked_day,
    help="Only requests of this day (UTC), such as 2026-11-25.",
)
@click.option("--limit", type=click.IntRange(min=0), default=0, metavar="N", help="Only the first N; 0 means all.")
@click.option(
    "--body",
    type=click.IntRange(min=1),
    metavar="N",
    help="Print the bytes of this request, by its number in the list.",
)
@json_option("one JSON object per request")
@with_settings
def show_command(
    settings: Settings, run: str, document: str, day: str, limit: int, body: int | None, as_json: bool
) -> None:
    """List every request that left.

    Requests are listed in the order in which they ended. A document is found by its name also after its job was
    removed: the record holds a hash of the name under a key of this installation.
    """
    from appliance.routing.document_names import searched_hashes
    from appliance.routing.egress_log import egress_dir
    from appliance.routing.egress_reading import Filter, read_body, requests

    directory = egress_dir(settings)
    if body is not None:
        print_bytes(read_body(directory, body))
        return
    record_filter = Filter(run, document, searched_hashes(directory, document), day)
    matches = islice(requests(directory, record_filter), limit or None)
    count = 0
    for count, (sent, ended) in enumerate(matches, 1):
        if as_json:
            print_json({**sent, "ended": ended})
        else:
            print_lines(*([_HEADER] if count == 1 else []), _request_line(sent, ended))
    if not count and not as_json:
        note("no such request" if run or document or day else "nothing has left this machine")
        if "/" in document:
            note(
                f"hint: a path begins in the job's folder; `--document {document.rpartition('/')[2]}` is of any folder"
            )


@command.command("verify")
@click.option(
    "--head", default="", metavar="HASH", help="Hash that an earlier `verify` printed; that entry must still be there."
)
@json_option("one JSON object")
@with_settings
def verify_command(settings: Settings, head: str, as_json: bool) -> None:
    """Check that the record of what left is intact.

    No entry may have been changed, removed or inserted. Prints the hash of the last entry: keep it elsewhere and give
    it with `--head` the next time, so that entries cut off the end are noticed, too.
    """
    from appliance.routing.egress_log import egress_dir
    from appliance.routing.egress_reading import verify

    record = verify(egress_dir(settings), head)
    if as_json:
        print_json({**asdict(record), "good": record.good})
    else:
        lines = [
            f"{human_count(record.records, 'record')}, {human_count(record.requests, 'request')}, head {record.head}"
        ]
        if record.torn_bytes:
            lines.append(
                f"{human_count(record.torn_bytes, 'byte')} of an unfinished record at the end: its request never left"
            )
        if record.unfinished:
            lines.append(
                f"{human_count(len(record.unfinished), 'request')} without a recorded end: killed, or under way"
            )
        if record.bodies_unnamed:
            count = human_count(record.bodies_unnamed, "kept body", "kept bodies")
            lines.append(
                f"{count} without a record: a run was killed just before sending, or records were cut off the end"
            )
        print_lines(*lines)
    if record.broken:
        raise NotAllGood(
            f"the record of what left is broken: {record.broken}", "keep the files, and find out who changed them"
        )
    for numbers, what in ((record.bodies_changed, "were changed"), (record.bodies_missing, "are missing")):
        if numbers:
            raise NotAllGood(
                f"the kept bytes of {human_count(len(numbers), 'request')} {what}, first of record {numbers[0]}"
            )


@command.command("preview")
@click.argument("task", type=NamedPath(path_type=Path))
@click.argument("documents", type=NamedPath(path_type=Path))
@click.option("--frontier", required=True, metavar="NAME", help="Name of a frontier in config.toml.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=0, metavar="N", help="Only the first N documents; 0 means all."
)
@with_settings
def preview_command(settings: Settings, task: Path, documents: Path, frontier: str, limit: int) -> None:
    """Print what would leave, and send nothing.

    TASK is a task file or folder, DOCUMENTS a file or folder. Prints exactly the bytes of each request, one line of
    JSON each. The policy must allow them; documents that would be withheld are named on stderr.
    """
    from appliance.commands.egress_preview import print_requests, read_each
    from appliance.tasks.taskfile import load_task

    folder, paths = _named(documents)
    print_requests(settings, load_task(task), frontier, read_each(settings, folder, islice(paths, limit or None)))


def _named(documents: Path) -> "tuple[Path, Iterable[bytes]]":
    """A folder and the files of it that are meant: the one file, or all."""
    from appliance.documents.folder import walk

    if documents.is_dir():
        folder = documents.absolute()
        return folder, (document.path for document in walk(folder))
    if documents.is_file():
        return documents.parent.absolute(), [os.fsencode(documents.name)]
    raise UsageError(f"no document at {documents}", "name a file or a folder")


_HEADER = (
    "RECORD  TIME (UTC)           OUTCOME             BYTES   TOKENS            MONEY  TASK, DOCUMENT, DESTINATION"
)


def _request_line(sent: "Record", ended: "Record | None") -> str:
    end = ended or {}
    tokens, money = end.get("tokens"), end.get("money")
    shown_money = "-" if money is None else f"{float(str(money)):.6f} {sent['currency']}"
    return (
        f"{sent['sequence']!s:>6}  {str(sent['time'])[:19]}  {end.get('outcome', 'not recorded')!s:16}"
        f"  {sent['bytes']!s:>7}  {'-' if tokens is None else tokens!s:>7}  {shown_money:>15}"
        f"  {sent['task']}  {sent['document']}  {sent['model']} at {sent['destination']}"
        + (f" through {sent['proxy']}" if sent.get("proxy") else "")
    )


def _money(currencies: "Mapping[str, float]") -> str:
    """Each currency for itself: `0.0126 USD, 3.0000 EUR`."""
    return ", ".join(f"{money:.4f} {currency}".strip() for currency, money in currencies.items()) or "0.0000"


def _state_lines(state: "EgressState") -> list[str]:
    from appliance.routing.egress_state import caps_line

    lines = ["egress: on, for commands that ask for it"] if state.on else ["egress: off", f"reason: {state.reason}"]
    if not state.on and state.hint:
        lines.append(f"hint: {state.hint}")
    if policy := state.policy:
        masking = policy.masking
        masked = [*masking.detectors, *([f"numbers of {masking.digits} digits and more"] if masking.digits else [])]
        lines += [
            f"policy: {policy.path}",
            f"data classes: {', '.join(policy.data_classes) or 'none'}",
            f"hosts: {', '.join(policy.hosts) or 'none'}",
            f"tasks: {', '.join(policy.tasks) or 'all of these data classes'}",
            f"masked: {', '.join((*masked, *masking.fields)) or 'nothing'}",
            f"caps of a run: {caps_line(policy.run_caps)}",
            f"caps of a day: {caps_line(policy.day_caps)}",
        ]
    for frontier in state.frontiers:
        lines.append(f"frontier {frontier.name}: {frontier.problem or f'{frontier.model} at {frontier.host}'}")
    if not state.frontiers:
        lines.append("frontiers: none; config.toml names them as [frontier.NAME]")
    today = state.today
    lines.append(
        f"today: {human_count(len(today.documents), 'document')}, {human_count(today.requests, 'request')},"
        f" {human_count(today.tokens, 'token')}, money {_money(today.currencies)}"
    )
    return lines
