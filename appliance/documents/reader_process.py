"""The process between the supervisor and the parsers: it never looks into a document, and forks confined parsers.

One document may leave a parser in any state, so what a parser may do next depends on what it did:

- A parser that ran native code on a document (PDFium, zlib, image libraries) ends with that document.
- Plain text, HTML and their like are read by code in Python, which a document cannot take over through memory; one
  parser serves many of them, as a fork for each would cost more than reading them.
- The readers of other documents are loaded when the first of them comes.
- Text recognition loads a hundred megabytes of libraries, so this process loads them when the first document needs
  them, and reads that document again.
- After any failure, after `documents_per_child` documents, and after as much work as one document may take, the parser
  ends: the kernel's limit of processor time counts all that it ever did.

This process is trusted: it hashes and passes on descriptors, keeps the time, and bounds what it takes from a parser.
"""

import gc
import json
import os
import signal
import socket
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from appliance.documents.confinement import (
    ParserLimits,
    level_from_values,
    library_paths,
    prepare_parsers,
    wall_off_files,
)
from appliance.documents.document_text import MAX_DOCUMENT_BYTES, TOO_LARGE_FILE
from appliance.documents.folder import hash_descriptor
from appliance.documents.parser_link import (
    APART,
    LEVEL,
    MAX_ANSWER_BYTES,
    PROBE,
    READ_ANY,
    READ_PLAIN,
    RECOGNITION,
    TEXT,
    Overdue,
    TooLong,
    receive_answer,
    send_request,
)  # fmt: skip
from appliance.documents.parser_process import ParserSetting, run_parser
from appliance.documents.preload import preload_plain_readers, preload_readers, preload_text_recognition
from appliance.documents.problems import DocumentError, Problem
from appliance.ground import child
from appliance.ground.settings import SandboxPolicy

