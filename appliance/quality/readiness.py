"""READY, NOT READY or NEED n MORE: computed from judged documents, never set.

Against the teacher the student must not be worse by more than the task's margin (non-inferiority): the one-sided lower
bound of the paired difference has to lie above minus the margin. Without a teacher the lower bound of its accuracy has
to reach the task's required accuracy. Fields of one document are not independent, so documents are the unit: counts
enter the intervals divided by the design effect.

Who is told to label n more documents looks again, and each look is another chance to be READY by luck. So the first
look spends half of the 5 % that a student at the line may be called READY, the next one half of the rest, and so on:
however often somebody looks at the same model, the chance is at most 5 % in all (Bonferroni's inequality; it asks
nothing of the looks). The interval of the first look is the usual one of 95 %.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.ground.text import human_count
from appliance.quality.metrics import Judged, Outcome, by_cluster
from appliance.quality.statistics import NORMAL, Interval, clopper_pearson, design_effect, mcnemar_exact, tango

ERROR = 0.05
"""Chance that a student at the line is ever called READY."""
LEVEL = 1 - ERROR
"""Of one-sided bounds where there is one look only."""
POWER = 0.8
"""With which n more documents would decide, if the observed rates are the true ones."""
MOST_MORE = 1_000_000
"""A larger need is printed as this one: the estimate lies on the line."""
RANGE = 0.8
"""How sure the range of n is: that of an interval of the estimate which n is computed from."""


def level_of(look: int) -> float:
    """Of the one-sided bounds of a look at a model; the first is 1."""
    return 1 - ERROR * 0.5**look


class Decision(StrEnum):
    """What a gate says."""

    READY = "READY"
    NOT_READY = "NOT READY"
    NEED_MORE = "NEED MORE"


_WHAT = {
    "teacher": ("difference to the teacher", "points"),
    "gold": ("accuracy", "%"),
    "recall": ("recall", "%"),
    "invented": ("share left empty where there is no value", "%"),
    "precision": ("precision", "%"),
    "calibration": ("share of right values", "%"),
}
"""Basis of a verdict -> what its estimate is."""


@dataclass(frozen=True)
class Readiness:
    """A verdict with what it rests on."""

    decision: Decision
    more: int
    """Further documents that would decide it; 0 where it is decided."""
    basis: str
    """`teacher`, `gold` (accuracy), `recall`, `invented`, `precision` or `calibration`."""
    estimate: float
    """Difference to the teacher, or a share."""
    low: float
    """One-sided lower bound at `level`."""
    high: float
    """One-sided upper bound at `level`."""
    threshold: float
    """What `low` has to exceed: minus the margin, or the required share."""
    documents: int
    fields: int
    effect: float
    """Design effect: so many fields count as one."""
    p: float | None = None
    """Exact McNemar, two-sided, over fields; only against a teacher, and without regard to clusters."""
    clusters: int = 0
    """Groups of documents that are nearly the same; as many as documents where no two are."""
    level: float = LEVEL
    subject: str = ""
    """The field or slice that it is about; empty for all."""
    fewest: int = 0
    most: int | None = 0
    """Ends of the range of `more`; None where the estimate may lie on the wrong side of the line."""

    @property
    def verdict(self) -> str:
        """As it is printed."""
        return f"NEED {self.more} MORE" if self.decision is Decision.NEED_MORE else self.decision.value

    @property
    def ready(self) -> bool:
        """Whether it is READY."""
        return self.decision is Decision.READY

    @property
    def range(self) -> str:
        """Of n, in words; empty where nothing is needed."""
        if self.decision is not Decision.NEED_MORE:
            return ""
        if self.most is None:
            return f"{self.fewest:,} or more; the student may never get there"
        return f"{self.fewest:,} to {self.most:,}"

    @property
    def advice(self) -> str:
        """What to do next; empty where it is READY."""
        if self.decision is Decision.NEED_MORE:
            unlike = " like these, or fewer that are no near duplicates" if 0 < self.clusters < self.documents else ""
            return (
                f"label about {human_count(self.more, 'more document')}{unlike} ({self.range}), then run the gate again"
                " on all of them"
            )
        if self.basis == "calibration" and not self.ready:
            return "train again with more validation rows, which its confidence is fitted on; until then a person looks"
        return "" if self.ready else "collect more answers, correct the worst fields' rows, and train again"

    @property
    def reason(self) -> str:
        """Why, in one line with the numbers."""
        what, unit = _WHAT[self.basis]
        estimate, low, high, threshold = (
            f"{100 * value:.1f}" for value in (self.estimate, self.low, self.high, self.threshold)
        )
        documents = human_count(self.documents, "document")
        if 0 < self.clusters < self.documents:
            documents += f" in {human_count(self.clusters, 'cluster')} of near duplicates"
        subject = f"{self.subject}: " if self.subject else ""
        return (
            f"{subject}{what} {estimate} {unit} ({100 * (2 * self.level - 1):.4g} % interval {low} to {high},"
            f" {documents}); the lower end must be above {threshold} {unit}"
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
    if not math.isfinite(units):
        return MOST_MORE
    needed = math.ceil(units * effect / (fields / documents))
    return max(1, min(MOST_MORE, needed - documents))


def against_teacher(
    student: Sequence[Judged], teacher: Sequence[Judged], margin: float, look: int | None = None
) -> Readiness:
    """Non-inferiority on the same documents, in the same order.

    Args:
        look: Number of this look at the student; None where there is one only.

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
    level, next_level = _levels(look)
    interval = tango(first / effect, second / effect, fields / effect, 2 * level - 1)
    decision = _decide(interval, -margin)
    more, fewest, most = 0, 0, 0
    if decision is Decision.NEED_MORE:
        likely = tango(first / effect, second / effect, fields / effect, RANGE)
        more, fewest, most = (
            _more(_pairs_needed(each, variance, fields / effect, margin, next_level), effect, len(sizes), fields)
            if fields
            else 1
            for each in (interval.estimate, likely.high, likely.low)
        )
        if likely.low <= -margin:
            most = MOST_MORE
    return Readiness(
        decision, more, "teacher", interval.estimate, interval.low, interval.high, -margin, len(sizes), fields, effect,
        mcnemar_exact(first, second), len(clustered_sizes), level, "", *_ordered(more, fewest, most),
    )  # fmt: skip


