"""Labels with what they label, headings, and the values of fields, as lines of a page."""

from appliance.tasks.linecode import Value, display_value
from tui.text.cells import FAINT, STRONG, Cell, Line

LABEL_CELLS = 12


def fact(label: str, *value: Cell | str) -> Line:
    """A label with what it labels."""
    cells = [part if isinstance(part, Cell) else Cell(str(part)) for part in value]
    return [Cell(f"{label:{LABEL_CELLS}} ", FAINT), *cells]


def heading(text: str) -> list[Line]:
    """A blank line and a line that stands out."""
    return [[], [Cell(text, STRONG)]]


def commands(*lines: tuple[str, str]) -> list[Line]:
    """What can be done with the thing, and the command that does it."""
    return [*heading("Commands"), *(fact(does, Cell(command, STRONG)) for does, command in lines)]


def value_text(value: Value) -> str:
    """A value on one line; a dash for none."""
    return "-" if value is None else display_value(value)
