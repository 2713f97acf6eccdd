"""The kind of screen that does one thing: what will happen, the command that does the same, progress, outcome."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker, get_current_worker

from appliance.ground.errors import ApplianceError
from appliance.ground.progress import Progress
from appliance.ground.text import human_size
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.frame import Frame
from tui.text.cells import BAD, BUSY, DOUBTFUL, GOOD, STRONG, Cell, Line
from tui.widgets.line_view import LineView

if TYPE_CHECKING:
    from textual.widgets import Input

_REPORT_SECONDS = 0.5


class ActionCancelled(Exception):
    """The work was cancelled before its end."""


@dataclass(frozen=True)
class ActionResult:
    """What an action that succeeded shows."""

    lines: Sequence[Line]
    screen: Callable[[], Screen[None]] | None = None
    """What to show next, on top of the list of this tab."""


@dataclass(frozen=True)
class Action:
    """One thing to do, and what a person reads before it is done."""

    title: str
    lines: Sequence[Line]
    """What will happen."""
    command: str
    """The command line that does the same."""
    verb: str
    """What the key is called, such as `Remove`."""
    act: "Callable[[ActionProgress], ActionResult]"
    """Runs in a thread."""
    confirm_word: str = ""
    """A word to type, where a key alone would be too easy."""
    key: str = "Enter"
    """`Enter`, or another letter for what cannot be undone."""
    immediate: bool = False
    """Begin without asking: it changes nothing."""


class ActionProgress:
    """The `on_progress` of an action: shown twice a second, and it ends the work when the screen is left."""

    def __init__(self, screen: "ActionScreen") -> None:
        self._screen = screen
        self._worker: Worker[object] = get_current_worker()
        self._reported = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Shows how many bytes were read."""
        self.check()
        if time.monotonic() - self._reported > _REPORT_SECONDS and progress.total:
            self._reported = time.monotonic()
            share = min(99, 100 * progress.done // progress.total)
            self.report(f"{share} %, {human_size(progress.done)} of {human_size(progress.total)} read")

    def report(self, text: str) -> None:
        """Shows how far the work is."""
        self._screen.post_message(ActionScreen.ProgressReported(text))

    def check(self) -> None:
        """Ends the work if the screen was left."""
        if self._worker.is_cancelled:
            raise ActionCancelled


class ActionScreen(Frame):
    """Asks, acts, and shows the outcome."""

    KEYS: ClassVar[tuple[tuple[str, str, str], ...]] = (("Esc", "Back", "leave; what has begun is cancelled"),)
    HELP_LINES = (
        "One action. The line above the keys is the command that does the same.",
        "Nothing happens until you press the key that is named at the bottom.",
    )
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("enter", "act('Enter')", show=False),
        Binding("y", "act('y')", show=False),
    ]

    class ProgressReported(Message):
        """How far the work is."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def can_replace(self, message: Message) -> bool:
            """Only the latest counts."""
            return isinstance(message, ActionScreen.ProgressReported)

    class Ended(Message):
        """The work ended."""

        def __init__(self, outcome: ActionResult | Problem) -> None:
            super().__init__()
            self.outcome = outcome

    def __init__(self, tab: str, action: Action) -> None:
        super().__init__()
        self.TAB = tab  # type: ignore[misc]  # the tab that it was opened from
        self._action = action
        self._begun = self._over = self._failed = False
        self._worker: Worker[None] | None = None
        if not action.immediate:
            self.KEYS = ((action.key, action.verb, action.title), *type(self).KEYS)  # type: ignore[misc]

    def body(self) -> Widget:
        """What will happen, then what happened."""
        return LineView(indent=13)

    def on_mount(self) -> None:
        """Asks, or begins."""
        self._show([])
        self.show_command(self._action.command)
        if self._action.immediate:
            self._begin()
        elif self._action.confirm_word:
            self.call_later(self.open_input, f"type {self._action.confirm_word} and press Enter; Esc goes back")

    @property
    def INPUT_KEYS(self) -> tuple[tuple[str, str], ...]:  # type: ignore[override]  # noqa: N802
        """What Enter and Esc do while the word is typed."""
        return (("Enter", self._action.verb), ("Esc", "Back"))

    def disabled_keys(self) -> dict[str, str]:
        """What was begun cannot be begun again."""
        if not self._begun or self._action.immediate:
            return {}
        ending = "it failed: Esc goes back" if self._failed else "already done: Esc goes back"
        return {self._action.key: ending if self._over else "it is being done: Esc cancels it"}

    def action_act(self, key: str) -> None:
        """Begins."""
        if key == self._action.key and not self._action.immediate and not self.refuses(key):
            self._begin()

    async def on_input_submitted(self, message: "Input.Submitted") -> None:
        """Begins if the word is the right one."""
        if message.value.strip() == self._action.confirm_word:
            await self.close_input()
            self._begin()
        else:
            self.show_message(f"type {self._action.confirm_word} to continue, or Esc to go back")

    def _begin(self) -> None:
        self._begun = True
        self.clear_message()
        self._show([[Cell("Working ...", BUSY)]])
        self.show_keys()
        self._worker = self.run_worker(self._work, thread=True, group="action")

    def _work(self) -> None:
        outcome: ActionResult | Problem
        try:
            outcome = self._action.act(ActionProgress(self))
        except ActionCancelled:
            outcome = Problem("cancelled: nothing was changed")
        except ApplianceError as error:
            outcome = Problem(error.message, error.hint)
        except READING_ERRORS as error:
            outcome = problem_of(error)
        self.post_message(self.Ended(outcome))

    def on_action_screen_progress_reported(self, message: "ActionScreen.ProgressReported") -> None:
        """Shows how far it is."""
        if not self._over:
            self._show([[Cell(f"Working: {message.text}", BUSY)]])

    def on_action_screen_ended(self, message: "ActionScreen.Ended") -> None:
        """Shows how it ended."""
        self._over = True
        outcome = message.outcome
        self._failed = isinstance(outcome, Problem)
        self.stillroom.refresh_snapshot()
        if isinstance(outcome, Problem):
            hint: list[Line] = [[Cell(outcome.hint)]] if outcome.hint else []
            self._show([[Cell(outcome.message, DOUBTFUL if outcome.message.startswith("cancelled") else BAD)], *hint])
        elif outcome.screen is not None and self.is_current:
            # By the app, as this screen is one of those that go.
            self.app.call_later(self.stillroom.show_in_tab, self.TAB.lower(), outcome.screen())
            return
        else:
            self._show([[Cell("Done.", GOOD)], *outcome.lines])
        self.show_keys()

    def _show(self, lines: Sequence[Line]) -> None:
        action = self._action
        self.query_one(LineView).show(
            [[Cell(action.title, STRONG)], [], *action.lines, *([[]] if lines else []), *lines]
        )

    async def action_back(self) -> None:
        """Leaves; work that has not ended is cancelled first."""
        if self._worker is not None and not self._over:
            self._worker.cancel()
            self.show_message("cancelling")
            return
        await super().action_back()
