"""Pieces of a line: untrusted text made safe, cut and padded by the cells it takes on the screen, and styled.

Everything that a screen shows goes through `strip_of`, so no text reaches the terminal raw and none is markup.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from appliance.ground.text import printable
from appliance.jobs.states import State

PLAIN = Style()
STRONG = Style(bold=True)
FAINT = Style(dim=True)
GOOD = Style(color="green")
BAD = Style(color="red")
BUSY = Style(color="cyan")
DOUBTFUL = Style(color="yellow")
CURSOR = Style(reverse=True)

_ELLIPSIS = "…"
_STATE_STYLES = {
    State.RUNNING: BUSY,
    State.DONE: GOOD,
    State.FAILED: BAD,
    State.QUARANTINED: BAD,
    State.INTERRUPTED: DOUBTFUL,
    State.CANCELLED: DOUBTFUL,
    State.PAUSED: DOUBTFUL,
    State.MISSING: DOUBTFUL,
}


class Cell(NamedTuple):
    """A piece of text with one style; colour adds nothing that the words do not say."""

    text: str
    style: Style = PLAIN


Line = Sequence[Cell]


def state_cell(state: State) -> Cell:
    """The state's word in its colour."""
    return Cell(state.value, _STATE_STYLES.get(state, PLAIN))


def fit(text: str, width: int, right: bool = False, cut_start: bool = False) -> str:
    """The text safe for a terminal and exactly so many cells wide; what is cut off leaves an ellipsis.

    Args:
        right: Pad on the left, as numbers want it.
        cut_start: Cut at the start, as paths want it: their end says more.
    """
    if width <= 0:
        return ""
    safe = printable(text)
    length = cell_len(safe)
    if length > width:
        if cut_start:
            while cell_len(safe) > width - 1:
                safe = safe[max(1, (cell_len(safe) - width + 1) // 2) :]
            return set_cell_size(_ELLIPSIS + safe, width)
        return set_cell_size(safe, width - 1) + _ELLIPSIS
    padding = " " * (width - length)
    return padding + safe if right else safe + padding


def wrap(text: str, width: int, first: int = 0) -> list[str]:
    """One line of text as safe pieces no wider than so many cells, cut after blanks where there are any.

    Args:
        first: Cells that the first piece may take, where they are other than `width`.
    """
    safe = printable(text.expandtabs(4))
    pieces: list[str] = []
    start, room = 0, first or width
    while True:
        # Characters that take no cell count here too, so a piece has an end whatever a document holds.
        piece = safe[start : start + room + 1]
        if start + len(piece) == len(safe) and cell_len(piece) <= room:
            return [*pieces, piece]
        chopped = chop_cells(piece, room)
        piece = (chopped[0] if chopped else piece) or piece[:1]
        blank = piece.rfind(" ")
        if blank >= room // 2:
            piece = piece[: blank + 1]
        pieces.append(piece)
        start, room = start + len(piece), width


def wrap_line(line: Line, width: int, indent: int = 0) -> list[list[Cell]]:
    """A line of cells on as many lines as it needs; those after the first are indented."""
    rows: list[list[Cell]] = [[]]
    room = width
    for text, style in line:
        if room <= width // 4 and cell_len(text) > room:
            rows.append([Cell(" " * indent)])
            room = width - indent
        for number, piece in enumerate(wrap(text, width - indent, room)):
            if number:
                rows.append([Cell(" " * indent)])
                room = width - indent
            rows[-1].append(Cell(piece, style))
            room -= cell_len(piece)
    return rows


def strip_of(line: Line, width: int, style: Style = PLAIN) -> Strip:
    """The cells as one line of the screen, exactly so many cells wide; `style` goes over each of them."""
    segments = [Segment(printable(cell.text), cell.style + style) for cell in line if cell.text]
    return Strip(segments).extend_cell_length(width, style).crop(0, width)
