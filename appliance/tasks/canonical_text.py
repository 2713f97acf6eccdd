"""Text in the form that comparisons read: what looks or means the same is written one way, and knows where it stood.

One letter may be one character or two, a printer's ligature is its letters, and marks that a reader never sees (soft
hyphens, joiners, directions) carry nothing. Figures that stand high, low or in a fraction keep a caret between them and
the digits beside them: ten squared is not a hundred and two.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_HYPHENS = "\u2010\u2011"
_DASHES = "\u2012\u2013\u2014\u2015\u2212\u2043\u2796\ufe58\ufe63\uff0d\u05be"
_SINGLE_QUOTES = (
    "`\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a\u05f3\uff07\uff40"
)
_DOUBLE_QUOTES = "\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\u2036\u301d\u301e\u301f\u05f4\uff02\u275d\u275e"
_WRITTEN = {
    **dict.fromkeys(_HYPHENS + _DASHES, "-"),
    **dict.fromkeys(_SINGLE_QUOTES, "'"),
    **dict.fromkeys(_DOUBLE_QUOTES, '"'),
    "\u066b": ".", "\u066c": ",", "\u060c": ",", "\u2044": "/", "\u2215": "/",
}  # fmt: skip
"""Marks that are written in several ways, as the one that a keyboard has."""
_UNSEEN = frozenset("\u034f\u0640\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Fillers and the mark that stretches an Arabic word; all other unseen characters are known by their category."""
_SEEN_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2")
"""Of category Cf, and printed."""
_MARKS = (
    "[\u0300-\u036f\u0653-\u0655\u093c\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0c56\u0cc2\u0cd5\u0cd6\u0d3e\u0d57"
    "\u0dca\u0dcf\u0ddf\u102e\u1160-\u11ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\uff9e\uff9f]"
)
"""What may become one character with the letter before it."""
_SEGMENT = re.compile(rf"\u00ad[^\S\n]*\n\s*|\s*\n\s*|[^\S\n]{{2,}}|[^\S\n ]|`|[^\x00-\x7f]{_MARKS}*|\w{_MARKS}+")
"""What may be written otherwise: a run of blanks, a character that is not ASCII, a letter with marks of its own."""

_LOOK_AHEAD = 4
"""Characters in which the next one that is seen is looked for."""


@dataclass(frozen=True)
class CanonicalText:
    """A text in canonical form, and the place of each of its characters in the text as it is written."""

    text: str
    """Blanks are single; a run of blanks that holds a line end is a newline."""
    _starts: tuple[int, ...]
    """Where each changed or unchanged stretch begins in `text`, ascending."""
    _sources: tuple[int, ...]
    """Where the same stretch begins in the text as it is written."""
    _is_copy: tuple[bool, ...]
    _source_end: int

    def source(self, place: int) -> int:
        """The offset, in the text as it is written, of the character at this place."""
        stretch = bisect_right(self._starts, place) - 1
        if stretch < 0:
            return 0
        within = place - self._starts[stretch] if self._is_copy[stretch] else 0
        return self._sources[stretch] + within

    def source_end(self, place: int) -> int:
        """The offset after the character that stands before this place."""
        if place >= len(self.text):
            return self._source_end
        if place <= 0:
            return 0
        stretch = bisect_right(self._starts, place - 1) - 1
        if self._is_copy[stretch]:
            return self.source(place - 1) + 1
        following = stretch + 1
        return self._sources[following] if following < len(self._sources) else self._source_end


@lru_cache(maxsize=4)
def canonical_text(text: str) -> CanonicalText:
    """The canonical form of a text without regard to case, with the places of its characters."""
    pieces: list[str] = []
    starts: list[int] = []
    sources: list[int] = []
    copies: list[bool] = []
    length = 0
    for piece, source, is_copy in _pieces(text):
        if piece:
            pieces.append(piece)
            starts.append(length)
            sources.append(source)
            copies.append(is_copy)
            length += len(piece)
    return CanonicalText("".join(pieces), tuple(starts), tuple(sources), tuple(copies), len(text))


def canonical(text: str, fold_case: bool = True) -> str:
    """The canonical form of a short text: single blanks, no outer ones."""
    if text.isascii() and "`" not in text:
        folded = text.casefold() if fold_case else text
    else:
        folded = "".join(piece for piece, _, _ in _pieces(text, fold_case))
    return " ".join(folded.split())


def tidy(text: str) -> str:
    """A text without what a reader never sees, letters composed, blanks single; everything else as it is written."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", "".join(char for char in text if not _is_unseen(char)))
        text = text.translate(dict.fromkeys(map(ord, _HYPHENS), "-"))
    return " ".join(text.split())


def _pieces(text: str, fold_case: bool = True) -> Iterator[tuple[str, int, bool]]:
    """Stretches of the canonical form, with where each begins in the text, and whether it is a copy of it."""
    done, last = 0, ""
    for match in _SEGMENT.finditer(text):
        if match.start() > done:
            copy = text[done : match.start()]
            yield (copy.casefold() if fold_case else copy), done, True
            last = copy[-1]
        done = match.end()
        piece = _alone(match.group(), fold_case)
        if piece is None:
            after = next((char for char in text[done : done + _LOOK_AHEAD] if not _is_unseen(char)), "")
            piece = _beside(match.group(), last, after, fold_case)
        yield piece, match.start(), False
        last = piece[-1:] or last
    if done < len(text):
        copy = text[done:]
        yield (copy.casefold() if fold_case else copy), done, True


@lru_cache(maxsize=8192)
def _alone(segment: str, fold_case: bool) -> str | None:
    """The canonical form of a segment; None where it depends on what stands beside it."""
    if segment.isspace():
        return "\n" if "\n" in segment else " "
    if segment[0] == "\u00ad":
        return ""
    if segment in _WRITTEN:
        return _WRITTEN[segment]
    if len(segment) == 1 and not segment.isdecimal() and any(char.isdigit() for char in _letter(segment)):
        return None
    if "<su" in unicodedata.decomposition(segment[0]):
        return None
    return _folded(segment, fold_case)


def _folded(segment: str, fold_case: bool) -> str:
    letters = "".join(_letter(char) for char in unicodedata.normalize("NFC", segment) if not _is_unseen(char))
    letters = unicodedata.normalize("NFC", letters)
    # The capital of a dotted i keeps its dot as a mark of its own when its case is folded.
    return letters.casefold().replace("i\u0307", "i") if fold_case else letters


def _beside(segment: str, before: str, after: str, fold_case: bool) -> str:
    """The canonical form of a high, low or circled figure or a fraction: no further digit of the number beside it."""
    folded = _folded(segment, fold_case)
    if before.isdigit() and (folded[:1].isdigit() or "<su" in unicodedata.decomposition(segment[0])):
        folded = "^" + folded
    return folded + "^" if after.isdigit() and folded[-1:].isdigit() else folded


@lru_cache(maxsize=4096)
def _letter(char: str) -> str:
    """A character in compatibility form; a digit of any script as the one of ASCII."""
    if char.isdecimal():
        return str(int(char))
    compatible = unicodedata.normalize("NFKC", char)
    return "".join(_WRITTEN.get(each, str(int(each)) if each.isdecimal() else each) for each in compatible)


def _is_unseen(char: str) -> bool:
    if char in _UNSEEN or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return unicodedata.category(char) == "Cf" and char not in _SEEN_FORMATS
