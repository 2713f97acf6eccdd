"""What a parser that a document has taken over can say to the reader process and to the supervisor."""

import socket
import time
from collections.abc import Iterator

import pytest

from appliance.documents.parser_link import (
    MAX_ANSWER_BYTES,
    MAX_FACTS_BYTES,
    Overdue,
    TooLong,
    receive_answer,
    send_request,
)
from appliance.documents.problems import Problem
from appliance.documents.sandbox import _reply
from tests.appliance.documents.reader_bench import PATIENT


class Taken:
    """A parser in the hands of a document, at the other end of the reader process's socket."""

    def __init__(self) -> None:
        self.link, self.theirs = socket.socketpair()

    def answer(self, data: bytes, within_seconds: float = PATIENT) -> bytearray:
        self.theirs.sendall(data)
        return receive_answer(self.link, time.monotonic() + within_seconds)


@pytest.fixture
def taken() -> Iterator[Taken]:
    made = Taken()
    yield made
    made.link.close()
    made.theirs.close()


def test_answer_longer_than_any_text_is_refused_before_it_is_read(taken: Taken) -> None:
    with pytest.raises(TooLong):
        taken.answer((MAX_ANSWER_BYTES + 1).to_bytes(8, "big"))


def test_answer_that_never_comes_ends_with_the_deadline(taken: Taken) -> None:
    with pytest.raises(Overdue):
        taken.answer((100).to_bytes(8, "big") + b"only the start", within_seconds=0.05)


def test_parser_that_closes_its_end_is_dead(taken: Taken) -> None:
    taken.theirs.close()
    with pytest.raises(EOFError):
        receive_answer(taken.link, time.monotonic() + PATIENT)
    with pytest.raises(EOFError):
        send_request(taken.link, b"A", [])


@pytest.mark.parametrize(
    "answer",
    [
        b"T", b"T{}\0text", b"T[]\0text", b'T{"notes": 5}\0text', b'T{"notes": []}\0\xff\xfe', b"Tnull\0",
        b'P{"problem": "invented", "message": ""}\0', b"P{}\0", b"P" + b"[" * 100_000, b"", b"\0\0\0",
    ],
    ids=range(11),
)  # fmt: skip
def test_nonsense_of_a_parser_is_one_failed_document(answer: bytes) -> None:
    assert _reply("0" * 64, answer).problem is Problem.READER_DIED


@pytest.mark.parametrize(
    "answer", [b'T{"notes": ["\\ud800 \\u0000"]}\0a\0b', b'P{"problem": "empty", "message": "\\ud800 \\u0000"}\0']
)
def test_whatever_a_parser_says_can_be_stored(answer: bytes) -> None:
    reply = _reply("0" * 64, answer)
    assert (*reply.notes, reply.message) in {("? \ufffd", ""), ("? \ufffd",)}
    assert reply.text in ("a\ufffdb", "")


def test_facts_longer_than_any_parser_gives_are_not_even_parsed() -> None:
    facts = b'{"notes": [' + b'"",' * (MAX_FACTS_BYTES // 3) + b'""]}'
    assert _reply("0" * 64, b"T" + facts + b"\0text").problem is Problem.READER_DIED


@pytest.mark.parametrize("ends", [False, True], ids=["stalls", "dies"])
def test_half_an_answer_of_a_parser_is_cleared(taken: Taken, ends: bool) -> None:
    taken.theirs.sendall((100).to_bytes(8, "big") + b"only the start")
    if ends:
        taken.theirs.close()
    with pytest.raises(EOFError if ends else Overdue) as caught:
        receive_answer(taken.link, time.monotonic() + (PATIENT if ends else 0.05))
    held = [frame.frame.f_locals["received"] for frame in caught.traceback if "received" in frame.frame.f_locals]
    # The deadline may already be over when the length comes, where the machine is very busy.
    assert held
    assert not any(any(buffer) for buffer in held)
