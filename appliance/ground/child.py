"""Child processes that a crash may take: started apart from the terminal, spoken to in JSON over a socket.

Messages are plain data, never pickles: a child that parsed a hostile file is not trusted with more.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from appliance.ground.json_text import json_text

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from appliance.ground.child import serve; "
    "serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)
_MAX_MESSAGE_BYTES = 256 << 20
_LENGTH_BYTES = 8
_PR_SET_PDEATHSIG = 1

Message = dict[str, Any]


class ChildDied(Exception):
    """The child is gone; carries its exit status (negative: the signal that killed it)."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"child ended with status {status}")
        self.status = status

    def reason(self) -> str:
        """The end of the child in words."""
        if self.status is not None and self.status < 0:
            number = -self.status
            known = number in signal.valid_signals() and number < signal.SIGRTMIN
            return f"killed by {signal.Signals(number).name if known else f'signal {number}'}"
        return f"ended with exit status {self.status}"


class Child:
    """A child process that runs `package.module:function(connection)`."""

    def __init__(self, target: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts the process.

        Args:
            environment: All that it sees of the environment; by default what this process sees.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [json_text(sys.path, ascii_only=True), target, str(theirs.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                # -P: never a module of the folder that somebody happened to stand in, which may be the documents'.
                [sys.executable, "-P", "-c", _START, *arguments],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                # Ctrl-C reaches the terminal's foreground group: the supervisor decides what a child does about it.
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())

    def send(self, message: Message) -> None:
        """Sends one message.

        Raises:
            ChildDied: Nobody reads any more.
        """
        try:
            send(self.connection, message)
        except OSError as error:
            raise ChildDied(self._status()) from error

    def receive(self) -> Message:
        """The next message.

        Raises:
            ChildDied: The child ended, or wrote what is no message.
        """
        try:
            return receive(self.connection)
        except (EOFError, OSError, ValueError) as error:
            raise ChildDied(self._status()) from error

    def receive_bytes(self) -> bytearray:
        """What the child wrote with `send_bytes`.

        Raises:
            ChildDied: The child ended, or claims to write more than a message may be.
        """
        descriptor = self.connection.fileno()
        try:
            length = int.from_bytes(_read_exactly(descriptor, _LENGTH_BYTES), "big")
            if length > _MAX_MESSAGE_BYTES:
                raise ValueError("the message is too long")
            return _read_exactly(descriptor, length)
        except (EOFError, OSError, ValueError) as error:
            raise ChildDied(self._status()) from error

    def kill(self) -> None:
        """Ends the child at once and waits for its end."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
        self.process.wait()
        self.connection.close()

    def _status(self) -> int | None:
        """How the child ended; one that closed its socket but lives is killed."""
        try:
            return self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def send(connection: Connection, message: Message) -> None:
    """Writes one message as JSON."""
    connection.send_bytes(json_text(message, ascii_only=True).encode())


def send_bytes(connection: Connection, data: bytearray) -> None:
    """Writes what is no JSON, and leaves no copy of it in memory.

    `Connection.send_bytes` joins a short message to its length, and what it joined stays behind in freed memory.
    """
    for part in (len(data).to_bytes(_LENGTH_BYTES, "big"), data):
        left = memoryview(part)
        while left:
            left = left[os.write(connection.fileno(), left) :]


def _read_exactly(descriptor: int, size_bytes: int) -> bytearray:
    data = bytearray(size_bytes)
    left = memoryview(data)
    while left:
        size = os.readv(descriptor, [left])
        if not size:
            raise EOFError
        left = left[size:]
    return data


def receive(connection: Connection) -> Message:
    """Reads one message.

    Raises:
        ValueError: What came is no JSON object.
    """
    message = json.loads(connection.recv_bytes(_MAX_MESSAGE_BYTES))
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message


def serve(target: str, descriptor: int, parent: int) -> None:
    """Runs in the child: ties its life to the parent's, then calls the target with the connection."""
    import importlib

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # The parent died before the line above could take effect.
        return
    module, _, function = target.partition(":")
    connection = Connection(descriptor)
    # When the supervisor closes its end, the work is over.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        getattr(importlib.import_module(module), function)(connection)
