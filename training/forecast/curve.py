"""The learning curve of a student: its error falls with the rows as a power law towards a floor.

    err(n) = a + b * n ** -c

`a` is what more rows of this kind never mend. The curve is fitted to errors on nested subsets, several times each; its
intervals come from draws of these measurements, so that they hold what another draw of rows would have shown.

Source: Hestness et al. 2017, Deep learning scaling is predictable, empirically, section 2; Rosenfeld et al. 2020.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.quality.statistics import Interval

Floats = NDArray[np.float64]
EXPONENTS = np.linspace(0.1, 2.0, 77)
"""That are tried; below them a curve is a line for every number of rows that anybody has."""
DRAWS = 400
LEAST_SIZES = 3
"""Different numbers of rows, below which nothing can be told from a line."""


@dataclass(frozen=True)
class Measured:
    """One student on one subset."""

    rows: int
    error: float
    """Share that is wrong on the validation rows, 0 to 1."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve with draws of it."""

    floor: float
    scale: float
    exponent: float
    draws: Floats
    """(draws, 3): floor, scale and exponent of each draw."""
    rows: int
    """The most rows that were measured."""

    def error(self, rows: float) -> Interval:
        """The error that is expected after so many rows, with its 95 % interval."""
        return self._interval(lambda a, b, c: a + b * rows**-c)

    def gain(self, rows: float, further: float) -> Interval:
        """By how much the error falls from so many rows to so many more."""
        return self._interval(lambda a, b, c: b * (rows**-c - (rows + further) ** -c))

    def rows_for(self, error: float) -> tuple[float | None, float | None, float | None]:
        """Rows until this error: expected, fewest and most of 95 %; None where the curve never gets there."""
        values = np.array([_rows_for(error, *draw) for draw in self.draws])
        fewest, most = (float(np.quantile(values, share, method="inverted_cdf")) for share in (0.025, 0.975))
        expected = _rows_for(error, self.floor, self.scale, self.exponent)
        return tuple(None if not np.isfinite(value) else value for value in (expected, fewest, most))  # type: ignore[return-value]

    def _interval(self, value: Callable[[Floats, Floats, Floats], Floats]) -> Interval:
        a, b, c = self.draws.T
        low, high = np.quantile(value(a, b, c), [0.025, 0.975])
        estimate = float(value(*np.array([[self.floor], [self.scale], [self.exponent]]))[0])
        return Interval(estimate, min(float(low), estimate), max(float(high), estimate), 0.95)


def _rows_for(error: float, floor: float, scale: float, exponent: float) -> float:
    if error <= floor or scale <= 0:
        return 1.0 if scale <= 0 and error > floor else float("inf")
    return float((scale / (error - floor)) ** (1 / exponent))


def fit_curve(points: Sequence[Measured], seed: int = 0) -> Curve | None:
    """The curve of these measurements; None where there are too few different numbers of rows."""
    sizes = sorted({point.rows for point in points})
    if len(sizes) < LEAST_SIZES:
        return None
    generator = np.random.default_rng(seed)
    groups = [[point for point in points if point.rows == size] for size in sizes]
    noise = _noise(groups)
    drawn = np.empty((DRAWS, len(points)))
    for draw in drawn:
        at = 0
        for group in groups:
            chosen = generator.integers(0, len(group), len(group))
            # What one measurement differs from the next by, where there are too few of one size to show it.
            extra = generator.normal(0.0, noise / np.sqrt(len(group))) if len(group) < 3 else 0.0
            mean = float(np.mean([group[number].error for number in chosen]))
            draw[at : at + len(group)] = np.clip(mean + extra, 0.0, 1.0)
            at += len(group)
    rows = np.array([point.rows for group in groups for point in group], dtype=np.float64)
    measured = np.array([[point.error for group in groups for point in group]])
    floor, scale, exponent = (float(value) for value in _fitted(rows, measured)[0])
    return Curve(floor, scale, exponent, _fitted(rows, drawn), sizes[-1])


def _noise(groups: Sequence[Sequence[Measured]]) -> float:
    """Spread of measurements with equal rows, over all of them; a little where each was done once."""
    deviations = [
        point.error - float(np.mean([other.error for other in group]))
        for group in groups
        if len(group) > 1
        for point in group
    ]
    freedom = sum(len(group) - 1 for group in groups)
    return max(0.005, float(np.sqrt(np.sum(np.square(deviations)) / freedom))) if freedom else 0.02


def _fitted(rows: Floats, errors: Floats) -> Floats:
    """Floor, scale and exponent with the least squares, neither floor nor scale below nought.

    Args:
        rows: (measurements,).
        errors: (draws, measurements).

    Returns:
        (draws, 3).
    """
    mean = errors.mean(1)
    best = np.stack([mean, np.zeros_like(mean), np.full_like(mean, EXPONENTS[0])], axis=1)
    least = np.full_like(mean, np.inf)
    for exponent in EXPONENTS:
        powers = rows**-exponent
        away = powers - powers.mean()
        scale = (errors - mean[:, None]) @ away / np.square(away).sum()
        floor = mean - scale * powers.mean()
        through = np.maximum(0.0, errors @ powers / np.square(powers).sum())
        # The best line where it has no part below nought; else the better one of those without a part.
        is_good, none = (floor >= 0) & (scale >= 0), np.zeros_like(mean)
        for some_floor, some_scale, is_tried in (
            (floor, scale, is_good), (none, through, ~is_good), (np.maximum(0.0, mean), none, ~is_good)
        ):  # fmt: skip
            loss = np.square(some_floor[:, None] + some_scale[:, None] * powers - errors).sum(1)
            is_better = is_tried & (loss < least - 1e-15)
            least = np.where(is_better, loss, least)
            line = np.stack([some_floor, some_scale, np.full_like(mean, exponent)], axis=1)
            best = np.where(is_better[:, None], line, best)
    return best
