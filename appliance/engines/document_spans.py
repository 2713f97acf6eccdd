"""What a literal value can be copied from: the spans of a document that stand alone in it."""

import re
from collections.abc import Iterator
from functools import cached_property

from appliance.engines.token_starts import starts
from appliance.tasks.values import find, find_spans, is_caseless

_BLANKS = re.compile(r"\s+")
_GAPS = re.compile(r"[^\S\n]{2,}|\s*\n\s*")
_WIDE_BLANKS = tuple(character for character in map(chr, range(0x80, 0x3001)) if character.isspace())
"""Blanks of more than one byte."""
BARRIER = "\0"
"""Stands where a value may not go on; no document and no token has it."""


class Spans:
    """What can be copied from a document, whatever its case and blanks.

    Args:
        across: Whether a span may go on after a line end or a wide gap, as a name or an address may.
    """

    def __init__(self, text: str, across: bool) -> None:
        self._text = _BLANKS.sub(" ", text if across else _GAPS.sub(BARRIER, text)).strip()
        self._lower = self._text.lower()

    def begins(self, text: str, unfinished: bytes = b"") -> bool:
        """Whether a span that stands alone on its left begins so.

        Args:
            unfinished: First bytes of the character that follows.
        """
        start = _searched(text)
        return any(self._goes_on(at + len(start), unfinished) for at in self._places(start))

    def following(self, text: str) -> tuple[frozenset[str], bool]:
        """What may follow a text that a span begins with, as `starts` has it, and whether that follows a blank."""
        start = _searched(text)
        if not start:
            return self._first_starts, True
        ends = (at + len(start) for at in self._places(start))
        return frozenset(each for end in ends for each in starts(self._lower, end)), start.endswith(" ")

    @cached_property
    def _first_starts(self) -> frozenset[str]:
        """Of all words and numbers."""
        text = self._lower
        places = (at for at in range(len(text)) if _separates(text[max(0, at - 2) : at], text[at]))
        return frozenset(each for at in places for each in starts(text, at))

    def _places(self, start: str) -> Iterator[int]:
        """Where a text stands that stands alone on its left."""
        at = self._lower.find(start)
        while at >= 0:
            if not start or _separates(self._lower[max(0, at - 2) : at], start[0]):
                yield at
            at = self._lower.find(start, at + 1)

    def _goes_on(self, at: int, unfinished: bytes) -> bool:
        """Whether the character at a place can begin with these bytes, in either case; blanks are all alike here."""
        following = self._lower[at : at + 1]
        forms = _WIDE_BLANKS if following == " " else (following, following.upper())
        return not unfinished or any(form.encode().startswith(unfinished) for form in forms)

    def count(self, text: str) -> int:
        """At how many places the text stands, alone on its left."""
        return sum(1 for _ in self._places(_searched(text)))

    def as_printed(self, text: str) -> str:
        """The text in the document's own spelling: in the first of several, where it is none of them."""
        spellings = [self._text[slice(*span)] for span in find_spans(text, self._text)]
        return text if not spellings or _BLANKS.sub(" ", text) in spellings else spellings[0]

    def holds(self, text: str) -> bool:
        """Whether the text stands alone in the document."""
        return find(text, self._text) is not None


def _searched(text: str) -> str:
    """The text as it is looked for."""
    return _BLANKS.sub(" ", text).lower().lstrip(" ")


def _separates(before: str, first: str) -> bool:
    """Whether a word or number may begin with `first` after what stands before it."""
    if not (first.isalnum() and before):
        return True
    if before[-1] == "_" or (before[-1].isalnum() and not is_caseless(before[-1])):
        # Scripts without case (Chinese, Thai, Arabic) do not part words by blanks.
        return not (first.isdigit() or first.lower() != first.upper())
    return not (first.isdigit() and before[-1] in ".," and before[-2:-1].isdigit())
