"""Whether a dearer tier pays: what it gains, what it costs, how long it takes, and a rule that was fixed beforehand.

A tier is worth it only where even the low end of its gain is above zero, and, where a right document has a price, where
the low end of the gain at that price is more than the high end of the extra cost.
"""

import math

from appliance.comparison.figures import ComparisonFigures, PairFigures, SideFigures
from appliance.comparison.render_text import points
from appliance.ground.text import human_count
from appliance.quality.figure import Figure


def tier_verdicts(figures: ComparisonFigures, worth: float | None) -> tuple[str, ...]:
    """One sentence for each side after the first, which is the tier that they are compared with.

    Args:
        worth: What one more right document is worth, in the currency of the prices.
    """
    base = figures.sides[0]
    return tuple(_verdict(base, side, pair, worth) for side, pair in zip(figures.sides[1:], figures.pairs, strict=True))


def _verdict(base: SideFigures, side: SideFigures, pair: PairFigures, worth: float | None) -> str:
    name = f"effort {side.effort}" if side.effort and side.effort != base.effort else side.name
    gain = _negated(pair.right.document_difference) if pair.right.document_difference is not None else None
    cost = _cost(base, side)
    latency = _times(base.latency_p50.value, side.latency_p50.value)
    if gain is None:
        documents = human_count(pair.agreement.n, "document")
        decision = "without right answers or judgements nobody can say whether it is better"
        return f"{name}: {cost}, {latency} latency on {documents}: {decision}"
    decision = _decide(gain, _negated(pair.money_difference), worth, side.currency)
    return f"{name}: {points(gain)}, {cost}, {latency} latency on {human_count(gain.n, 'document')}: {decision}"


def _decide(gain: Figure, extra: Figure, worth: float | None, currency: str) -> str:
    if gain.low is None or gain.low <= 0:
        return "not worth it" + ("" if gain.high is None or gain.high <= 0 else ": it may be no better at all")
    if extra.value <= 0:
        return "worth it: better, and no more expensive"
    price = f"each further right document costs {extra.value / 1000 / gain.value:.3g} {currency}"
    if worth is None:
        return f"better; {price}: worth it if a right document is worth more to you"
    high = extra.value if extra.high is None else extra.high
    if 1000 * gain.low * worth > high:
        return f"worth it: {price} and is worth {worth:.3g}"
    if extra.value < 1000 * gain.value * worth:
        return f"not worth it for certain: {price} and is worth {worth:.3g}, but the intervals are too wide"
    return f"not worth it: {price} and is worth only {worth:.3g}"


def _negated(figure: Figure) -> Figure:
    """Second minus first."""
    low = None if figure.high is None else -figure.high
    high = None if figure.low is None else -figure.low
    return Figure(0.0 - figure.value, low, high, figure.n)


def _cost(base: SideFigures, side: SideFigures) -> str:
    before, after = base.money_per_1000.value, side.money_per_1000.value
    if before <= 0:
        return "no cost" if after <= 0 else f"+{after:.3g} {side.currency} per 1,000 documents"
    return f"{100 * (after / before - 1):+.0f} % cost"


def _times(before: float, after: float) -> str:
    if before <= 0 or not math.isfinite(after / before):
        return "unknown"
    ratio = after / before
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x"
