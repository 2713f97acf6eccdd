"""A number as a page or a table shows it: with its interval and what it rests on."""

import math
from dataclasses import dataclass

from appliance.quality.statistics import Interval


@dataclass(frozen=True)
class Figure:
    """An estimate with its 95 % interval and what it rests on; a bound that cannot be given is None."""

    value: float
    low: float | None
    high: float | None
    n: int

    @staticmethod
    def of(interval: Interval, n: int) -> "Figure":
        """From an interval; infinite bounds become None."""
        low, high = (bound if math.isfinite(bound) else None for bound in (interval.low, interval.high))
        return Figure(interval.estimate, low, high, n)
