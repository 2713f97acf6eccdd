"""Lines of a PDF page by the direction in which they run: a page may lie on its side, a stamp may stand across it."""

import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

import pypdfium2  # type: ignore[import-untyped]

from appliance.documents.layout import Piece
from appliance.documents.pdf_glyphs import Box, Glyph, GlyphLine, glyph_lines, origin, runs_leftwards

_SAME_DIRECTION = 3.0
"""Degrees by which the lines of a page that was scanned askew differ."""
_UPRIGHT = 0.3
"""Degrees that nobody sees."""
_MAX_DIRECTIONS = 12
_SAME_ROW = 0.5
_BLANK = 0.3
_NEXT_CELL = 1.5
"""Gaps as a part of the height of a letter."""
_LEADERS = ("_", ".", "\N{HORIZONTAL ELLIPSIS}")
_FEWEST_LEADERS = 3
_WIDTH_OF_HEIGHT = 0.5
"""How wide a letter is on average."""


@dataclass
class Direction:
    """All lines of a page that run one way, in a frame in which they run to the right."""

    angle: float
    lines: list[GlyphLine] = field(default_factory=list)
    page_is_turned: bool = False
    """Whether the page is shown turned, and PDFium orders its words accordingly."""

    @property
    def is_upright(self) -> bool:
        """Whether the frame is the page itself, and the lines are as PDFium gives them."""
        return not self.page_is_turned and min(self.angle, 360 - self.angle) <= _UPRIGHT

    @property
    def letters(self) -> int:
        """How many glyphs run this way."""
        return sum(len(line.glyphs) for line in self.lines)

    def turn(self, x: float, y: float) -> tuple[float, float]:
        """A place on the page as a place in the frame."""
        if self.is_upright:
            return x, y
        angle = math.radians(self.angle)
        cosine, sine = math.cos(angle), math.sin(angle)
        return x * cosine + y * sine, y * cosine - x * sine

    def box(self, left: float, right: float, bottom: float, top: float) -> Box:
        """The box in the frame around a box on the page."""
        if self.is_upright:
            return left, right, bottom, top
        corners = [self.turn(x, y) for x in (left, right) for y in (bottom, top)]
        xs, ys = zip(*corners, strict=True)
        return min(xs), max(xs), min(ys), max(ys)


def directions(text_page: pypdfium2.PdfTextPage, page_is_turned: bool) -> list[Direction]:
    """The lines of a page by direction, the one of most letters first."""
    groups: list[Direction] = []
    for line in glyph_lines(text_page):
        near = min(groups, key=lambda group: _between(group.angle, line.angle), default=None)
        if near is None or (_between(near.angle, line.angle) > _SAME_DIRECTION and len(groups) < _MAX_DIRECTIONS):
            near = Direction(line.angle, page_is_turned=page_is_turned)
            groups.append(near)
        near.lines.append(line)
    for group in groups:
        offsets = [(line.angle - group.angle + 180) % 360 - 180 for line in group.lines for _ in line.glyphs]
        group.angle = (group.angle + statistics.median(offsets)) % 360
    return sorted(groups, key=lambda group: -group.letters)


def _between(angle: float, other: float) -> float:
    return abs((angle - other + 180) % 360 - 180)


def upright_pieces(line: GlyphLine, inserts: list[Piece]) -> list[Piece]:
    """A line of an upright page as pieces, cut where something is put into it; what it covers of a leader is left out.

    Args:
        inserts: What stands on the page without being among its glyphs, such as the value of a form field.
    """
    whole = _piece(line)
    if not inserts:
        return [whole] if whole.text else []
    cuts = sorted(
        (piece.left + piece.right) / 2
        for piece in inserts
        if whole.left < (piece.left + piece.right) / 2 < whole.right and piece.shares_height(whole)
    )
    if not cuts:
        return [whole] if whole.text else []
    covering = [piece for piece in inserts if piece.shares_height(whole)]
    parts: list[list[Glyph]] = [[]]
    for glyph in _without_leaders(line.glyphs, covering):
        if glyph.box:
            middle = (glyph.box[0] + glyph.box[1]) / 2
            while len(parts) <= sum(cut < middle for cut in cuts):
                parts.append([])
        parts[-1].append(glyph)
    pieces = [_piece(GlyphLine(part)) for part in parts if any(glyph.box for glyph in part)]
    return [piece for piece in pieces if piece.text]


