"""Intervals and tests for shares and for paired differences; numpy only, checked against scipy in the tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from appliance.ground.text import percent_interval

NORMAL = NormalDist()
_STEPS = 200
"""Of a bisection; doubles settle after about 60."""
PRIOR_SEEN = 3.0
"""Units that the worst case counts for in `design_effect`; a simulation in the tests shows that the level holds."""


@dataclass(frozen=True)
class Interval:
    """An estimate between two bounds."""

    estimate: float
    low: float
    high: float
    confidence: float
    """Of the two-sided interval; a one-sided bound at 0.95 is an end of the 0.90 interval."""

    def percent(self) -> str:
        """A share in percent with its bounds: `93.4 % (91.0 to 95.3)`."""
        return percent_interval(self.estimate, self.low, self.high)


def normal_cdf(z: float) -> float:
    """Share of a standard normal below z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a share; fractional counts serve effective sample sizes.

    Source: Wilson 1927; Newcombe 1998, method 3.
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0, confidence)
    z = NORMAL.inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    return Interval(share, low, 1.0 if successes >= n else min(1.0, centre + half), confidence)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function.

    Source: Abramowitz and Stegun 26.5.8, the continued fraction, by Lentz's method.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1.0 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x below which a beta distribution has this share."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < p else (low, middle)
    return (low + high) / 2


def clustered_wilson(numerators: Sequence[float], sizes: Sequence[float], confidence: float = 0.95) -> Interval:
    """Score interval of a share whose units come in clusters: counts are divided by the design effect.

    Args:
        numerators: How many units of each cluster are successes.
        sizes: How many units each cluster has.
    """
    successes, units = float(sum(numerators)), float(sum(sizes))
    if units <= 0:
        return wilson(0, 0, confidence)
    share = successes / units
    rarer = min(successes, units - successes)
    effect = design_effect(numerators, sizes, share * (1 - share), rarer)
    return wilson(successes / effect, units / effect, confidence)


def clopper_pearson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Exact interval of a share; never narrower than it claims.

    Source: Clopper and Pearson 1934, in beta quantiles.
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if successes <= 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes >= n else beta_quantile(1 - tail, successes + 1, n - successes)
    return Interval(successes / n, low, high, confidence)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p that two paired shares are equal, from the pairs in which exactly one is right.

    Source: McNemar 1947, with binomial probabilities.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    tail: float = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    return min(1.0, 2 * tail)


def tango(only_first: float, only_second: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a paired difference of shares, first minus second; holds its level below 200 pairs.

    Args:
        only_first: Pairs that only the first has right; fractional counts serve effective sample sizes.
        only_second: Pairs that only the second has right.
        n: All pairs.

    Source: Tango 1998, Statistics in Medicine 17, section 3.
    """
    if n <= 0:
        return Interval(0.0, -1.0, 1.0, confidence)
    z, difference = NORMAL.inv_cdf(0.5 + confidence / 2), (only_first - only_second) / n

    def score(delta: float) -> float:
        quadratic, linear = 2 * n, -only_first - only_second + (2 * n - only_first + only_second) * delta
        constant = -only_second * delta * (1 - delta)
        share = (math.sqrt(max(0.0, linear * linear - 4 * quadratic * constant)) - linear) / (2 * quadratic)
        variance = n * (2 * share + delta * (1 - delta))
        distance = only_first - only_second - n * delta
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    def root(target: float, low: float, high: float) -> float:
        for _ in range(_STEPS):  # the score falls as delta grows
            middle = (low + high) / 2
            low, high = (middle, high) if score(middle) > target else (low, middle)
        return (low + high) / 2

    return Interval(difference, root(z, -1.0, difference), root(-z, difference, 1.0), confidence)


def design_effect(numerators: Sequence[float], sizes: Sequence[float], unit_variance: float, seen: float) -> float:
    """How many times larger the variance of a ratio is because units come in clusters; from 1 to the mean cluster size.

    A few units cannot show how strongly they cluster, so the estimate is mixed with the worst case (a cluster counts
    as one unit), which weighs as much as `PRIOR_SEEN` units.

    Args:
        numerators: Sum of each cluster's units.
        sizes: Number of each cluster's units.
        unit_variance: Variance of a single unit.
        seen: How many units differ from the rest: discordant pairs, or errors.

    Source: Kish 1965, Survey Sampling, section 5.4; linearised ratio estimator.
    """
    sums, weights = np.asarray(numerators, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    clusters, total = len(sums), float(weights.sum())
    worst = max(1.0, total / max(1, clusters))
    if clusters < 2 or unit_variance <= 0:
        return worst
    residuals = sums - float(sums.sum()) / total * weights
    estimated = float((residuals**2).sum()) * clusters / (clusters - 1) / (total * unit_variance)
    return min(worst, max(1.0, (seen * estimated + PRIOR_SEEN * worst) / (seen + PRIOR_SEEN)))
