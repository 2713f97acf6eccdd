"""Verdicts: published and hand-computed cases, and how often simulated students pass wrongly."""

import numpy as np
import pytest

from appliance.quality.metrics import Judged, Outcome
from appliance.quality.readiness import Decision, Readiness, against_gold, against_teacher, worst


def documents(right: np.ndarray) -> list[Judged]:
    """Judged documents from a table (documents, fields) of what is right."""
    return [
        Judged(
            f"{number}.txt",
            {f"f{place}": Outcome.CORRECT if good else Outcome.SUBSTITUTED for place, good in enumerate(row)},
            frozenset(),
        )
        for number, row in enumerate(right)
    ]


def column(right: int, wrong: int) -> np.ndarray:
    """One field in each document."""
    return np.array([[1]] * right + [[0]] * wrong)


@pytest.mark.parametrize(
    ("right", "wrong", "required", "decision"),
    [
        (59, 0, 0.95, Decision.READY),
        (58, 0, 0.95, Decision.NEED_MORE),
        (90, 10, 0.9, Decision.NEED_MORE),
        (80, 20, 0.9, Decision.NOT_READY),
    ],
    ids=["59 of 59", "58 of 58", "90 of 100", "80 of 100"],
)
def test_accuracy_is_decided_by_the_exact_lower_bound(
    right: int, wrong: int, required: float, decision: Decision
) -> None:
    """0.95 ** 59 < 0.05 < 0.95 ** 58: so many right answers in a row show 95 % at that level, and not one fewer."""
    assert against_gold(documents(column(right, wrong)), required).decision is decision


def test_a_published_deploy_decision_needs_more() -> None:
    """66 against 63 right of 78, 10 and 7 of them discordant, at its own margin of 5 points."""
    student = np.array([1] * 56 + [1] * 10 + [0] * 7 + [0] * 5)[:, None]
    teacher = np.array([1] * 56 + [0] * 10 + [1] * 7 + [0] * 5)[:, None]
    found = against_teacher(documents(student), documents(teacher), 0.04)
    assert found.decision is Decision.NEED_MORE
    assert found.verdict == f"NEED {found.more} MORE"
    assert found.p == pytest.approx(0.629, abs=1e-3)


def test_that_many_more_documents_do_decide_it_if_the_rates_stay() -> None:
    right = np.array([[1] * 10] * 35 + [[1] * 9 + [0]] * 5)
    found = against_gold(documents(right), 0.97)
    assert found.decision is Decision.NEED_MORE
    times = int(np.ceil((len(right) + found.more) / len(right)))
    assert against_gold(documents(np.tile(right, (times, 1))), 0.97).decision is Decision.READY
    assert against_gold(documents(np.tile(right, (max(1, times // 4), 1))), 0.97).decision is Decision.NEED_MORE


def test_fields_of_one_document_count_less_when_they_fall_together() -> None:
    scattered, together = np.ones((60, 10)), np.ones((60, 10))
    scattered[range(12), [number % 10 for number in range(12)]] = 0
    together[:1] = 0
    together[1, :2] = 0
    apart, joint = against_gold(documents(scattered), 0.96), against_gold(documents(together), 0.96)
    assert apart.estimate == joint.estimate
    assert joint.effect > apart.effect
    assert joint.low < apart.low


def test_a_student_at_the_margin_passes_in_one_of_twenty_cases_at_most() -> None:
    generator = np.random.default_rng(0)
    passed = 0
    for _ in range(400):
        easy = generator.beta(18, 1, (60, 1))  # documents differ, so fields of one document fall together
        teacher = generator.random((60, 10)) < easy
        lost = generator.random((60, 10)) < 0.06 / (18 / 19)
        passed += against_teacher(documents(teacher & ~lost), documents(teacher), 0.06).ready
    assert passed / 400 <= 0.07  # 0.05, and two standard errors of 400 draws


def test_an_equal_student_passes_with_enough_documents_and_a_much_worse_one_never() -> None:
    generator = np.random.default_rng(1)
    equal = worse = 0
    for _ in range(100):
        teacher = generator.random((200, 5)) < 0.95
        flipped = generator.random((200, 5)) < 0.02
        equal += against_teacher(documents(teacher ^ flipped), documents(teacher), 0.05).ready
        worse += against_teacher(
            documents(teacher & (generator.random((200, 5)) > 0.12)), documents(teacher), 0.05
        ).ready
    assert equal >= 95
    assert worse == 0


def test_the_worst_condition_decides() -> None:
    def found(decision: Decision, more: int = 0) -> Readiness:
        return Readiness(decision, more, "gold", 0.9, 0.8, 0.95, 0.9, 10, 100, 1.0)

    ready, few, many = found(Decision.READY), found(Decision.NEED_MORE, 5), found(Decision.NEED_MORE, 50)
    assert worst([ready, few, many]) is many
    assert worst([many, refused := found(Decision.NOT_READY)]) is refused
    assert worst([ready]).verdict == "READY"


def test_one_document_decides_nothing() -> None:
    assert against_gold(documents(np.ones((1, 10))), 0.9).decision is Decision.NEED_MORE
    assert (
        against_teacher(documents(np.ones((1, 10))), documents(np.ones((1, 10))), 0.02).decision is Decision.NEED_MORE
    )
