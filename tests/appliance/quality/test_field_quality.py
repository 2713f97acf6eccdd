"""Verdicts that look at each field, label and slice: crafted students, and what each is told."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from appliance.engines.engine import Result
from appliance.quality.field_quality import by_field_quality
from appliance.quality.gate import judge_results
from appliance.quality.metrics import judge
from appliance.quality.readiness import Decision
from appliance.quality.report import QualityReport
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Field, FieldType, Targets, Task, TaskKind

ORDER = Task(
    2, "orders", TaskKind.EXTRACT, "Read the order",
    fields=(Field("number"), Field("note"), Field("kind")), slices=("kind",),
)  # fmt: skip
LABELS = ("card", "money", "rare")


def rows_of(answers: Sequence[Answer]) -> list[LabelledRow]:
    return [
        LabelledRow(f"{number}.txt", f"page {number}", answer, source="person") for number, answer in enumerate(answers)
    ]


def report_on(task: Task, golds: Sequence[Answer], answers: Sequence[Answer | None], look: int = 1) -> QualityReport:
    results = [Result(str(number), answer) for number, answer in enumerate(answers)]
    return judge_results(task, rows_of(golds), results, look=look)


def orders(count: int, noted: int) -> list[Answer]:
    """Orders of which so many have a note."""
    return [
        {"number": f"n{number}", "note": "fragile" if number < noted else None, "kind": "usual"}
        for number in range(count)
    ]


def test_a_student_that_never_finds_a_rare_field_is_not_ready() -> None:
    golds = orders(400, 6)
    report = report_on(ORDER, golds, [{**gold, "note": None} for gold in golds])
    assert report.field_accuracy.low > 0.98  # most notes are rightly null
    assert report.readiness.decision is Decision.NOT_READY
    assert report.readiness.reason.startswith("note: recall 0.0 %")
    assert report_on(ORDER, golds, golds).readiness.decision is Decision.READY


def test_few_values_of_a_field_that_is_not_required_hold_nothing_up() -> None:
    golds = orders(400, 2)
    assert report_on(ORDER, golds, golds).readiness.decision is Decision.READY
    required = replace(ORDER, fields=(Field("number"), Field("note", required=True), Field("kind")))
    report = report_on(required, golds, golds)
    assert report.readiness.decision is Decision.NEED_MORE
    assert report.readiness.subject == "note"
    assert report.readiness.more > 1000  # one order in 200 has a note
    assert report_on(replace(required, readiness=Targets(recall=0.0)), golds, golds).readiness.ready


def test_a_rare_slice_that_is_destroyed_decides() -> None:
    golds = [*orders(400, 0), *({"number": f"r{n}", "note": None, "kind": "rare"} for n in range(12))]
    answers = [{**gold, "number": "wrong"} if gold["kind"] == "rare" else gold for gold in golds]
    report = report_on(ORDER, golds, answers)
    assert report.field_accuracy.low > 0.97
    assert report.readiness.decision is Decision.NOT_READY
    assert report.readiness.subject == "kind rare"


def test_a_label_that_is_never_given_decides() -> None:
    task = Task(2, "letters", TaskKind.CLASSIFY, "What is it?", labels=LABELS)
    golds: list[Answer] = [{"label": ("card", "money")[n % 2]} for n in range(400)] + [{"label": "rare"}] * 8
    report = report_on(task, golds, [{"label": "card"} if gold["label"] == "rare" else gold for gold in golds])
    assert report.readiness.decision is Decision.NOT_READY
    assert report.readiness.subject == "rare"
    rare, card = report.by_label["rare"], report.by_label["card"]
    assert (rare.present, rare.found, rare.f1) == (8, 0, 0.0)
    assert (card.written, card.right, card.invented) == (208, 200, 8)
    assert next(iter(report.by_label)) == "rare"


@pytest.mark.parametrize(
    ("targets", "basis"),
    [(Targets(invented=0.05), "invented"), (Targets(precision=0.9), "precision"), (Targets(recall=0.95), "recall")],
    ids=["invented", "precision", "recall"],
)
def test_each_share_can_be_asked_for(targets: Targets, basis: str) -> None:
    golds = orders(600, 300)
    answers = [dict(gold) for gold in golds]
    for number in range(40):
        answers[300 + number]["note"] = "made up"  # 40 of 300 invented, and 40 of 340 written are wrong
        answers[number]["note"] = None if basis == "recall" else "fragile"
    report = report_on(replace(ORDER, readiness=replace(targets, required=0.9)), golds, answers)
    assert report.readiness.decision is not Decision.READY
    assert (report.readiness.basis, report.readiness.subject) == (basis, "note")
    assert report_on(replace(ORDER, readiness=Targets(required=0.9)), golds, answers).readiness.ready


def test_a_field_is_counted_by_hand() -> None:
    golds: list[Answer] = [{"number": "1"}, {"number": "2"}, {"number": None}, {"number": None}, {"number": "5"}]
    answers: list[Answer | None] = [{"number": "1"}, {"number": "3"}, {"number": "4"}, {"number": None}, None]
    judged = [judge(ORDER, "x", gold, answer) for gold, answer in zip(golds, answers, strict=True)]
    quality = by_field_quality(ORDER, judged)["number"]
    assert (quality.present, quality.found, quality.absent, quality.invented) == (3, 1, 2, 1)
    assert (quality.written, quality.right) == (3, 1)
    assert quality.f1 == pytest.approx(2 * (1 / 3) * (1 / 3) / (2 / 3))


def test_of_records_the_cells_count() -> None:
    items = Field("items", FieldType.RECORDS, columns=(Field("what"), Field("price")))
    task = replace(ORDER, fields=(items,), slices=())
    gold: Answer = {"items": [{"what": "a", "price": "1"}, {"what": "b", "price": "2"}]}
    answer: Answer = {"items": [{"what": "a", "price": "1"}, {"what": "b", "price": "3"}]}
    quality = by_field_quality(task, [judge(task, "x", gold, answer)])["items"]
    assert (quality.present, quality.found, quality.written, quality.right) == (4, 3, 4, 3)


def test_values_that_nobody_trusts_are_not_judged() -> None:
    golds = orders(100, 50)
    rows = [replace(row, untrusted={"note": "evidence: not in the text"}) for row in rows_of(golds)]
    answers = [Result(str(number), {**gold, "note": "other"}) for number, gold in enumerate(golds)]
    report = judge_results(ORDER, rows, answers)
    assert (report.fields, report.counts.correct, report.untrusted) == (200, 200, 100)
    assert "note" not in report.unmet


def test_a_margin_without_a_persons_answers_is_told() -> None:
    rows = [replace(row, source="teacher", teacher_answer=row.answer) for row in rows_of(orders(100, 50))]
    task = replace(ORDER, readiness=Targets(margin=0.02))
    report = judge_results(task, rows, [Result(row.document, row.answer) for row in rows])
    assert (report.readiness.basis, report.readiness.threshold) == ("gold", 0.95)
    assert "margin             not tested: no row has a person's answer beside the teacher's" in "\n".join(
        report.lines()
    )


def test_later_looks_must_show_more() -> None:
    golds = orders(80, 80)
    first, second = (report_on(ORDER, golds, golds, look).readiness for look in (1, 2))
    assert (first.level, second.level) == (0.975, 0.9875)
    assert first.low > second.low
    assert "95 % interval" in first.reason
    assert "97.5 % interval" in second.reason
