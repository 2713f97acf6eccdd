"""What a person sees of a training run: sentences, a line that tells how far it is, and a line for each epoch."""

from typing import TYPE_CHECKING

from appliance.ground.output import note
from appliance.ground.progress import Progress
from appliance.ground.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.ground.progress_line import ProgressLine
    from training.loop import RunWatch
    from training.metrics import Measurement, StepProgress


def run_display(line: "ProgressLine") -> "RunWatch":
    """Shows a run on this terminal, or in a log."""
    from training.loop import RunWatch

    def on_note(sentence: str) -> None:
        line.end()
        note(printable(sentence))

    def on_step(step: "StepProgress") -> None:
        stage, figures = f"epoch {step.epoch}", f"loss {step.loss:.4f}"
        left = step.seconds_left
        line(Progress(step.step, step.steps, "step", stage, figures=figures, seconds_left=left))

    def on_range_step(done: int, total: int) -> None:
        line(Progress(done, total, "step", "finding a learning rate"))

    def on_measurement(measurement: "Measurement") -> None:
        line.end()
        note(_measurement_line(measurement))

    return RunWatch(on_note, on_step, on_measurement, on_range_step)


def _measurement_line(measurement: "Mapping[str, float | int]") -> str:
    parts = [f"epoch {measurement['epoch']}", f"loss {measurement['loss']:.4f}"]
    if "validation_loss" in measurement:
        parts.append(f"validation: loss {measurement['validation_loss']:.4f}")
    if "validation_values" in measurement:
        parts[-1] += f", whole values {measurement['validation_values']:.3f}"
    if "validation_accuracy" in measurement:
        parts[-1] += f", accuracy {measurement['validation_accuracy']:.3f}"
    parts.append(f"{measurement['seconds']:.0f} s")
    return "  ".join(parts)
