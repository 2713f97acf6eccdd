"""The engine's child as the supervisor sees it: silence, death, and whom they concern."""

from multiprocessing.connection import Connection

import pytest

from appliance.documents.sandbox import ReadReply
from appliance.engines.engine import Result
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.jobs.answering import SENT_AHEAD, AnsweringEngine, DocumentText, EngineDeath
from appliance.jobs.ledger_writer import PendingDocument


def hang_with_the_first(connection: Connection) -> None:
    """A child that takes one document and never answers it."""
    child.send(connection, {"ready": "model"})
    child.send(connection, {"taken": child.receive(connection)["key"]})
    while True:
        child.receive(connection)


def answer_and_exit(connection: Connection) -> None:
    """A child that answers one document and ends in the next."""
    child.send(connection, {"ready": "model"})
    for _ in range(2):
        key = child.receive(connection)["key"]
        child.send(connection, {"taken": key})
        if key == "1":
            child.send(connection, {"result": {"key": key, "answer": {}}})


def refuse(connection: Connection) -> None:
    """A child that cannot open its model."""
    child.send(connection, {"refused": "no room", "hint": "make some", "exit_code": 4})


def answer_all(connection: Connection) -> None:
    """A child that answers everything."""
    child.send(connection, {"ready": "model"})
    while True:
        key = child.receive(connection)["key"]
        child.send(connection, {"result": {"key": key, "answer": {}}})


def engine(target: str, silence_seconds: float = 900.0, model: str = "model") -> AnsweringEngine:
    return AnsweringEngine(lambda: child.Child(f"{__name__}:{target}"), model, silence_seconds)


def text(number: int, crash_count: int = 0) -> DocumentText:
    return DocumentText(PendingDocument(number, b"a", crash_count), ReadReply("a" * 64, "words"))


def test_engine_that_says_nothing_is_killed_and_only_what_it_took_is_suspect() -> None:
    hanging = engine("hang_with_the_first", silence_seconds=0.0)
    hanging.send(text(1))
    hanging.send(text(2))
    assert hanging.receive() is None
    assert hanging.receive() is None
    assert hanging.overdue
    death = hanging.kill_silent()
    assert ([one.document.id for one in death.in_work], [one.document.id for one in death.untouched]) == ([1], [2])
    assert "said nothing for 0 s" in death.reason
    assert (hanging.connection, hanging.in_flight) == (None, 0)


def test_engine_that_speaks_is_not_overdue() -> None:
    speaking = engine("hang_with_the_first")
    speaking.send(text(1))
    assert not speaking.overdue
    speaking.close()


def test_what_an_engine_said_before_its_death_counts() -> None:
    dying = engine("answer_and_exit")
    dying.send(text(1))
    dying.send(text(2))
    said = [dying.receive() for _ in range(5)]
    answered, death = said[2], said[4]
    assert isinstance(answered, tuple)
    assert (answered[0].document.id, answered[1]) == (1, Result("1", {}))
    assert isinstance(death, EngineDeath)
    assert [one.document.id for one in death.in_work] == [2]


def test_suspect_of_a_death_is_alone_with_the_engine() -> None:
    alone = engine("hang_with_the_first")
    assert alone.room
    alone.send(text(1, crash_count=1))
    assert not alone.room
    alone.close()


def test_refusal_keeps_message_hint_and_exit_code() -> None:
    refusing = engine("refuse")
    refusing.send(text(1))
    with pytest.raises(ApplianceError, match="no room") as refused:
        refusing.receive()
    assert (refused.value.hint, refused.value.exit_code) == ("make some", 4)
    refusing.close()


def test_other_model_than_the_job_s_is_refused() -> None:
    other = engine("hang_with_the_first", model="another")
    other.send(text(1))
    with pytest.raises(ApplianceError, match="the engine holds model model, the job was made for another"):
        other.receive()
    other.close()


def test_as_many_documents_are_sent_as_are_answered_in_a_second() -> None:
    seconds = [0.0]
    fast = AnsweringEngine(lambda: child.Child(f"{__name__}:answer_all"), "model", 900.0, lambda: seconds[0])
    sent = 0

    def fill(characters: int = 1) -> int:
        """Sends while there is room; gives how many."""
        nonlocal sent
        before = sent
        while fast.room:
            sent += 1
            fast.send(DocumentText(PendingDocument(sent, b"a", 0), ReadReply("a" * 64, "x" * characters)))
        return sent - before

    def empty() -> None:
        while fast.in_flight:
            fast.receive()

    assert fill() == SENT_AHEAD
    empty()
    assert fill() == SENT_AHEAD, "as many were answered in the second that goes on"
    empty()
    assert fill() == 2 * SENT_AHEAD
    empty()
    assert fill(characters=1000) == SENT_AHEAD, "long ones are more work than the short ones that were answered"
    empty()
    assert fill(characters=1000) > SENT_AHEAD
    empty()
    seconds[0] = 5.0
    assert fill() == SENT_AHEAD, "it has answered nothing lately"
    fast.close()


def test_suspect_is_alone_in_an_engine_however_fast() -> None:
    fast = engine("answer_all")
    fast.send(text(1, crash_count=1))
    assert not fast.room
    while fast.in_flight:
        fast.receive()
    assert fast.room
    fast.close()
