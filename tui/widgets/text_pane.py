"""The text of a document with some stretches of it marked; wraps once, and marks only the lines in sight."""

from bisect import bisect_right
from collections.abc import Sequence

from textual.strip import Strip

from appliance.ground.text import printable
from tui.text.cells import CURSOR, FAINT, PLAIN, Cell, strip_of, wrap
from tui.text.evidence_spans import MOST_CHARACTERS, Span
from tui.widgets.wrapped_scroll import WrappedScroll

_TAB_CELLS = 4


class TextPane(WrappedScroll):
    """Scrolls through a text; the offsets of its marks are those of the text itself."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._notice = ""
        self._spans: Sequence[Span] = ()
        self._starts: list[int] = []
        self._pieces: list[tuple[str, list[int] | None]] = []
        """What a line of the screen shows; the places of its characters in the text where they are not in a row."""

    @property
    def line_count(self) -> int:
        """How many lines of the screen the text takes, with the notice below it."""
        return len(self._pieces) + bool(self._notice)

    @property
    def marked(self) -> list[str]:
        """The marked stretches of the text."""
        return [self._text[start:end] for start, end in self._spans]

    def show(self, text: str, notice: str = "") -> None:
        """Shows a text from its start.

        Args:
            notice: A line below the text.
        """
        self._text, self._notice, self._spans, self._top = text, notice, (), 0
        self.lay_out()

    def show_start(self, text: str | None, missing: str) -> None:
        """Shows as much of a text as can be wrapped at once; a notice below says what is left out, or `missing`."""
        left = len(text or "") - MOST_CHARACTERS
        below = f"... {left:,} characters more" if left > 0 else "" if text is not None else missing
        self.show((text or "")[:MOST_CHARACTERS], below)

    def mark(self, spans: Sequence[Span]) -> None:
        """Marks these stretches, and brings the first of them into sight."""
        self._spans = spans
        if spans and self._starts:
            line = bisect_right(self._starts, spans[0][0]) - 1
            if not self._top <= line < self._top + self.size.height:
                self.move_to(line - self.size.height // 3)
        self.refresh()

    def lay_out(self) -> None:
        """Wraps for the present width; what is marked stays in sight."""
        super().lay_out()
        self.mark(self._spans)

    def wrap(self) -> None:
        """Wraps line for line and notes where each of them begins in the text."""
        width = max(10, self.size.width - 2)
        self._starts, self._pieces = [], []
        start = 0
        for line in self._text.split("\n"):
            expanded, places = _expanded(line.removesuffix("\r"))
            at = 0
            for piece in wrap(expanded, width):
                place = start + (places[at] if places and at < len(places) else at)
                self._starts.append(place)
                inside = [start + at for at in places[at : at + len(piece)]] if places else None
                self._pieces.append((piece, inside))
                at += len(piece)
            start += len(line) + 1

    def line_strip(self, index: int) -> Strip:
        """One line of the text, with what is marked in it reversed; after the last one the notice."""
        if index == len(self._pieces):
            return strip_of([Cell(" "), Cell(self._notice, FAINT)], self.size.width)
        piece, places = self._pieces[index]
        first = self._starts[index]
        cells, begun, was = [Cell(" ")], 0, False
        for at in range(len(piece) + 1):
            place = places[at] if places and at < len(places) else first + at
            marked = at < len(piece) and any(start <= place < end for start, end in self._spans)
            if marked != was or at == len(piece):
                cells.append(Cell(piece[begun:at], CURSOR if was else PLAIN))
                begun, was = at, marked
        return strip_of(cells, self.size.width)


def _expanded(line: str) -> tuple[str, list[int] | None]:
    """The line without tabs, safe; and where its characters stand in the line, where that is not one after another."""
    if "\t" not in line:
        return printable(line), None
    expanded, places = "", []
    for place, char in enumerate(line):
        wide = " " * (_TAB_CELLS - len(expanded) % _TAB_CELLS) if char == "\t" else printable(char)
        expanded += wide
        places += [place] * len(wide)
    return expanded, places
