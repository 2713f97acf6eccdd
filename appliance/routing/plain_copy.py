"""A plainer copy of a text, in which other characters hide nothing, with the place of each character in the text."""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")
_ALIKE = dict(
    zip(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEKMHOPCTYXIJSABEZHIKMNOPTYX",
        strict=True,
    )
)
"""Capitals of other scripts that look like Latin ones: a number with one of them looks whole to a reader."""
_BLANKS = re.compile(r"(?<=\S)(?: {2,4}| {0,3}\n {0,3})(?=\S)")
_WIDE_BLANKS = re.compile(r"(?<=\S)(?:[ \t]{2,4}|\t|[ \t]{0,3}\n[ \t]{0,3})(?=\S)")


@dataclass(frozen=True)
class PlainCopy:
    """The copy, and where each of its characters stands in the text."""

    text: str
    starts: tuple[int, ...] | None
    """None where the copy is the text itself."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """A place of the copy as a place of the text."""
        if self.starts is None:
            return start, end
        return self.starts[start], self.starts[end - 1] + 1


def plain_copy(text: str) -> PlainCopy:
    """The copy: compatibility forms, plain dashes and blanks, one kind of line ends, nothing invisible."""
    if text.isascii() and "\r" not in text:
        return PlainCopy(text, None)
    parts: list[str] = []
    starts: list[int] = []
    for position, char in enumerate(text):
        if char == "\r":
            plain = "" if text[position + 1 : position + 2] == "\n" else "\n"
        else:
            plain = char if char.isascii() else _plain(char)
        parts.append(plain)
        starts.extend([position] * len(plain))
    return PlainCopy("".join(parts), tuple(starts))


@cache
def _plain(char: str) -> str:
    if char in _DASHES:
        return "-"
    if char in _ALIKE:
        return _ALIKE[char]
    category = unicodedata.category(char)
    if category in ("Cf", "Mn", "Me"):
        return ""
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    if char.isdecimal():
        return str(int(char))
    return unicodedata.normalize("NFKC", char)


@dataclass(frozen=True)
class ClosedUp:
    """A text whose gaps of several blanks, or of one line end, are a single blank each."""

    text: str
    gap_starts: list[int]
    """Where gaps that were closed up stand in this text, in its order."""
    shifts: list[int]
    """How much further on the original text is behind each of them."""

    def original(self, position: int) -> int:
        """A place of this text as one of the original text."""
        gap = bisect_right(self.gap_starts, position - 1)
        return position + (self.shifts[gap - 1] if gap else 0)

    def holds_gap(self, start: int, end: int) -> bool:
        """Whether a gap that was closed up stands in this part."""
        return bisect_right(self.gap_starts, start) < bisect_right(self.gap_starts, end - 1)


def closed_up(text: str, tabs: bool = False) -> ClosedUp:
    """The text with its gaps closed up: numbers are written with wide gaps and over line ends.

    Args:
        tabs: Tabs are gaps, too; otherwise they part columns, across which no number goes.
    """
    parts: list[str] = []
    gap_starts: list[int] = []
    shifts: list[int] = []
    at = length = 0
    for match in (_WIDE_BLANKS if tabs else _BLANKS).finditer(text):
        # A dash at the end of a line parts a number as it stands, without a blank.
        is_broken = text[match.start() - 1] == "-" and "\n" in match.group()
        parts += [text[at : match.start()], "" if is_broken else " "]
        length += match.start() - at
        gap_starts.append(length - 1 if is_broken else length)
        length += not is_broken
        at = match.end()
        shifts.append(at - length)
    return ClosedUp("".join([*parts, text[at:]]), gap_starts, shifts)
