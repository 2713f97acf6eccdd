"""The terminal interface: screens over the same functions as the command line. It holds no work.

Colours are the terminal's own sixteen, so the operator's palette and a light background stay readable, `NO_COLOR`
takes all of them away, and few bytes are sent over a slow line.
"""

import asyncio
import os
import signal
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.color import Color
from textual.filter import LineFilter

from appliance.ground.settings import Settings
from appliance.ground.text import printable
from tui.frames.frame import Frame
from tui.screens.comparisons import ComparisonsScreen
from tui.screens.jobs import JobsScreen
from tui.screens.models import ModelsScreen
from tui.screens.teaching import TeachingScreen
from tui.snapshot_app import SnapshotApp

SCREENS = {"models": ModelsScreen, "jobs": JobsScreen, "compare": ComparisonsScreen}
"""The first screen of each tab, in the order of their number keys."""

_ASCII_TWINS = {"…": "~", "\N{REPLACEMENT CHARACTER}": "?", "\N{NO-BREAK SPACE}": " "}


class PrintableFilter(LineFilter):
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


class StillroomApp(SnapshotApp):
    """The tabs with their screens, the keys that work everywhere, and a clean end on signals and errors."""

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
        Binding("4", "tab('teach')", show=False),
        Binding("question_mark,f1", "help", show=False),
    ]

    def __init__(self, settings: Settings, ascii_only: bool = False, task_folder: Path | None = None) -> None:
        super().__init__(settings, task_folder)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.failure: Exception | None = None
        self._printable_filter = PrintableFilter(ascii_only)
        for mode, screen in SCREENS.items():
            self.add_mode(mode, screen)
        if task_folder is not None:
            self.add_mode("teach", TeachingScreen)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then ours, as the last one."""
        return [*super().get_line_filters(), self._printable_filter]

    def on_mount(self) -> None:
        """Ends in good order on the signals of a terminal that goes; shows the teacher first where there is one."""
        if self.task_folder is not None:
            self.call_later(self.switch_mode, "teach")
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self._end_on_signal)

    async def action_tab(self, mode: str) -> None:
        """Shows the screens of a tab as they were left; the key of the present tab goes back to its first screen."""
        if mode == "teach" and self.task_folder is None:
            return
        if mode != self.current_mode:
            await self.switch_mode(mode)
            return
        while len(self.screen_stack) > 1:
            await self.pop_screen()

    async def action_help(self) -> None:
        """Explains the screen in sight; the same key closes the explanation."""
        from tui.frames.help import HelpScreen

        screen = self.screen
        if isinstance(screen, HelpScreen):
            await screen.action_back()
        elif isinstance(screen, Frame) and screen.is_usable:
            await self.push_screen(HelpScreen(screen))

    def on_app_focus(self, event: events.AppFocus) -> None:
        """Nothing changes on the screen when the terminal window gets the focus."""
        event.prevent_default()

    def on_app_blur(self, event: events.AppBlur) -> None:
        """Nothing changes on the screen when the terminal window loses the focus."""
        event.prevent_default()

    def _end_on_signal(self) -> None:
        """In good order where there is still a terminal, at once where it has gone."""
        try:
            termios.tcgetattr(sys.__stdin__ or 0)
        except (termios.error, ValueError):
            # Nothing can be drawn, and nothing is held that would be lost.
            os._exit(0)
        self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """Keeps an unexpected error for the caller, who logs it; Textual would print a traceback on the terminal."""
        self.failure = self.failure or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()
