"""Reads the record of what left: lists it, and proves that nothing in it was changed, taken out or put in."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.routing.egress_log import FIRST_PREVIOUS, LOG_VERSION, Record, body_path, log_files, record_hash


@dataclass(frozen=True)
class Verification:
    """What is true of the record."""

    records: int
    requests: int
    head: str
    """Hash of the last good record: whoever keeps it elsewhere can tell later whether records were cut off."""
    broken: str = ""
    """Place of the first broken record and what is wrong with it; empty where the chain is whole."""
    torn_bytes: int = 0
    """What a killed writer left behind the last record; nothing of it left the machine."""
    bodies_missing: tuple[int, ...] = ()
    """Records whose bytes are not kept any more, though they were."""
    bodies_changed: tuple[int, ...] = ()
    bodies_unnamed: int = 0
    """Kept bodies that no record names: a run was killed just before sending, or records were cut off the end."""
    unfinished: tuple[int, ...] = ()
    """Requests whose end is not recorded: the program was killed, or they are under way."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.broken or self.bodies_missing or self.bodies_changed)


def verify(directory: Path, head: str = "") -> Verification:
    """Checks every record and every body that was kept.

    Args:
        head: A hash of a record that was noted elsewhere; it must still be in the chain.
    """
    walk = _Walk(directory, head)
    broken = walk.run()
    if not broken and not walk.found_head:
        broken = f"no record has the hash {head[:16]}: records were cut off or replaced"
    return Verification(
        walk.sequence, walk.requests, walk.previous, broken, walk.torn_bytes,
        tuple(walk.missing), tuple(walk.changed), walk.unnamed() if not broken else 0, tuple(sorted(walk.open)),
    )  # fmt: skip


class _Walk:
    """One pass over the chain."""

    def __init__(self, directory: Path, head: str) -> None:
        self._directory, self._head = directory, head
        self.found_head = head in ("", FIRST_PREVIOUS)
        self.sequence, self.previous, self.requests, self.torn_bytes = 0, FIRST_PREVIOUS, 0, 0
        self.open: set[int] = set()
        self.missing: list[int] = []
        self.changed: list[int] = []
        self._named: set[str] = set()

    def run(self) -> str:
        """The first problem; empty where there is none."""
        files = log_files(self._directory)
        for path in files:
            with open(path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n") and path == files[-1]:
                        self.torn_bytes = len(line)
                        return ""
                    if problem := self._record(line):
                        return f"{path.name} line {number}: {problem}"
        return ""

    def _record(self, line: bytes) -> str:
        try:
            record = json.loads(line)
            sequence, previous, own = int(record["sequence"]), record["previous"], record["hash"]
            version = record["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return "not a valid record"
        if version != LOG_VERSION:
            return f"the record has version {version}, this program knows {LOG_VERSION}"
        if own != record_hash(record):
            return f"record {sequence} was changed: its hash is not that of its contents"
        if sequence != self.sequence + 1 or previous != self.previous:
            return f"record {sequence} does not follow record {self.sequence}: records are missing, moved or inserted"
        self.sequence, self.previous = sequence, own
        self.found_head = self.found_head or own == self._head
        self._follow(record)
        return ""

    def _follow(self, record: Record) -> None:
        if record["kind"] == "sent":
            self.requests += 1
            self.open.add(self.sequence)
            if record["body_kept"]:
                self._check_body(str(record["sha256"]))
        elif record["kind"] == "ended":
            self.open.discard(int(str(record["of"])))

    def unnamed(self) -> int:
        """How many kept bodies no record names."""
        return sum(path.stem not in self._named for path in (self._directory / "bodies").glob("*.json"))

    def _check_body(self, sha256: str) -> None:
        if sha256 in self._named:
            return
        self._named.add(sha256)
        try:
            body = body_path(self._directory, sha256).read_bytes()
        except OSError:
            self.missing.append(self.sequence)
            return
        if hashlib.sha256(body).hexdigest() != sha256:
            self.changed.append(self.sequence)


@dataclass(frozen=True)
class Filter:
    """Which requests are shown."""

    run: str = ""
    document: str = ""
    """What the run calls it, such as its number in the job."""
    name_hashes: frozenset[str] = frozenset()
    """Of the document's name; a request is shown where one of them fits, or what the run calls it."""
    day: str = ""
    """`2026-11-25`."""


def requests(directory: Path, record_filter: Filter) -> Iterator[tuple[Record, Record | None]]:
    """What left, in the order of their ends: each request with the record of it; those without an end come last.

    Raises:
        UsageError: A record cannot be read.
    """
    waiting: dict[int, Record] = {}
    for record in read_records(directory):
        if record["kind"] == "sent" and _matches(record, record_filter):
            waiting[int(str(record["sequence"]))] = record
        elif record["kind"] == "ended" and (sent := waiting.pop(int(str(record["of"])), None)):
            yield sent, record
    for sent in waiting.values():
        yield sent, None


def _matches(record: Record, record_filter: Filter) -> bool:
    names = record.get("names")
    return (
        str(record["time"]).startswith(record_filter.day)
        and record_filter.run in ("", record["run"])
        and (
            record_filter.document in ("", record["document"])
            or (isinstance(names, list) and not record_filter.name_hashes.isdisjoint(names))
        )
    )


def read_records(directory: Path) -> Iterator[Record]:
    """All records in order, as they are written there.

    Raises:
        UsageError: One cannot be read.
    """
    for path in log_files(directory):
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    if not {"kind", "sequence", "time"} <= record.keys():
                        raise ValueError
                except (ValueError, AttributeError, RecursionError) as error:
                    raise UsageError(
                        f"{path.name} line {number} is not a record", "`stillroom egress verify` says more"
                    ) from error
                yield record


def read_body(directory: Path, sequence: int) -> bytes:
    """The bytes that left with this record.

    Raises:
        UsageError: There is no such request, or its bytes are not kept.
    """
    for record in read_records(directory):
        if record["sequence"] == sequence and record["kind"] == "sent":
            try:
                return body_path(directory, str(record["sha256"])).read_bytes()
            except OSError as error:
                raise UsageError(
                    f"the bytes of request {sequence} are not kept",
                    "keep_bodies = true in the policy keeps those of later requests",
                ) from error
    raise UsageError(
        f"record {sequence} is not a request", "`stillroom egress show` lists the requests with their numbers"
    )
