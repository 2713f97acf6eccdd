"""What people say of a teacher's answers: kept in order, whole after a kill, and what it shows of the teacher."""

import json
import os
from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.review.decisions import Action, decide, read_decisions, review_figures
from appliance.review.queue import Kind, QueueEntry, in_turn, read_queue, write_queue
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Field, FieldType, Task, TaskKind

ORDER = Task(
    2, "orders", TaskKind.EXTRACT, "Read the order",
    fields=(Field("number"), Field("items", FieldType.LIST), Field("total", FieldType.AMOUNT)),
)  # fmt: skip


def entry(number: int, kind: Kind = Kind.RANKED, score: float = 1.0) -> QueueEntry:
    row = LabelledRow(f"{number}.txt", f"order {number}\ntotal: 1.00", {"number": str(number), "total": "1.00"})
    return QueueEntry(row, score, kind, {"total": "truth: total is likelier '2.00'"})


def test_the_queue_keeps_its_order_with_one_random_answer_in_five(tmp_path: Path) -> None:
    ranked, audited = [entry(n) for n in range(10)], [entry(n, Kind.AUDIT, 0.0) for n in range(100, 104)]
    entries = in_turn(ranked, audited)
    assert [place for place, each in enumerate(entries) if each.kind is Kind.AUDIT][:2] == [4, 9]
    assert len(entries) == 14
    write_queue(tmp_path / "review.jsonl", entries)
    assert read_queue(tmp_path / "review.jsonl") == entries
    with pytest.raises(UsageError, match="no queue"):
        read_queue(tmp_path / "other.jsonl")


def test_a_decision_keeps_who_when_and_what_the_teacher_said(tmp_path: Path) -> None:
    path = tmp_path / "teacher" / "reviews.jsonl"
    decide(path, ORDER, entry(1), Action.CORRECT, {"total": " 2.00 ", "items": "a"})
    decide(path, ORDER, entry(2), Action.ACCEPT, {})
    decisions = read_decisions(path)
    first = decisions[entry(1).key]
    assert first.answer == {"number": "1", "total": "2.00", "items": ["a"]}
    assert first.teacher_answer == {"number": "1", "total": "1.00"}
    assert first.user
    assert first.time > 1e9
    assert decisions[entry(2).key].action is Action.ACCEPT


def test_the_latest_decision_counts_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    decide(path, ORDER, entry(1), Action.REJECT, {})
    decide(path, ORDER, entry(1), Action.CORRECT, {"total": None})
    assert read_decisions(path)[entry(1).key].answer["total"] is None
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(("cut", "left"), [(1, {1, 2}), (2, {1}), (200, {1})])
def test_a_line_that_the_machine_died_in_takes_no_other_with_it(tmp_path: Path, cut: int, left: set[int]) -> None:
    path = tmp_path / "reviews.jsonl"
    decide(path, ORDER, entry(1), Action.ACCEPT, {})
    decide(path, ORDER, entry(2), Action.ACCEPT, {})
    os.truncate(path, path.stat().st_size - cut)
    assert set(read_decisions(path)) == {entry(number).key for number in left}
    decide(path, ORDER, entry(3), Action.ACCEPT, {})
    assert set(read_decisions(path)) == {entry(number).key for number in left | {3}}
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(UsageError, match=r"reviews\.jsonl:1: it is no JSON"):
        read_decisions(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({}, "changes nothing"), ({"date": "x"}, "has no field date"), ({"total": "twelve"}, "has no digit"),
     ({"number": ["a", "b"]}, "number is not a list"), ({"number": "\udc80"}, "cannot be stored")],
    ids=["nothing", "unknown field", "no amount", "no list", "half a character"],
)  # fmt: skip
def test_what_a_field_cannot_have_is_refused(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decide(tmp_path / "reviews.jsonl", ORDER, entry(1), Action.CORRECT, changed)
    assert not (tmp_path / "reviews.jsonl").exists()


def test_random_answers_say_how_good_the_teacher_is_and_the_lift(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    entries = [entry(n) for n in range(10)] + [entry(n, Kind.AUDIT) for n in range(100, 120)]
    for number, each in enumerate(entries):
        wrong = number < 6 or number == 10
        decide(path, ORDER, each, Action.CORRECT if wrong else Action.ACCEPT, {"total": "2.00"} if wrong else {})
    decide(path, ORDER, entry(200), Action.SKIP, {})
    figures = review_figures(ORDER, [*entries, entry(300)], read_decisions(path))
    assert (figures.open, figures.decisions, figures.skipped) == (1, 30, 1)
    assert (figures.ranked, figures.ranked_wrong, figures.audited, figures.audited_wrong) == (10, 6, 20, 1)
    assert figures.lift == pytest.approx(12.0)
    assert figures.teacher.estimate == 0.95
    assert "95.0 %" in "\n".join(figures.lines())


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text(json.dumps({"version": 9}) + "\n")
    with pytest.raises(UsageError, match=r"reviews\.jsonl:1: it is no decision of this version"):
        read_decisions(path)
