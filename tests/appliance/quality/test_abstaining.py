"""When a classifier abstains: the risk holds in most draws, and few rows make no rule."""

import numpy as np
import pytest

from appliance.quality.abstaining import abstain_threshold


def drawn(generator: np.random.Generator, rows: int) -> tuple[list[float], list[bool]]:
    """Rows that are right as often as their confidence says."""
    confidence = generator.beta(4, 1, rows)
    return list(confidence), list(generator.random(rows) < confidence)


def test_what_is_answered_is_wrong_no_more_often_than_stated() -> None:
    generator = np.random.default_rng(0)
    held = answered = 0
    test_confidence, test_right = drawn(generator, 20_000)
    for _ in range(100):
        threshold = abstain_threshold(*drawn(generator, 300), 0.1)
        kept = [right for confidence, right in zip(test_confidence, test_right, strict=True) if confidence >= threshold]
        held += threshold == 0 or 1 - np.mean(kept) <= 0.1
        answered += len(kept) / len(test_right)
    assert held >= 85
    assert answered / 100 > 0.3


def test_a_good_student_answers_everything_and_few_rows_show_nothing() -> None:
    assert abstain_threshold([0.9] * 100, [True] * 100, 0.05) == 0.0
    assert abstain_threshold([0.9, 0.5], [True, False], 0.05) == 0.0
    assert abstain_threshold([], [], 0.05) == 0.0


def test_the_unsure_half_that_is_wrong_is_left_out() -> None:
    confidence = [0.99 - number / 10_000 for number in range(200)] + [0.5] * 200
    threshold = abstain_threshold(confidence, [True] * 200 + [False] * 200, 0.05)
    assert 0.5 < threshold < 0.99
    assert threshold == pytest.approx(0.97, abs=0.01)


def test_rows_that_are_equally_sure_go_together() -> None:
    # The first of them are right and the others wrong, and no threshold can tell them apart.
    confidence = [0.9] * 100 + [0.5] * 100
    threshold = abstain_threshold(confidence, [True] * 100 + [True] * 50 + [False] * 50, 0.1)
    assert threshold == 0.9
