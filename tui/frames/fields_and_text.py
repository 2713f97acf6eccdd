"""What screens with a document share: its fields beside its text, and a line to type the value of a field in."""

from textual.binding import Binding
from textual.containers import Horizontal
from textual.widget import Widget

from appliance.tasks.task import Field, FieldType
from tui.frames.frame import Frame
from tui.widgets.table import Column, Table
from tui.widgets.text_pane import TextPane

REPLACED = "\N{REPLACEMENT CHARACTER}"
"""Stands for what a terminal cannot show."""


class FieldsAndText(Frame):
    """Keys go to the fields or to the text; Enter or `e` opens the line to type in."""

    COLUMNS: tuple[Column, ...] = ()
    """Of the table of fields."""
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("e", "correct", show=False),
        Binding("tab", "turn", show=False, priority=True),
        Binding("left_square_bracket", "step(-1)", show=False),
        Binding("right_square_bracket", "step(1)", show=False),
    ]

    def body(self) -> Widget:
        """Fields beside text."""
        return Horizontal(Table(self.COLUMNS, id="fields"), TextPane(id="text"), id="panes")

    def named_keys(self) -> list[tuple[str, str]]:
        """Tab names the part to which the keys would go."""
        in_text = self.query_one(TextPane).has_focus
        return [(key, "Fields" if key == "Tab" and in_text else name) for key, name in super().named_keys()]

    def action_turn(self) -> None:
        """The keys go to the other side."""
        if self.query("Input") or self.refuses("Tab"):
            return
        table, pane = self.query_one(Table), self.query_one(TextPane)
        self.set_focus(table if pane.has_focus else pane)
        self.show_keys()

    def on_table_opened(self, _message: Table.Opened) -> None:
        """Enter corrects too."""
        self.call_later(self.action_correct)

    async def action_correct(self) -> None:
        """Asks what the chosen field is."""
        raise NotImplementedError

    def mark_value(self) -> None:
        """Marks the value of the chosen field in the text, and says what is known of it."""
        raise NotImplementedError

    def on_table_moved(self) -> None:
        """Marks the value of the chosen field."""
        self.mark_value()

    async def action_back(self) -> None:
        """Closes the line to type in if it is open, else the screen."""
        if self.query("Input"):
            await self.close_input()
            self.mark_value()
        else:
            self.app.pop_screen()

    def refuses_text(self, text: str) -> bool:
        """Whether a typed value holds what stands for another character; says so."""
        if REPLACED not in text:
            return False
        self.mark_value()
        self.show_message(
            f"not saved: {REPLACED} stands for a character that cannot be shown; type the value without it"
        )
        return True


def type_hint(field: Field) -> str:
    """How a value of a field is typed."""
    hints = {
        FieldType.LIST: "entries separated by ;", FieldType.ENUM: ", ".join(field.values),
        FieldType.BOOLEAN: ", ".join(field.values), FieldType.RECORDS: " | ".join(field.column_names),
    }  # fmt: skip
    return hints.get(field.type, "leave empty if there is none")
