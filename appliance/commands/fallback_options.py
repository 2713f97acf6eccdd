"""The fallback of `stillroom run`: its options made one request, with the threshold chosen where that was asked."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.output import note
from appliance.ground.progress import Progress
from appliance.ground.progress_line import ProgressLine
from appliance.ground.settings import Settings
from appliance.jobs.job_plan import FallbackRequest, JobRequest
from appliance.routing.policy import Caps
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task

AUTO = "auto"


@dataclass(frozen=True)
class FallbackOptions:
    """What the command line says about the fallback."""

    name: str | None = None
    threshold: str | None = None
    """A number, or `auto`."""
    labelled_path: Path | None = None
    budget: float | None = None
    """Most money per 1,000 documents that auto may choose."""
    caps: Caps = field(default_factory=Caps)


def chosen_fallback(
    settings: Settings, request: JobRequest, asked: FallbackOptions, dry: bool = False
) -> FallbackRequest | None:
    """The fallback of the job; for `auto` the curve is printed on stderr and the threshold chosen.

    Args:
        dry: Nothing may be sent, so `auto` chooses nothing: labelled rows would go to the frontier.

    Raises:
        UsageError: The options say something that cannot be meant.
        ApplianceError: The threshold cannot be chosen.
    """
    if asked.name is None:
        given = asked.threshold is not None or asked.labelled_path is not None or asked.budget is not None
        if given or asked.caps.given:
            raise UsageError("options of a fallback are given, but no fallback", "name one with `--fallback NAME`")
        return None
    if asked.threshold is None:
        raise UsageError(
            f"nothing says when {asked.name} is asked",
            "add `--threshold 0.8`, or `--threshold auto` with labelled rows",
        )
    if asked.threshold == AUTO and dry:
        note("no threshold was chosen: auto asks the frontier, and a preview sends nothing")
        return FallbackRequest(asked.name, 0.0, asked.caps)
    if asked.threshold == AUTO:
        return FallbackRequest(asked.name, _auto(settings, request, asked), asked.caps)
    try:
        threshold = float(asked.threshold)
    except ValueError as error:
        raise UsageError(f"--threshold {asked.threshold} is neither a number nor auto", "use 0.8, or auto") from error
    return FallbackRequest(asked.name, threshold, asked.caps)


def _auto(settings: Settings, request: JobRequest, asked: FallbackOptions) -> float:
    from appliance.answering.lease import ENGINE_QUEUED
    from appliance.answering.threshold_choice import ThresholdRequest, choose_threshold
    from appliance.routing.egress import EgressOptions

    assert asked.name is not None
    task = load_task(request.task_path)
    labelled_path = asked.labelled_path or TaskFolder.of(request.task_path).split_path("test")
    if not labelled_path.is_file():
        raise UsageError(
            f"auto needs labelled rows, and {labelled_path} is not there", "name a file of them with `--labels`"
        )
    options = EgressOptions(allowed=True, run="threshold", caps=asked.caps)
    wanted = ThresholdRequest(task, request.task_path, labelled_path, asked.name, request.model, asked.budget, options)
    line = ProgressLine()
    try:
        chosen = choose_threshold(
            settings, wanted, lambda answered: line(Progress(answered, 0, "row", "labelled rows")),
            lambda: note(ENGINE_QUEUED),
        )  # fmt: skip
    finally:
        line.end()
    note(*chosen.lines())
    return chosen.point.threshold
