"""One or a few lines that are drawn again only when they change."""

from collections.abc import Container, Sequence

from rich.cells import cell_len
from textual.strip import Strip
from textual.widget import Widget

from tui.text.cells import CURSOR, FAINT, PLAIN, STRONG, Cell, Line, fit, strip_of

_KEY_GAP = 2
_LEAST_RIGHT = 10
"""In cells; where less is left, what stands at the right end is left out."""


class Bar(Widget):
    """Lines from the top left, with something at the right end of the last one."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._right = ""
        self._flush_from: int | None = None

    def show(self, lines: Sequence[Line], right: str = "", flush_from: int | None = None) -> None:
        """Shows these lines.

        Args:
            flush_from: The lines from this one on begin at the very edge, as what is copied of them must.
        """
        if (lines, right, flush_from) != (self._lines, self._right, self._flush_from):
            self._lines, self._right, self._flush_from = lines, right, flush_from
            self.refresh()

    @property
    def text(self) -> str:
        """What it shows, without styles."""
        return "\n".join("".join(cell.text for cell in line) for line in self._lines)

    def render_line(self, y: int) -> Strip:
        """One of the lines."""
        width = self.size.width
        margin = Cell("" if self._flush_from is not None and y >= self._flush_from else " ")
        line = [margin, *(self._lines[y] if y < len(self._lines) else ())]
        if self._right and y == max(0, len(self._lines) - 1):
            used = sum(cell_len(cell.text) for cell in line)
            room = width - used - 1
            if room >= _LEAST_RIGHT:
                line.append(Cell(fit(self._right, room, right=True)))
        text = "".join(cell.text for cell in line).rstrip()
        if cell_len(text) > width:
            line = [Cell(fit(text, width), line[-1].style)]
        return strip_of(line, width)


def has_room(line: Line, right: str, width: int) -> bool:
    """Whether a bar so wide shows the whole of `right` at the end of this line."""
    return 1 + sum(cell_len(cell.text) for cell in line) + max(_LEAST_RIGHT, cell_len(right)) + 1 <= width


def tabs(names: Sequence[str], current: str) -> Line:
    """The screens with their keys, the present one marked."""
    cells = []
    for number, name in enumerate(names, 1):
        chosen = name == current
        text = f"[{number} {name}]" if chosen else f" {number} {name} "
        cells += [Cell(text, CURSOR if chosen else PLAIN), Cell(" ")]
    return cells


def key_lines(bindings: Sequence[tuple[str, str]], width: int, idle: Container[str] = ()) -> list[Line]:
    """Keys with what they do, on as many lines as they need: `q Quit`; those that can do nothing now are faint."""
    lines: list[list[Cell]] = [[]]
    used = 1
    for key, description in bindings:
        cells = cell_len(f"{key} {description}")
        if lines[-1] and used + cells > width:
            lines.append([])
            used = 1
        faint = key in idle
        lines[-1] += [Cell(key, FAINT if faint else STRONG), Cell(f" {description}  ", FAINT if faint else PLAIN)]
        used += cells + _KEY_GAP
    return [*lines]
