"""What following the gate's advice to the end makes of students at the line."""

import numpy as np
import pytest

from benchmarks.looks import LOOKS, ends_ready, one_run

RUNS = 150


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["gold", "teacher"])
def test_one_in_twenty_is_called_ready_at_most(basis: str) -> None:
    generator = np.random.default_rng(1)
    ready = sum(one_run(generator, basis, spends=True) for _ in range(RUNS))
    # 7.5 are expected at most; more than 14 come by chance in one of 100 such tests.
    assert ready <= 14
    generator = np.random.default_rng(1)
    assert sum(one_run(generator, basis, spends=False) for _ in range(RUNS)) > ready


def test_the_advice_is_followed_until_there_is_a_verdict() -> None:
    from appliance.quality.readiness import Decision, Readiness

    def look(decision: Decision, more: int) -> Readiness:
        return Readiness(decision, more, "gold", 0.9, 0.8, 0.95, 0.9, 60, 60, 1.0)

    drawn: list[int] = []
    need = look(Decision.NEED_MORE, 5000)
    answers = [need, need, look(Decision.READY, 0)]
    assert ends_ready(drawn.append, lambda number: answers[number - 1])
    assert drawn == [60, 1000, 1000]
    drawn.clear()
    assert not ends_ready(drawn.append, lambda _: need)
    assert len(drawn) == 1 + LOOKS
