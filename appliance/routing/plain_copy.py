"""A plainer copy of a text, in which other characters hide nothing, with the place of each character in the text."""

import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")
_SEPARATORS = {
    **dict.fromkeys("\u00b7\u2022\u2024\u2027\u2219\u22c5\u30fb", "."),
    **dict.fromkeys("\u2018\u2019\u02bc", "'"),
}
"""Dots at half height, which part groups as dots do, and apostrophes of typesetters."""
_ALIKE = dict(
    zip(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEKMHOPCTYXIJSABEZHIKMNOPTYX",
        strict=True,
    )
)
"""Capitals of other scripts that look like Latin ones: a number with one of them looks whole to a reader."""
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});|\\(?:u[0-9a-fA-F]{4}|/|[nrt](?![a-z]))")
"""A character as HTML, XML and JSON write it, also where mail addresses are to be hidden from programs."""
_ESCAPES = {"\\n": "\n", "\\r": "\n", "\\t": "\t", "\\/": "/"}
_EMPHASIS = re.compile(r"(?<![^\W_])_+(?=[^\W_]|[+(])|(?<=[^\W_])_+(?![^\W_])")
"""Lines below at the border of a word, which is how Markdown writes emphasis."""
_COUNTERS = frozenset("円圓元圆원萬万億亿兆千百만억조천백個个件枚号號번")
"""Uncased letters behind a number that say what it counts: sums stay what they are."""
_RAISED = frozenset("\u00b9\u00b2\u00b3\u2070\u2074\u2075\u2076\u2077\u2078\u2079")
"""Behind a digit, one alone is the mark of a footnote or a power."""
_SLIPS = re.compile(r"(?<=\d)[OoIl]{1,8}(?![^\W\d_])|(?:(?<![^\W\d_])|(?<=(?<!\w)[A-Z]{2}))[OoIl]{1,8}(?=\d)")
_REACH = 100
"""No number is longer, with its gaps."""
_DIGITS_MEANT = str.maketrans("OoIl", "0011")
_BLANKS = re.compile(r"(?<=\S)(?: {2,4}| {0,3}\n {0,3})(?=\S)")
_WIDE_BLANKS = re.compile(r"(?<=\S)(?:[ \t]{2,4}|\t|[ \t]{0,3}\n[ \t]{0,3})(?=\S)")
_BESIDE_SIGNS = re.compile(r"(?<=\d)(?: {1,2}[/-] {0,2}|[/-] {1,2})(?=\w)")


@dataclass(frozen=True)
class PlainCopy:
    """The copy, and where each of its characters stands in the text."""

    text: str
    starts: tuple[int, ...] | None
    """None where the copy is the text itself."""
    ends: tuple[int, ...] = ()

    def place(self, start: int, end: int) -> tuple[int, int]:
        """A place of the copy as a place of the text."""
        if self.starts is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def plain_copy(text: str) -> PlainCopy:
    """The copy: compatibility forms, plain dashes and blanks, one kind of line ends, nothing invisible."""
    text = _EMPHASIS.sub(lambda match: "*" * len(match.group()), text)
    if text.isascii() and not any(sign in text for sign in "\r&\\"):
        return PlainCopy(text, None)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    references = {match.start(): match for match in _REFERENCE.finditer(text)}
    behind = 0
    for position, char in enumerate(text):
        if position < behind:
            continue
        behind = position + 1
        if char == "\r":
            plain = "" if text[behind : behind + 1] == "\n" else "\n"
        elif char in "&\\" and (match := references.get(position)) is not None:
            behind = match.end()
            plain = "".join(map(_plain, _unescaped(match.group())))
        elif char in _RAISED and text[position - 1 : position].isdecimal() and not text[behind : behind + 1].isdigit():
            plain = "*"
        else:
            plain = char if char.isascii() else _plain(char)
            if _is_uncased(char) and (_touches(text[position - 1 : position]) or _touches(text[behind : behind + 1])):
                plain = "*"
        parts.append(plain)
        starts.extend([position] * len(plain))
        ends.extend([behind] * len(plain))
    return PlainCopy("".join(parts), tuple(starts), tuple(ends))


@cache
def _is_uncased(char: str) -> bool:
    """Whether it is a letter of a script that may write words without blanks, and so ends a number beside it."""
    return char >= "\u0590" and unicodedata.category(char) == "Lo" and char not in _COUNTERS


def _touches(neighbour: str) -> bool:
    return neighbour.isdecimal() or (neighbour.isascii() and neighbour.isalpha()) or neighbour in tuple("+(")


def _unescaped(reference: str) -> str:
    if reference.startswith("&"):
        return html.unescape(reference)
    return _ESCAPES.get(reference) or chr(int(reference[2:], 16))


def plain_spellings(word: str) -> tuple[str, ...]:
    """How a word reads in a plain copy, in small letters, with a capital and in capitals, some of which look Latin."""
    return tuple(dict.fromkeys(plain_copy(each).text for each in (word, word.capitalize(), word.upper())))


def with_digits_meant(text: str) -> tuple[str, list[int]]:
    """The text, equally long, with digits where a reader of print took them for letters, and the places of those."""
    places: list[int] = []

    def meant(match: re.Match[str]) -> str:
        places.append(match.start())
        return match.group().translate(_DIGITS_MEANT)

    return _SLIPS.sub(meant, text), places


def surroundings(places: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    """Parts of a text of this length in which all numbers lie that go over one of the places."""
    start = end = 0
    for place in places:
        if place - _REACH > end:
            if end:
                yield start, end
            start = place - _REACH
        end = min(place + _REACH, length)
    if end:
        yield start, end


@cache
def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char in _DASHES:
        return "-"
    if char in _ALIKE:
        return _ALIKE[char]
    if char in _SEPARATORS:
        return _SEPARATORS[char]
    category = unicodedata.category(char)
    if category in ("Cf", "Mn", "Me"):
        return ""
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    if char.isdecimal():
        return str(int(char))
    plain = unicodedata.normalize("NFKC", char)
    # A sign that stands for a word, such as the one for "No", is no part of the number behind it.
    return f"{plain} " if category == "So" and plain.isalpha() else plain


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
    return _closed(text, _WIDE_BLANKS if tabs else _BLANKS)


def tightened(text: str) -> ClosedUp:
    """The text without the blanks beside dashes and strokes, as in `710319 / 2745`."""
    return _closed(text, _BESIDE_SIGNS)


def _closed(text: str, gaps: re.Pattern[str]) -> ClosedUp:
    parts: list[str] = []
    gap_starts: list[int] = []
    shifts: list[int] = []
    at = length = 0
    for match in gaps.finditer(text):
        # A dash at the end of a line parts a number as it stands, without a blank.
        is_broken = text[match.start() - 1] == "-" and "\n" in match.group()
        filling = "" if is_broken else match.group().strip() or " "
        parts += [text[at : match.start()], filling]
        length += match.start() - at
        gap_starts.append(length if filling else length - 1)
        length += len(filling)
        at = match.end()
        shifts.append(at - length)
    return ClosedUp("".join([*parts, text[at:]]), gap_starts, shifts)