def _without_leaders(glyphs: list[Glyph], covering: list[Piece]) -> Iterator[Glyph]:
    """The glyphs without the rows of dots or dashes that something is written onto."""
    for is_leader, group in itertools.groupby(glyphs, key=lambda glyph: glyph.text in _LEADERS):
        run = list(group)
        boxes = [glyph.box for glyph in run if glyph.box]
        if is_leader and len(run) >= _FEWEST_LEADERS and boxes:
            left, right = boxes[0][0], boxes[-1][1]
            if any(piece.left < right and piece.right > left for piece in covering):
                continue
        yield from run


def _piece(line: GlyphLine) -> Piece:
    lefts, rights, bottoms, tops = zip(*line.boxes, strict=True)
    return Piece(line.text, min(lefts), max(rights), min(bottoms), max(tops))


@dataclass
class _Run:
    """Glyphs of one line that follow each other in the frame of their direction."""

    text: str
    left: float
    right: float
    base: float
    height: float
    after_blank: bool
    """Whether a blank stands between it and the run before."""


def turned_pieces(text_page: pypdfium2.PdfTextPage, direction: Direction) -> list[Piece]:
    """Lines that do not run to the right of the page, as pieces in their own frame.

    PDFium orders the words of such a line by their places on the page, so the lines are put together here anew.
    """
    runs = [run for line in direction.lines for run in _runs(text_page, direction, line)]
    rows: list[list[_Run]] = []
    for run in sorted(runs, key=lambda run: -run.base):
        if rows and rows[-1][0].base - run.base < _SAME_ROW * min(run.height, rows[-1][0].height):
            rows[-1].append(run)
        else:
            rows.append([run])
    return [piece for row in rows for piece in _row_pieces(sorted(row, key=lambda run: run.left))]


def _runs(text_page: pypdfium2.PdfTextPage, direction: Direction, line: GlyphLine) -> list[_Run]:
    placed: list[tuple[str, float, float, float, bool]] = []
    after_blank = True  # what PDFium takes for two lines are two words at least
    for glyph in line.glyphs:
        if glyph.box is None:
            after_blank = True
            continue
        left, right, bottom, top = glyph.box
        start, base = direction.turn(*(origin(text_page, glyph) or (left, bottom)))
        middle = direction.turn((left + right) / 2, (bottom + top) / 2)[0]
        placed.append((glyph.text, start, max(2 * middle - start, start), base, after_blank))
        after_blank = False
    height = max(statistics.median(end - start for _, start, end, _, _ in placed) / _WIDTH_OF_HEIGHT, 1.0)
    if any(runs_leftwards(text[0]) for text, *_ in placed):
        # Its letters follow each other to the left, and PDFium has put them into the order in which they are read.
        left, right = min(start for _, start, *_ in placed), max(end for _, _, end, *_ in placed)
        return [_Run(line.text, left, right, placed[0][3], height, True)]
    runs: list[_Run] = []
    for text, start, end, base, blank in placed:
        run = runs[-1] if runs else None
        far = run is None or abs(run.base - base) > _SAME_ROW * height or not -height < start - run.right
        if run is None or far or start - run.right > _NEXT_CELL * height:
            runs.append(_Run(text, start, end, base, height, blank))
        else:
            run.text += " " + text if blank or start - run.right > _BLANK * height else text
            run.right = end
    return runs


def _row_pieces(row: list[_Run]) -> list[Piece]:
    pieces: list[Piece] = []
    for run in row:
        piece = pieces[-1] if pieces else None
        gap = run.left - piece.right if piece else 0.0
        if piece is None or gap > _NEXT_CELL * run.height or gap < -_BLANK * run.height:
            pieces.append(Piece(run.text, run.left, run.right, run.base, run.base + run.height))
        else:
            joint = " " if run.after_blank or gap > _BLANK * run.height else ""
            pieces[-1] = Piece(piece.text + joint + run.text, piece.left, run.right, piece.bottom, piece.top)
    return pieces
