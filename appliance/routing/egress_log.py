"""The record of everything that leaves: append-only JSON Lines in which each record holds the hash of the one before.

A file for each day (UTC) in `$STILLROOM_HOME/egress/`; the chain goes on from one file into the next. A record is on
the disk before the bytes that it describes leave. One process at a time appends, under a lock. What left stands in
`bodies/<sha256>.json`.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.files import part_of, sync_directory, sync_file
from appliance.ground.json_text import json_text
from appliance.ground.locks import locked
from appliance.ground.settings import Settings

FIRST_PREVIOUS = "0" * 64
LOG_VERSION = 1
_BLOCK = 65_536

Record = dict[str, object]


def egress_dir(settings: Settings) -> Path:
    """Where the record is."""
    return settings.home_dir / "egress"


def record_hash(record: Record) -> str:
    """SHA-256 of the record without its own hash."""
    values = {key: value for key, value in record.items() if key != "hash"}
    text = json_text(values, sort_keys=True, compact=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def log_files(directory: Path) -> list[Path]:
    """The files of the chain in order."""
    return sorted(directory.glob("????-??-??.jsonl"))


def body_path(directory: Path, sha256: str) -> Path:
    """Where the bytes of a request are kept."""
    return directory / "bodies" / f"{sha256}.json"


@dataclass
class _Tail:
    """Where the chain ends."""

    path: Path | None
    size: int
    sequence: int
    hash: str


@dataclass(frozen=True)
class Appended:
    """Where a record went."""

    sequence: int
    path: Path


class EgressLog:
    """Appends records; safe for several threads and several processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tail = _Tail(None, 0, 0, FIRST_PREVIOUS)
        self._failed: ResourceError | None = None
        try:
            (directory / "bodies").mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(directory, 0o700)
            self._lock = os.open(directory / "log.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(directory, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other writers out, and knows of everything that they wrote.

        Raises:
            ResourceError: The chain cannot be read or written.
        """
        if self._lock < 0:
            raise ResourceError("the record of what leaves is closed; nothing more leaves")
        with locked(self._lock):
            try:
                self._catch_up()
                yield
            except OSError as error:
                raise _unwritable(self._directory, error) from error

    def append(self, values: Record) -> Appended:
        """Adds one record, under the lock; `make_durable` puts it on the disk.

        Raises:
            ResourceError: It cannot be written; the chain is as before.
        """
        if self._failed is not None:
            raise self._failed
        now = time.time()
        path = self._file_of(now)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
        record: Record = {
            "version": LOG_VERSION, "sequence": self._tail.sequence + 1, "time": stamp, **values,
            "previous": self._tail.hash,
        }  # fmt: skip
        record["hash"] = record_hash(record)
        line = json_text(record, compact=True).encode("utf-8", "backslashreplace") + b"\n"
        size = self._write(path, line)
        self._tail = _Tail(path, size, self._tail.sequence + 1, str(record["hash"]))
        return Appended(self._tail.sequence, path)

    def make_durable(self, appended: Appended) -> None:
        """Returns when the record and all before it are on the disk; several threads may wait at once.

        Raises:
            ResourceError: The disk failed. What it holds is not known any more, so this log appends nothing further.
        """
        try:
            sync_file(appended.path)
        except OSError as error:
            self._failed = _unwritable(self._directory, error)
            raise self._failed from error

    def keep_body(self, sha256: str, body: bytes) -> bool:
        """Puts the bytes of a request on the disk, whole; says whether they were not there before."""
        path = body_path(self._directory, sha256)
        if path.exists():
            return False
        try:
            with part_of(path, private=True) as file:
                file.write(body)
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        return True

    def drop_body(self, sha256: str) -> None:
        """Takes away the bytes of a request that did not leave, unless the same bytes left with another one."""
        latest = log_files(self._directory)[-2:]
        if not any(_holds(path, sha256.encode()) for path in latest):
            body_path(self._directory, sha256).unlink(missing_ok=True)

    def close(self) -> None:
        """Frees the lock; nothing can be appended any more."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def today(self) -> Path:
        """The file that the next record goes to; call it under the lock."""
        return self._file_of(time.time())

    def _file_of(self, now: float) -> Path:
        """Today's file; where the clock went back, the latest one, so that the order of files is that of the chain."""
        today = time.strftime("%Y-%m-%d.jsonl", time.gmtime(now))
        latest = self._tail.path.name if self._tail.path is not None else ""
        return self._directory / max(today, latest)

    def _write(self, path: Path, line: bytes) -> int:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if size == 0:
            sync_directory(path.parent)
        return size + len(line)

    def _catch_up(self) -> None:
        """Reads where the chain ends, if it is not where this process left it; mends a torn end."""
        files = log_files(self._directory)
        if not files:
            self._tail = _Tail(None, 0, 0, FIRST_PREVIOUS)
            return
        latest = files[-1]
        size = latest.stat().st_size
        if latest == self._tail.path and size == self._tail.size:
            return
        torn = _cut_torn_end(latest)
        last = next((line for path in reversed(files) if (line := _last_line(path))), b"")
        sequence, previous = _ending(last)
        self._tail = _Tail(latest, latest.stat().st_size, sequence, previous)
        if torn:
            self.append({"kind": "mended", "bytes": len(torn), "torn": torn.decode("utf-8", "replace")})


def _holds(path: Path, words: bytes) -> bool:
    with open(path, "rb") as file:
        return any(words in line for line in file)


def _ending(line: bytes) -> tuple[int, str]:
    if not line:
        return 0, FIRST_PREVIOUS
    try:
        record = json.loads(line)
        return int(record["sequence"]), str(record["hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise ResourceError(
            "the last record of what left the machine cannot be read; nothing more leaves",
            "`stillroom egress verify` names the first broken record",
        ) from error


def _cut_torn_end(path: Path) -> bytes:
    """Takes off and returns what a killed writer left of a line; its bytes never left the machine."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        whole = _after_last_newline(descriptor, size)
        torn = os.pread(descriptor, size - whole, whole)
        if torn:
            os.ftruncate(descriptor, whole)
            os.fsync(descriptor)
        return torn
    finally:
        os.close(descriptor)


def _after_last_newline(descriptor: int, end: int) -> int:
    """Offset behind the last newline before `end`; 0 where there is none."""
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _last_line(path: Path) -> bytes:
    """The last whole line without its end; empty where the file has none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = _after_last_newline(descriptor, os.fstat(descriptor).st_size)
        if end == 0:
            return b""
        start = _after_last_newline(descriptor, end - 1)
        return os.pread(descriptor, end - 1 - start, start)
    finally:
        os.close(descriptor)


def _unwritable(directory: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"cannot write the record of what leaves in {directory}: {error.strerror}; nothing was sent without it",
        "free some space or correct the folder's permissions; finished documents keep their rows",
    )
