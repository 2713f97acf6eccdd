"""When a classifier says that it is too unsure: below a confidence that was chosen for a stated risk."""

import math
from collections.abc import Sequence

from appliance.quality.statistics import clopper_pearson

LEVEL = 0.9
"""Of the bound of the error of what is answered."""
STEPS = 20
"""Shares of the rows that are tried, the surest first."""


def abstain_threshold(confidence: Sequence[float], right: Sequence[bool], risk: float) -> float:
    """The confidence below which to abstain, so that of what is answered at most so large a share is wrong.

    The surest part of the rows is looked at, then a larger one, and so on, until the bound of its error is above the
    risk; the part before that is answered. In this order each step is tested at the full level, and the chance to end
    with too large a part is that of one test.

    Args:
        confidence: Of rows that the model was not trained on and whose answer is no abstaining.
        right: Whether each answer is right.
        risk: Share of the answered that may be wrong.

    Returns:
        0 where everything may be answered, or where there are too few rows for any part to show it: to abstain from
        everything then would be a rule that rests on nothing.

    Source: Angelopoulos et al. 2021, Learn then test, section 4.1: fixed sequence testing.
    """
    order = sorted(range(len(confidence)), key=lambda number: -confidence[number])
    # A smaller part shows nothing even without an error.
    least = math.log(1 - LEVEL) / math.log(1 - risk) if 0 < risk < 1 else 0.0
    threshold = 0.0
    for step in range(1, STEPS + 1):
        count = round(step / STEPS * len(order))
        if count < least or not count:
            continue
        # With it goes every row that is as sure as its last one.
        part = [number for number in order if confidence[number] >= confidence[order[count - 1]]]
        wrong = sum(not right[number] for number in part)
        if clopper_pearson(wrong, len(part), 2 * LEVEL - 1).high > risk:
            return threshold
        threshold = confidence[part[-1]]
    return 0.0
