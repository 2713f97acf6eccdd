"""What all screens share: the line of tabs, the place for facts, the line of keys, help, and the way back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from appliance.ground.text import human_count
from tui.data.snapshot import Snapshot
from tui.snapshot_app import SnapshotApp
from tui.text.cells import DOUBTFUL, FAINT, STRONG, Cell, Line, wrap_line
from tui.text.shell_commands import command_lines
from tui.widgets.bar import Bar, has_room, key_lines, tabs

if TYPE_CHECKING:
    from textual.widgets import Input

LEAST_WIDTH, LEAST_HEIGHT = 60, 12
MESSAGE_SECONDS = 4.0
_MESSAGE_CHARACTERS = 60
_MESSAGE_LINES = 3
TABS = ("Models", "Jobs", "Compare")
"""In the order of their number keys; `tui.app.SCREENS` holds the first screen of each."""
TEACH_TAB = "Teach"
"""Behind them where the program was started with a task folder."""
GLOBAL_KEYS = (("?", "Help"), ("q", "Quit"))
_COMMAND_MARGIN = 3
_COMMAND_PART = 3
"""Facts and command take at most this part of the screen: a third of it."""
NOTHING_TO_OPEN = "there is nothing to open"


class Frame(Screen[None]):
    """A screen with its tab, its keys, and the command that does the same."""

    TAB: ClassVar[str] = ""
    HELP_LINES: ClassVar[tuple[str, ...]] = ()
    """What this screen is for, for the help."""
    KEYS: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Key, short name for the line of keys (empty: only in the help), what it does."""
    INPUT_KEYS: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What Enter and Esc do while something is typed."""
    AUTO_FOCUS = "Table, LineView"
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("escape", "back", show=False),
        Binding("R,upper_r", "refresh_snapshot", show=False),
    ]

    _focus_before: Widget | None = None
    _message_timer: Timer | None = None
    _message_lines: Sequence[Line] = ()
    _last_facts: tuple[Sequence[Line], str] | None = None
    _place = ""
    _tall_at = 0
    """The width at which the keys took a line more to leave room for the place; 0 while they do not."""

    @property
    def stillroom(self) -> SnapshotApp:
        """The app, by its own type."""
        return cast("SnapshotApp", self.app)

    @property
    def is_usable(self) -> bool:
        """Whether the screen stands, on a terminal that is large enough."""
        return bool(self.query("#too-small")) and not self.has_class("-too-small")

    def body(self) -> Widget:
        """The widget that takes the middle of the screen."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The frame from top to bottom."""
        yield Bar(id="tabs")
        yield Bar(id="head")
        yield self.body()
        yield Bar(id="facts")
        yield Bar(id="keys")
        yield Bar(id="too-small")

    def on_mount(self) -> None:
        """Draws what does not depend on data, then listens."""
        self.show_keys()
        self.stillroom.snapshot_signal.subscribe(self, self._receive_snapshot)
        self._receive_snapshot(self.stillroom.snapshot)

    def on_screen_resume(self) -> None:
        """Shows what happened while another screen was in sight."""
        self._receive_snapshot(self.stillroom.snapshot)

    def on_resize(self) -> None:
        """On a terminal that is too small, says so instead of drawing a muddle."""
        width, height = self.app.size
        too_small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        if too_small and not self.has_class("-too-small"):
            self._focus_before = self.focused
        elif not too_small and self.has_class("-too-small"):
            # What is out of sight loses the focus, and does not get it back by itself.
            self.call_after_refresh(self._focus_again)
        self.set_class(too_small, "-too-small")
        size = f"Terminal too small: {width}x{height}, needs {LEAST_WIDTH}x{LEAST_HEIGHT}."
        remedy = "Enlarge it, or use `stillroom jobs list`."
        self.bar("too-small").show([[Cell(size)], [Cell(remedy)], [Cell("q quits.")]])
        self.lay_out()
        self.show_keys()

    def _focus_again(self) -> None:
        """The keys go where they went before the terminal was too small."""
        if self.focused is None and self._focus_before is not None and self._focus_before.is_attached:
            self.set_focus(self._focus_before)

    def lay_out(self) -> None:
        """Wraps for the present width what was wrapped for another one."""
        if self._last_facts is not None:
            self.show_facts(*self._last_facts)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that comes before the screen stands, or whose effect could not be seen, does nothing."""
        return self.is_usable and super().check_action(action, parameters)

    def bar(self, name: str) -> Bar:
        """One of the frame's bars."""
        return self.query_one(f"#{name}", Bar)

    def _receive_snapshot(self, snapshot: Snapshot) -> None:
        if not self.is_mounted or not self.is_current:
            return
        counts = [human_count(snapshot.active_jobs, "job")] if snapshot.active_jobs else []
        counts += [human_count(snapshot.active_comparisons, "comparison")] if snapshot.active_comparisons else []
        names = TABS if self.stillroom.task_folder is None else (*TABS, TEACH_TAB)
        self.bar("tabs").show([tabs(names, self.TAB)], " and ".join(counts or ["no job"]) + " in progress")
        self.show_snapshot(snapshot)
        self.show_keys()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Shows what the latest snapshot holds."""

    def disabled_keys(self) -> dict[str, str]:
        """The keys that can do nothing now, each with the reason."""
        return {}

    def refuses(self, key: str) -> bool:
        """Whether a key can do nothing now; if so, says why."""
        reason = self.disabled_keys().get(key)
        if reason:
            self.show_message(reason)
        return bool(reason)

    def show_keys(self, place: str | None = None) -> None:
        """Shows what the keys do, and at the right which part of something longer is in sight."""
        self._place = self._place if place is None else place
        if self._message_timer is not None:
            self._show_message_lines()
            return
        if self.query("Input"):
            self._show_at_bottom(key_lines(self.INPUT_KEYS, self.app.size.width))
            return
        self._show_at_bottom(self._all_keys(), self._place)

    def named_keys(self) -> list[tuple[str, str]]:
        """The keys that the line of keys names, with what they do now."""
        return [(key, name) for key, name, _ in self.KEYS if name]

    def _all_keys(self) -> list[Line]:
        """What the keys do, with room for the place at the end of the last line."""
        names, width, idle = self.named_keys(), self.app.size.width, self.disabled_keys()
        lines = key_lines([*names, *GLOBAL_KEYS], width, idle)
        # Once taller, as long as there is a place: its width changes while one scrolls, and the screen must not jump.
        tall = bool(self._place) and (self._tall_at == width or not has_room(lines[-1], self._place, width))
        self._tall_at = width if tall else 0
        return [*key_lines(names, width, idle), *key_lines(GLOBAL_KEYS, width)] if tall else lines

    def _show_at_bottom(self, lines: Sequence[Line], right: str = "") -> None:
        self.set_height("keys", len(lines))
        self.bar("keys").show(lines, right)

    def set_height(self, name: str, lines: int) -> None:
        """Gives one of the frame's bars so many lines."""
        bar = self.bar(name)
        if bar.styles.height is None or bar.styles.height.value != lines:
            bar.styles.height = lines

    def show_message(self, text: str) -> None:
        """Says something in place of the keys, for a moment."""
        self.clear_message()
        lines = wrap_line([Cell(text, DOUBTFUL)], max(20, self.app.size.width - 2))
        if len(lines) > _MESSAGE_LINES:
            lines = [*lines[: _MESSAGE_LINES - 1], [*lines[_MESSAGE_LINES - 1], Cell("…", DOUBTFUL)]]
        self._message_lines = lines
        # What takes longer to read stays longer.
        self._message_timer = self.set_timer(
            MESSAGE_SECONDS * max(1.0, len(text) / _MESSAGE_CHARACTERS), self.clear_message
        )
        self._show_message_lines()

    def _show_message_lines(self) -> None:
        lines = self._message_lines
        has_place = bool(self._place) and has_room(lines[-1], self._place, self.app.size.width)
        self._show_at_bottom(lines, self._place if has_place else "")

    def clear_message(self) -> None:
        """Shows the keys again."""
        if self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None
            self.show_keys()

    def on_table_nothing_to_open(self) -> None:
        """Says why nothing is opened."""
        self.refuses("Enter")

    def show_facts(self, facts: Sequence[Line], command: str) -> None:
        """Shows facts about the chosen row and the command that shows the same, on as many lines as it needs."""
        self._last_facts = (facts, command)
        room = max(1, self.app.size.height // _COMMAND_PART - len(facts))
        first, *further = command_lines(command, max(20, self.app.size.width - _COMMAND_MARGIN))
        if len(further) >= room:
            further = [*further[: room - 1], "… the window is too small for the whole command"]
        lines = [*facts, [Cell("$ ", FAINT), Cell(first, STRONG)], *([Cell(line, STRONG)] for line in further)]
        self.set_height("facts", len(lines))
        self.bar("facts").show(lines, flush_from=len(facts) + 1)

    def show_command(self, command: str) -> None:
        """Shows the command that does the same as this screen."""
        self.show_facts((), command)

    async def action_back(self) -> None:
        """Goes back to the screen that opened this one."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def action_refresh_snapshot(self) -> None:
        """Reads the state now, not only at the next second."""
        self.stillroom.refresh_snapshot()

    async def open_input(self, label: str, value: str = "") -> "Input":
        """Opens a line to type in, above the keys."""
        from textual.widgets import Input

        for previous in self.query(Input):
            await previous.remove()
        line = Input(value, placeholder=label, compact=True, select_on_focus=False)
        line.cursor_blink = False
        await self.mount(line, before="#keys")
        # At once: what is typed next must not go to the keys of the screen.
        self.set_focus(line)
        self.show_keys()
        return line

    async def close_input(self) -> None:
        """Takes the line to type in away."""
        from textual.widgets import Input

        await self.query(Input).remove()
        self.query("Table, LineView").first().focus()
        self.show_keys()
