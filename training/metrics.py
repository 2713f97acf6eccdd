"""What a run writes about itself while it works: `metrics.jsonl`, and how far it is."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.files import disk_errors, write_lines
from appliance.ground.json_text import json_text
from appliance.tasks.folder import RunFolder
from training.checkpoint import Checkpoint

Measurement = dict[str, float | int]

STEPS_A_LINE = 10
SECONDS_A_CHECKPOINT = 30.0
"""A killed run loses at most this; saving an adapter with its moments takes a fraction of a second."""


FORWARD_SHARE = 0.4
"""What a token costs in validation, against a token of training."""


@dataclass(frozen=True)
class StepProgress:
    """Where a run stands after a step."""

    step: int
    steps: int
    """Of all epochs; the budget of time or the validation may end the run earlier."""
    epoch: int
    """From one."""
    loss: float
    """Of this step."""
    learning_rate: float
    share: float
    """Of the run, by steps or by time, whichever is further."""
    seconds: float
    """Since the run began."""
    seconds_left: float
    """As far as the steps so far tell."""


@dataclass
class Clock:
    """Progress of a run by steps and by time."""

    budget_seconds: float | None
    steps: int
    """Of all epochs."""
    began: float
    """On the monotonic clock; earlier by what a resumed run had used."""
    saved: float
    """Seconds at the last checkpoint."""
    validation_tokens: int
    """Of the validation rows."""
    begun_at: tuple[int, float]
    """Steps and seconds of the run when this process began."""

    @property
    def elapsed(self) -> float:
        """Seconds of the run."""
        return time.monotonic() - self.began

    def is_over(self, state: Checkpoint) -> bool:
        """Whether only the time is left that a validation takes and what follows it."""
        return self.budget_seconds is not None and state.seconds + self.closing_seconds(state) >= self.budget_seconds

    def closing_seconds(self, state: Checkpoint) -> float:
        """Of a validation and what follows it: what the last one took, or a guess by the speed of the steps."""
        if state.closing_seconds or not state.step:
            return state.closing_seconds
        return FORWARD_SHARE * self.validation_tokens * state.seconds / max(1, state.tokens)

    def seconds_left(self, state: Checkpoint) -> float:
        """Of the run, by the speed of this process's steps and by the time budget."""
        steps, seconds = state.step - self.begun_at[0], state.seconds - self.begun_at[1]
        by_steps = seconds / max(1, steps) * max(0, self.steps - state.step) + self.closing_seconds(state)
        return by_steps if self.budget_seconds is None else min(by_steps, max(0.0, self.budget_seconds - state.seconds))

    def progress(self, step: int, seconds: float) -> float:
        """Share of the run that is done after these steps and seconds, whichever is further."""
        by_time = seconds / self.budget_seconds if self.budget_seconds else 0.0
        return min(1.0, max(step / self.steps, by_time))

    def step_progress(self, state: Checkpoint) -> StepProgress:
        """Where the run stands."""
        share = self.progress(state.step, state.seconds)
        loss = state.losses[-1]
        left = self.seconds_left(state)
        rate = state.learning_rate
        return StepProgress(state.step, self.steps, state.epoch + 1, loss, rate, share, state.seconds, left)

    def save_due(self, seconds: float) -> bool:
        """Whether a checkpoint should be written; counts it as written."""
        due = seconds - self.saved >= SECONDS_A_CHECKPOINT
        if due:
            self.saved = seconds
        return due


class Metrics:
    """Appends to a run's `metrics.jsonl`; writes nothing where there is no run folder."""

    def __init__(self, run_dir: Path | None, step: int) -> None:
        """Drops lines past `step`, which a run that was cut off wrote after its last checkpoint."""
        self._path = RunFolder(run_dir).metrics_path if run_dir else None
        if self._path and self._path.is_file():
            lines = self._path.read_text(encoding="utf-8").split("\n")
            write_lines(self._path, [line for line in lines if _step_of(line) <= step])

    def measured(self, state: Checkpoint) -> Measurement:
        """The loss of the epoch so far, and the counters."""
        return {
            "step": state.step,
            "tokens": state.tokens,
            "loss": round(sum(state.losses) / max(1, len(state.losses)), 6),
            "lr": state.learning_rate,
            "seconds": round(state.seconds, 3),
        }

    def step(self, state: Checkpoint) -> None:
        """A line every `STEPS_A_LINE` steps, with the mean loss of these."""
        if state.step % STEPS_A_LINE == 0:
            recent = state.losses[-STEPS_A_LINE:]
            loss = round(sum(recent) / len(recent), 6)
            self.write({**self.measured(state), "loss": loss})

    def write(self, measurement: Measurement) -> None:
        """One line."""
        if self._path:
            with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(json_text(measurement) + "\n")


def _step_of(line: str) -> float:
    """The step of a line; infinity for one that was cut off."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
