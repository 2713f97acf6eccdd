"""What can be done with a job: the keys, why one of them can do nothing now, and the actions behind them."""

from collections.abc import Callable

from textual.binding import Binding
from textual.message import Message

from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.control import cancel_job, pause_job, remove_job, resume_detached, retry_failed
from appliance.jobs.job import read_config
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State
from tui.data.problems import READING_ERRORS, problem_of
from tui.data.state_readers import AT_WORK, has_not_begun, is_readable
from tui.frames.action import Action, ActionProgress, ActionResult, ActionScreen
from tui.frames.frame import Frame
from tui.text.cells import DOUBTFUL, STRONG, Cell, Line

JOB_KEYS = (
    ("p", "Pause", "finish the documents in progress, then stop; r resumes"),
    ("r", "Resume", "continue where it stopped; an ended job takes the new documents of its folder"),
    ("t", "Retry failed", "try the failed and quarantined documents again"),
    ("X", "Cancel", "stop at once, without the rest; asks first; r can still resume"),
    ("D", "Remove", "remove the job with its rows and texts; asks first"),
)
JOB_BINDINGS = (
    Binding("p", "pause", show=False),
    Binding("r", "resume", show=False),
    Binding("t", "retry", show=False),
    Binding("X,upper_x", "cancel", show=False),
    Binding("D,upper_d", "remove", show=False),
)


def disabled_keys(job: JobSummary | None, has_fallback: bool = False) -> dict[str, str]:
    """The keys that can do nothing with this job now, each with the reason.

    Args:
        has_fallback: Documents that the fallback did not answer can be retried as failed ones can.
    """
    if job is None:
        return dict.fromkeys("prtXD", "no job in this list: n starts one")
    if has_not_begun(job):
        return dict.fromkeys("ptX", "it has not started: r starts it, D removes it")
    if not is_readable(job):
        return dict.fromkeys("prtX", "the ledger of this job cannot be read: D removes it")
    reasons: dict[str, str] = {}
    if job.state in AT_WORK:
        reasons |= {"r": "it is already in progress", "D": "it is in progress: X cancels it first"}
        reasons["t"] = "it is in progress: p pauses it first"
    else:
        reasons["p"] = f"it is {job.state}: only a running or queued job can be paused"
    if not job.failed and not has_fallback:
        reasons["t"] = "no document of this job failed"
    if job.state in (State.DONE, State.CANCELLED, State.FAILED):
        reasons["X"] = f"it is {job.state}: there is nothing to cancel"
    return reasons


class JobKeys(Frame):
    """A screen on which a job is chosen, with the keys that act on it."""

    BINDINGS = [*JOB_BINDINGS]  # noqa: RUF012 - the form that Textual asks for

    class Acted(Message):
        """A job was paused or resumed, or could not be."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def selected_job(self) -> JobSummary | None:
        """The job that the keys act on."""
        raise NotImplementedError

    def _act_at_once(self, text: str, act: Callable[[], str]) -> None:
        """Does what can be undone by the next key: in a thread, without asking."""
        self.show_message(text)

        def work() -> None:
            try:
                outcome = act()
            except READING_ERRORS as error:
                outcome = problem_of(error).sentence
            self.post_message(self.Acted(outcome))

        self.run_worker(work, thread=True, group="act")

    def on_job_keys_acted(self, message: "JobKeys.Acted") -> None:
        """Says how it went, with the command that does the same."""
        self.show_message(message.text)
        self.stillroom.refresh_snapshot()

    def _job_for(self, key: str) -> JobSummary | None:
        return None if self.refuses(key) else self.selected_job()

    def _open_action(self, action: Action) -> None:
        self.app.push_screen(ActionScreen(self.TAB, action))

    def action_pause(self) -> None:
        """Pauses the job."""
        if job := self._job_for("p"):
            settings = self.stillroom.settings

            def act() -> str:
                state = pause_job(settings, job.id)
                if state in AT_WORK:
                    return f"it finishes the documents in progress, then pauses ($ stillroom jobs pause {job.id})"
                return f"it is {state} ($ stillroom jobs pause {job.id})"

            self._act_at_once("pausing: the documents in progress are finished first", act)

    def action_resume(self) -> None:
        """Resumes the job in a process of its own."""
        if job := self._job_for("r"):
            settings = self.stillroom.settings

            def act() -> str:
                resume_detached(settings, job.id)
                return f"resumed ($ stillroom jobs resume {job.id} --detach)"

            self._act_at_once("resuming", act)

    def action_retry(self) -> None:
        """Asks whether to try the failed documents again."""
        if job := self._job_for("t"):
            self._open_action(retry(self.stillroom.settings, job))

    def action_cancel(self) -> None:
        """Asks whether to cancel the job."""
        if job := self._job_for("X"):
            self._open_action(cancel(self.stillroom.settings, job))

    def action_remove(self) -> None:
        """Asks whether to remove the job."""
        if job := self._job_for("D"):
            self._open_action(remove(self.stillroom.settings, job))


def retry(settings: Settings, job: JobSummary) -> Action:
    """Tries the failed documents again."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        count = retry_failed(settings, job.id)
        resume_detached(settings, job.id)
        return ActionResult([[Cell(f"{human_count(count, 'document')} will be tried again; the job continues.")]])

    tried = f"{human_count(job.failed, 'document')} without an answer will be tried again, quarantined ones too."
    lines: list[Line] = [
        [Cell(tried if job.failed else "No document failed.")],
        [Cell("Finished documents keep their rows; the earlier reasons stay in the job.")],
        *_sent_again(settings, job),
    ]
    return Action(f"Retry {job.name}", lines, f"stillroom jobs retry {job.id} --detach", "Retry", act)


def _sent_again(settings: Settings, job: JobSummary) -> list[Line]:
    """What a retry sends, where the job has a fallback."""
    try:
        fallback = read_config(settings.jobs_dir / job.id).fallback
    except READING_ERRORS:
        return []
    if fallback is None:
        return []
    sent = "Documents that the fallback did not answer are retried too: their text may be sent to the frontier"
    return [[], [Cell(f"{sent} {fallback.name}.", DOUBTFUL)]]


def cancel(settings: Settings, job: JobSummary) -> Action:
    """Stops the job."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        state = cancel_job(settings, job.id)
        return ActionResult([[Cell(f"The job is {state}.")]])

    left = job.total - job.with_row
    lines: list[Line] = [
        [Cell(f"The rows of {human_count(job.done, 'finished document')} stay.")],
        [Cell(f"{human_count(left, 'document')} will not be answered, unless `r` resumes the job later.")],
    ]
    return Action(f"Cancel {job.name}", lines, f"stillroom jobs cancel {job.id}", "Cancel the job", act, key="y")


def remove(settings: Settings, job: JobSummary) -> Action:
    """Removes the job."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        remove_job(settings, job.id)
        return ActionResult([[Cell(f"The job {job.id} was removed.")]])

    lines: list[Line] = [
        [Cell("This cannot be undone.", STRONG)],
        [Cell("Rows, texts, reasons and corrections of the job are deleted.")],
        [Cell("The documents themselves and files in the output folder stay.")],
    ]
    return Action(f"Remove {job.name}", lines, f"stillroom jobs remove {job.id} --yes", "Remove", act, key="y")