def _levels(look: int | None) -> tuple[float, float]:
    """Of this look and of the next one, which the documents to come are for."""
    return (LEVEL, LEVEL) if look is None else (level_of(look), level_of(look + 1))


def _ordered(more: int, fewest: int, most: int) -> tuple[int, int | None]:
    return min(fewest, more), None if most >= MOST_MORE else max(most, more)


def _pairs_needed(difference: float, variance: float, pairs: float, margin: float, level: float) -> float:
    """Independent pairs that decide with `POWER`; at least so many that a score interval without discordance would."""
    z, gap = NORMAL.inv_cdf(level), max(abs(margin + difference), margin / 10)
    by_power = (z + NORMAL.inv_cdf(POWER)) ** 2 * max(variance, 1 / pairs) / gap**2
    return max(by_power, z * z * (1 - margin) / margin)


@dataclass(frozen=True)
class Shares:
    """Successes of many documents: of their fields, of the values that they have, and the like."""

    successes: Sequence[float]
    """Of each document."""
    sizes: Sequence[float]
    """How many there could be in each document."""


def of_share(
    judged: Sequence[Judged], shares: Shares, required: float, basis: str, subject: str = "", look: int | None = None
) -> Readiness:
    """The bound of a share over documents.

    Args:
        look: Number of this look at the student; None where there is one only.
    """
    successes, units = by_cluster(judged, shares.successes), by_cluster(judged, shares.sizes)
    pairs = [(success, size) for success, size in zip(successes, units, strict=True) if size]
    successes, units = [success for success, _ in pairs], [size for _, size in pairs]
    right, total, documents = sum(successes), sum(units), sum(1 for size in shares.sizes if size)
    share = right / total if total else 0.0
    effect = design_effect(successes, units, share * (1 - share), total - right)
    level, next_level = _levels(look)
    interval = clopper_pearson(right / effect, total / effect, 2 * level - 1)
    decision = _decide(interval, required)
    more, fewest, most = 0, 0, 0
    if decision is Decision.NEED_MORE:
        likely = clopper_pearson(right / effect, total / effect, RANGE)
        more, fewest, most = (
            # Of the documents to come as many as until now will count.
            _more(_units_needed(each, required, next_level), effect, len(judged), round(total)) if total else 1
            for each in (share, likely.high, likely.low)
        )
        if likely.low <= required:
            most = MOST_MORE
    return Readiness(
        decision, more, basis, share, interval.low, interval.high, required, documents, round(total), effect,
        None, len(units), level, subject, *_ordered(more, fewest, most),
    )  # fmt: skip


def against_gold(student: Sequence[Judged], required: float, look: int | None = None) -> Readiness:
    """The bound of the student's own accuracy."""
    shares = Shares([each.correct for each in student], [len(each.outcomes) for each in student])
    return of_share(student, shares, required, "gold", look=look)


def _units_needed(share: float, required: float, level: float) -> float:
    """Independent units that tell this share from the required one with `POWER`.

    Source: Fleiss, Statistical Methods for Rates and Proportions, one sample; at least so many that an exact interval
    without an error would lie above.
    """
    gap = max(abs(share - required), (1 - required) / 10, 1e-3)
    z, power = NORMAL.inv_cdf(level), NORMAL.inv_cdf(POWER)
    by_power = (z * math.sqrt(required * (1 - required)) + power * math.sqrt(share * (1 - share))) ** 2 / gap**2
    without_error = math.log(1 - level) / math.log(required) if 0 < required < 1 else 1.0
    return max(by_power, without_error)


def worst(conditions: Sequence[Readiness]) -> Readiness:
    """The verdict of several conditions: one NOT READY is enough, and the largest need counts."""
    order = {Decision.NOT_READY: 2, Decision.NEED_MORE: 1, Decision.READY: 0}
    return max(conditions, key=lambda readiness: (order[readiness.decision], readiness.more))
