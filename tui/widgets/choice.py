"""One of a few values, chosen with the arrow keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.text.cells import CURSOR, FAINT, PLAIN, Cell, fit, strip_of


@dataclass(frozen=True)
class Option:
    """One value, and how it is shown."""

    value: str
    label: str


class Choice(Widget, can_focus=True):
    """Shows the chosen value with marks at its sides where there are others."""

    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("left,h", "turn(-1)", show=False),
        Binding("right,l,space", "turn(1)", show=False),
    ]

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, options: Sequence[Option], value: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._options: Sequence[Option] = ()
        self._selected = 0
        self.offer(options, value)

    def offer(self, options: Sequence[Option], value: str = "") -> None:
        """Offers other values."""
        self._options = options
        self._selected = next((n for n, option in enumerate(options) if option.value == value), 0)
        self.refresh()

    @property
    def value(self) -> str:
        """The chosen value; empty where there is none."""
        return self._options[self._selected].value if self._options else ""

    @value.setter
    def value(self, value: str) -> None:
        self.offer(self._options, value)

    def action_turn(self, steps: int) -> None:
        """Chooses the next value, in a round."""
        if len(self._options) > 1:
            self._selected = (self._selected + steps) % len(self._options)
            self.refresh()
            self.post_message(self.Changed(self))

    def on_focus(self, _event: events.Focus) -> None:
        """Shows that the keys go here."""
        self.refresh()

    def on_blur(self, _event: events.Blur) -> None:
        """Shows that the keys go elsewhere."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The value."""
        if not self._options:
            return strip_of([Cell(" -", FAINT)], self.size.width)
        count = len(self._options)
        label = fit(self._options[self._selected].label, max(8, self.size.width - 16)).rstrip()
        around = f"   < {self._selected + 1} of {count} >" if count > 1 else ""
        style = CURSOR if self.has_focus else PLAIN
        return strip_of([Cell(" "), Cell(label, style), Cell(around, FAINT)], self.size.width)
