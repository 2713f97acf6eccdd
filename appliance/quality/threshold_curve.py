"""Which threshold: what each one would send away, cost and get right on labelled documents, and a rule to choose.

The rule is fixed beforehand. Of the thresholds that the money allows, it takes the one with the most right, averaged
over its neighbours (`smoothed`), because the highest single point of a curve is mostly luck; of equal ones the one that
sends least away.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from appliance.ground.errors import ApplianceError
from appliance.quality.paired import normal_mean, paired_shares
from appliance.quality.statistics import Interval, clustered_wilson

LEAST = 0.0
"""The threshold below which only answers that do not fit the task are."""
_STEP = 1e-6
"""How far the highest threshold lies above the highest confidence."""
SEND_ALL = 1.0 + _STEP
"""The highest threshold that a curve has: above every confidence, so that everything goes out."""
ALWAYS = -1.0
"""The confidence of what goes out at every threshold."""
_SHOWN_SHARES = tuple(step / 20 for step in range(21))
"""Shares of documents that a printed curve shows."""
NEIGHBOURS = 0.05
"""Share of all documents on either side over which accuracy is averaged for the choice."""


@dataclass(frozen=True)
class Unit:
    """One thing that the cascade decides on: a field of a labelled document."""

    document: int
    confidence: float
    local_right: bool
    remote_right: bool


@dataclass(frozen=True)
class Point:
    """What one threshold does on the labelled documents."""

    threshold: float
    """Fields whose confidence is below it go to the fallback."""
    escalated: Interval
    """Share of documents of which at least one field goes out."""
    accuracy: Interval
    """Share of fields that are right."""
    gain: Interval
    """Over the local model alone; paired."""
    over_fallback: Interval
    """Over the fallback alone; paired."""
    money_per_1000: Interval


@dataclass(frozen=True)
class Curve:
    """All thresholds that differ on the labelled documents, from the one that sends least to the one that sends all."""

    documents: int
    fields: int
    local_accuracy: Interval
    remote_accuracy: Interval
    points: tuple[Point, ...]
    currency: str = "USD"

    def record(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def lines(self, chosen: Point | None = None) -> list[str]:
        """For a terminal: a point for every twentieth of the documents, and the chosen one."""
        text = [
            f"{self.documents:,} labelled documents, {self.fields:,} fields; intervals are 95 %",
            f"local model alone  {self.local_accuracy.percent()} of fields right",
            f"fallback alone     {self.remote_accuracy.percent()} of fields right",
            f"{'THRESHOLD':>9}  {'ESCALATED':24}  {'FIELDS RIGHT':24}  {'OVER LOCAL ALONE':26}  PER 1,000 DOCUMENTS",
        ]
        for point in self._shown(chosen):
            gain, money = point.gain, point.money_per_1000
            points = f"{100 * gain.estimate:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
            cash = f"{money.estimate:.4g} {self.currency} ({money.low:.4g} to {money.high:.4g})"
            mark = "  <- chosen" if point is chosen else ""
            text.append(
                f"{point.threshold:9.4f}  {point.escalated.percent():24}  {point.accuracy.percent():24}  {points:26}"
                f"  {cash}{mark}"
            )
        return text

    def _shown(self, chosen: Point | None) -> list[Point]:
        nearest = {
            min(range(len(self.points)), key=lambda number: abs(self.points[number].escalated.estimate - share))
            for share in _SHOWN_SHARES
        }
        return [point for number, point in enumerate(self.points) if number in nearest or point is chosen]


def documents_of(units: Sequence[Unit]) -> list[list[Unit]]:
    """The units of each document, in the order of the documents."""
    by_document: dict[int, list[Unit]] = {}
    for unit in units:
        by_document.setdefault(unit.document, []).append(unit)
    return [by_document[document] for document in sorted(by_document)]


def make_curve(units: Sequence[Unit], money: Sequence[float], currency: str, steps: int = 100) -> Curve:
    """The curve of labelled units.

    Args:
        money: What the fallback takes for each document, in the order of the documents.
        steps: At most so many thresholds, at even shares of the fields.

    Raises:
        ApplianceError: A confidence or an amount of money is no number: no threshold stands above or below it.
    """
    if not all(map(math.isfinite, [*(unit.confidence for unit in units), *money])):
        raise ApplianceError(
            "a threshold cannot be chosen: a confidence or a price of the labelled documents is not a number",
            "check the model with `stillroom models verify`, and the prices of the frontier in config.toml",
        )
    documents = documents_of(units)
    sizes = [len(document) for document in documents]
    local, remote = (
        clustered_wilson([sum(right(unit) for unit in document) for document in documents], sizes)
        for right in (_local_right, _remote_right)
    )
    points = tuple(_point(documents, money, threshold) for threshold in candidates(units, steps))
    return Curve(len(documents), len(units), local, remote, points, currency)


def _local_right(unit: Unit) -> bool:
    return unit.local_right


def _remote_right(unit: Unit) -> bool:
    return unit.remote_right


def candidates(units: Sequence[Unit], steps: int) -> list[float]:
    """Thresholds from the least one to one above every confidence, at even shares of the fields."""
    ordered = sorted(unit.confidence for unit in units)
    if not ordered:
        return [LEAST]
    last = len(ordered) - 1
    at = {round(step * last / steps) for step in range(1, steps + 1)} if last else set()
    # Half-way between two confidences: a threshold on one of them would turn on how it is rounded.
    between = {(ordered[place - 1] + ordered[place]) / 2 for place in at if ordered[place - 1] < ordered[place]}
    return [LEAST, *sorted(value for value in between if value > LEAST), max(LEAST, ordered[-1]) + _STEP]


def right_after(unit: Unit, threshold: float) -> bool:
    """Whether the cascade has this unit right."""
    return unit.remote_right if unit.confidence < threshold else unit.local_right


def _point(documents: Sequence[Sequence[Unit]], money: Sequence[float], threshold: float) -> Point:
    sizes = [len(document) for document in documents]
    out = [any(unit.confidence < threshold for unit in document) for document in documents]
    ones = [1.0] * len(documents)
    return Point(
        threshold,
        clustered_wilson(out, ones),
        clustered_wilson([sum(right_after(unit, threshold) for unit in document) for document in documents], sizes),
        paired_shares([[(right_after(unit, threshold), unit.local_right) for unit in d] for d in documents]).difference,
        paired_shares(
            [[(right_after(unit, threshold), unit.remote_right) for unit in d] for d in documents]
        ).difference,
        normal_mean([1000.0 * paid * sent for paid, sent in zip(money, out, strict=True)]),
    )


def smoothed(points: Sequence[Point]) -> list[float]:
    """Accuracy of each point, averaged over the points that send away nearly as many documents."""
    means = []
    for point in points:
        share = point.escalated.estimate
        near = [p.accuracy.estimate for p in points if abs(p.escalated.estimate - share) <= NEIGHBOURS]
        means.append(sum(near) / len(near))
    return means


def choose(curve: Curve, most_money_per_1000: float | None = None) -> Point:
    """The point that the rule takes.

    Args:
        most_money_per_1000: What 1,000 documents may cost on average; None means any money.
    """
    return curve.points[_best(curve, smoothed(curve.points), lambda point: _allowed(point, most_money_per_1000))]


def _allowed(point: Point, most: float | None) -> bool:
    return most is None or point.money_per_1000.estimate <= most


def _best(curve: Curve, accuracy: Sequence[float], allowed: Callable[[Point], bool]) -> int:
    able = [number for number, point in enumerate(curve.points) if allowed(point)] or [0]
    return max(able, key=lambda number: (round(accuracy[number], 9), -curve.points[number].escalated.estimate))
