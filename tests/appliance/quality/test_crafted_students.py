"""Four students: a good one, one that is too sure, one that lost a rare slice, one that quantization broke."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from appliance.engines.engine import Result
from appliance.quality.gate import judge_results
from appliance.quality.readiness import Decision
from appliance.quality.report import QualityReport
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Field, Targets, Task, TaskKind

TASK = Task(
    2, "orders", TaskKind.EXTRACT, "Read the order", fields=(Field("number", required=True), Field("kind")),
    slices=("kind",), readiness=Targets(required=0.9),
)  # fmt: skip
ROWS = 600
RARE = 0.05


def golds() -> list[Answer]:
    generator = np.random.default_rng(3)
    return [
        {"number": f"N{number}", "kind": "repair" if share < RARE else "new"}
        for number, share in enumerate(generator.random(ROWS))
    ]


def answers(right: Sequence[bool]) -> list[Answer]:
    return [gold if good else {**gold, "number": "N"} for gold, good in zip(golds(), right, strict=True)]


def judged(given: Sequence[Answer], sure: Sequence[float], task: Task = TASK) -> QualityReport:
    rows = [LabelledRow(f"{n}.txt", f"page {n}", gold, source="person") for n, gold in enumerate(golds())]
    results = [
        Result(str(n), answer, {"number": share, "kind": 0.99})
        for n, (answer, share) in enumerate(zip(given, sure, strict=True))
    ]
    return judge_results(task, rows, results)


def drawn(share: float) -> list[bool]:
    return list(np.random.default_rng(5).random(ROWS) < share)


def test_a_good_student_is_ready() -> None:
    right = drawn(0.96)
    assert judged(answers(right), [0.97 if good else 0.6 for good in right]).readiness.ready


def test_one_that_is_right_often_enough_but_too_sure_fails_by_its_confidence() -> None:
    right, task = drawn(0.82), replace(TASK, readiness=Targets(required=0.85, recall=0.7))
    readiness = judged(answers(right), [0.999] * ROWS, task).readiness
    assert (readiness.decision, readiness.basis) == (Decision.NOT_READY, "calibration")
    assert readiness.reason.startswith("confidence of 99.5 % in the mean: share of right values 91.")
    assert "validation rows" in readiness.advice
    assert judged(answers(right), [0.94] * ROWS, task).readiness.ready
    allowed = replace(task, readiness=replace(task.readiness, calibration=1.0))
    assert judged(answers(right), [0.999] * ROWS, allowed).readiness.ready


def test_one_that_lost_a_rare_slice_fails_by_that_slice() -> None:
    given = [{**gold, "number": None} if gold["kind"] == "repair" else gold for gold in golds()]
    readiness = judged(given, [0.97] * ROWS).readiness
    assert (readiness.decision, readiness.basis, readiness.subject) == (Decision.NOT_READY, "recall", "kind repair")


def test_one_that_quantization_broke_fails_by_its_own_answers() -> None:
    """The gate judges the artifact itself, so that what the training said of other weights counts for nothing."""
    readiness = judged(answers(drawn(0.6)), [0.7] * ROWS).readiness
    assert (readiness.decision, readiness.basis) == (Decision.NOT_READY, "gold")


@pytest.mark.parametrize(("share", "decision"), [(0.96, Decision.READY), (0.92, Decision.NEED_MORE)])
def test_a_bound_that_the_task_asks_for_must_be_shown(share: float, decision: Decision) -> None:
    task = replace(TASK, readiness=Targets(required=0.8, calibration=0.03))
    assert judged(answers(drawn(share)), [0.97] * ROWS, task).readiness.decision is decision


def test_few_documents_and_none_with_confidence_say_nothing() -> None:
    rows = [LabelledRow(f"{n}.txt", f"page {n}", gold, source="person") for n, gold in enumerate(golds()[:19])]
    results = [Result(str(n), {**row.answer, "kind": "x"}, {"kind": 1.0}) for n, row in enumerate(rows)]
    assert "confidence" not in " ".join(judge_results(TASK, rows, results).unmet)
    assert "confidence" not in " ".join(judge_results(TASK, rows, [replace(r, confidence={}) for r in results]).unmet)
