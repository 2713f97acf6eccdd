"""`stillroom collect --batch` against a batch interface on loopback that behaves, and that does not."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.answering.frontier_batch import ENDED, FrontierBatches, read_batch
from appliance.ground.errors import NotAllGood, UsageError
from benchmarks.batch_interface import BatchInterface
from tests.training.test_collect_live import Collecting, collecting
from training.collect_batch import BatchState, collect_batch
from training.collect_live import LiveOutcome


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[Collecting]:
    with collecting(tmp_path) as made:
        yield made


def server(teacher: Collecting) -> BatchInterface:
    return teacher.bench.frontier.batches


def batch(teacher: Collecting, **more: object) -> tuple[BatchState, LiveOutcome | None]:
    return collect_batch(teacher.bench.settings, teacher.request(**more))


def finished(teacher: Collecting, most_calls: int = 8) -> LiveOutcome:
    for _ in range(most_calls):
        outcome = batch(teacher)[1]
        if outcome is not None:
            return outcome
    raise AssertionError("the batch does not end")


def test_documents_go_in_one_batch_and_come_back_as_rows(teacher: Collecting) -> None:
    teacher.write(6)
    state, outcome = batch(teacher)
    assert outcome is None
    assert [len(each.requests) for each in state.batches] == [6]
    assert "6 requests" in state.lines()[0]
    assert batch(teacher)[1] is None  # it is in progress
    outcome = finished(teacher)
    assert (outcome.answered, outcome.cached, outcome.failed, outcome.left) == (6, 6, {}, 0)
    assert {row.answer["label"] for row in teacher.rows()} == {"cards", "loans"}
    assert (teacher.asked, len(server(teacher).lines)) == (0, 6)
    # Half the price, in the rows and in the record.
    live = teacher.bench.records("ended")[0]
    assert float(teacher.rows()[0].provenance["money"]) > 0
    assert live["outcome"] == "answered"
    assert not list((teacher.folder / "teacher" / "batches").glob("*.jsonl"))


def test_a_further_call_asks_for_nothing_twice_and_for_what_is_new(teacher: Collecting) -> None:
    teacher.write(3)
    finished(teacher)
    assert finished(teacher).known == 3
    teacher.write(2, 3)
    assert finished(teacher).answered == 2
    assert len(server(teacher).lines) == 5


def test_a_batch_costs_its_share_of_the_price(teacher: Collecting, tmp_path: Path) -> None:
    teacher.write(1)
    finished(teacher)
    in_batch = float(teacher.rows()[0].provenance["money"])
    teacher.write_task(text=(teacher.folder / "task.toml").read_text().replace("What is it about?", "Which is it?"))
    teacher.collect()
    assert float(teacher.rows()[1].provenance["money"]) == pytest.approx(2 * in_batch, rel=0.1)


OUTCOMES = {
    "": (8, 0), "twice": (8, 0), "lost-lines": (4, 4), "expires": (4, 4), "refuses-some": (4, 4), "fails": (0, 8),
    "foreign-ids": (0, 8), "broken-lines": (4, 4),
}  # fmt: skip


@pytest.mark.parametrize("misbehaviour", OUTCOMES, ids=lambda name: name or "good")
def test_what_came_is_kept_and_the_rest_goes_into_the_next_batch(teacher: Collecting, misbehaviour: str) -> None:
    teacher.write(8)
    server(teacher).misbehaviour, server(teacher).looks = misbehaviour, 0
    batch(teacher)
    answered, failed = OUTCOMES[misbehaviour]
    state, outcome = batch(teacher)
    first = state.batches[0]
    assert (first.answered, sum(first.failed.values())) == (answered, failed)
    if failed:
        assert outcome is None  # what is left was sent again
        assert len(state.batches[1].requests) == failed
        server(teacher).misbehaviour = ""
        outcome = finished(teacher)
    assert outcome is not None
    assert len(teacher.rows()) == 8
    # A request without its end would count as if it had cost all that it reserved.
    assert len(teacher.bench.records("ended")) == len(teacher.bench.records("sent"))


@pytest.mark.parametrize("misbehaviour", ["no-file", "web-page"])
def test_results_that_do_not_come_are_looked_for_again(teacher: Collecting, misbehaviour: str) -> None:
    teacher.write(2)
    server(teacher).misbehaviour, server(teacher).looks = misbehaviour, 0
    batch(teacher)
    if misbehaviour == "no-file":
        with pytest.raises(NotAllGood, match="the batch interface of recorded failed"):
            batch(teacher)
    else:
        batch(teacher)
    server(teacher).misbehaviour = ""
    assert finished(teacher).known + len(teacher.rows()) >= 2
    assert len(teacher.rows()) == 2


def test_a_call_that_was_killed_after_the_upload_sends_nothing_twice(teacher: Collecting, tmp_path: Path) -> None:
    teacher.write(2)
    batch(teacher)
    (path,) = (teacher.folder / "teacher" / "batches").glob("*.json")
    sent = read_batch(path)
    # As it was before the server's answer had come: the file is there, and the server has its batch.
    text = path.read_text().replace(f'"batch_id": "{sent.batch_id}"', '"batch_id": ""').replace('"sent"', '"prepared"')
    path.write_text(text)
    batch(teacher)
    assert read_batch(path).batch_id == sent.batch_id
    assert len(server(teacher).batches) == 1
    assert finished(teacher).answered == 2


def test_a_call_that_was_killed_before_the_upload_sends_the_same_file(teacher: Collecting, tmp_path: Path) -> None:
    teacher.write(2)
    directory = teacher.folder / "teacher" / "batches"
    prepared: dict[str, bytes] = {}
    send = FrontierBatches.send

    def dies(self: FrontierBatches, path: Path, made: object) -> object:
        prepared.update({each.name: each.read_bytes() for each in directory.iterdir()})
        raise KeyboardInterrupt

    try:
        FrontierBatches.send = dies  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyboardInterrupt):
            batch(teacher)
    finally:
        FrontierBatches.send = send  # type: ignore[method-assign]
    assert set(prepared) == {"0001.json", "0001.jsonl"}
    outcome = finished(teacher)
    assert outcome.answered == 2
    assert len(server(teacher).lines) == 2
    assert len(teacher.bench.records("sent")) == 2


def test_the_budget_holds_for_batches(teacher: Collecting) -> None:
    teacher.write(5)
    teacher.write_task(more="\n[budget]\ndocuments = 2\n")
    state, _ = batch(teacher)
    assert len(state.batches[0].requests) == 2
    assert "cap" in state.ended
    outcome = finished(teacher)
    assert (outcome.answered, outcome.left) == (2, 3)


def test_a_state_that_is_none_is_refused_by_name(teacher: Collecting) -> None:
    teacher.write(1)
    batch(teacher)
    (path,) = (teacher.folder / "teacher" / "batches").glob("*.json")
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"0001\.json cannot be read"):
        batch(teacher)
    shutil.rmtree(path.parent)
    assert not os.path.exists(path)


def test_an_ended_batch_stays_ended(teacher: Collecting) -> None:
    teacher.write(1)
    finished(teacher)
    (path,) = (teacher.folder / "teacher" / "batches").glob("*.json")
    assert read_batch(path).state == ENDED
