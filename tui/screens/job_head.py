"""The lines above a job's documents: its state, how far it is, how fast, and why it stands where it stands."""

from appliance.ground.text import human_duration
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State
from tui.cells import BAD, FAINT, STRONG, Cell, Line, state_cell, wrap_line
from tui.pace import Pace, left_text, speed_text
from tui.watching import is_readable

_BAR_CELLS = 24
_MESSAGE_LINES = 3


def head_lines(job: JobSummary, pace: Pace, model_name: str, width: int) -> list[Line]:
    """The head of a job; a message takes the lines that it needs."""
    lines: list[Line] = [[Cell(job.name, STRONG), Cell("   "), state_cell(job.state)]]
    if job.message:
        lines += wrap_line([Cell(job.message, BAD)], max(20, width))[:_MESSAGE_LINES]
    if not is_readable(job):
        return lines
    finished = job.done + job.failed
    filled = int(finished / job.total * _BAR_CELLS) if job.total else 0
    counts = f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {job.done:,} of {job.total:,} done, {job.failed:,} failed"
    if job.quarantined:
        counts += f" ({job.quarantined:,} quarantined)"
    model = Cell("   model " + " ".join(filter(None, (model_name, job.model[:16]))), FAINT)
    return [*lines, [Cell(counts)], [Cell(pace_text(job, pace)), model]]


def pace_text(job: JobSummary, pace: Pace) -> str:
    """The job's speed and the time left, as far as they are known."""
    parts = []
    if pace.documents_per_second is not None:
        parts.append(f"{speed_text(pace.documents_per_second)} documents/s")
    if job.state is State.RUNNING:
        if pace.stalled_seconds is not None:
            parts.append(f"stalled: no document finished for {human_duration(pace.stalled_seconds)}")
        else:
            parts.append(f"{left_text(pace)} left" if pace.seconds_left is not None else "time left not known yet")
    elif job.state is State.QUEUED:
        parts.append("waits for the engine")
    return ", ".join(parts) or "no speed measured"