_LEVEL_TRIES = 3
"""Parsers that may die before they say how they are confined."""
_START_SECONDS = 30.0
"""For a fork to confine itself, on a machine that is busy."""
_NATIVE_STARTS = (b"%PDF-", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
"""Files that begin so need native code; saves asking a parser that may not run it."""


class _Parser:
    """One confined child of this process."""

    def __init__(self, setting: ParserSetting) -> None:
        self._link, theirs = socket.socketpair()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            run_parser(theirs, parent, setting)
        theirs.close()
        self.setting = setting
        self.served = 0
        self.worked_seconds = 0.0
        self._ending: child.ChildDied | None = None

    def ask(self, request: bytes, descriptors: list[int], deadline: float) -> bytearray:
        """The answer to a request.

        Raises:
            EOFError: The parser died.
            Overdue: The time is over.
            TooLong: The answer is too long.
        """
        began = time.monotonic()
        send_request(self._link, request, descriptors)
        answer = receive_answer(self._link, deadline)
        self.worked_seconds += time.monotonic() - began
        return answer

    def end(self) -> child.ChildDied:
        """Ends the parser, unless it ended by itself; says how."""
        if self._ending is None:
            os.kill(self._pid, signal.SIGKILL)
            _, status = os.waitpid(self._pid, 0)
            self._link.close()
            self._ending = child.ChildDied(os.waitstatus_to_exitcode(status))
        return self._ending


@dataclass(frozen=True)
class _Finding:
    """What came of one document: an answer of a parser, or the problem that this process itself had with it."""

    sha256: str | None
    answer: bytearray = field(default_factory=bytearray)
    problem: Problem | None = None
    message: str = ""


def _overdue(sha256: str | None, limit_seconds: float) -> _Finding:
    return _Finding(sha256, problem=Problem.TIMEOUT, message=f"reading took longer than {limit_seconds:g} s")


def _begins_native(descriptor: int) -> bool:
    """Whether a document needs native code by its first bytes."""
    start = bytearray(max(map(len, _NATIVE_STARTS)))
    os.preadv(descriptor, [start], 0)
    native = start.startswith(_NATIVE_STARTS)
    start[:] = bytes(len(start))
    return native


class _Readers:
    """The parsers of this process and the rules of their use."""

    def __init__(self, limits: ParserLimits, policy: SandboxPolicy, documents_per_child: int) -> None:
        self._documents_per_child = documents_per_child
        # Behind the wall around files it could not be opened any more.
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._setting = ParserSetting(limits, policy, *wall_off_files(library_paths()), self._size_bytes())
        prepare_parsers(self._setting.files)
        self._has_all_readers = False
        self._recognising: ParserSetting | None = None
        """Of parsers that may recognise text; None before the first document that needs it."""
        self._shared: _Parser | None = None

    def _size_bytes(self) -> int:
        """The address space of this process."""
        return int(os.pread(self._statm, 100, 0).split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def refusal(self) -> str:
        """Why this machine must not read documents; empty where it may."""
        if self._setting.policy is SandboxPolicy.BEST_EFFORT:
            return ""
        for _ in range(_LEVEL_TRIES):
            try:
                return level_from_values(self._self_report(LEVEL)).required_missing
            except (EOFError, Overdue, TooLong):
                # Whoever kills one parser, as the kernel does when memory is short, says nothing about the machine.
                self._end_shared()
        return "no parser could be confined"

    def probe(self) -> dict[str, object]:
        """The level that a parser reaches, and what it could not do."""
        level = self._self_report(LEVEL)
        try:
            attempts = self._self_report(PROBE)
        except (EOFError, Overdue, TooLong):
            attempts = {}
        self._end_shared()
        return {"level": level, "attempts": attempts}

    def _self_report(self, request: bytes) -> dict[str, Any]:
        """What a parser that has not seen a document says about itself."""
        answer: dict[str, Any] = json.loads(self._shared_parser().ask(request, [], time.monotonic() + _START_SECONDS))
        return answer

    def read(self, descriptor: int) -> _Finding:
        """Reads one document in a parser that is fit for it."""
        deadline = time.monotonic() + self._setting.limits.timeout_seconds
        if os.fstat(descriptor).st_size > MAX_DOCUMENT_BYTES:
            # Hashing a film would take the time of a thousand documents, and end as a timeout.
            return _Finding(None, problem=Problem.TOO_LARGE, message=TOO_LARGE_FILE)
        try:
            sha256 = hash_descriptor(descriptor, deadline)
            native = _begins_native(descriptor)
        except DocumentError as error:
            return _Finding(None, problem=error.problem, message=error.message)
        except TimeoutError:
            return _overdue(None, self._setting.limits.timeout_seconds)
        finding = _Finding(sha256, bytearray(APART))
        if not native:
            finding = self._ask_shared(sha256, descriptor, deadline)
        if finding.answer == APART:
            began = time.monotonic()
            try:
                self._load_all_readers()
            except (ImportError, OSError) as error:
                # Plain documents can be read all the same.
                message = f"a library that reads such documents cannot be loaded: {error}"
                return _Finding(sha256, problem=Problem.UNSUPPORTED, message=message)
            deadline += time.monotonic() - began  # loading takes none of the document's time
            finding = self._ask_alone(self._setting, sha256, descriptor, deadline)
        if finding.answer == RECOGNITION:
            finding = self._recognise(sha256, descriptor)
        return finding

    def _load_all_readers(self) -> None:
        if not self._has_all_readers:
            preload_readers()
            gc.collect()
            gc.freeze()
            self._setting = replace(self._setting, base_bytes=self._size_bytes())
            self._has_all_readers = True

    def _recognise(self, sha256: str, descriptor: int) -> _Finding:
        """Reads a document again, with the libraries and the time that text recognition takes."""
        if self._recognising is None:
            try:
                preload_text_recognition()
            except (ImportError, OSError) as error:
                # It is installed in part, or lacks a library of the system; all other documents can be read.
                message = f"text recognition is installed but cannot be loaded: {error}"
                return _Finding(sha256, problem=Problem.UNSUPPORTED, message=message)
            gc.freeze()
            self._recognising = replace(self._setting, may_recognise=True, base_bytes=self._size_bytes())
        deadline = time.monotonic() + self._setting.limits.recognition_seconds
        return self._ask_alone(self._recognising, sha256, descriptor, deadline)

    def _ask_shared(self, sha256: str, descriptor: int, deadline: float) -> _Finding:
        parser = self._shared_parser()
        finding = self._ask(parser, READ_PLAIN, sha256, descriptor, deadline)
        worn = parser.served >= self._documents_per_child
        worn = worn or parser.worked_seconds >= self._setting.limits.timeout_seconds
        if worn or bytes(finding.answer[:1]) not in (TEXT, APART):
            self._end_shared()
        return finding

    def _ask_alone(self, setting: ParserSetting, sha256: str, descriptor: int, deadline: float) -> _Finding:
        parser = _Parser(setting)
        try:
            return self._ask(parser, READ_ANY, sha256, descriptor, deadline)
        finally:
            parser.end()

    def _ask(self, parser: _Parser, request: bytes, sha256: str, descriptor: int, deadline: float) -> _Finding:
        parser.served += 1
        try:
            return _Finding(sha256, parser.ask(request, [descriptor], deadline))
        except Overdue:
            may_recognise = parser.setting.may_recognise
            limits = self._setting.limits
            return _overdue(sha256, limits.recognition_seconds if may_recognise else limits.timeout_seconds)
        except TooLong:
            message = f"the parser gave more than {MAX_ANSWER_BYTES >> 20} MB of text"
            return _Finding(sha256, problem=Problem.TOO_LARGE, message=message)
        except EOFError:
            return _Finding(sha256, problem=Problem.READER_DIED, message=f"the parser died ({parser.end().reason()})")

    def _shared_parser(self) -> _Parser:
        if self._shared is None:
            self._shared = _Parser(self._setting)
        return self._shared

    def _end_shared(self) -> None:
        if self._shared is not None:
            self._shared.end()
        self._shared = None


def serve_reader(connection: Connection) -> None:
    """Takes descriptors from the supervisor, gives a parser's answer for each, then what this process found in JSON."""
    start = child.receive(connection)
    limits = ParserLimits(
        float(start["timeout_seconds"]), int(start["memory_bytes"]), float(start["recognition_seconds"])
    )
    preload_plain_readers()
    # Forks share what was loaded as long as nobody touches the counters of the collector.
    gc.collect()
    gc.freeze()
    readers = _Readers(limits, SandboxPolicy(start["policy"]), int(start["documents_per_child"]))
    refusal = readers.refusal()
    link = socket.socket(fileno=os.dup(connection.fileno()))
    while True:
        request, descriptors, _, _ = socket.recv_fds(link, 1, 1)
        if not request:
            return
        if request == PROBE:
            child.send(connection, readers.probe())
            continue
        try:
            finding = _Finding(None) if refusal else readers.read(descriptors[0])
        finally:
            os.close(descriptors[0])
        child.send_bytes(connection, finding.answer)
        # What is forked later must not find the text in memory: whoever has the facts knows that it is gone.
        finding.answer[:] = bytes(len(finding.answer))
        facts = {
            "sha256": finding.sha256, "problem": finding.problem, "message": finding.message, "refused": refusal
        }  # fmt: skip
        child.send(connection, facts)
