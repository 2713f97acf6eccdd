"""The training loop of every student: from a fresh adapter to its best weights, resumable at every step.

One process or several: the passes of a step are dealt out among the ranks (`ranks.py`), and the step's gradient is that
of the mean loss over all of them, so that the number of processes and the size of a pass change rounding alone.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from training.checkpoint import Checkpoint, restore, save
from training.lora import copy_weights, trainable_weights
from training.loss_watch import LOWERED, MOST_RETURNS, Astray, watch_for
from training.memory_pages import return_free_memory
from training.metrics import Clock, Measurement, Metrics, StepProgress
from training.ranks import add_over_ranks, join_ranks, rank, rank_count, share, totals
from training.schedule import rate_factor
from training.students.student import B, Student

if TYPE_CHECKING:
    from peft import PeftModel

    from training.options import TrainingOptions

OnMeasurement = Callable[[Measurement], None]
OnStep = Callable[[StepProgress], None]
OnNote = Callable[[str], None]


@dataclass(frozen=True)
class RunWatch:
    """What is called while a run works, for a person who waits."""

    on_note: OnNote | None = None
    """With a sentence that a person should read."""
    on_step: OnStep | None = None
    """After each step."""
    on_measurement: OnMeasurement | None = None
    """After each epoch."""
    on_range_step: Callable[[int, int], None] | None = None
    """While a learning rate is looked for: with the passes done and their number."""

    def note(self, sentence: str) -> None:
        """Tells a sentence."""
        if self.on_note:
            self.on_note(sentence)


def fit(
    student: Student[B],
    options: "TrainingOptions",
    run_dir: Path | None = None,
    watch: RunWatch | None = None,
    used_seconds: float = 0.0,
) -> "tuple[PeftModel, Measurement]":
    """Trains an adapter; goes on from the checkpoint of `run_dir` where there is one.

    What a step draws depends on seed and step alone, so that a resumed run ends with the same weights. A run that goes
    astray goes back to its best state and on with a lower rate, a few times.

    Args:
        student: Base and rows.
        options: With a number as learning rate and without `auto`.
        run_dir: Gets `metrics.jsonl` and the checkpoints; None leaves no trace.
        watch: What is called on the way.
        used_seconds: Of the time budget, before the first step.

    Returns:
        The model with the weights of the best epoch, and that epoch's measurement.

    Raises:
        Diverged: A gradient is no number, or the loss rose, whatever the rate.
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
    state = state or Checkpoint(best_weights=copy_weights(model), seconds=used_seconds)
    watch = watch or RunWatch()
    own_dir = run_dir if rank() == 0 else None  # the others write nothing
    metrics = Metrics(own_dir, state.step)
    clock = Clock(
        options.seconds,
        starts[-1],
        time.monotonic() - state.seconds,
        state.seconds,
        student.validation_tokens,
        (state.step, state.seconds),
    )
    loss_watch = watch_for(starts[-1], state.watch)
    model.train()
    while state.epoch < options.epochs and state.epochs_without_gain < options.patience:
        if clock.is_over(state) and state.step:  # the shortest budget has one step
            break
        steps = plans[state.epoch][state.step - starts[state.epoch] :]
        evenly = options.compute.shard_base
        shares = [share(student.passes(numbers, options), evenly=evenly) for numbers in steps]
        batches = student.batches([numbers for passes in shares for numbers, _ in passes], state.epoch, options)
        astray: Astray | None = None
        for passes in shares:
            factor = state.rate_factor * rate_factor(clock.progress(state.step + 1, state.seconds), options.warm_up)
            for group, highest_rate in zip(optimizer.param_groups, highest_rates, strict=True):
                group["lr"] = highest_rate * factor
            torch.manual_seed(_step_seed(seed, state.step, rank()))  # dropout
            optimizer.zero_grad()
            sums = StepSums()
            for (_, counts), batch in zip(passes, islice(batches, len(passes)), strict=True):
                loss = student.loss(model, batch.to(accelerator.device), options) * (batch.weight if counts else 0.0)
                accelerator.backward(loss)
                return_free_memory()
                if counts:
                    sums.add(float(loss.detach()), batch.weight, batch.tokens)
            sums.meet(trained, clock.elapsed)
            norm = torch.nn.utils.clip_grad_norm_(trained, options.clip)
            highest = highest_rates[0] * state.rate_factor
            if not math.isfinite(float(norm)):  # before it reaches the weights
                astray = Astray(state.step + 1, highest)
                break
            optimizer.step()
            state.count_step(sums.mean_loss, sums.tokens, optimizer.param_groups[0]["lr"])
            state.seconds = sums.seconds
            metrics.step(state)
            if watch.on_step:
                watch.on_step(clock.step_progress(state))
            if loss_watch.has_risen(sums.mean_loss):
                astray = Astray(state.step, highest, loss_watch.low or 0.0, loss_watch.mean)
                break
            state.watch = asdict(loss_watch)
            if clock.is_over(state):
                break
            if own_dir and clock.save_due(state.seconds):
                save(own_dir, state, optimizer, model)

        if astray:
            best_step = int(state.best.get("step", 0))
            if astray.is_not_finite and state.step == best_step:
                raise astray.error(state.returns)
            if state.returns == MOST_RETURNS:
                if not best_step:
                    raise astray.error(state.returns)
                watch.note(astray.end_note(best_step))
                break
            watch.note(astray.note(best_step))
            state.go_back(LOWERED)
            model.load_state_dict(state.best_weights, strict=False)
            optimizer.state.clear()
            loss_watch = watch_for(starts[-1], {})
            continue

        measurement = {**metrics.measured(state), "steps": starts[-1]}
        measurement |= {"epoch": state.epoch + 1, **student.validate(model, options)}
        (seconds,) = totals(clock.elapsed if rank() == 0 else 0.0)
        measurement["seconds"] = round(seconds, 3)
        state.closing_seconds = seconds - state.seconds
        gained = not student.has_validation or is_better(measurement, state.best, student.ranking)
        state.end_epoch(seconds, gained)
        if gained:
            state.best, state.best_weights = measurement, copy_weights(model)
        metrics.write(measurement)
        if own_dir:
            save(own_dir, state, optimizer, model)
        if watch.on_measurement:
            watch.on_measurement(measurement)
    model.load_state_dict(state.best_weights, strict=False)
    returns: Measurement = {"returns": state.returns, "rate_factor": state.rate_factor} if state.returns else {}
    return model, {**state.best, **returns}


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
            for gradient, part in zip(gradients, torch.split(together, sizes), strict=True):
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
