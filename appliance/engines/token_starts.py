"""Which tokens of a vocabulary can go on a text at all, told by their first characters.

A model that is unsure holds thousands of tokens for likelier than the first one that can be copied. To try each of
them takes seconds; to know the few that may fit takes a look at what follows in the document.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LENGTH = 3
"""Characters of a start; more tell more apart and cost more."""
_UNKNOWN = 0
_BLANKS = re.compile(r"\s+")
_UNPLAIN = re.compile(r"[\\\t|\u03a3\u03c3\u03c2]")
"""An escape, the end of an entry and that of a cell in line code; sigma, whose lower case depends on what stands
around it."""


@dataclass(frozen=True)
class TokenStarts:
    """The starts of a vocabulary's tokens, whatever their case and blanks."""

    numbers: dict[str, int] = field(repr=False)
    whole: NDArray[np.int32] = field(repr=False)
    """(vocab_size,): the number of each token's start; `_UNKNOWN` where it does not say what the token may follow."""
    stripped: NDArray[np.int32] = field(repr=False)
    """(vocab_size,): the same without the blank that a token begins with."""

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> "TokenStarts":
        """Those of tokens that stand for these bytes."""
        numbers: dict[str, int] = {}

        def numbered(start: str) -> int:
            return numbers.setdefault(start, len(numbers) + 1) if start else _UNKNOWN

        texts = [_plain(piece) for piece in pieces]
        whole = [numbered(text[:LENGTH]) for text in texts]
        stripped = [numbered(text.lstrip(" ")[:LENGTH]) for text in texts]
        return cls(numbers, np.array(whole, dtype=np.int32), np.array(stripped, dtype=np.int32))

    def possible(self, following: Iterable[str], *, after_blank: bool) -> NDArray[np.bool_]:
        """Which tokens may go on before one of these texts: (vocab_size,). No other one can.

        Args:
            following: What `starts` gives of all that may follow.
            after_blank: Whether a blank that a token begins with adds nothing, because one stands there or is left out.
        """
        fits = np.zeros(len(self.numbers) + 1, dtype=bool)
        fits[_UNKNOWN] = True
        fits[[number for start in following if (number := self.numbers.get(start))]] = True
        return fits[self.stripped if after_blank else self.whole]

    def beginning_with(self, characters: str) -> frozenset[str]:
        """The starts whose first character is one of these."""
        return frozenset(start for start in self.numbers if start[0] in characters)


def starts(text: str, at: int) -> Iterator[str]:
    """The starts that a token at this place of a text may have."""
    for end in range(at + 1, min(at + LENGTH, len(text)) + 1):
        yield text[at:end]


def _plain(piece: bytes) -> str:
    """As documents are searched: in lower case, blanks as one; empty where that does not go character by character."""
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError:  # half a character
        return ""
    lower = _BLANKS.sub(" ", text.lower())
    return "" if _UNPLAIN.search(text) or len(text.lower()) != len(text) else lower
