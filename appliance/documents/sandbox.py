"""Reads documents outside this process, so that a parser that crashes, hangs or is taken over costs one document.

Three processes stand between a file and its text: the supervisor opens the file and passes the descriptor; a reader
process (`reader_process.py`) hashes it, keeps the time and forks; a parser (`parser_process.py`), confined before it
sees the first byte, makes the text. No parser gets a path, and what it answers is data of bounded size.
"""

import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.documents.confinement import SandboxLevel, level_from_values
from appliance.documents.folder import DocumentFolder
from appliance.documents.parser_link import MAX_FACTS_BYTES, PROBE, READ_ANY, TEXT
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import MAX_TEXT_CHARACTERS
from appliance.ground import child
from appliance.ground.errors import ResourceError
from appliance.ground.settings import SandboxPolicy
from appliance.ground.text import storable

_TARGET = "appliance.documents.reader_process:serve_reader"
_KEPT_VARIABLES = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "STILLROOM_THREADS", "SYSTEMROOT", "TZ"
)  # fmt: skip
"""A document gets nothing else of the environment to see, which may hold keys."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""A reader process forks, so its libraries must not start threads when they are imported."""
_BIND_NOW = {"LD_BIND_NOW": "1"}
"""A function that is bound at its first call leaves the vector registers on the stack: a piece of what was copied last,
which may be a document, for all that is forked later."""


@dataclass(frozen=True)
class ReaderLimits:
    """What one document may cost."""

    timeout_seconds: float = 60.0
    """Wall clock for one document; large scans of a thousand pages need about 5 s."""
    memory_bytes: int = 2 << 30
    """Address space for one document on top of the program's own; PDFium and a 64 MB file fit well."""
    recognition_seconds: float = 1800.0
    """Wall clock for one document in which text has to be recognised: 6 s for a full page, at most 200 pages."""
    documents_per_child: int = 200
    """After so many plain documents a fresh parser starts; others have a parser of their own."""
    policy: SandboxPolicy = SandboxPolicy.REQUIRED
    """Whether documents are read where the sandbox lacks a required part."""
    grace_seconds: float = 60.0
    """For starting a reader process on a busy machine; the reader process itself keeps the time of a document."""

    @property
    def longest_wait_seconds(self) -> float:
        """After which a reader process that has not answered is taken for lost."""
        return self.timeout_seconds + self.recognition_seconds + self.grace_seconds


@dataclass(frozen=True)
class ReadReply:
    """What came back for one document: text, or a problem."""

    sha256: str | None
    text: str = ""
    notes: tuple[str, ...] = ()
    problem: Problem | None = None
    message: str = ""


@dataclass(frozen=True)
class SandboxReport:
    """What the sandbox of this machine reaches, and how a parser's attempts to break out ended."""

    level: SandboxLevel
    attempts: Mapping[str, str]
    """What was tried -> `allowed`, or the error that denied it."""


class Reader:
    """One reader process that reads one document at a time."""

    def __init__(self, limits: ReaderLimits) -> None:
        self.limits = limits
        self.busy = False
        self._child: child.Child | None = None
        self._deadline = 0.0

    @property
    def connection(self) -> Connection | None:
        """What to wait on; None before the first document."""
        return self._child.connection if self._child else None

    @property
    def overdue(self) -> bool:
        """Whether the reader process has not answered long after it should have."""
        return self.busy and time.monotonic() > self._deadline

    def start(self, folder: Path, path: bytes) -> None:
        """Sends a document to the reader process; `finish` gives what came of it.

        Raises:
            DocumentError: The file cannot be opened; the reader stays free.
        """
        with DocumentFolder(folder) as opened:
            self.start_in(opened, path)

    def start_in(self, folder: DocumentFolder, path: bytes) -> None:
        """The same in a folder that is held open.

        Raises:
            DocumentError: The file cannot be opened; the reader stays free.
        """
        descriptor = folder.open(path)
        try:
            self._send(READ_ANY, [descriptor])
        finally:
            os.close(descriptor)
        self.busy = True
        self._deadline = time.monotonic() + self.limits.longest_wait_seconds

    def _send(self, request: bytes, descriptors: list[int]) -> None:
        for attempt in range(2):
            try:
                if self._child is None:
                    self._child = self._start_child()
                with socket.socket(fileno=os.dup(self._child.connection.fileno())) as link:
                    socket.send_fds(link, [request], descriptors)
                return
            except (child.ChildDied, OSError):
                # An idle child can be taken by the kernel when memory is short; that is not this document's fault.
                self.close()
                if attempt:
                    raise

    def _start_child(self) -> child.Child:
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        started = child.Child(_TARGET, environment=environment | _ONE_THREAD | _BIND_NOW)
        limits = self.limits
        started.send(
            {
                "timeout_seconds": limits.timeout_seconds,
                "memory_bytes": limits.memory_bytes,
                "recognition_seconds": limits.recognition_seconds,
                "documents_per_child": limits.documents_per_child,
                "policy": limits.policy.value,
            }
        )
        return started

    def finish(self) -> ReadReply:
        """What came of the document; a dead child or an overdue document is an answer too.

        Raises:
            ResourceError: The sandbox lacks a required part on this machine.
        """
        self.busy = False
        assert self._child is not None
        if not self._child.connection.poll(0):
            self.close()
            return ReadReply(None, problem=Problem.TIMEOUT, message="the reader process did not answer in time")
        try:
            answer, facts = self._child.receive_bytes(), self._child.receive()
        except child.ChildDied as death:
            self.close()
            return ReadReply(None, problem=Problem.READER_DIED, message=f"the reader process died ({death.reason()})")
        if facts["refused"]:
            self.close()
            raise ResourceError(
                f"documents are not read without a sandbox, and this one has no {facts['refused']}",
                'run `stillroom doctor` for details; to read them anyway, set sandbox = "best-effort" in config.toml',
            )
        if facts["problem"]:
            return ReadReply(facts["sha256"], problem=Problem(facts["problem"]), message=facts["message"])
        return _reply(facts["sha256"], answer)

    def probe(self) -> SandboxReport:
        """Starts a parser that tries to break out.

        Raises:
            ChildDied: The reader process ended.
        """
        self._send(PROBE, [])
        assert self._child is not None
        report = self._child.receive()
        return SandboxReport(level_from_values(report["level"]), report["attempts"])

    def close(self) -> None:
        """Ends the reader process and its parsers."""
        if self._child is not None:
            self._child.kill()
        self._child = None


