"""How students are distilled: dataclasses, checked, written beside every run and read back when it is resumed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from appliance.ground.errors import UsageError

Precision = Literal["auto", "float32", "bfloat16"]
Family = Literal["decoder", "encoder"]

RUN_VERSION = 2
"""Of a run's `config.json`; the options of version 1 cannot be gone on with."""

SEARCHED_RATES = (2e-3, 5e-3, 1e-2)
"""What `auto` tries on a small base; a tenth of them on a large one."""
SMALL_BASE_WEIGHTS = 60_000_000


@dataclass(frozen=True)
class AdapterOptions:
    """What students of both families have in common."""

    rank: int = 16
    """Of the adapter; 64 was no better on a base of 6 million weights."""
    alpha: int = 32
    """The adapter's output is scaled by alpha / rank."""
    seed: int = 0
    """Of the adapter, the order of rows and whatever else is drawn."""
    precision: Precision = "auto"
    """Of the forward pass; `auto` takes bfloat16 where the processor computes it faster."""

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha) < 1:
            raise UsageError(f"rank {self.rank} and alpha {self.alpha} are not both at least 1", "try 16 and 32")


def resolve_precision(precision: Precision, family: Family) -> Precision:
    """Replaces `auto` by what this machine computes faster for a student of this family."""
    import torch

    if precision != "auto":
        return precision
    if family == "decoder":
        # Measured on one core: without tile registers, products in bfloat16 are slower than in float32 with base and
        # adapter as one product (1,900 against 3,300 tokens/s).
        fast = torch.cuda.is_available() or torch.cpu._is_amx_tile_supported()
    else:
        # Measured on one core with AVX-512 BF16: 20 s an epoch of 2,080 questions against 29 s in float32.
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


@dataclass(frozen=True)
class DistillOptions:
    """Settings of one distillation of a decoder."""

    epochs: int = 10
    """Passes over the rows, at most; validation or the time budget may end it earlier."""
    learning_rate: float | Literal["default", "auto"] = "default"
    """Highest rate. `default` follows the size of the base, `auto` tries three on the validation rows."""
    seconds: float | None = None
    """Time budget; the rate falls with whichever runs out first, time or epochs. None means no limit."""
    absent_share: float = 0.35
    """Share of the rows that an epoch shows with values taken out (`training/field_dropout.py`)."""
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
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    """What is trained."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_tokens, self.patience) < 1:
            raise UsageError("epochs, batch tokens and patience are at least 1")
        if not 0 <= self.absent_share <= 1:
            raise UsageError(f"a share of {self.absent_share} rows is not between 0 and 1", "0.35 is the default")
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


def read_options(config_path: Path) -> dict[str, Any]:  # fields of either family's options
    """The options in the `config.json` of a run that is resumed.

    Raises:
        UsageError: Another version of Stillroom began the run.
    """
    config: Mapping[str, Any] = json.loads(config_path.read_text(encoding="utf-8"))
    if config.get("version") != RUN_VERSION:
        raise UsageError(
            f"the run {config_path.parent.name} was begun by another version of Stillroom",
            "start a new run with `stillroom train` without --resume",
        )
    stored = dict(config["options"])
    return {**stored, "adapter": AdapterOptions(**stored["adapter"])}
