"""The training loop of every student: from a fresh adapter to its best weights, resumable at every step."""

import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator

from training.checkpoint import Checkpoint, restore, save
from training.lora import copy_weights, trainable_weights
from training.losses import check_finite
from training.metrics import Clock, Measurement, Metrics
from training.schedule import rate_factor
from training.students.student import B, Student

if TYPE_CHECKING:
    from peft import PeftModel

    from training.options import TrainingOptions

OnMeasurement = Callable[[Measurement], None]


def fit(
    student: Student[B],
    options: "TrainingOptions",
    run_dir: Path | None = None,
    on_measurement: OnMeasurement | None = None,
) -> "tuple[PeftModel, Measurement]":
    """Trains an adapter; goes on from the checkpoint of `run_dir` where there is one.

    What a step draws depends on seed and step alone, so that a resumed run ends with the same weights.

    Args:
        student: Base and rows.
        options: With a number as learning rate and without `auto`.
        run_dir: Gets `metrics.jsonl` and the checkpoints; None leaves no trace.
        on_measurement: Called with each epoch's measurement.

    Returns:
        The model with the weights of the best epoch, and that epoch's measurement.

    Raises:
        Diverged: A gradient is no number.
    """
    accelerator = Accelerator(mixed_precision="no")  # a student knows where its forward pass may be in bfloat16
    model: PeftModel = accelerator.prepare_model(student.new_model(options))
    trained = list(trainable_weights(model).values())
    groups = student.parameter_groups(model, options)
    highest_rates = [group["lr"] for group in groups]
    optimizer = accelerator.prepare_optimizer(torch.optim.AdamW(groups, betas=(0.9, 0.98)))
    seed = options.adapter.seed
    plans = [student.plan(options, np.random.default_rng([seed, epoch])) for epoch in range(options.epochs)]
    starts = list(accumulate((len(plan) for plan in plans), initial=0))  # the first step of each epoch

    state = restore(run_dir, model, optimizer) if run_dir else None
    state = state or Checkpoint(best_weights=copy_weights(model))
    metrics = Metrics(run_dir, state.step)
    clock = Clock(options.seconds, starts[-1], time.monotonic() - state.seconds, state.seconds)
    model.train()
    while state.epoch < options.epochs and state.epochs_without_gain < options.patience:
        if clock.over and state.step:  # the shortest budget has one step
            break
        plan = plans[state.epoch][state.step - starts[state.epoch] :]
        for batch in student.batches(plan, state.epoch, options):
            factor = rate_factor(clock.progress(state.step + 1), options.warm_up)
            for group, highest_rate in zip(optimizer.param_groups, highest_rates, strict=True):
                group["lr"] = highest_rate * factor
            torch.manual_seed(_step_seed(seed, state.step))  # dropout
            loss = student.loss(model, batch.to(accelerator.device), options)
            optimizer.zero_grad()
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(trained, options.clip)
            check_finite(float(norm), state.step)  # before it reaches the weights: nothing brings them back
            optimizer.step()
            state.count_step(float(loss.detach()), batch.tokens, optimizer.param_groups[0]["lr"])
            state.seconds = clock.elapsed
            metrics.step(state)
            if clock.over:
                break
            if run_dir and clock.save_due(state.seconds):
                save(run_dir, state, optimizer, model)

        measurement = {**metrics.measured(state), "steps": starts[-1]}
        measurement |= {"epoch": state.epoch + 1, **student.validate(model, options)}
        measurement["seconds"] = round(clock.elapsed, 3)
        gained = not student.has_validation or is_better(measurement, state.best, student.ranking)
        state.end_epoch(clock.elapsed, gained)
        if gained:
            state.best, state.best_weights = measurement, copy_weights(model)
        metrics.write(measurement)
        if run_dir:
            save(run_dir, state, optimizer, model)
        if on_measurement:
            on_measurement(measurement)
    model.load_state_dict(state.best_weights, strict=False)
    return model, state.best


def is_better(measurement: Measurement, best: Measurement, ranking: tuple[tuple[str, int], ...]) -> bool:
    """Whether one validation beats another by the first key in which they differ; equal ones do not."""
    if not best:
        return True
    ranks = [[sign * figures.get(key, 0) for key, sign in ranking] for figures in (measurement, best)]
    return ranks[0] > ranks[1]


def _step_seed(seed: int, step: int) -> int:
    """Of what torch draws in one step; 63 bits, whatever the run's seed is."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
