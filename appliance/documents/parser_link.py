"""The socket between the reader process and a parser: requests with descriptors one way, bounded answers the other.

The parser may be in the hands of a document: it may write slowly, too much, or claim a length that never comes.
"""

import os
import socket
import time

from appliance.documents.text_lines import MAX_TEXT_CHARACTERS

READ_ANY, READ_PLAIN, LEVEL, PROBE = b"A", b"P", b"L", b"?"
"""Requests: read whatever it is; read only what code in Python alone can; state the level; try to break out."""
TEXT, PROBLEM, APART, RECOGNITION = b"T", b"P", b"A", b"R"
"""Marks of an answer: text; a named problem; the document needs a parser of its own; or one with text recognition."""
MAX_FACTS_BYTES = 1 << 19
"""Notes, or the problem with its message, in JSON."""
MAX_ANSWER_BYTES = 4 * MAX_TEXT_CHARACTERS + MAX_FACTS_BYTES + (1 << 10)
"""Text in UTF-8 and its notes."""
_LENGTH_BYTES = 8
_CHUNK_BYTES = 1 << 20


class Overdue(Exception):
    """A parser did not end in time."""


class TooLong(Exception):
    """A parser wrote more than an answer may be."""


def send_request(link: socket.socket, request: bytes, descriptors: list[int]) -> None:
    """Sends one byte and the descriptors.

    Raises:
        EOFError: The parser is gone.
    """
    try:
        link.settimeout(None)
        socket.send_fds(link, [request], descriptors)
    except OSError as error:
        raise EOFError from error


def receive_answer(link: socket.socket, deadline: float) -> bytearray:
    """The next answer of a parser, in the only memory of this process that held it.

    Args:
        deadline: By the monotonic clock, for all of the answer.

    Raises:
        EOFError: The parser ended before its answer did.
        Overdue: The deadline is over.
        TooLong: The answer claims to be longer than one may be.
    """
    length = int.from_bytes(_receive_exactly(link, _LENGTH_BYTES, deadline), "big")
    if not 0 < length <= MAX_ANSWER_BYTES:
        raise TooLong
    return _receive_exactly(link, length, deadline)


def send_answer(link: socket.socket, answer: bytes) -> None:
    """Writes one answer; needs no system call but `write`."""
    data = memoryview(len(answer).to_bytes(_LENGTH_BYTES, "big") + answer)
    while data:
        data = data[os.write(link.fileno(), data) :]


def _receive_exactly(link: socket.socket, size_bytes: int, deadline: float) -> bytearray:
    received = bytearray(size_bytes)
    try:
        _fill(memoryview(received), link, deadline)
    except BaseException:
        # Half an answer is text of a document too.
        received[:] = bytes(size_bytes)
        raise
    return received


def _fill(left: memoryview, link: socket.socket, deadline: float) -> None:
    while left:
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            raise Overdue
        link.settimeout(left_seconds)
        try:
            size = link.recv_into(left[:_CHUNK_BYTES])
        except TimeoutError as error:
            raise Overdue from error
        except OSError as error:
            raise EOFError from error
        if not size:
            raise EOFError
        left = left[size:]
