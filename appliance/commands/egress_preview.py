"""Shows what would leave for a frontier: exactly the bytes of each request, and what would stay. Nothing is sent."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.documents.folder import document_name
from appliance.documents.sandbox import ReaderLimits, ReadReply, read_files
from appliance.engines.engine import Request
from appliance.engines.frontier import Withheld
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, print_bytes
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size, printable_name
from appliance.routing.egress import checked, preview
from appliance.tasks.task import Task


def print_requests(
    settings: Settings, task: Task, frontier: str, documents: Iterable[tuple[str, ReadReply]], effort: str = ""
) -> None:
    """Prints each request's body as a line of stdout; what is masked, and what would stay, goes to stderr.

    Raises:
        UsageError: The policy does not let documents of the task go there.
        NotAllGood: Documents would be withheld.
    """
    checked(settings, task, frontier)
    sendable, staying, size_bytes = 0, 0, 0
    for name, reply in documents:
        try:
            if reply.problem is not None:
                raise Withheld(reply.problem.value, reply.message)
            body, masked = preview(settings, task, frontier, Request(name, reply.text), effort=effort)
        except Withheld as withheld:
            staying += 1
            note(f"{printable_name(name)} stays here: {withheld.message} ({withheld.name})")
            continue
        if sendable:
            print_bytes(b"\n")
        print_bytes(body)
        sendable, size_bytes = sendable + 1, size_bytes + len(body)
        counts = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in masked.items()) or "nothing"
        note(f"{printable_name(name)}: {human_size(len(body))}, masked: {counts}")
    note(f"{human_count(sendable, 'document')} with {human_size(size_bytes)} would leave")
    if staying:
        raise NotAllGood(f"{human_count(staying, 'document')} would stay on this machine")


def read_each(settings: Settings, folder: Path, paths: Iterable[bytes]) -> Iterator[tuple[str, ReadReply]]:
    """The name and text of each of these files of a folder, through the confined reader."""
    for path, reply in read_files(folder, paths, ReaderLimits(policy=settings.sandbox), readers=1):
        yield document_name(path), reply
