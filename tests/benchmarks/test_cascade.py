"""The parts of the cascade benchmark that its figures rest on."""

import pytest

from appliance.quality.threshold_curve import Unit, choose, make_curve
from benchmarks.banking77 import PromptSpec
from benchmarks.cascade import Answered, cascade_at, figures, least_for_fallback_accuracy, least_share, unit

UNITS = [
    Unit(number, confidence, local, remote)
    for number, (confidence, local, remote) in enumerate(
        [(0.9, True, False), (0.8, True, True), (0.6, False, True), (0.4, False, True), (0.2, False, False)]
    )
]


def test_a_threshold_sends_what_is_below_it() -> None:
    assert cascade_at(UNITS, 0.0) == (0.4, 0.0)
    assert cascade_at(UNITS, 0.7) == (0.8, pytest.approx(0.6))
    assert cascade_at(UNITS, 2.0) == (pytest.approx(0.6), 1.0)


@pytest.mark.parametrize(("accuracy", "share"), [(0.4, 0.0), (0.6, 0.4), (0.8, 0.6), (0.9, 1.0)])
def test_least_share_sends_the_least_sure_first(accuracy: float, share: float) -> None:
    assert least_share(UNITS, accuracy) == pytest.approx(share)


def test_where_the_frontier_gave_no_label_the_local_answer_stays() -> None:
    question = PromptSpec("1", "text", "card", None)
    assert unit(0, question, Answered("1", "card", 0.1)) == Unit(0, 0.1, True, True)
    assert unit(0, question, Answered("1", "loan", 0.1)) == Unit(0, 0.1, False, False)


def test_the_rule_finds_the_threshold_that_the_labels_show() -> None:
    """Sure answers are right here, unsure ones right there: the curve has its top between them."""
    units = [Unit(number, number / 200, number >= 60, number < 70 or number % 2 == 0) for number in range(200)]
    curve = make_curve(units, [0.01] * 200, "USD")
    point = choose(curve)
    assert 0.25 <= point.threshold <= 0.45
    assert point.accuracy.estimate > curve.local_accuracy.estimate
    assert point.accuracy.estimate > curve.remote_accuracy.estimate
    assert point.money_per_1000.estimate == pytest.approx(10 * point.escalated.estimate)
    reaching = least_for_fallback_accuracy(curve)
    assert reaching is not None
    assert reaching.escalated.estimate < point.escalated.estimate
    assert choose(curve, most_money_per_1000=1.0).money_per_1000.estimate <= 1.0


def test_a_fallback_that_never_helps_is_sent_nothing() -> None:
    units = [Unit(number, number / 100, True, False) for number in range(100)]
    assert choose(make_curve(units, [1.0] * 100, "USD")).threshold == 0.0


def test_a_printed_curve_marks_what_was_chosen() -> None:
    units = [Unit(number, number / 100, number > 30, True) for number in range(100)]
    curve = make_curve(units, [0.02] * 100, "EUR")
    lines = curve.lines(choose(curve))
    assert lines[0].startswith("100 labelled documents, 100 fields")
    assert sum("<- chosen" in line for line in lines) == 1
    assert "EUR" in lines[-1]


def test_figures_of_a_half_use_only_the_other_half_for_the_threshold() -> None:
    calibration = [Unit(number, number / 100, number >= 40, number < 50) for number in range(100)]
    test = [Unit(number, number / 100, False, True) for number in range(100)]
    questions = [PromptSpec(str(number), "text", "a", "a") for number in range(100)]
    found = figures(calibration, test, questions)
    assert found["best_accuracy"] == pytest.approx(found["best_escalated_share"])
    assert 0.35 <= found["best_escalated_share"] <= 0.55
    assert found["share_for_frontier_accuracy"] == 1.0
