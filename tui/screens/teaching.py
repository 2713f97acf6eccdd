"""The teacher of a task folder: how far the collecting is, what it costs, what became of the answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from appliance.ground.progress_line import rough_time
from appliance.review.decisions import ReviewFigures, read_decisions, review_figures
from appliance.review.queue import read_queue
from appliance.tasks.collect_progress import CollectProgress, read_collect_progress
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.data.snapshot import Snapshot
from tui.frames.frame import Frame
from tui.rendering.facts import fact, heading
from tui.text.cells import BAD, BUSY, DOUBTFUL, FAINT, GOOD, STRONG, Cell, Line
from tui.text.shell_commands import shell_words
from tui.widgets.line_view import LineView

_BAR_CELLS = 24


@dataclass(frozen=True)
class TeachingState:
    """What the files of a task folder say."""

    task: str = ""
    progress: CollectProgress | None = None
    review: ReviewFigures | None = None
    problems: tuple[Problem, ...] = ()


def read_teaching(folder: TaskFolder) -> TeachingState:
    """Reads them; what cannot be read is told beside the rest."""
    problems: list[Problem] = []
    name, progress, review = "", None, None
    try:
        task = load_task(folder.path)
        name = task.name
        if folder.queue_path.is_file():
            review = review_figures(task, read_queue(folder.queue_path), read_decisions(folder.reviews_path))
    except READING_ERRORS as error:
        problems.append(problem_of(error))
    try:
        progress = read_collect_progress(folder.collect_progress_path)
    except READING_ERRORS as error:
        problems.append(problem_of(error))
    return TeachingState(name, progress, review, tuple(problems))


class TeachingScreen(Frame):
    """Collect: the answers of a teacher, now and at the end."""

    TAB = "Teach"
    HELP_LINES = (
        "The teacher of the task folder that this program was started with: how many documents it has answered, what"
        " that costs now and at the end, and why some have no answer.",
        "Answers that are likely wrong, and some drawn at random, are looked at with r.",
    )
    KEYS = (
        ("r", "Review", "look at the answers that are likely wrong; Enter does the same"),
        ("R", "", "read the state now"),
    )
    BINDINGS = [Binding("r,enter", "review", show=False)]  # noqa: RUF012 - the form that Textual asks for

    class Read(Message):
        """The state was read."""

        def __init__(self, state: TeachingState) -> None:
            super().__init__()
            self.state = state

        def can_replace(self, message: Message) -> bool:
            """Only the latest counts."""
            return isinstance(message, TeachingScreen.Read)

    def __init__(self) -> None:
        super().__init__()
        self._state = TeachingState()
        self._is_reading = False

    @property
    def folder(self) -> TaskFolder:
        """The task folder that the program was started with."""
        assert self.stillroom.task_folder is not None
        return TaskFolder(self.stillroom.task_folder)

    def body(self) -> Widget:
        """A page of facts."""
        return LineView(indent=13)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Reads the state of the folder as often as that of everything else."""
        if not self._is_reading:
            self._is_reading = True
            self.run_worker(self._read, thread=True, group="teaching")

    def _read(self) -> None:
        self.post_message(self.Read(read_teaching(self.folder)))

    def on_teaching_screen_read(self, message: "TeachingScreen.Read") -> None:
        """Shows it."""
        self._is_reading = False
        self._state = message.state
        self.query_one(LineView).show(teaching_lines(message.state))
        words = ["stillroom", "review", "list", str(self.folder.path)]
        if message.state.review is None:
            words = ["stillroom", "curate", str(self.folder.path)]
        if message.state.progress is None:
            words = ["stillroom", "collect", str(self.folder.path), "DOCUMENTS", "--teacher", "NAME"]
        self.show_command(shell_words(words))
        self.show_keys()

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done yet."""
        if self._state.review is None:
            return {"r": "there is no queue of answers yet: `stillroom curate` ranks them"}
        return {}

    def action_review(self) -> None:
        """Opens the answers to look at."""
        from tui.screens.review import ReviewScreen

        if not self.refuses("r"):
            self.app.push_screen(ReviewScreen(self.folder))


def teaching_lines(state: TeachingState) -> list[Line]:
    """The page."""
    lines: list[Line] = [fact("task", Cell(state.task, STRONG))]
    for problem in state.problems:
        lines += [fact("problem", Cell(problem.message, BAD)), fact("hint", problem.hint)]
    lines += heading("Collect")
    lines += _collect_lines(state.progress) if state.progress else [[Cell("No answer was collected here yet.", FAINT)]]
    lines += heading("Review")
    lines += _review_lines(state.review) if state.review else [[Cell("No answer was ranked yet.", FAINT)]]
    return lines


def _collect_lines(progress: CollectProgress) -> Sequence[Line]:
    failed = sum(progress.failed.values())
    done = progress.known + progress.answered + failed + progress.left
    share = done / progress.documents if progress.documents else 1.0
    filled = round(share * _BAR_CELLS)
    bar = f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {done:,} of {progress.documents:,}"
    state = Cell("running", BUSY) if progress.is_running else Cell("ended", GOOD)
    if not progress.is_running and not progress.is_finished:
        state = Cell("interrupted", BAD)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(progress.updated))
    left = f"   about {rough_time(progress.seconds_left)} left" if progress.seconds_left and progress.is_running else ""
    end = ""
    if progress.expected_money is not None and progress.is_running:
        end = f"   about {progress.expected_money:.4g} {progress.currency} at the end"
    lines = [
        fact("teacher", progress.teacher),
        fact("state", state, Cell(f"   {stamp}", FAINT)),
        fact("documents", bar, left),
        fact("answered", f"{progress.answered:,} by this call, {progress.cached:,} of them paid before;"
             f" {progress.known:,} before it"),
        fact("failed", _failed_cell(progress.failed)),
        fact("money", f"{progress.money:.4g} {progress.currency} now", end),
    ]  # fmt: skip
    if progress.left:
        lines.append(fact("not sent", Cell(f"{progress.left:,}", DOUBTFUL)))
    if progress.ended:
        lines.append(fact("ended by", Cell(progress.ended, DOUBTFUL)))
    if progress.last_failure:
        lines.append(fact("last failure", Cell(progress.last_failure, DOUBTFUL)))
    return lines


def _failed_cell(failed: dict[str, int]) -> Cell:
    if not failed:
        return Cell("none")
    return Cell(", ".join(f"{count:,} {error}" for error, count in sorted(failed.items())), DOUBTFUL)


def _review_lines(figures: ReviewFigures) -> Sequence[Line]:
    return [fact(*_split(line)) for line in figures.lines()]


def _split(line: str) -> tuple[str, str]:
    label, _, text = line.partition("  ")
    return label, text.strip()
