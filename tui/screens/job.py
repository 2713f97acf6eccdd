"""One job: how far it is, and its documents with the reasons of those that failed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from appliance.ground.text import human_count
from appliance.jobs.job import JobConfig, read_config
from appliance.jobs.ledger import DocumentEntry, JobSummary
from appliance.jobs.reader_pool import STILL_WRITTEN
from appliance.jobs.states import State
from tui.data.document_pages import DocumentPages, FindDocument, find_path, pages_of, read_document, read_page
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.data.snapshot import Snapshot
from tui.data.state_readers import AT_WORK, has_not_begun, is_readable, open_job
from tui.rendering.job_lines import head_lines, next_command
from tui.screens import job_actions
from tui.screens.job_actions import JOB_KEYS, JobKeys
from tui.text.cells import BAD, FAINT, Cell, Line, wrap_line
from tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from textual.widgets import Input


COLUMNS = (
    Column("State", 11),
    Column("Document", cut_start=True),
    Column("Size", 7, right=True),
    Column("Reason", 14),
)
FILTERS = (None, State.FAILED, State.QUARANTINED, State.DONE, State.QUEUED, State.PAUSED, State.MISSING)
_FACT_LINES = 2


@dataclass(frozen=True)
class Reason:
    """Why a document has no answer."""

    document: int
    text: str


class JobScreen(JobKeys):
    """A job's counters above its documents."""

    TAB = "Jobs"
    HELP_LINES = (
        "One job: its counters, and its documents in path order.",
        "f shows all documents, then only the failed, quarantined, done, queued, paused, missing ones. A quarantined"
        " document crashed its reader or the engine twice and is skipped; t tries it again. A paused one was still"
        " being written when the job came to it: r processes it after the job has ended. A missing one left the folder:"
        " its answer stays.",
        "/ goes to the first document whose path is the typed one or comes after it.",
    )
    KEYS = (
        ("Enter", "Open", "the document: its answer, its text, its reason"),
        ("f", "State", "only documents in one state"),
        ("/", "Go to", "go to a path"),
        *JOB_KEYS,
        ("i", "Info", "configuration, events, and commands for this job"),
        ("Esc", "Back", ""),
    )
    INPUT_KEYS = (("Enter", "Go there"), ("Esc", "Cancel"))
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("f", "state", show=False),
        Binding("slash", "go_to", show=False),
        Binding("i", "info", show=False),
    ]

    class PageRead(Message):
        """A page was read, or could not be."""

        def __init__(self, pages: DocumentPages, page: int, entries: list[DocumentEntry], problem: str = "") -> None:
            super().__init__()
            self.pages, self.page, self.entries, self.problem = pages, page, entries, problem

    class Located(Message):
        """A path was found in a list of documents, or the reason of one of them."""

        def __init__(self, pages: DocumentPages, position: int | None, reason: Reason | None = None) -> None:
            super().__init__()
            self.pages, self.position, self.reason = pages, position, reason

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self._job_id = job_id
        self._job: JobSummary | None = None
        self._config: JobConfig | None = None
        self._pages = DocumentPages(None, self._request_page)
        self._reading = False
        self._due_pages: dict[int, None] = {}
        """Pages to be read, in this order."""
        self._reason = Reason(0, "")
        self._problem = ""
        self._removed = False

    def body(self) -> Widget:
        """The documents."""
        return Table(COLUMNS)

    def on_mount(self) -> None:
        """Reads what never changes of the job."""
        self._directory = self.stillroom.settings.jobs_dir / self._job_id
        try:
            self._config = read_config(self._directory)
        except READING_ERRORS as error:
            self._problem = problem_of(error).message
        self.bar("head").add_class("-shown")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Shows the counters, and reads the documents in sight again if there is news."""
        place = next((n for n, job in enumerate(snapshot.jobs) if job.id == self._job_id), None)
        if place is None:
            if snapshot.seconds:
                self._show_gone(snapshot.jobs_problem)
            return
        job, self._removed = snapshot.jobs[place], False
        model_name = self._config.model_name if self._config else ""
        self._show_head(head_lines(job, snapshot.speeds[place], model_name, self.app.size.width - 2))
        news = self._job is None or _counters(job) != _counters(self._job)
        self._job = job
        if news:
            table = self.query_one(Table)
            before = len(self._pages)
            self._pages.set_count(job)
            self._pages.keep_only(table.rows_in_sight)
            if before != len(self._pages) or not before:
                table.show(self._pages, self._notice(job))
            for page in pages_of(table.rows_in_sight):
                self._request_page(page)

    def _show_gone(self, problem: Problem | None) -> None:
        """Says that jobs cannot be read now, or that this one was removed."""
        self._show_head([[Cell(problem.message if problem else "This job was removed: Esc goes back.", BAD)]])
        if problem is None and not self._removed:
            self._removed, self._job = True, None
            self._pages = DocumentPages(None, self._request_page)
            self.query_one(Table).show(self._pages)
            self.show_facts([[], []], "stillroom jobs list")

    def lay_out(self) -> None:
        """Wraps the head and the reason of the chosen document."""
        self.show_snapshot(self.stillroom.snapshot)
        self._facts()

    def _show_head(self, lines: list[Line]) -> None:
        self.bar("head").show(lines)
        self.set_height("head", len(lines))

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done with the job, with one that cannot be read, and with no documents."""
        if self._removed:
            return dict.fromkeys(("Enter", *"f/prtXDi"), "this job was removed: Esc goes back")
        has_fallback = self._config is not None and self._config.fallback is not None
        return job_actions.disabled_keys(self._job, has_fallback) | self._disabled_document_keys()

    def selected_job(self) -> JobSummary | None:
        """The job of this screen."""
        return self._job

    def _disabled_document_keys(self) -> dict[str, str]:
        if self._job is None or not is_readable(self._job):
            begun = self._job is None or not has_not_begun(self._job)
            unreadable = "the documents of this job cannot be read" if begun else "it has not started: r starts it"
            return {"Enter": unreadable, "f": unreadable, "/": unreadable}
        if not len(self._pages):
            none = "this list is empty"
            return {"Enter": none, "/": none} | ({} if self._job.total else {"f": "this job has no documents"})
        return {}

    def _notice(self, job: JobSummary) -> list[Line]:
        if has_not_begun(job):
            return [[Cell("This job has not started, and nothing of it is lost: r starts it.")]]
        if not is_readable(job):
            return [[Cell(f"Its documents cannot be shown; `{next_command(job)}` removes the job.")]]
        if self._pages.state is not None:
            return [[Cell(f"No document of this job is {self._pages.state}: f shows another state.")]]
        if job.state in AT_WORK:
            return [[Cell("The folder is being listed.")]]
        return [[Cell("The folder holds no documents, so the job has no rows.")]]

    def _request_page(self, page: int) -> None:
        """Reads a page in a thread, one after the other."""
        self._due_pages[page] = None
        self._read_next()

    def _read_next(self) -> None:
        if self._due_pages and not self._reading:
            self._reading = True
            pages, page = self._pages, next(iter(self._due_pages))
            del self._due_pages[page]
            self.run_worker(lambda: self._read(pages, page), thread=True, group="pages")

    def _read(self, pages: DocumentPages, page: int) -> None:
        try:
            self.post_message(self.PageRead(pages, page, read_page(self._directory, pages.state, page)))
        except READING_ERRORS as error:
            self.post_message(self.PageRead(pages, page, [], problem_of(error).message))

    def on_job_screen_page_read(self, message: "JobScreen.PageRead") -> None:
        """Shows the page if it is still of the list in sight."""
        self._reading = False
        self._problem = message.problem
        if message.pages is self._pages:
            # A page that could not be read counts as empty, so that it is not requested for ever.
            self._pages.put(message.page, message.entries)
        self._read_next()
        self.query_one(Table).redraw()
        self.on_table_moved()

    def on_table_moved(self) -> None:
        """Tells about the chosen document."""
        entry = self._selected()
        if entry and entry.error and self._reason.document != entry.id:
            pages = self._pages
            self.run_worker(lambda: self._read_reason(pages, entry), thread=True, exclusive=True, group="reason")
        self._facts()

    def _selected(self) -> DocumentEntry | None:
        position = self.query_one(Table).position
        return self._pages.entry(position) if position < len(self._pages) else None

    def _read_reason(self, pages: DocumentPages, entry: DocumentEntry) -> None:
        try:
            with open_job(self._directory) as reader:
                row = reader.row(entry.id)
        except READING_ERRORS:
            return  # the same ledger is read every second, and that shows what is wrong
        self.post_message(self.Located(pages, None, Reason(entry.id, row.error_message if row else "")))

    def on_job_screen_located(self, message: "JobScreen.Located") -> None:
        """Goes to the document, or shows its reason."""
        if message.reason:
            self._reason = message.reason
            self._facts()
        elif message.position is not None and message.pages is self._pages:
            self.query_one(Table).move_to(message.position)

    def _facts(self) -> None:
        job, entry, table = self._job, self._selected(), self.query_one(Table)
        if job is None:
            return
        listed = f"{self._pages.state or 'all'} documents"
        place = f"{table.position + 1:,} of {len(self._pages):,}" if len(self._pages) else "0"
        cells = [Cell(f"{listed}: {place}", FAINT)]
        if self._problem:
            cells.append(Cell("   " + self._problem, BAD))
        elif entry and entry.state is State.PAUSED:
            cells.append(Cell(f"   {STILL_WRITTEN}", FAINT))
        elif entry and entry.error:
            reason = self._reason.text if self._reason.document == entry.id else ""
            cells.append(Cell(f"   {entry.error}: {reason}" if reason else f"   {entry.error}", BAD))
        elif job.failed and self._pages.state is None:
            cells.append(Cell(f"   f shows the {human_count(job.failed, 'failed document')}", FAINT))
        lines = wrap_line(cells, max(20, self.size.width - 2))
        if len(lines) > _FACT_LINES:
            lines = [*lines[: _FACT_LINES - 1], [*lines[_FACT_LINES - 1], *lines[_FACT_LINES]]]
        self.show_facts([*lines, [], []][:_FACT_LINES], next_command(job))

    def on_table_opened(self, message: Table.Opened) -> None:
        """Opens the document."""
        from tui.screens.document import DocumentScreen

        if entry := self._pages.entry(message.index):
            self.app.push_screen(DocumentScreen(self._directory, entry, self._neighbour))

    def _neighbour(self, documents: int) -> FindDocument | None:
        """Chooses the document so many rows on and gives what reads it, in a thread; None at the ends."""
        table, directory, state = self.query_one(Table), self._directory, self._pages.state
        position = table.position + documents
        if not 0 <= position < len(self._pages):
            return None
        table.move_to(position)
        known = self._pages.entry(position)
        return lambda: known or read_document(directory, state, position)

    def action_state(self) -> None:
        """Shows the documents in the next state of the round."""
        if self._job is not None and not self.refuses("f"):
            following = FILTERS[(FILTERS.index(self._pages.state) + 1) % len(FILTERS)]
            self._due_pages.clear()
            self._pages = DocumentPages(following, self._request_page)
            self._pages.set_count(self._job)
            self.query_one(Table).show(self._pages, self._notice(self._job), 0)
            self.show_keys()

    def action_info(self) -> None:
        """Opens the job's configuration and events."""
        from tui.screens.job_info import JobInfoScreen

        if not self.refuses("i"):
            self.app.push_screen(JobInfoScreen(self._directory))

    async def action_go_to(self) -> None:
        """Asks for a path."""
        if self.refuses("/"):
            return
        await self.open_input("path to go to ... (Enter goes there, Esc cancels)")

    async def on_input_submitted(self, message: "Input.Submitted") -> None:
        """Looks for the path in a thread."""
        await self.close_input()
        path = message.value.strip().encode("utf-8", "surrogateescape")
        pages = self._pages
        if path and len(pages):
            self.run_worker(lambda: self._find(pages, path), thread=True, exclusive=True, group="find")

    def _find(self, pages: DocumentPages, path: bytes) -> None:
        try:
            self.post_message(self.Located(pages, find_path(self._directory, pages.state, len(pages), path)))
        except READING_ERRORS as error:
            self.post_message(self.PageRead(pages, 0, [], problem_of(error).message))

    async def action_back(self) -> None:
        """Closes the line to type in if it is open, else the job."""
        if self.query("Input"):
            await self.close_input()
        else:
            self.app.pop_screen()


def _counters(job: JobSummary) -> tuple[object, ...]:
    return (
        job.state, job.total, job.done, job.failed, job.quarantined, job.waiting, job.missing, job.for_review,
    )  # fmt: skip
