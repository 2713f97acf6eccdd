"""Jobs: what runs, what ran, how far it is and how it went."""

from textual.binding import Binding
from textual.widget import Widget

from appliance.jobs.ledger import JobSummary
from tui.data.job_speed import JobSpeed
from tui.data.snapshot import Snapshot
from tui.frames.listing import Listing
from tui.rendering.job_lines import job_cells, job_times, message_cell, next_command
from tui.screens import job_actions
from tui.screens.job_actions import JOB_KEYS, JobKeys
from tui.text.cells import STRONG, Cell
from tui.widgets.table import Column, ListedRows, Table

COLUMNS = (
    Column("State", 11),
    Column("Job"),
    Column("Done/total", 15, right=True),
    Column("Review", 6, right=True),
    Column("Failed", 7, right=True),
    Column("Docs/s", 6, right=True, from_width=90),
    Column("Left", 7, right=True),
    Column("Started", 16, from_width=100),
    Column("Model", 16, from_width=130),
)


class JobsScreen(JobKeys, Listing):
    """All jobs, the one that started last first."""

    TAB = "Jobs"
    NOTHING_YET = "No jobs yet"
    NEXT_STEP = "Press n to run a folder of documents through a model, or type:"
    NEXT_COMMAND = "stillroom run TASK DOCUMENTS --out DIR"
    HELP_LINES = (
        "Jobs: each is one folder of documents with one task and one model.",
        "Jobs run in processes of their own; closing this program does not stop them.",
        "Review counts documents, of those that are done, whose answer needs a person; Failed those without an answer,"
        " the quarantined ones among them. Docs/s is measured over"
        " the latest minute or the latest 100 documents, for ended jobs over their latest run. Left is an estimate"
        " and is shown after 10 documents; `stalled` means that no document was finished for far too long.",
    )
    KEYS = (
        ("Enter", "Open", "documents of the job, failures with their reasons"),
        ("n", "New job", "run a folder of documents through a model, after a preview"),
        *JOB_KEYS,
        ("/", "Filter", "only jobs whose name, state or id contains a text"),
    )

    BINDINGS = [Binding("n", "new_job", show=False)]  # noqa: RUF012 - the form that Textual asks for

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[JobSummary, JobSpeed]] = []
        self._selected_id = ""

    def body(self) -> Widget:
        """The table."""
        return Table(COLUMNS)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Shows the jobs that pass the filter; the chosen job stays chosen wherever it moves to."""
        self._rows = [
            (job, speed)
            for job, speed in zip(snapshot.jobs, snapshot.speeds, strict=True)
            if self.passes(job.name, job.state, job.id)
        ]
        position = next((n for n, (job, _) in enumerate(self._rows) if job.id == self._selected_id), None)
        rows = ListedRows([job_cells(job, speed) for job, speed in self._rows])
        self.query_one(Table).show(rows, self.notice(snapshot.jobs_problem, bool(snapshot.jobs)), position)

    def on_table_moved(self) -> None:
        """Tells about the chosen job."""
        if not self._rows:
            self.show_facts([[], []], "stillroom jobs list")
            return
        job, speed = self._rows[self.query_one(Table).position]
        self._selected_id = job.id
        about = [message_cell(job)] if job.message else [Cell(job_times(job, speed))]
        self.show_facts([[Cell(job.name, STRONG)], about], next_command(job))

    def selected_job(self) -> JobSummary | None:
        """The job under the cursor."""
        position = self.query_one(Table).position
        return self._rows[position][0] if position < len(self._rows) else None

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done with the list, and with the chosen job."""
        return super().disabled_keys() | job_actions.disabled_keys(self.selected_job())

    def action_new_job(self) -> None:
        """Opens the form."""
        from tui.screens.new_job import NewJobScreen

        self.app.push_screen(NewJobScreen())

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the job."""
        from tui.screens.job import JobScreen

        self.app.push_screen(JobScreen(self._rows[message.index][0].id))
