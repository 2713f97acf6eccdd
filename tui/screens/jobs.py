"""Jobs: what runs, what ran, how far it is and how it went."""

import time
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.widget import Widget

from appliance.ground.text import human_count, human_duration
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State
from tui.cells import BAD, PLAIN, STRONG, Cell, Line, state_cell
from tui.pace import Pace, left_text, speed_text
from tui.screens import job_actions
from tui.screens.job_actions import JOB_KEYS, JobKeys
from tui.screens.listing import Listing
from tui.watching import has_not_begun, is_readable
from tui.widgets.table import Column, ListedRows, Table

if TYPE_CHECKING:
    from tui.app import Snapshot


COLUMNS = (
    Column("State", 11),
    Column("Job"),
    Column("Done/total", 15, right=True),
    Column("Failed", 7, right=True),
    Column("Docs/s", 6, right=True),
    Column("Left", 7, right=True),
    Column("Started", 16, from_width=100),
    Column("Model", 16, from_width=120),
)


class JobsScreen(JobKeys, Listing):
    """All jobs, the one that started last first."""

    TAB = "Jobs"
    NOTHING_YET = "No jobs yet"
    NEXT_STEP = "n starts one from a form: a folder of documents, a task, a model. This command does the same:"
    NEXT_COMMAND = "stillroom run TASK DOCUMENTS --out DIR"
    HELP_LINES = (
        "Jobs: each is one folder of documents with one task and one model.",
        "They run in processes of their own: closing this screen never touches them.",
        "Failed counts documents without an answer, the quarantined ones among them. Docs/s is measured over"
        " the latest minute or the latest 100 documents, for ended jobs over their latest run. Left is an estimate"
        " and is shown after 10 documents; `stalled` means that no document came for far too long.",
    )
    KEYS = (
        ("Enter", "Open", "documents of the job, failures with their reasons"),
        ("n", "New job", "run a folder of documents through a model; a dry run comes first"),
        *JOB_KEYS,
        ("/", "Filter", "only jobs whose name, state or id contains a text"),
    )

    BINDINGS = [Binding("n", "new_job", show=False)]  # noqa: RUF012 - the form that Textual asks for

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[JobSummary, Pace]] = []
        self._chosen_id = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def take(self, snapshot: "Snapshot") -> None:
        """Shows the jobs that pass the filter; the chosen job stays chosen wherever it moves to."""
        self._shown = [
            (job, pace)
            for job, pace in zip(snapshot.jobs, snapshot.paces, strict=True)
            if self.passes(job.name, job.state, job.id)
        ]
        position = next((n for n, (job, _) in enumerate(self._shown) if job.id == self._chosen_id), None)
        rows = ListedRows([job_cells(job, pace) for job, pace in self._shown])
        self.query_one(Table).show(rows, self.notice(snapshot.jobs_problem, bool(snapshot.jobs)), position)

    def on_table_moved(self) -> None:
        """Tells about the chosen job."""
        if not self._shown:
            self.tell([[], []], "stillroom jobs list")
            return
        job, pace = self._shown[self.query_one(Table).position]
        self._chosen_id = job.id
        told = [Cell(job.message, BAD)] if job.message else [Cell(job_times(job, pace))]
        self.tell([[Cell(job.name, STRONG)], told], next_command(job))

    def chosen_job(self) -> JobSummary | None:
        """The job under the cursor."""
        position = self.query_one(Table).position
        return self._shown[position][0] if position < len(self._shown) else None

    def why_not(self) -> dict[str, str]:
        """What cannot be done with the list, and with the chosen job."""
        return super().why_not() | job_actions.why_not(self.chosen_job())

    def action_new_job(self) -> None:
        """Opens the form."""
        from tui.screens.new_job import NewJobScreen

        self.app.push_screen(NewJobScreen())

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the job."""
        from tui.screens.job import JobScreen

        self.app.push_screen(JobScreen(self._shown[message.index][0].id))


def job_cells(job: JobSummary, pace: Pace) -> Line:
    """A job as a row of the table."""
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else "-"
    known = is_readable(job)
    return (
        state_cell(job.state),
        Cell(job.name),
        Cell(f"{job.done:,}/{job.total:,}" if known else "-"),
        Cell(f"{job.failed:,}" if known else "-", BAD if job.failed else PLAIN),
        Cell(speed_text(pace.documents_per_second)),
        Cell(left_text(pace)),
        Cell(started),
        Cell(job.model[:16] or "-"),
    )


def job_times(job: JobSummary, pace: Pace) -> str:
    """When a job ran, and what is odd about its pace."""
    if not job.started:
        return "not started"
    text = f"started {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.started))}"
    if job.finished:
        text += f", ended {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.finished))}"
        if job.quarantined:
            text += f", {human_count(job.quarantined, 'document')} quarantined"
    if pace.stalled_seconds is not None:
        text += f", no document finished for {human_duration(pace.stalled_seconds)}"
    return text


def next_command(job: JobSummary) -> str:
    """The command that shows the same, or what to do about a job that stands still."""
    if not is_readable(job) and not has_not_begun(job):
        return f"stillroom jobs remove {job.id}"
    if job.state in (State.INTERRUPTED, State.PAUSED):
        return f"stillroom jobs resume {job.id}"
    return f"stillroom jobs show {job.id}" + (" --failed" if job.failed else "")
