"""Notices a training that goes astray: a loss that has risen over many steps, or a gradient that is no number.

Some batches of hard rows are left alone: what counts is the mean of many steps, and only where it has lost much of what
the run had gained, and more than the differences between its steps explain. Of long documents some windows hold a value
and others none, so that the losses of two steps of a healthy run may differ tenfold.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.losses import Diverged

MOST_STEPS, LEAST_STEPS = 20, 10
"""Of a mean; a tenth of the run's steps between the two."""
LOST_SHARE = 0.7
"""Of the fall of the loss since the run began: when so much of it is lost again, the run is astray."""
LEAST_RISE = 0.5
"""In nats a token: the noise of a well-behaved run is below it."""
NOISE = 6.0
"""Standard errors of a difference of two means that a rise must be: the lowest of hundreds of means is a lucky one."""
LOWERED = 0.3
"""What the rate is multiplied with when a run goes back."""
MOST_RETURNS = 3


@dataclass(frozen=True)
class Astray:
    """How a run went astray."""

    step: int
    rate: float
    """The adapter's highest rate in this run so far."""
    low: float = math.nan
    """The lowest mean loss before; not a number where a gradient was none."""
    high: float = math.nan
    """The mean loss of the latest steps."""

    @property
    def is_not_finite(self) -> bool:
        """Whether a gradient was no number."""
        return math.isnan(self.low)

    @property
    def reason(self) -> str:
        """What happened, with the numbers."""
        if self.is_not_finite:
            return f"the gradient of step {self.step} is not finite"
        return f"the loss rose from {self.low:.3f} to {self.high:.3f} by step {self.step}"

    def error(self, returns: int) -> Diverged:
        """For a run that does not go back once more."""
        again = f", also after going back {returns} times with lower rates" if returns else ""
        return Diverged(f"{self.reason}{again}", "train again with a lower --rate, or with another base")

    def end_note(self, best_step: int) -> str:
        """For a run that ends with the best state that it reached."""
        return f"{self.reason}, also with lower rates: the run ends with its best state, of step {best_step}"

    def note(self, best_step: int) -> str:
        """For a run that goes back."""
        return (
            f"{self.reason} at a rate of {self.rate:.1e}: back to the best state, of step {best_step}, with a rate of"
            f" {self.rate * LOWERED:.1e}"
        )


@dataclass
class LossWatch:
    """The mean losses of a run since it began, or last went back."""

    window: int
    """Steps of a mean."""
    start: float | None = None
    """Mean of the first steps."""
    low: float | None = None
    """The lowest mean."""
    spread: float = 0.0
    """Largest standard deviation of the losses that a lowest mean was of."""
    steps: int = 0
    """Counted so far."""
    latest: list[float] = field(default_factory=list)
    """Losses of the steps of the latest mean."""

    def has_risen(self, loss: float) -> bool:
        """Counts a step; says whether the loss has risen for good."""
        self.latest, self.steps = [*self.latest[-self.window + 1 :], loss], self.steps + 1
        if len(self.latest) < self.window:
            return False
        mean = self.mean
        if self.start is None or self.low is None:
            self.start = self.low = mean
        if mean <= self.low:
            self.low, self.spread = mean, max(self.spread, statistics.pstdev(self._usual))
        noise = self.spread * math.sqrt(2 / self.window)
        allowed = max(LEAST_RISE, LOST_SHARE * (self.start - self.low), NOISE * noise)
        return self.steps >= 2 * self.window and mean - self.low > allowed

    @property
    def mean(self) -> float:
        """Of the latest steps, without the lowest and the highest."""
        return statistics.fmean(self._usual)

    @property
    def _usual(self) -> list[float]:
        return sorted(self.latest)[1:-1] or self.latest


def watch_for(steps: int, kept: Mapping[str, Any]) -> LossWatch:
    """The watch over a run of so many steps.

    Args:
        kept: What an interrupted run kept; empty for one that begins, or begins again.
    """
    return LossWatch(**kept) if kept else LossWatch(max(LEAST_STEPS, min(MOST_STEPS, steps // 10)))
