"""Is a student right as often as it says? One that is right often enough, but says that it always is, hides the rest.

Whoever lets people look at what a student is unsure of, or asks a frontier about it, relies on its confidence. So a
verdict needs that nothing shows the share of right values to be far below the mean confidence. Where values are right
with the probability that the student gives them, the share is that mean, whatever the single ones are.
"""

from collections.abc import Mapping, Sequence

from appliance.quality.metrics import Judged, Outcome
from appliance.quality.readiness import Decision, Readiness, Shares, of_share
from appliance.tasks.task import Task

CALIBRATION = 0.05
"""By how much the mean confidence may be above the share of right values where the task does not say it."""
LEAST_DOCUMENTS = 20
"""With confidence, below which nothing is held against a student."""


def confidence_conditions(
    task: Task, judged: Sequence[Judged], confidence: Sequence[Mapping[str, float]], look: int
) -> list[Readiness]:
    """What the confidence must show, or must not show; nothing where the student has none.

    Args:
        confidence: Of each document, field -> probability that the value is right.
    """
    sure = [
        {name: share for name, share in shares.items() if name in document.outcomes} if not document.failed else {}
        for document, shares in zip(judged, confidence, strict=True)
    ]
    total = sum(map(len, sure))
    limit = CALIBRATION if task.readiness.calibration is None else task.readiness.calibration
    if limit >= 1 or sum(map(bool, sure)) < LEAST_DOCUMENTS:
        return []
    mean = sum(sum(shares.values()) for shares in sure) / total
    right = [
        sum(document.outcomes[name] is Outcome.CORRECT for name in shares)
        for document, shares in zip(judged, sure, strict=True)
    ]
    subject = f"confidence of {100 * mean:.1f} % in the mean"
    shares = Shares(right, [len(each) for each in sure])
    condition = of_share(judged, shares, max(0.0, mean - limit), "calibration", subject, look)
    is_asked = task.readiness.calibration is not None
    return [condition] if is_asked or condition.decision is Decision.NOT_READY else []
