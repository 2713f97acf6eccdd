"""The preview of a job: what the model answers for three documents, and the key that starts the job."""

from collections.abc import Sequence

from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from appliance.ground.errors import ResourceError
from appliance.ground.stopping import Stop
from appliance.ground.text import human_count, human_duration
from appliance.jobs.control import start_detached
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.preview import dry_run
from appliance.jobs.rows import Row
from tui.data.problems import READING_ERRORS, problem_of
from tui.frames.frame import Frame
from tui.rendering.facts import LABEL_CELLS, fact, value_text
from tui.text.cells import BAD, BUSY, DOUBTFUL, FAINT, STRONG, Cell, Line, fit
from tui.widgets.line_view import LineView

PREVIEW_DOCUMENTS = 3
_MOST_LABEL_CELLS = 24


class JobPreviewScreen(Frame):
    """The preview of a job that has not started."""

    TAB = "Jobs"
    HELP_LINES = (
        "A preview: the first three documents of the folder, read and answered as the job would do it. Nothing of it is"
        " stored. Check the values before you start the job.",
        "The job runs in a process of its own: it continues when this program, the connection or the terminal ends.",
    )
    KEYS = (
        ("Enter", "Start", "start the job in a process of its own"),
        ("Esc", "Back", "back to the form; nothing has begun"),
    )
    BINDINGS = [Binding("enter", "start", show=False)]  # noqa: RUF012 - the form that Textual asks for

    class PreviewRead(Message):
        """The preview ended."""

        def __init__(self, lines: Sequence[Line], refusal: str = "") -> None:
            super().__init__()
            self.lines, self.refusal = lines, refusal

    class Started(Message):
        """The job was started, or could not be."""

        def __init__(self, job_id: str, lines: Sequence[Line] = ()) -> None:
            super().__init__()
            self.job_id, self.lines = job_id, lines

    def __init__(self, request: JobRequest, command: str) -> None:
        super().__init__()
        self._request, self._command = request, command
        self._stop = Stop()
        self._refusal = "the preview is not finished yet"

    def body(self) -> Widget:
        """The answers."""
        return LineView(indent=13)

    def on_mount(self) -> None:
        """Answers the documents in a thread."""
        self.show_command(self._command)
        text = f"Previewing {human_count(PREVIEW_DOCUMENTS, 'document')}: loading the model, reading, answering ..."
        self.query_one(LineView).show([[Cell(text, BUSY)]])
        self.run_worker(self._read_preview, thread=True, group="preview")

    def on_unmount(self) -> None:
        """Ends a preview that nobody waits for any more."""
        self._stop.immediate = self._stop.graceful = True

    def _read_preview(self) -> None:
        try:
            rows = dry_run(self.stillroom.settings, self._request, PREVIEW_DOCUMENTS, self._stop)
        except ResourceError as error:
            # The engine is busy or memory is short now: the job may still be started, and waits.
            self.post_message(
                self.PreviewRead([[Cell(error.message, DOUBTFUL)], [Cell(error.hint)], [], [_NO_PREVIEW]])
            )
        except READING_ERRORS as error:
            problem = problem_of(error)
            self.post_message(self.PreviewRead([[Cell(problem.message, BAD)], [Cell(problem.hint)]], problem.message))
        else:
            self.post_message(self.PreviewRead(preview_lines(rows), "" if rows else "the folder holds no documents"))

    def on_job_preview_screen_preview_read(self, message: "JobPreviewScreen.PreviewRead") -> None:
        """Shows the answers."""
        self._refusal = message.refusal
        self.query_one(LineView).show(message.lines)
        self.show_keys()

    def disabled_keys(self) -> dict[str, str]:
        """The job starts only after the preview."""
        return {"Enter": self._refusal} if self._refusal else {}

    def action_start(self) -> None:
        """Starts the job in a thread, as it waits until the job is in hand."""
        if not self.refuses("Enter"):
            self._refusal = "the job is being started"
            self.query_one(LineView).show([[Cell("Starting the job in a process of its own ...", BUSY)]])
            self.show_keys()
            self.run_worker(self._start, thread=True, group="start")

    def _start(self) -> None:
        try:
            message = self.Started(start_detached(self.stillroom.settings, self._request))
        except READING_ERRORS as error:
            problem = problem_of(error)
            message = self.Started("", [[Cell(problem.message, BAD)], [Cell(problem.hint)]])
        self.post_message(message)

    def on_job_preview_screen_started(self, message: "JobPreviewScreen.Started") -> None:
        """Opens the job."""
        if not message.job_id:
            self._refusal = "the job could not be started: Esc goes back to the form"
            self.query_one(LineView).show(message.lines)
            self.show_keys()
            return
        from tui.screens.job import JobScreen

        self.stillroom.refresh_snapshot()
        # By the app, as this screen is one of those that go.
        self.app.call_later(self.stillroom.show_in_tab, "jobs", JobScreen(message.job_id))

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(LineView).place)


_NO_PREVIEW = Cell("No preview is possible now. Enter starts the job anyway; it waits for the engine.")


def preview_lines(rows: Sequence[Row]) -> list[Line]:
    """The answers of a preview."""
    width = max((len(name) for row in rows for name in row.fields or {}), default=0)
    width = max(LABEL_CELLS, min(width, _MOST_LABEL_CELLS))
    lines: list[Line] = [[Cell(f"Preview of {human_count(len(rows), 'document')}; nothing of it is stored.", STRONG)]]
    for row in rows:
        lines += [[], [Cell(row.document, STRONG), Cell(f"   {human_duration(row.seconds)} in the engine", FAINT)]]
        if row.fields is None or row.error:
            lines.append(fact("reason", Cell(f"{row.error}: {row.error_message}".rstrip(": "), BAD)))
        for name, value in (row.fields or {}).items():
            confidence = f"   confidence {row.confidence[name]:.2f}" if name in row.confidence else ""
            label = fit(name, width) + " "
            lines.append([Cell(label, FAINT), Cell(value_text(value)), Cell(confidence, FAINT)])
    return lines
