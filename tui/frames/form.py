"""The kind of screen with values to fill in; what they come to is shown below while they are typed."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from appliance.ground.text import printable
from tui.frames.frame import Frame
from tui.text.cells import Cell, Line
from tui.text.shell_commands import typed_path
from tui.widgets.bar import Bar, key_lines
from tui.widgets.choice import Choice, Option
from tui.widgets.line_view import LineView

SETTLE_SECONDS = 0.3
"""Typed values are examined when nothing was typed for so long."""


@dataclass(frozen=True)
class Entry:
    """One value of a form."""

    name: str
    label: str
    value: str = ""
    options: tuple[Option, ...] | None = None
    """Choose one of these instead of typing."""
    is_path: bool = False
    """Offer the folders that are there."""
    hint: str = ""


class FormScreen(Frame):
    """Rows of values, findings below, and a key that goes on."""

    AUTO_FOCUS = "Input, Choice"
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("enter", "next", show=False, priority=True),
        Binding("down,tab", "app.focus_next", show=False, priority=True),
        Binding("up,shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("pageup", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(1)", show=False),
    ]
    FINDINGS_INDENT = 13
    """Where what belongs to a label goes on, in cells."""
    SUBMIT_NAME = "Continue"
    """What Enter does on the last value."""
    _settle_timer: Timer | None = None

    def entries(self) -> Sequence[Entry]:
        """The values of the form."""
        raise NotImplementedError

    def value_changed(self, name: str) -> None:
        """Another value was typed or chosen; called at once, so it must be quick."""

    def values_settled(self) -> None:
        """Nothing was typed for a moment."""

    def submit(self) -> None:
        """Enter was pressed on the last row, and nothing is missing."""
        raise NotImplementedError

    def missing(self) -> str:
        """What keeps Enter on the last row from going on; empty where nothing does."""
        raise NotImplementedError

    def disabled_keys(self) -> dict[str, str]:
        """Enter, on the last row of a form that is not complete."""
        focused = self.focused.id if self.focused else ""
        missing = self.missing() if focused == self._order[-1] else ""
        return {"Enter": missing} if missing else {}

    def body(self) -> Widget:
        """The rows above the findings."""
        rows = [self._row(entry) for entry in self.entries()]
        self._order = [entry.name for entry in self.entries()]
        findings = LineView(id="findings", indent=self.FINDINGS_INDENT)
        findings.can_focus = False
        return Vertical(Vertical(*rows, id="form"), findings)

    def _row(self, entry: Entry) -> Widget:
        field: Widget
        if entry.options is not None:
            field = Choice(entry.options, entry.value, id=entry.name)
        else:
            suggester = FolderSuggester() if entry.is_path else None
            line = Input(
                entry.value, placeholder=entry.hint, compact=True, select_on_focus=False, suggester=suggester,
                id=entry.name,
            )  # fmt: skip
            line.cursor_blink = False
            field = line
        return Horizontal(Bar(id=f"label-{entry.name}"), field, classes="row", id=f"row-{entry.name}")

    def on_mount(self) -> None:
        """Shows the labels."""
        self._label()
        self.values_settled()

    def value(self, name: str) -> str:
        """What is typed or chosen now."""
        field = self.query_one(f"#{name}")
        assert isinstance(field, Input | Choice)
        return field.value.strip()

    def fill(self, name: str, value: str) -> None:
        """Fills a value in; `value_changed` is not called."""
        field = self.query_one(f"#{name}")
        assert isinstance(field, Input | Choice)
        if field.value != value:
            with self.prevent(Input.Changed):
                field.value = value

    def offer(self, name: str, options: Sequence[Option], value: str = "") -> None:
        """Offers other values of a choice."""
        self.query_one(f"#{name}", Choice).offer(options, value)

    def show_row(self, name: str, visible: bool) -> None:
        """Shows or hides a row."""
        self.query_one(f"#row-{name}").set_class(not visible, "-hidden")

    def show_findings(self, lines: Sequence[Line]) -> None:
        """Shows what the values come to."""
        self.query_one("#findings", LineView).show(lines)
        self.show_keys()

    def show_keys(self, place: str | None = None) -> None:
        """What Enter, the arrows and Esc do."""
        if self._message_timer is None:
            # `?` may be part of what is typed.
            keys = (("Enter", self.SUBMIT_NAME), ("Up Down", "Field"), ("Esc", "Back"), ("F1", "Help"))
            self._show_at_bottom(key_lines(keys, self.app.size.width, self.disabled_keys()))

    def action_scroll(self, pages: int) -> None:
        """Scrolls the findings."""
        self.query_one("#findings", LineView).action_page(pages)

    def _label(self) -> None:
        focused = self.focused.id if self.focused else ""
        for entry in self.entries():
            mark = ">" if entry.name == focused else " "
            self.query_one(f"#label-{entry.name}", Bar).show([[Cell(f"{mark}{entry.label}")]])

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """Marks the row that the keys go to."""
        self._label()

    def on_input_changed(self, message: Input.Changed) -> None:
        """Examines the value when nothing more is typed."""
        self._note_change(message.input.id or "")

    def on_choice_changed(self, message: Choice.Changed) -> None:
        """Examines the value when nothing more is chosen."""
        self._note_change(message.choice.id or "")

    def _note_change(self, name: str) -> None:
        self.value_changed(name)
        if self._settle_timer is not None:
            self._settle_timer.stop()
        self._settle_timer = self.set_timer(SETTLE_SECONDS, self._settle)
        self.show_keys()

    def _settle(self) -> None:
        self._settle_timer = None
        self.values_settled()

    @property
    def is_settled(self) -> bool:
        """Whether what is shown is about the values as they are now."""
        return self._settle_timer is None

    def action_next(self) -> None:
        """Enter goes to the next row, on the last one it goes on.

        At once, not by way of a message of the row: keys that come fast must not go to the row that was left.
        """
        name = self.focused.id if self.focused else None
        visible = [other for other in self._order if not self.query_one(f"#row-{other}").has_class("-hidden")]
        if name == visible[-1]:
            if not self.refuses("Enter"):
                self.submit()
        else:
            following = visible[visible.index(name) + 1] if name in visible else visible[0]
            self.set_focus(self.query_one(f"#{following}"))


class FolderSuggester(Suggester):
    """Completes a path with the first folder that begins so; the right arrow takes it."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The completed path; a name that a terminal would act on is never offered."""
        return await asyncio.to_thread(_complete, value)


def _complete(value: str) -> str | None:
    head, _, start = value.rpartition("/")
    if not value.startswith(("/", "~", ".")) or not start:
        return None
    folder = typed_path(head or "/")
    best = ""
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                fits = entry.name.startswith(start) and entry.name == printable(entry.name)
                if fits and (not best or entry.name < best) and entry.is_dir():
                    best = entry.name
                if number > 5000:
                    break
    except (OSError, ValueError):
        return None
    return f"{head}/{best}" if best and best != start else None
