"""The terminal interface: screens over the same functions as the command line. It holds no work.

Colours are the terminal's own sixteen, so the operator's palette and a light background stay readable, `NO_COLOR`
takes all of them away, and few bytes are sent over a slow line.
"""

import asyncio
import os
import signal
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.color import Color
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.signal import Signal

from appliance.ground.settings import Settings
from appliance.ground.text import printable
from appliance.jobs.ledger import JobSummary
from tui.pace import Pace, PaceMeter
from tui.screens.comparisons import ComparisonsScreen
from tui.screens.jobs import JobsScreen
from tui.screens.models import ModelsScreen
from tui.watching import (
    AT_WORK,
    READING_ERRORS,
    ComparisonWatch,
    InstalledModels,
    JobWatch,
    ModelWatch,
    Problem,
    problem_of,
)

if TYPE_CHECKING:
    from appliance.comparison.view import ComparisonSummary

LOOK_SECONDS = 1.0
SCREENS = {"models": ModelsScreen, "jobs": JobsScreen, "compare": ComparisonsScreen}
"""In the order of their number keys."""

_ASCII_TWINS = {"…": "~", "\N{REPLACEMENT CHARACTER}": "?", "\N{NO-BREAK SPACE}": " "}


@dataclass(frozen=True)
class Snapshot:
    """What the latest look saw."""

    jobs: tuple[JobSummary, ...] = ()
    paces: tuple[Pace, ...] = ()
    """One for each job."""
    models: InstalledModels = field(default_factory=InstalledModels)
    comparisons: "tuple[ComparisonSummary, ...]" = ()
    jobs_problem: Problem | None = None
    models_problem: Problem | None = None
    comparisons_problem: Problem | None = None
    seconds: float = 0.0
    """On the clock of `time.monotonic`; 0 before the first look."""

    @property
    def at_work(self) -> int:
        """How many jobs run or wait."""
        return sum(job.state in AT_WORK for job in self.jobs)

    @property
    def comparing(self) -> int:
        """How many comparisons run or wait."""
        return sum(found.state in AT_WORK for found in self.comparisons)


class Neutral(LineFilter):
    """The last gate before the terminal: control characters never pass, and with `ascii_only` nothing but ASCII.

    Widgets neutralise what they show before they measure it; this holds even where one forgets to.
    """

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self._ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, safe."""
        return [
            segment if segment.text.isascii() and segment.text.isprintable() else self._safe(segment)
            for segment in segments
        ]

    def _safe(self, segment: Segment) -> Segment:
        text = printable(segment.text)
        if self._ascii_only:
            text = "".join(char if char.isascii() else _ASCII_TWINS.get(char, "?" * cell_len(char)) for char in text)
        return Segment(text, segment.style, segment.control)


class StillroomApp(App[None]):
    """Holds the screens, and looks at jobs and models once a second for all of them."""

    CSS_PATH = "app.tcss"
    TITLE = "Stillroom"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    DEFAULT_MODE = "jobs"
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("q", "quit", show=False),
        Binding("ctrl+c,ctrl+q", "quit", show=False, priority=True),
        Binding("1", "tab('models')", show=False),
        Binding("2", "tab('jobs')", show=False),
        Binding("3", "tab('compare')", show=False),
    ]

    class LookDone(Message):
        """A look ended."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    def __init__(self, settings: Settings, ascii_only: bool = False) -> None:
        # The filters for colour are chosen once, in here.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.settings = settings
        self.snapshot = Snapshot()
        self.snapshot_signal: Signal[Snapshot] = Signal(self, "looked")
        self.failure: Exception | None = None
        self._neutral = Neutral(ascii_only)
        self._job_watch, self._model_watch = JobWatch(settings), ModelWatch(settings)
        self._comparison_watch = ComparisonWatch(settings)
        self._meters: dict[str, PaceMeter] = {}
        self._looking = False
        for mode, screen in SCREENS.items():
            self.add_mode(mode, screen)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then ours, as the last one."""
        return [*super().get_line_filters(), self._neutral]

    def on_mount(self) -> None:
        """Starts looking."""
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self._told_to_end)
        self.look()
        self.set_interval(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Looks at jobs and models in a thread, unless that is still being done."""
        if not self._looking:
            self._looking = True
            self.run_worker(self._look, thread=True, group="look")

    def _look(self) -> None:
        # Each of the three can be looked at even where the others cannot.
        snapshot = Snapshot(seconds=time.monotonic())
        try:
            snapshot = replace(snapshot, jobs=tuple(self._job_watch.look()))
        except READING_ERRORS as error:
            snapshot = replace(snapshot, jobs_problem=problem_of(error))
        try:
            snapshot = replace(snapshot, models=self._model_watch.look())
        except READING_ERRORS as error:
            snapshot = replace(snapshot, models_problem=problem_of(error))
        try:
            snapshot = replace(snapshot, comparisons=self._comparison_watch.look())
        except READING_ERRORS as error:
            snapshot = replace(snapshot, comparisons_problem=problem_of(error))
        self.post_message(self.LookDone(snapshot))

    def on_stillroom_app_look_done(self, message: "StillroomApp.LookDone") -> None:
        """Works out how fast jobs are and tells the screens."""
        snapshot = message.snapshot
        self._meters = {job.id: self._meters.get(job.id) or PaceMeter() for job in snapshot.jobs}
        paces = tuple(self._meters[job.id].look(job, snapshot.seconds) for job in snapshot.jobs)
        self.snapshot = replace(snapshot, paces=paces)
        self._looking = False
        self.snapshot_signal.publish(self.snapshot)

    async def action_tab(self, mode: str) -> None:
        """Shows the screens of a tab as they were left; the key of the present tab goes back to its first screen."""
        if mode != self.current_mode:
            await self.switch_mode(mode)
            return
        while len(self.screen_stack) > 1:
            await self.pop_screen()

    async def show_in_tab(self, mode: str, screen: Screen[None]) -> None:
        """Leaves what is open in this tab, and shows a screen on top of the list of another one."""
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if mode != self.current_mode:
            await self.switch_mode(mode)
            while len(self.screen_stack) > 1:
                await self.pop_screen()
        await self.push_screen(screen)

    def on_app_focus(self, event: events.AppFocus) -> None:
        """Nothing changes on the screen when the terminal window gets the focus."""
        event.prevent_default()

    def on_app_blur(self, event: events.AppBlur) -> None:
        """Nothing changes on the screen when the terminal window loses the focus."""
        event.prevent_default()

    def _told_to_end(self) -> None:
        """Ends on a signal: in good order where there is still a terminal, at once where it has gone."""
        try:
            termios.tcgetattr(sys.__stdin__ or 0)
        except (termios.error, ValueError):
            # Nothing can be drawn, and nothing is held that would be lost.
            os._exit(0)
        self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """Keeps an unforeseen error for the caller, who logs it; Textual would print a traceback on the terminal."""
        self.failure = self.failure or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()
