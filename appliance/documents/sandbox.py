"""Reads documents in child processes with limits, so that a parser that crashes or hangs costs one document.

The supervisor opens the file and passes the descriptor; the child never needs a path.
"""

import os
import resource
import time
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path

from appliance import child
from appliance.documents.folder import hash_descriptor, open_document
from appliance.documents.problems import DocumentError, Problem


@dataclass(frozen=True)
class ReaderLimits:
    """What one document may cost."""

    timeout_seconds: float = 60.0
    """Wall clock for one document; large scans of a thousand pages need about 5 s."""
    memory_bytes: int = 2 << 30
    """Address space of the child; PDFium and a 64 MB file fit well."""
    documents_per_child: int = 200
    """After so many documents a fresh child starts, so that leaks in parsers do not add up."""


@dataclass(frozen=True)
class ReadReply:
    """What came back for one document: text, or a problem."""

    sha256: str | None
    text: str = ""
    notes: tuple[str, ...] = ()
    problem: Problem | None = None
    message: str = ""


class Reader:
    """One child that reads one document at a time."""

    def __init__(self, limits: ReaderLimits) -> None:
        self.limits = limits
        self.busy = False
        self._child: child.Child | None = None
        self._served = 0
        self._deadline = 0.0
        self._sha256: str | None = None

    @property
    def connection(self) -> Connection | None:
        """What to wait on; None before the first document."""
        return self._child.connection if self._child else None

    @property
    def overdue(self) -> bool:
        """Whether the document in work has had its time."""
        return self.busy and time.monotonic() > self._deadline

    def start(self, folder: Path, path: bytes) -> None:
        """Sends a document to the child; `finish` gives what came of it.

        Raises:
            DocumentError: The file cannot be opened; the reader stays free.
        """
        descriptor = open_document(folder, path)
        try:
            self._sha256 = hash_descriptor(descriptor)
            self._send(descriptor)
        finally:
            os.close(descriptor)
        self.busy = True
        self._deadline = time.monotonic() + self.limits.timeout_seconds

    def _send(self, descriptor: int) -> None:
        if self._served >= self.limits.documents_per_child:
            self.close()
        for attempt in range(2):
            if self._child is None:
                self._child = child.Child("appliance.documents.sandbox:serve_reader")
                self._child.send({"memory_bytes": self.limits.memory_bytes})
            try:
                self._child.send({"read": True})
                reduction.send_handle(self._child.connection, descriptor, self._child.process.pid)
                self._served += 1
                return
            except (child.ChildDied, OSError):
                # An idle child can be taken by the kernel when memory is short; that is not this document's fault.
                self.close()
                if attempt:
                    raise

    def finish(self) -> ReadReply:
        """What the child answered; a dead child or an overdue document is an answer too."""
        self.busy = False
        assert self._child is not None
        if not self._child.connection.poll(0):
            self.close()
            seconds = self.limits.timeout_seconds
            return ReadReply(self._sha256, problem=Problem.TIMEOUT, message=f"reading took longer than {seconds:g} s")
        try:
            message = self._child.receive()
            problem = Problem(message["problem"]) if message.get("problem") else None
            reply = ReadReply(
                self._sha256, str(message.get("text", "")), tuple(map(str, message.get("notes", []))), problem,
                str(message.get("message", "")),
            )  # fmt: skip
        except child.ChildDied as death:
            self.close()
            return ReadReply(self._sha256, problem=Problem.READER_DIED, message=f"the reader was {death.reason()}")
        except (KeyError, ValueError, TypeError):
            self.close()
            return ReadReply(self._sha256, problem=Problem.READER_DIED, message="the reader wrote nonsense")
        return reply

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.kill()
        self._child = None
        self._served = 0


def read_file(folder: Path, path: bytes, limits: ReaderLimits | None = None) -> ReadReply:
    """Reads one document in a child of its own.

    Raises:
        DocumentError: The file cannot be opened.
    """
    reader = Reader(limits or ReaderLimits())
    try:
        reader.start(folder, path)
        connection = reader.connection
        assert connection is not None
        connection.poll(reader.limits.timeout_seconds)
        return reader.finish()
    finally:
        reader.close()


def serve_reader(connection: Connection) -> None:
    """Runs in the child: takes descriptors, answers with text or a problem."""
    limits = child.receive(connection)
    memory_bytes = int(limits["memory_bytes"])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        child.receive(connection)
        child.send(connection, _answer(reduction.recv_handle(connection)))


def _answer(descriptor: int) -> child.Message:
    from appliance.documents.reading import MAX_DOCUMENT_BYTES, read_document

    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise DocumentError(Problem.TOO_LARGE, f"the file is larger than {MAX_DOCUMENT_BYTES >> 20} MB")
        found = read_document(data)
    except DocumentError as error:
        return {"problem": error.problem.value, "message": error.message}
    except MemoryError:
        return {"problem": Problem.TOO_LARGE.value, "message": "reading needs more memory than one document may take"}
    except RecursionError:
        return {"problem": Problem.UNREADABLE.value, "message": "the document is nested too deep"}
    except Exception as error:  # A parser can fail in any way on a hostile file; whatever it is, it is this file's.
        return {"problem": Problem.UNREADABLE.value, "message": f"the parser failed: {type(error).__name__}: {error}"}
    return {"text": found.text, "notes": [f"read as {found.document_type}", *found.notes]}
