"""The training loop of every student: from a fresh adapter to its best weights, resumable at every step.

One process or several: the passes of a step are dealt out among the ranks (`ranks.py`), and the step's gradient is that
of the mean loss over all of them, so that the number of processes and the size of a pass change rounding alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from training.checkpoint import Checkpoint, restore, save
from training.lora import copy_weights, trainable_weights
from training.losses import check_finite
from training.metrics import Clock, Measurement, Metrics, StepProgress
from training.ranks import add_over_ranks, join_ranks, rank, rank_count, share, totals
from training.schedule import rate_factor
from training.students.student import B, Student

if TYPE_CHECKING:
    from peft import PeftModel

    from training.options import TrainingOptions

OnMeasurement = Callable[[Measurement], None]
OnStep = Callable[[StepProgress], None]


def fit(
    student: Student[B],
    options: "TrainingOptions",
    run_dir: Path | None = None,
    on_measurement: OnMeasurement | None = None,
    on_step: OnStep | None = None,
) -> "tuple[PeftModel, Measurement]":
    """Trains an adapter; goes on from the checkpoint of `run_dir` where there is one.

    What a step draws depends on seed and step alone, so that a resumed run ends with the same weights.

    Args:
        student: Base and rows.
        options: With a number as learning rate and without `auto`.
        run_dir: Gets `metrics.jsonl` and the checkpoints; None leaves no trace.
        on_measurement: Called with each epoch's measurement.
        on_step: Called after each step.

    Returns:
        The model with the weights of the best epoch, and that epoch's measurement.

    Raises:
        Diverged: A gradient is no number.
        RankLost: Another process of the run has ended.
    """
    accelerator = join_ranks()
    model: PeftModel = student.new_model(options)
    if not options.compute.load_in_4bit:  # which lies on its GPU, and refuses to be moved
        model.to(accelerator.device)
    trained = list(trainable_weights(model).values())
    groups = student.parameter_groups(model, options)
    highest_rates = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    seed = options.adapter.seed
    plans = [student.plan(options, np.random.default_rng([seed, epoch])) for epoch in range(options.epochs)]
    starts = list(accumulate((len(plan) for plan in plans), initial=0))  # the first step of each epoch

    state = restore(run_dir, model, optimizer) if run_dir else None
    state = state or Checkpoint(best_weights=copy_weights(model))
    own_dir = run_dir if rank() == 0 else None  # the others write nothing
    metrics = Metrics(own_dir, state.step)
    clock = Clock(options.seconds, starts[-1], time.monotonic() - state.seconds, state.seconds)
    model.train()
    while state.epoch < options.epochs and state.epochs_without_gain < options.patience:
        if clock.is_over(state.seconds) and state.step:  # the shortest budget has one step
            break
        steps = plans[state.epoch][state.step - starts[state.epoch] :]
        shares = [share(student.passes(numbers, options)) for numbers in steps]
        batches = student.batches([numbers for passes in shares for numbers in passes], state.epoch, options)
        for passes in shares:
            factor = rate_factor(clock.progress(state.step + 1, state.seconds), options.warm_up)
            for group, highest_rate in zip(optimizer.param_groups, highest_rates, strict=True):
                group["lr"] = highest_rate * factor
            torch.manual_seed(_step_seed(seed, state.step, rank()))  # dropout
            optimizer.zero_grad()
            sums = StepSums()
            for batch in islice(batches, len(passes)):
                loss = student.loss(model, batch.to(accelerator.device), options) * batch.weight
                accelerator.backward(loss)
                sums.add(float(loss.detach()), batch.weight, batch.tokens)
            sums.meet(trained, clock.elapsed)
            norm = torch.nn.utils.clip_grad_norm_(trained, options.clip)
            check_finite(float(norm), state.step)  # before it reaches the weights: nothing brings them back
            optimizer.step()
            state.count_step(sums.mean_loss, sums.tokens, optimizer.param_groups[0]["lr"])
            state.seconds = sums.seconds
            metrics.step(state)
            if on_step:
                on_step(clock.step_progress(state))
            if clock.is_over(state.seconds):
                break
            if own_dir and clock.save_due(state.seconds):
                save(own_dir, state, optimizer, model)

        measurement = {**metrics.measured(state), "steps": starts[-1]}
        measurement |= {"epoch": state.epoch + 1, **student.validate(model, options)}
        (seconds,) = totals(clock.elapsed if rank() == 0 else 0.0)
        measurement["seconds"] = round(seconds, 3)
        gained = not student.has_validation or is_better(measurement, state.best, student.ranking)
        state.end_epoch(seconds, gained)
        if gained:
            state.best, state.best_weights = measurement, copy_weights(model)
        metrics.write(measurement)
        if own_dir:
            save(own_dir, state, optimizer, model)
        if on_measurement:
            on_measurement(measurement)
    model.load_state_dict(state.best_weights, strict=False)
    return model, state.best


@dataclass
class StepSums:
    """What the passes of a step add up to, first in this process and then in all."""

    loss: float = 0.0
    """Sum of the passes' mean losses, each times its weight."""
    weight: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    """Since the run began, by the clock of rank 0: all decide by the same one."""

    @property
    def mean_loss(self) -> float:
        """Of the whole step."""
        return self.loss / max(self.weight, 1e-8)

    def add(self, loss: float, weight: float, tokens: int) -> None:
        """Counts a pass of this process."""
        self.loss, self.weight, self.tokens = self.loss + loss, self.weight + weight, self.tokens + tokens

    def meet(self, trained: list[Tensor], seconds: float) -> None:
        """Makes sums and gradients those of all processes, and the gradients those of the mean loss."""
        loss, weight, tokens, self.seconds = totals(
            self.loss, self.weight, self.tokens, seconds if rank() == 0 else 0.0
        )
        self.loss, self.weight, self.tokens = loss, weight, round(tokens)
        for weights in trained:
            if weights.grad is None:  # no pass was this process's
                weights.grad = torch.zeros_like(weights)
        gradients = [weights.grad for weights in trained if weights.grad is not None]
        if rank_count() > 1:
            together = torch.cat([gradient.flatten() for gradient in gradients])
            add_over_ranks([together])
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, part in zip(gradients, together.split(sizes), strict=True):
                gradient.copy_(part.view_as(gradient))
        for gradient in gradients:
            gradient.div_(max(self.weight, 1e-8))


def is_better(measurement: Measurement, best: Measurement, ranking: tuple[tuple[str, int], ...]) -> bool:
    """Whether one validation beats another by the first key in which they differ; equal ones do not."""
    if not best:
        return True
    ranks = [[sign * figures.get(key, 0) for key, sign in ranking] for figures in (measurement, best)]
    return ranks[0] > ranks[1]


def _step_seed(seed: int, step: int, rank_number: int) -> int:
    """Of what torch draws in one step; 63 bits, whatever the run's seed is."""
    entropy = [seed, step, rank_number] if rank_number else [seed, step]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
