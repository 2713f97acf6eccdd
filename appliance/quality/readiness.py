"""READY, NOT READY or NEED n MORE: computed from judged documents, never set.

Against the teacher the student must not be worse by more than the task's margin (non-inferiority): the one-sided lower
bound of the paired difference has to lie above minus the margin. Without a teacher the lower bound of its accuracy has
to reach the task's required accuracy. Fields of one document are not independent, so documents are the unit: counts
enter the intervals divided by the design effect.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.ground.text import human_count
from appliance.quality.metrics import Judged, Outcome, by_cluster
from appliance.quality.statistics import NORMAL, Interval, clopper_pearson, design_effect, mcnemar_exact, tango

LEVEL = 0.95
"""Of the one-sided bounds."""
POWER = 0.8
"""With which n more documents would decide, if the observed rates are the true ones."""
MOST_MORE = 1_000_000
"""A larger need is printed as this one: the estimate lies on the line."""


class Decision(StrEnum):
    """What a gate says."""

    READY = "READY"
    NOT_READY = "NOT READY"
    NEED_MORE = "NEED MORE"


@dataclass(frozen=True)
class Readiness:
    """A verdict with what it rests on."""

    decision: Decision
    more: int
    """Further documents that would decide it; 0 where it is decided."""
    basis: str
    """`teacher` or `gold`."""
    estimate: float
    """Difference to the teacher, or accuracy."""
    low: float
    """One-sided 95 % lower bound."""
    high: float
    """One-sided 95 % upper bound."""
    threshold: float
    """What `low` has to exceed: minus the margin, or the required accuracy."""
    documents: int
    fields: int
    effect: float
    """Design effect: so many fields count as one."""
    p: float | None = None
    """Exact McNemar, two-sided, over fields; only against a teacher, and without regard to clusters."""
    clusters: int = 0
    """Groups of documents that are nearly the same; as many as documents where no two are."""

    @property
    def verdict(self) -> str:
        """As it is printed."""
        return f"NEED {self.more} MORE" if self.decision is Decision.NEED_MORE else self.decision.value

    @property
    def ready(self) -> bool:
        """Whether it is READY."""
        return self.decision is Decision.READY

    @property
    def advice(self) -> str:
        """What to do next; empty where it is READY."""
        if self.decision is Decision.NEED_MORE:
            unlike = " like these, or fewer that are no near duplicates" if 0 < self.clusters < self.documents else ""
            return (
                f"label about {human_count(self.more, 'more document')}{unlike}, then run the gate again on all of them"
            )
        return "" if self.ready else "collect more answers, correct the worst fields' rows, and train again"

    @property
    def reason(self) -> str:
        """Why, in one line with the numbers."""
        what, unit = ("difference to the teacher", "points") if self.basis == "teacher" else ("accuracy", "%")
        estimate, low, high, threshold = (
            f"{100 * value:.1f}" for value in (self.estimate, self.low, self.high, self.threshold)
        )
        documents = human_count(self.documents, "document")
        if 0 < self.clusters < self.documents:
            documents += f" in {human_count(self.clusters, 'cluster')} of near duplicates"
        return (
            f"{what} {estimate} {unit} (90 % interval {low} to {high}, {documents}); "
            f"the lower end must be above {threshold} {unit}"
        )

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {"verdict": self.verdict, **asdict(self)}


def _decide(interval: Interval, threshold: float) -> Decision:
    if interval.low > threshold:
        return Decision.READY
    return Decision.NOT_READY if interval.high < threshold else Decision.NEED_MORE


def _more(units: float, effect: float, documents: int, fields: int) -> int:
    """Further documents, from the independent units that are needed in all."""
    needed = math.ceil(units * effect / (fields / documents))
    return max(1, min(MOST_MORE, needed - documents))


def against_teacher(student: Sequence[Judged], teacher: Sequence[Judged], margin: float) -> Readiness:
    """Non-inferiority on the same documents, in the same order.

    Source: Tango 1998 for the interval; Lachenbruch and Lynch 1998 for the use in non-inferiority.
    """
    firsts, seconds, sizes = [], [], []
    for mine, other in zip(student, teacher, strict=True):
        pairs = [
            (mine.outcomes[name] is Outcome.CORRECT, other.outcomes[name] is Outcome.CORRECT) for name in mine.outcomes
        ]
        firsts.append(pairs.count((True, False)))
        seconds.append(pairs.count((False, True)))
        sizes.append(len(pairs))
    first, second, fields = sum(firsts), sum(seconds), sum(sizes)
    variance = (first + second - (first - second) ** 2 / fields) / fields if fields else 0.0
    differences = [a - b for a, b in zip(firsts, seconds, strict=True)]
    clustered_sizes = by_cluster(student, sizes)
    effect = design_effect(by_cluster(student, differences), clustered_sizes, variance, first + second)
    interval = tango(first / effect, second / effect, fields / effect, 2 * LEVEL - 1)
    decision = _decide(interval, -margin)
    more = 0
    if decision is Decision.NEED_MORE:
        more = (
            _more(_pairs_needed(interval.estimate, variance, fields / effect, margin), effect, len(sizes), fields)
            if fields
            else 1
        )
    return Readiness(
        decision,
        more,
        "teacher",
        interval.estimate,
        interval.low,
        interval.high,
        -margin,
        len(sizes),
        fields,
        effect,
        mcnemar_exact(first, second),
        len(clustered_sizes),
    )


def _pairs_needed(difference: float, variance: float, pairs: float, margin: float) -> float:
    """Independent pairs that decide with `POWER`; at least so many that a score interval without discordance would."""
    z = NORMAL.inv_cdf(LEVEL)
    gap = max(abs(margin + difference), margin / 10)
    by_power = (z + NORMAL.inv_cdf(POWER)) ** 2 * max(variance, 1 / pairs) / gap**2
    return max(by_power, z * z * (1 - margin) / margin)


def against_gold(student: Sequence[Judged], required: float) -> Readiness:
    """The bound of the student's own accuracy."""
    rights, sizes = [document.correct for document in student], [len(document.outcomes) for document in student]
    right, fields = sum(rights), sum(sizes)
    share = right / fields if fields else 0.0
    clustered_sizes = by_cluster(student, sizes)
    effect = design_effect(by_cluster(student, rights), clustered_sizes, share * (1 - share), fields - right)
    interval = clopper_pearson(right / effect, fields / effect, 2 * LEVEL - 1)
    decision = _decide(interval, required)
    more = 0
    if decision is Decision.NEED_MORE:
        more = _more(_units_needed(share, required), effect, len(sizes), fields) if fields else 1
    return Readiness(
        decision, more, "gold", share, interval.low, interval.high, required, len(sizes), fields, effect,
        clusters=len(clustered_sizes),
    )  # fmt: skip


def _units_needed(share: float, required: float) -> float:
    """Independent units that tell this share from the required one with `POWER`.

    Source: Fleiss, Statistical Methods for Rates and Proportions, one sample; at least so many that an exact interval
    without an error would lie above.
    """
    gap = max(abs(share - required), (1 - required) / 10, 1e-3)
    z, power = NORMAL.inv_cdf(LEVEL), NORMAL.inv_cdf(POWER)
    by_power = (z * math.sqrt(required * (1 - required)) + power * math.sqrt(share * (1 - share))) ** 2 / gap**2
    without_error = math.log(1 - LEVEL) / math.log(required) if 0 < required < 1 else 1.0
    return max(by_power, without_error)


def worst(conditions: Sequence[Readiness]) -> Readiness:
    """The verdict of several conditions: one NOT READY is enough, and the largest need counts."""
    order = {Decision.NOT_READY: 2, Decision.NEED_MORE: 1, Decision.READY: 0}
    return max(conditions, key=lambda readiness: (order[readiness.decision], readiness.more))
