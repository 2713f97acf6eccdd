"""What every screen may ask of the app: settings, the latest snapshot, and the way to another tab."""

from pathlib import Path

from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.signal import Signal

from appliance.ground.settings import Settings
from tui.data.snapshot import Snapshot, SnapshotReader

REFRESH_SECONDS = 1.0


class SnapshotApp(App[None]):
    """Reads a snapshot once a second, in a thread, and publishes it to all screens."""

    class SnapshotRead(Message):
        """A snapshot was read."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    def __init__(self, settings: Settings, task_folder: Path | None = None) -> None:
        # The filters for colour are chosen once, in here.
        super().__init__(ansi_color=True)
        self.settings = settings
        self.task_folder = task_folder
        """Whose teacher and review there is a tab for."""
        self.snapshot = Snapshot()
        self.snapshot_signal: Signal[Snapshot] = Signal(self, "snapshot")
        self._reader = SnapshotReader(settings)
        self._is_reading = False

    def on_mount(self) -> None:
        """Starts reading."""
        self.refresh_snapshot()
        self.set_interval(REFRESH_SECONDS, self.refresh_snapshot)

    def refresh_snapshot(self) -> None:
        """Reads a snapshot in a thread, unless one is being read."""
        if not self._is_reading:
            self._is_reading = True
            self.run_worker(self._read_snapshot, thread=True, group="snapshot")

    def _read_snapshot(self) -> None:
        self.post_message(self.SnapshotRead(self._reader.read()))

    def on_snapshot_app_snapshot_read(self, message: "SnapshotApp.SnapshotRead") -> None:
        """Passes the snapshot to the screens."""
        self._is_reading = False
        self.snapshot = message.snapshot
        self.snapshot_signal.publish(self.snapshot)

    async def show_in_tab(self, mode: str, screen: Screen[None]) -> None:
        """Leaves what is open in this tab, and shows a screen on top of the list of another one."""
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if mode != self.current_mode:
            await self.switch_mode(mode)
            while len(self.screen_stack) > 1:
                await self.pop_screen()
        await self.push_screen(screen)
