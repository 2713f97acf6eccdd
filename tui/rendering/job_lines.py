"""A job as a row of the table, and as the lines above its documents."""

import time

from appliance.ground.text import human_count, human_duration
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State
from tui.data.job_speed import JobSpeed, speed_text, time_left_text
from tui.data.state_readers import has_not_begun, is_readable
from tui.text.cells import BAD, DOUBTFUL, FAINT, PLAIN, STRONG, Cell, Line, state_cell, wrap_line

_BAR_CELLS = 24
_MESSAGE_LINES = 3


def message_cell(job: JobSummary) -> Cell:
    """The job's message: an error only where the job failed."""
    return Cell(job.message, BAD if job.state is State.FAILED else DOUBTFUL)


def head_lines(job: JobSummary, speed: JobSpeed, model_name: str, width: int) -> list[Line]:
    """The head of a job; a message takes the lines that it needs."""
    lines: list[Line] = [[Cell(job.name, STRONG), Cell("   "), state_cell(job.state)]]
    if job.message:
        lines += wrap_line([message_cell(job)], max(20, width))[:_MESSAGE_LINES]
    if not is_readable(job):
        return lines
    filled = int(job.with_row / job.total * _BAR_CELLS) if job.total else 0
    counts = f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {job.done:,} of {job.total:,} done, {job.failed:,} failed"
    if job.quarantined:
        counts += f" ({job.quarantined:,} quarantined)"
    if job.missing:
        counts += f", {job.missing:,} missing"
    review = Cell(f", {job.for_review:,} for review" if job.for_review else "", DOUBTFUL)
    model = Cell("   model " + " ".join(filter(None, (model_name, job.model[:16]))), FAINT)
    return [*lines, [Cell(counts), review], [Cell(speed_line(job, speed)), model]]


def speed_line(job: JobSummary, speed: JobSpeed) -> str:
    """The job's speed and the time left, as far as they are known."""
    parts = []
    if speed.documents_per_second is not None:
        parts.append(f"{speed_text(speed.documents_per_second)} documents/s")
    if job.state is State.RUNNING:
        if speed.stalled_seconds is not None:
            parts.append(f"stalled: no document finished for {human_duration(speed.stalled_seconds)}")
        else:
            parts.append(
                f"{time_left_text(speed)} left" if speed.seconds_left is not None else "time left not known yet"
            )
    elif job.state is State.QUEUED:
        parts.append("waiting for the engine")
    return ", ".join(parts) or "speed not measured yet"


def job_cells(job: JobSummary, speed: JobSpeed) -> Line:
    """A job as a row of the table."""
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else "-"
    known = is_readable(job)
    return (
        state_cell(job.state),
        Cell(job.name),
        Cell(f"{job.done:,}/{job.total:,}" if known else "-"),
        Cell(f"{job.for_review:,}" if known else "-", DOUBTFUL if job.for_review else PLAIN),
        Cell(f"{job.failed:,}" if known else "-", BAD if job.failed else PLAIN),
        Cell(speed_text(speed.documents_per_second)),
        Cell(time_left_text(speed)),
        Cell(started),
        Cell(job.model[:16] or "-"),
    )


def job_times(job: JobSummary, speed: JobSpeed) -> str:
    """When a job ran, and what is odd about its pace."""
    if not job.started:
        return "not started"
    text = f"started {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.started))}"
    if job.finished:
        text += f", ended {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.finished))}"
        if job.quarantined:
            text += f", {human_count(job.quarantined, 'document')} quarantined"
    elif speed.documents_per_second is not None:
        text += f", {speed_text(speed.documents_per_second)} documents/s"
    if job.for_review:
        text += f", {human_count(job.for_review, 'document')} for review"
    if speed.stalled_seconds is not None:
        text += f", no document finished for {human_duration(speed.stalled_seconds)}"
    return text


def next_command(job: JobSummary) -> str:
    """The command that shows the same, or what to do about a job that stands still."""
    if not is_readable(job) and not has_not_begun(job):
        return f"stillroom jobs remove {job.id}"
    if job.state in (State.INTERRUPTED, State.PAUSED):
        return f"stillroom jobs resume {job.id}"
    listed = (" --failed" if job.failed else "") + (" --review" if job.for_review else "")
    return f"stillroom jobs show {job.id}{listed}"
