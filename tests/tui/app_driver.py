"""The app under a pilot, and what its screen shows."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual import events
from textual.pilot import Pilot

from appliance.ground.text import printable
from tests.tui.scenes import Scene
from tui.app import StillroomApp
from tui.widgets.bar import Bar
from tui.widgets.table import Table

SMALL, LARGE = (80, 24), (120, 40)
SIZES = [SMALL, LARGE]
PATIENCE_SECONDS = 30.0
"""How long a test waits for what must come; a job of a few documents in a process of its own takes a few seconds."""


class AppDriver:
    """Types keys into the app and reads its screen, as a person would."""

    def __init__(self, app: StillroomApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def lines(self) -> list[str]:
        """The lines of the screen; no character of them may be one that a terminal acts on."""
        # The compositor holds what goes to the terminal, after all filters; there is no public way to it.
        strips = self.app.screen._compositor.render_strips()
        lines = [strip.text for strip in strips]
        for line in lines:
            assert line == printable(line)
        return lines

    @property
    def fills(self) -> bool:
        """Whether every line is exactly as wide as the screen, and there are as many as it has."""
        strips = self.app.screen._compositor.render_strips()
        return [strip.cell_length for strip in strips] == [self.app.size.width] * self.app.size.height

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def command(self) -> str:
        """The command that the screen names, as one line."""
        shown = self.app.screen.query_one("#facts", Bar).text.split("$ ", 1)[1]
        return re.sub(r"\\\n *", "", shown)

    async def press(self, *keys: str) -> None:
        """Types."""
        await self.pilot.press(*keys)

    async def paste(self, text: str) -> None:
        """Pastes into the line that has the focus, as a terminal does."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def go(self, way: str) -> None:
        """Leaves what is open, goes to the top of a tab, then on, each key when the one before it has worked."""
        tab, *keys = way.split()
        while len(self.app.screen_stack) > 1 or self.app.screen.query("Input"):
            await self.press("escape")
        for key in (tab, "g", *keys):
            # `press` waits three times for an idle moment; once is enough where the work in threads is waited for too.
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await self.pilot.pause()
            await self.until(lambda: all(worker.is_finished for worker in self.app.workers))
        # What a form shows follows its values when nothing more is typed.
        await self.until(lambda: getattr(self.app.screen, "is_settled", True))
        await self.until(lambda: all(worker.is_finished for worker in self.app.workers))
        await self.pilot.pause()

    async def until(self, expected: str | Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Returns when the screen shows a text, or something is so."""
        limit = time.monotonic() + seconds
        while not (expected in self.text if isinstance(expected, str) else expected()):
            assert time.monotonic() < limit, f"{expected} is not on the screen:\n{self.text}"
            await self.pilot.pause(0.02)

    async def refresh(self) -> None:
        """Reads the state now, and waits until the screen shows it."""
        before = self.app.snapshot.seconds
        self.app.refresh_snapshot()
        await self.until(lambda: self.app.snapshot.seconds > before)
        await self.pilot.pause()

    async def open(self, name: str) -> None:
        """Goes to the row that holds a text and opens it."""
        table = self.app.screen.query_one(Table)
        rows = self.lines[table.region.y + 1 : table.region.bottom]
        found = [number for number, line in enumerate(rows) if name in line]
        assert found, f"no row holds {name}:\n{self.text}"
        table.move_to(table.rows_in_sight.start + found[0])
        before = self.app.screen
        await self.press("enter")
        await self.until(lambda: self.app.screen is not before)
        await self.until(lambda: all(worker.is_finished for worker in self.app.workers))
        await self.pilot.pause()


@asynccontextmanager
async def open_app(
    scene: Scene, size: tuple[int, int] = SMALL, ascii_only: bool = False, tab: str = ""
) -> AsyncIterator[AppDriver]:
    """The app after its first snapshot."""
    app = StillroomApp(scene.settings, ascii_only)
    async with app.run_test(size=size) as pilot:
        driver = AppDriver(app, pilot)
        await driver.until(lambda: app.snapshot.seconds > 0)
        if tab:
            await driver.press(tab)
        await pilot.pause()
        yield driver
    assert app.failure is None
