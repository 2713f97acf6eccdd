"""Two sides on the same documents: the difference with its interval, exact tests, and intervals for other figures.

Fields of one document are not independent, so the document is the unit everywhere: shares are compared by Tango's
score interval with counts divided by the design effect, means and ratios by a BCa bootstrap that draws documents, and
quantiles by order statistics.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.quality.statistics import (
    NORMAL,
    Interval,
    beta_cdf,
    design_effect,
    mcnemar_exact,
    normal_cdf,
    tango,
)

Floats = NDArray[np.float64]

RESAMPLES = 10_000
BOOTSTRAP_DOCUMENTS = 5_000
"""Above so many documents a mean is as good as normal, and resampling only costs time."""
_CHUNK_CELLS = 2_000_000
"""Drawn document numbers held at a time."""


@dataclass(frozen=True)
class PairTable:
    """The 2x2 table of two sides on the same units."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def units(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True)
class PairedShares:
    """First minus second, of shares that are right."""

    difference: Interval
    table: PairTable
    p: float
    """Exact McNemar, two-sided; over units, so it means what it says where a document has one unit."""
    documents: int
    effect: float
    """Design effect: so many units count as one."""


def paired_shares(pairs: Sequence[Sequence[tuple[bool, bool]]], confidence: float = 0.95) -> PairedShares:
    """Compares two sides that judged units of the same documents.

    Args:
        pairs: Of each document, for each unit whether the first and the second are right.
    """
    units = [pair for document in pairs for pair in document]
    both, first, second = (units.count(kind) for kind in ((True, True), (True, False), (False, True)))
    table = PairTable(both, first, second, len(units) - both - first - second)
    if not units:
        return PairedShares(Interval(0.0, -1.0, 1.0, confidence), table, 1.0, len(pairs), 1.0)
    differences = [sum(a - b for a, b in document) for document in pairs]
    sizes = [len(document) for document in pairs]
    variance = (first + second - (first - second) ** 2 / len(units)) / len(units)
    effect = design_effect(differences, sizes, variance, first + second)
    interval = tango(first / effect, second / effect, len(units) / effect, confidence)
    return PairedShares(interval, table, mcnemar_exact(first, second), len(pairs), effect)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values of a family of tests, in the order given.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda entry: entry[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> Interval:
    """BCa interval of sum over sum; documents are drawn, so paired values stay together.

    Args:
        numerators: One per document; for a paired difference, the difference.
        denominators: One per document; ones give the interval of a mean.

    Source: Efron 1987, Better bootstrap confidence intervals; DiCiccio and Efron 1996, section 2.
    """
    over, under = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    total = float(under.sum())
    if total <= 0:
        return Interval(0.0, -math.inf, math.inf, confidence)
    estimate = float(over.sum()) / total
    if len(over) < 2:
        return Interval(estimate, -math.inf, math.inf, confidence)
    if np.ptp(over - estimate * under) == 0:
        return Interval(estimate, estimate, estimate, confidence)
    if len(over) > BOOTSTRAP_DOCUMENTS:
        return _normal_ratio(over, under, estimate, confidence)
    ratios = _resampled_ratios(over, under, seed)
    below = (float((ratios < estimate).sum()) + 0.5 * float((ratios == estimate).sum())) / len(ratios)
    bias = NORMAL.inv_cdf(min(max(below, 0.5 / len(ratios)), 1 - 0.5 / len(ratios)))
    acceleration = _acceleration(over, under)
    low, high = (
        float(np.quantile(ratios, _bca_level(tail, bias, acceleration)))
        for tail in ((1 - confidence) / 2, (1 + confidence) / 2)
    )
    return Interval(estimate, min(low, estimate), max(high, estimate), confidence)


def normal_mean(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """A mean with the normal interval: for long tables, where a bootstrap of every row would take minutes."""
    if len(values) < 2:
        return Interval(sum(values), -math.inf, math.inf, confidence)
    sample = np.asarray(values, dtype=np.float64)
    return _normal_ratio(sample, np.ones_like(sample), float(sample.mean()), confidence)


def _normal_ratio(over: Floats, under: Floats, estimate: float, confidence: float) -> Interval:
    residuals = over - estimate * under
    n = len(over)
    half = NORMAL.inv_cdf(0.5 + confidence / 2) * math.sqrt(float((residuals**2).sum()) * n / (n - 1))
    half /= float(under.sum())
    return Interval(estimate, estimate - half, estimate + half, confidence)


def _resampled_ratios(over: Floats, under: Floats, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    n = len(over)
    rows = max(1, min(RESAMPLES, _CHUNK_CELLS // n))
    parts: list[Floats] = []
    done = 0
    while done < RESAMPLES:
        chosen = generator.integers(0, n, (min(rows, RESAMPLES - done), n))
        done += len(chosen)
        weights = under[chosen].sum(axis=1)
        # A draw of documents without any unit says nothing; where all have units there is none such.
        parts.append(over[chosen].sum(axis=1)[weights > 0] / weights[weights > 0])
    return np.concatenate(parts)


def _acceleration(over: Floats, under: Floats) -> float:
    """From the skewness of leave-one-out estimates."""
    rest = under.sum() - under
    left_out = (over.sum() - over)[rest > 0] / rest[rest > 0]
    deviations = left_out.mean() - left_out
    spread = float((deviations**2).sum())
    return float((deviations**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _bca_level(tail: float, bias: float, acceleration: float) -> float:
    shifted = bias + NORMAL.inv_cdf(tail)
    return normal_cdf(bias + shifted / (1 - acceleration * shifted))


def quantile_interval(values: Sequence[float], share: float, confidence: float = 0.95) -> Interval:
    """A quantile between two order statistics; a bound that the sample is too small for is infinite.

    Source: Conover, Practical Nonparametric Statistics, section 3.2; binomial probabilities, no assumption on the form.
    """
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        return Interval(0.0, -math.inf, math.inf, confidence)
    tail = (1 - confidence) / 2
    # P(at least k of n values lie below the quantile) is a beta distribution at `share`, and falls with k.
    low_rank = _last_rank(n, lambda k: beta_cdf(share, k, n - k + 1) >= 1 - tail)
    high_rank = _last_rank(n, lambda k: beta_cdf(share, k, n - k + 1) > tail) + 1
    return Interval(
        float(np.quantile(np.asarray(ordered), share)),
        ordered[low_rank - 1] if low_rank >= 1 else -math.inf,
        ordered[high_rank - 1] if high_rank <= n else math.inf,
        confidence,
    )


def _last_rank(n: int, holds: Callable[[int], bool]) -> int:
    """The last of the ranks 1 to n for which this holds, as it does for a beginning of them; 0 for none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
