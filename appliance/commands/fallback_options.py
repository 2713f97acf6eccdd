"""The fallback of `stillroom run`: its options made one request, with the threshold chosen on labelled rows."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.output import note
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.shares import parse_share
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
    labels_path: Path | None = None
    budget: float | None = None
    """Most money per 1,000 documents that auto may choose."""
    caps: Caps = field(default_factory=Caps)


def chosen_fallback(
    settings: Settings, request: JobRequest, options: FallbackOptions, is_preview: bool = False
) -> FallbackRequest | None:
    """The fallback of the job; for `auto` the curve is printed on stderr and the threshold chosen.

    Args:
        is_preview: Nothing may be sent, so `auto` chooses nothing: labelled rows would go to the frontier.

    Raises:
        UsageError: The options are invalid.
        ApplianceError: The threshold cannot be chosen.
    """
    if options.name is None:
        others = options.threshold is not None or options.labels_path is not None or options.budget is not None
        if others or options.caps.is_set:
            raise UsageError("options for a fallback are given, but no fallback", "name one with `--fallback NAME`")
        return None
    if options.threshold is None:
        raise UsageError(
            f"no threshold says when frontier {options.name} is asked",
            "add `--threshold 0.8`, or `--threshold auto` with labelled rows",
        )
    if options.threshold != AUTO:
        return FallbackRequest(options.name, parse_share(options.threshold, "--threshold", AUTO), options.caps)
    if is_preview:
        note("no threshold was chosen: auto asks the frontier, and a preview sends nothing")
        return FallbackRequest(options.name, 0.0, options.caps)
    return FallbackRequest(options.name, _auto(settings, request, options), options.caps)


def _auto(settings: Settings, request: JobRequest, options: FallbackOptions) -> float:
    from appliance.answering.threshold_choice import ThresholdRequest, choose_threshold
    from appliance.routing.egress import EgressOptions

    assert options.name is not None
    task = load_task(request.task_path)
    labels_path = options.labels_path or TaskFolder.of(request.task_path).split_path("test")
    if not labels_path.is_file():
        raise UsageError(
            f"auto needs labelled rows, and {labels_path} is not there",
            "name a file with `--labels`, or give a number: `--threshold 0.8`",
        )
    if not labels_path.read_bytes().strip():
        raise UsageError(f"auto needs labelled rows; {labels_path} is empty", "give a number: `--threshold 0.8`")
    egress = EgressOptions(allowed=True, run="threshold", caps=options.caps)
    threshold_request = ThresholdRequest(task, labels_path, options.name, request.model, options.budget, egress)
    with progress_line() as line:
        chosen = choose_threshold(settings, threshold_request, line, note)
    note(*chosen.lines())
    return chosen.point.threshold
