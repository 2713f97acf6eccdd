"""Shows what would leave for a frontier: exactly the bytes of each request, and what would stay. Nothing is sent."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from appliance.documents.folder import document_name
from appliance.documents.sandbox import ReaderLimits, ReadReply, read_files
from appliance.engines.engine import Request
from appliance.engines.frontier import Withheld
from appliance.ground.errors import NotAllGood
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size, printable
from appliance.routing.egress import checked, preview
from appliance.tasks.task import Task


def show_leaving(
    settings: Settings, task: Task, frontier: str, documents: Iterable[tuple[str, ReadReply]], effort: str = ""
) -> None:
    """Prints each request's body as a line of stdout; what is masked, and what would stay, goes to stderr.

    Raises:
        UsageError: The policy does not let documents of the task go there.
        NotAllGood: Documents would be withheld.
    """
    checked(settings, task, frontier)
    shown, staying, size_bytes = 0, 0, 0
    for name, reply in documents:
        try:
            if reply.problem is not None:
                raise Withheld(reply.problem.value, reply.message)
            body, masked = preview(settings, task, frontier, Request(name, reply.text), effort=effort)
        except Withheld as withheld:
            staying += 1
            click.echo(printable(f"{name} stays here: {withheld.message} ({withheld.name})"), err=True)
            continue
        if shown:
            print_bytes(b"\n")
        print_bytes(body)
        shown, size_bytes = shown + 1, size_bytes + len(body)
        counts = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in masked.items()) or "nothing"
        click.echo(printable(f"{name}: {human_size(len(body))}, masked: {counts}"), err=True)
    click.echo(f"{human_count(shown, 'document')} with {human_size(size_bytes)} would leave", err=True)
    if staying:
        raise NotAllGood(f"{human_count(staying, 'document')} would stay on this machine")


def read_each(settings: Settings, folder: Path, paths: Iterable[bytes]) -> Iterator[tuple[str, ReadReply]]:
    """The name and text of each of these files of a folder, through the confined reader."""
    for path, reply in read_files(folder, paths, ReaderLimits(policy=settings.sandbox), readers=1):
        yield document_name(path), reply


def print_bytes(data: bytes) -> None:
    """Exactly these bytes to a file or a pipe; made safe where a person looks at them."""
    if sys.stdout.isatty():
        print(printable(data.decode("utf-8", "replace")))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
