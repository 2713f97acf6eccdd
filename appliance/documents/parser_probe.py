"""Tries, from inside the sandbox, what a document that took a parser over would try."""

import contextlib
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

DENIED_KINDS = (
    "read another file", "write a file", "open a socket", "start a process", "start a program",
    "signal another process", "take more memory",
)  # fmt: skip
_SLACK_BYTES = 64 << 20
"""What the program itself may have given back since its size was taken."""
ALLOWED_KINDS = ("start a thread",)


def try_to_break_out(memory_bytes: int) -> dict[str, str]:
    """What was tried -> `allowed`, or the name of the error that denied it."""
    attempts: tuple[Callable[[], object], ...] = (
        _read_file, _write_file, socket.socket, _fork, _execute, _signal_parent,
        lambda: bytearray(memory_bytes + _SLACK_BYTES),
    )  # fmt: skip
    outcomes = {kind: _outcome(attempt) for kind, attempt in zip(DENIED_KINDS, attempts, strict=True)}
    return outcomes | {ALLOWED_KINDS[0]: _outcome(_thread)}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "denied")
    except (MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "allowed"


def _read_file() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


def _write_file() -> None:
    # A name that nobody has taken beforehand: one that exists would look like a wall.
    path = f"/tmp/stillroom-probe-{os.getpid()}-{time.monotonic_ns()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.suppress(OSError):
        os.unlink(path)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    # Were it allowed, this process would end without an answer, which counts as broken out.
    os.execv("/bin/true", ["true"])


def _signal_parent() -> None:
    os.kill(os.getppid(), signal.SIGCONT)


def _thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
