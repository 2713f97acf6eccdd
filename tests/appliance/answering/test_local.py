"""The engine's child from outside: silence, death, and whom they concern."""

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait

import pytest

from appliance.answering.answerer import answer_all as drive
from appliance.answering.local import SENT_AHEAD, LocalAnswerer
from appliance.engines.engine import Request, Result
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.ground.stopping import Stop


def hang_with_the_first(connection: Connection) -> None:
    """A child that takes one document and never answers it."""
    child.send(connection, {"ready": "model"})
    child.send(connection, {"taken": child.receive(connection)["key"]})
    while True:
        child.receive(connection)


def answer_and_exit(connection: Connection) -> None:
    """A child that answers document 1, and ends with any other in work."""
    child.send(connection, {"ready": "model"})
    while True:
        key = child.receive(connection)["key"]
        child.send(connection, {"taken": key})
        if key != "1":
            return
        child.send(connection, {"result": {"key": key, "answer": {}}})


def refuse(connection: Connection) -> None:
    """A child that cannot open its model."""
    child.send(connection, {"refused": "no room", "hint": "make some", "exit_code": 4})


def exit_at_once(_connection: Connection) -> None:
    """A child that ends before it has said anything."""


def die_with_each(connection: Connection) -> None:
    """A child that takes a document and ends."""
    child.send(connection, {"ready": "model"})
    child.send(connection, {"taken": child.receive(connection)["key"]})


def fail_with_each(connection: Connection) -> None:
    """A child that takes a document, says what it fails with, and ends."""
    child.send(connection, {"ready": "model"})
    child.send(connection, {"taken": child.receive(connection)["key"]})
    child.send(connection, {"failed": "IndexError: token 5000"})


def answer_all(connection: Connection) -> None:
    """A child that answers everything."""
    child.send(connection, {"ready": "model"})
    while True:
        key = child.receive(connection)["key"]
        child.send(connection, {"result": {"key": key, "answer": {}}})


class Local:
    """An answerer of a child of this module, with what was recorded of its crashes."""

    def __init__(self, target: str, silence_seconds: float = 900.0, model: str = "model") -> None:
        self.crashes: list[tuple[str, str]] = []
        self.seconds = 0.0
        self.starts = 0
        self.target = f"{__name__}:{target}"
        self.answerer = LocalAnswerer(
            self.start, model, lambda *crash: self.crashes.append(crash), silence_seconds, lambda: self.seconds
        )

    def start(self) -> child.Child:
        self.starts += 1
        return child.Child(self.target)

    def results(self, count: int, timeout: float = 30.0) -> list[Result]:
        """The next results, so many."""
        results: list[Result] = []
        while len(results) < count:
            connections = self.answerer.connections
            ready = wait(connections, timeout) if connections else []
            assert ready or not connections, "nothing came"
            results += self.answerer.arrived(ready)
        return results


@pytest.fixture
def local() -> Iterator[Callable[..., Local]]:
    made: list[Local] = []

    def make(*values: object, **named: object) -> Local:
        made.append(Local(*values, **named))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.answerer.close()


MakeLocal = Callable[..., Local]


def request(number: int, crash_count: int = 0, characters: int = 5) -> Request:
    return Request(str(number), "x" * characters, crash_count)


def test_engine_that_says_nothing_is_killed_and_only_what_it_took_is_suspect(local: MakeLocal) -> None:
    hanging = local("hang_with_the_first", silence_seconds=10.0)
    for number in (1, 2):
        hanging.answerer.send(request(number))
    while not hanging.answerer.is_ready or not hanging.answerer._taken:
        assert list(hanging.answerer.arrived(wait(hanging.answerer.connections, 30))) == []
    hanging.seconds = 11.0
    assert list(hanging.answerer.arrived([])) == []
    assert hanging.crashes == [("1", "killed after 10 s without a sign of life")]
    assert (hanging.answerer.connections, hanging.answerer.in_flight) == ([], 2), "both are to be tried again"
    list(hanging.answerer.arrived([]))
    assert list(hanging.answerer._sent) == ["2"], "the suspect waits until the other is answered"


def test_engine_that_speaks_is_not_killed(local: MakeLocal) -> None:
    speaking = local("hang_with_the_first", silence_seconds=10.0)
    speaking.answerer.send(request(1))
    speaking.seconds = 9.0
    list(speaking.answerer.arrived(wait(speaking.answerer.connections, 30)))
    speaking.seconds = 18.0
    list(speaking.answerer.arrived([]))
    assert speaking.crashes == []


