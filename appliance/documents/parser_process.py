"""What runs inside the sandbox: a process that was confined before it sees a byte, and turns descriptors into text.

Answers are a mark, a JSON object, a zero byte and the text. They come from a process that a document may have taken
over, so whoever reads them trusts nothing but their length.
"""

import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from typing import NoReturn

from appliance.documents.confinement import ParserLimits, SandboxLevel, Wall, confine_parser
from appliance.documents.document_text import MAX_DOCUMENT_BYTES, TOO_LARGE_FILE, ReadText, read_as
from appliance.documents.parser_link import APART, LEVEL, PROBE, PROBLEM, READ_PLAIN, RECOGNITION, TEXT, send_answer
from appliance.documents.plain_family import is_plain_family
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.seccomp import libc
from appliance.documents.sniffing import document_type
from appliance.ground.json_text import json_text
from appliance.ground.settings import SandboxPolicy

_RECOGNITION_LIBRARIES = frozenset({"PIL", "cv2", "numpy", "onnxruntime", "rapidocr"})
_PR_SET_PDEATHSIG = 1
_MESSAGE_CHARACTERS = 500
_MOST_NOTES = 100


@dataclass(frozen=True)
class ParserSetting:
    """What the reader process gives a parser on its way."""

    limits: ParserLimits
    policy: SandboxPolicy
    files: Wall
    """What the reader process put up around files."""
    landlock_abi: int
    base_bytes: int
    """Address space of the reader process."""
    may_recognise: bool = False
    """Whether the reader process has loaded what text recognition needs, and gives the time for it."""


class _RecognitionNeeded(BaseException):
    """The document needs text recognition, which this parser may not do; no reader may take it for its own failure."""


class _NoRecognition:
    """Finds no module, but tells when a reader looks for a library of text recognition."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Called by the import of any module that is not loaded."""
        if name.partition(".")[0] in _RECOGNITION_LIBRARIES:
            raise _RecognitionNeeded


def _stop_at_recognition() -> None:
    # Every import of a module inside a package asks for the package.
    for name in _RECOGNITION_LIBRARIES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _NoRecognition())


def run_parser(link: socket.socket, parent: int, setting: ParserSetting) -> NoReturn:
    """Confines this process, which was just forked, and answers requests until the parent closes its end."""
    try:
        # The parent's own connections must not be in reach of a document.
        os.closerange(3, link.fileno())
        os.closerange(link.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if not setting.may_recognise:
            _stop_at_recognition()
        level = confine_parser(setting.limits, setting.files, setting.landlock_abi, setting.base_bytes)
        refused = level.required_missing and setting.policy is SandboxPolicy.REQUIRED
        if os.getppid() == parent:
            while _serve_one(link, setting, level, may_read=not refused):
                pass
    finally:
        # Whatever happened, this process is a copy of its parent and must not go on as one.
        os._exit(0)


def _serve_one(link: socket.socket, setting: ParserSetting, level: SandboxLevel, may_read: bool) -> bool:
    request, descriptors, _, _ = socket.recv_fds(link, 1, 1)
    if request == LEVEL:
        send_answer(link, json_text(asdict(level), ascii_only=True).encode())
    elif request == PROBE:
        from appliance.documents.parser_probe import try_to_break_out

        send_answer(link, json_text(try_to_break_out(setting.limits.memory_bytes), ascii_only=True).encode())
    elif request and may_read:
        try:
            send_answer(link, _answer(descriptors[0], plain_only=request == READ_PLAIN))
        finally:
            os.close(descriptors[0])
    else:
        return False
    return True


def _answer(descriptor: int, plain_only: bool) -> bytes:
    try:
        data = _contents(descriptor)
        kind = document_type(data)
        if plain_only and not is_plain_family(kind, data):
            return APART
        return _text_answer(read_as(kind, data))
    except _RecognitionNeeded:
        return RECOGNITION
    except DocumentError as error:
        return _problem_answer(error.problem, error.message)
    except MemoryError:
        return _problem_answer(Problem.TOO_LARGE, "reading needs more memory than one document may use")
    except RecursionError:
        return _problem_answer(Problem.UNREADABLE, "the document is nested too deeply")
    except Exception as error:  # A parser can fail in any way on a hostile file; whatever it is, it is this file's.
        return _problem_answer(Problem.UNREADABLE, f"the parser failed: {type(error).__name__}: {error}")


def _contents(descriptor: int) -> bytes:
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes > MAX_DOCUMENT_BYTES:
        raise DocumentError(Problem.TOO_LARGE, TOO_LARGE_FILE)
    chunks = []
    position = 0
    # A file that grows meanwhile is read up to its former end.
    while position < size_bytes and (chunk := os.pread(descriptor, size_bytes - position, position)):
        chunks.append(chunk)
        position += len(chunk)
    return b"".join(chunks)


def _text_answer(document: ReadText) -> bytes:
    notes = [f"read as {document.document_type}", *document.notes]
    left_out = [f"further notes left out: {len(notes) - _MOST_NOTES}"] if len(notes) > _MOST_NOTES else []
    facts = {"notes": [note[:_MESSAGE_CHARACTERS] for note in [*notes[:_MOST_NOTES], *left_out]]}
    return TEXT + json_text(facts, ascii_only=True).encode() + b"\0" + document.text.encode("utf-8", "replace")


def _problem_answer(problem: Problem, message: str) -> bytes:
    return (
        PROBLEM
        + json_text({"problem": problem.value, "message": message[:_MESSAGE_CHARACTERS]}, ascii_only=True).encode()
        + b"\0"
    )
