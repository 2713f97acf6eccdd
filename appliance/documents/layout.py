"""Pieces of text on a page to lines: what stands on one line of the page stands on one line of the text."""

from dataclasses import dataclass

_PROSE_WORDS = 5
"""A piece of a line with more words than this is running text rather than a cell or a label."""
_COLUMN_PAIRS = 3
"""So many pairs of running text side by side make a page of columns."""


@dataclass(frozen=True)
class Piece:
    """A run of text on one line, and where it stands; y grows upwards."""

    text: str
    left: float
    right: float
    bottom: float
    top: float

    def beside(self, other: "Piece") -> bool:
        """Whether both stand on one line of the page."""
        return (self.right <= other.left or other.right <= self.left) and self.shares_height(other)

    def shares_height(self, other: "Piece") -> bool:
        """Whether both stand at one height, more or less."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        return shared > 0.5 * min(self.top - self.bottom, other.top - other.bottom)

    @property
    def is_prose(self) -> bool:
        """Whether this is running text."""
        return len(self.text.split()) > _PROSE_WORDS


def page_lines(pieces: list[Piece], inserts: list[Piece] | None = None) -> list[str]:
    """Pieces as lines: tables and forms row by row, pages in columns in the order of the pieces.

    Args:
        inserts: Pieces that have a place on the page but none in the order of the others.
    """
    if has_columns(pieces):
        return [piece.text for piece in _with_neighbours(pieces, inserts or [])]
    pieces = [*pieces, *(inserts or [])]
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -(piece.top + piece.bottom)):
        for row in rows[-4:]:
            if all(piece.beside(other) for other in row):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return ["  ".join(piece.text for piece in sorted(row, key=lambda piece: piece.left)) for row in rows]


def _with_neighbours(pieces: list[Piece], inserts: list[Piece]) -> list[Piece]:
    """The pieces in their order, each insert after the one to its left, else before the one to its right."""
    beside: dict[int, list[Piece]] = {}
    alone: list[Piece] = []
    for insert in inserts:
        near = [index for index, piece in enumerate(pieces) if piece.beside(insert)]
        left = [index for index in near if pieces[index].right <= insert.left]
        if near:
            index = max(left, key=lambda at: pieces[at].right) if left else min(near, key=lambda at: pieces[at].left)
            beside.setdefault(index, []).append(insert)
        else:
            alone.append(insert)
    joined = []
    for index, piece in enumerate(pieces):
        row = sorted([piece, *beside.get(index, [])], key=lambda one: one.left)
        joined.append(Piece("  ".join(one.text for one in row), piece.left, piece.right, piece.bottom, piece.top))
    return joined + alone


def has_columns(pieces: list[Piece]) -> bool:
    """Whether running text stands side by side on the page."""
    prose = sorted((piece for piece in pieces if piece.is_prose), key=lambda piece: -(piece.top + piece.bottom))
    # Neighbours in height are enough: three columns make pairs too.
    pairs = sum(1 for index, piece in enumerate(prose) for other in prose[index + 1 : index + 3] if piece.beside(other))
    return pairs >= _COLUMN_PAIRS