def test_what_an_engine_said_before_its_death_counts_and_two_deaths_end_a_document(local: MakeLocal) -> None:
    dying = local("answer_and_exit")
    for number in (1, 2):
        dying.answerer.send(request(number))
    answered, quarantined = dying.results(2)
    assert answered == Result("1", {})
    assert (quarantined.key, quarantined.error) == ("2", "engine_died")
    assert "the engine died 2 times while it worked on this document" in quarantined.error_message
    assert [key for key, _ in dying.crashes] == ["2", "2"], "the ledger learns of each death"
    assert dying.answerer.in_flight == 0


def test_suspect_of_an_earlier_run_needs_one_death_only(local: MakeLocal) -> None:
    dying = local("answer_and_exit")
    dying.answerer.send(request(2, crash_count=1))
    (quarantined,) = dying.results(1)
    assert quarantined.error == "engine_died"
    assert len(dying.crashes) == 1


def test_crash_is_recorded_before_the_document_is_tried_again(local: MakeLocal) -> None:
    dying = local("answer_and_exit")
    starts: list[int] = []
    dying.answerer._on_crash = lambda *_: starts.append(dying.starts)
    dying.answerer.send(request(2))
    dying.results(1)
    assert starts == [1, 2]


def test_suspect_is_alone_with_the_engine(local: MakeLocal) -> None:
    alone = local("answer_all")
    alone.answerer.send(request(1, crash_count=1))
    assert alone.answerer.room, "others go first"
    list(alone.answerer.arrived([]))
    assert not alone.answerer.room
    assert alone.results(1) == [Result("1", {})]
    assert alone.answerer.room


def test_engine_that_never_takes_a_document_is_broken(local: MakeLocal) -> None:
    broken = local("exit_at_once")
    broken.answerer.send(request(1))
    with pytest.raises(ApplianceError, match="the engine ended 3 times without taking a document"):
        broken.results(1)


def test_what_an_engine_failed_with_is_told_with_the_document(local: MakeLocal) -> None:
    failing = local("fail_with_each")
    failing.answerer.send(request(1, crash_count=1))
    (result,) = failing.results(1)
    assert result.error == "engine_died"
    assert "ended with exit status 0 (IndexError: token 5000)" in result.error_message


@pytest.mark.slow
def test_engine_that_dies_with_every_document_and_never_answers_is_broken(local: MakeLocal) -> None:
    broken = local("die_with_each")
    for number in range(30):
        broken.answerer.send(request(number))
    with pytest.raises(ApplianceError, match="the engine died 25 times and never answered a document"):
        broken.results(30)
    assert len(broken.crashes) == 24, "the last death is the engine's fault"


def test_after_a_stop_nothing_is_tried_again(local: MakeLocal) -> None:
    dying = local("answer_and_exit")
    for number in (1, 2, 3):
        dying.answerer.send(request(number))
    dying.answerer.send(request(4, crash_count=1))
    dying.answerer.stop_sending()
    results = dying.results(1)
    while dying.answerer.in_flight:
        results += dying.answerer.arrived(wait(dying.answerer.connections, 30))
    assert [result.key for result in results] == ["1"]
    assert [key for key, _ in dying.crashes] == ["2"]


def test_refusal_keeps_message_hint_and_exit_code(local: MakeLocal) -> None:
    refusing = local("refuse")
    refusing.answerer.send(request(1))
    with pytest.raises(ApplianceError, match="no room") as refused:
        refusing.results(1)
    assert (refused.value.hint, refused.value.exit_code) == ("make some", 4)


def test_other_model_than_the_job_s_is_refused(local: MakeLocal) -> None:
    other = local("hang_with_the_first", model="another")
    other.answerer.send(request(1))
    with pytest.raises(ApplianceError, match="the engine loaded model model instead of another"):
        other.results(1)


def test_as_many_documents_are_sent_as_are_answered_in_a_second(local: MakeLocal) -> None:
    fast = local("answer_all")
    sent = 0

    def fill(characters: int = 1) -> int:
        """Sends while there is room; gives how many."""
        nonlocal sent
        before = sent
        while fast.answerer.room:
            sent += 1
            fast.answerer.send(request(sent, characters=characters))
        return sent - before

    def empty() -> None:
        fast.results(fast.answerer.in_flight)

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
    fast.seconds = 5.0
    assert fill() == SENT_AHEAD, "it has answered nothing lately"


def test_driver_answers_everything_and_says_how_far_it_is(local: MakeLocal) -> None:
    fast = local("answer_all")
    counts: list[int] = []
    results = list(drive(fast.answerer, map(request, range(100)), counts.append))
    assert {result.key for result in results} == {str(number) for number in range(100)}
    assert counts[-1] == 100


def test_driver_ends_with_what_is_under_way_after_a_stop(local: MakeLocal) -> None:
    fast = local("answer_all")
    stop = Stop()
    results = []
    for result in drive(fast.answerer, map(request, range(10_000)), stop=stop):
        results.append(result)
        if not stop.graceful:
            stop.ask()
    assert 0 < len(results) < 1000
    assert fast.answerer.in_flight == 0