def read_files(
    folder: Path, paths: Iterable[bytes], limits: ReaderLimits | None = None, readers: int = 2
) -> Iterator[tuple[bytes, ReadReply]]:
    """Reads documents of a folder in reader processes of its own; replies come in the order of the paths.

    A file that cannot be opened is a reply too. One whose reader died is read once more, as the kernel may have taken
    the reader for want of memory.

    Args:
        readers: Documents that are read at once.

    Raises:
        UsageError: The folder is missing or cannot be listed.
        ResourceError: The sandbox lacks a required part on this machine, or no process can be started.
    """
    idle = [Reader(limits or ReaderLimits()) for _ in range(readers)]
    every, waiting = list(idle), iter(paths)
    under_way: deque[tuple[bytes, Reader, ReadReply | None]] = deque()
    opened = DocumentFolder(folder)

    def hand_out() -> None:
        while idle and (path := next(waiting, None)) is not None:
            reader = idle.pop()
            under_way.append((path, reader, _begin(reader, opened, path)))

    try:
        hand_out()
        while under_way:
            path, reader, refusal = under_way.popleft()
            reply = refusal or _awaited(reader)
            if reply.problem is Problem.READER_DIED:
                reply = _begin(reader, opened, path) or _awaited(reader)
            idle.append(reader)
            # The readers go on while the caller looks at the reply.
            hand_out()
            yield path, reply
    finally:
        opened.close()
        for reader in every:
            reader.close()


def _begin(reader: Reader, folder: DocumentFolder, path: bytes) -> ReadReply | None:
    """Gives the document to the reader; a reply where it cannot be opened."""
    try:
        reader.start_in(folder, path)
    except DocumentError as error:
        return ReadReply(None, problem=error.problem, message=error.message)
    except (child.ChildDied, OSError) as error:
        raise ResourceError(
            f"no reader can be started: {error}", "check the free memory and the limit of processes"
        ) from error
    return None


def _awaited(reader: Reader) -> ReadReply:
    """The reply of a reader that has a document."""
    assert reader.connection is not None
    reader.connection.poll(reader.limits.longest_wait_seconds)
    return reader.finish()


def probe_sandbox() -> SandboxReport:
    """What the sandbox of this machine reaches, by trying.

    Raises:
        ChildDied: No reader process could be started.
    """
    reader = Reader(ReaderLimits(policy=SandboxPolicy.BEST_EFFORT))
    try:
        return reader.probe()
    finally:
        reader.close()


def _reply(sha256: str | None, answer: bytes | bytearray) -> ReadReply:
    """A parser's answer, none of which is believed before it was looked at."""
    try:
        facts, _, text = answer[1:].partition(b"\0")
        if len(facts) > MAX_FACTS_BYTES:
            raise ValueError("the facts are longer than any parser gives")
        values = json.loads(facts)
        if answer[:1] != TEXT:
            return ReadReply(sha256, problem=Problem(values["problem"]), message=storable(str(values["message"])))
        decoded = storable(text.decode("utf-8"))
        if len(decoded) > MAX_TEXT_CHARACTERS:
            raise ValueError("the text is longer than any reader gives")
        return ReadReply(sha256, decoded, tuple(storable(str(note)) for note in values["notes"]))
    except (KeyError, ValueError, TypeError, RecursionError):
        return ReadReply(sha256, problem=Problem.READER_DIED, message="the parser's answer is not valid")
