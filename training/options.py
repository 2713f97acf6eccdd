"""How a decoder student is distilled: one dataclass, checked, written beside every run."""

from dataclasses import dataclass
from typing import Literal

from appliance.errors import UsageError

Precision = Literal["auto", "float32", "bfloat16"]

SEARCHED_RATES = (2e-3, 5e-3, 1e-2)
"""What `auto` tries on a small base; a tenth of them on a large one."""
SMALL_BASE_WEIGHTS = 60_000_000


@dataclass(frozen=True)
class DistillOptions:
    """Settings of one distillation."""

    epochs: int = 10
    """Passes over the rows, at most; validation or the time budget may end it earlier."""
    learning_rate: float | Literal["default", "auto"] = "default"
    """Highest rate. `default` follows the size of the base, `auto` tries three on the validation rows."""
    seconds: float | None = None
    """Time budget; the rate falls with whichever runs out first, time or epochs. None means no limit."""
    rank: int = 16
    """Of the adapter; 64 was no better on a base of 6 million weights."""
    alpha: int = 32
    """The adapter's output is scaled by alpha / rank."""
    batch_tokens: int = 2048
    """Tokens of a step, padding included; small, because small data wants many steps."""
    warm_up: float = 0.06
    """Share of the steps until the highest rate."""
    weight_decay: float = 0.0
    """Of the adapter; it is small and trained briefly."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 4
    """Epochs without a better validation before it ends."""
    seed: int = 0
    """Of the adapter and the order of rows."""
    precision: Precision = "auto"
    """Of the forward pass; `auto` takes bfloat16 where the processor computes it."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.rank, self.alpha, self.batch_tokens, self.patience) < 1:
            raise UsageError("epochs, rank, alpha, batch tokens and patience are at least 1")
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"a budget of {self.seconds} seconds leaves no time to train")
        if isinstance(self.learning_rate, float) and not 0 < self.learning_rate < 1:
            raise UsageError(
                f"the learning rate {self.learning_rate} is not between 0 and 1", "try 5e-3 on a small base"
            )


def default_rate(weights: int) -> float:
    """The highest learning rate for a base with so many weights; small bases want far more than the usual 2e-4."""
    if weights <= SMALL_BASE_WEIGHTS:
        return 5e-3
    return 1e-3 if weights <= 10 * SMALL_BASE_WEIGHTS else 2e-4


def searched_rates(weights: int) -> tuple[float, ...]:
    """The rates that `auto` tries, lowest first."""
    return tuple(rate * default_rate(weights) / 5e-3 for rate in SEARCHED_RATES)
