"""Glyphs of a PDF page: PDFium's own lines of them, each with the direction in which it runs."""

import ctypes
import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

_RIGHT_TO_LEFT = ("R", "AL")
"""Classes of the letters of Hebrew and Arabic."""
_MARK = "NSM"
"""Class of the marks on letters of any script."""
_MOST_LOST = 0.3
_MOST_ODD, _LEAST_SMALL = 0.1, 0.3
_SAME_ANGLE = 1.0
"""Degrees by which the words of one line may differ."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_SIGNS = {chr(code): UNKNOWN for code in (*range(9), *range(14, 32), 127)} | {
    "\x02": "-", "\ufffe": "-", "\uf0b7": "\N{BULLET}", "\uf0a7": "\N{BLACK SMALL SQUARE}",
}  # fmt: skip
"""PDFium writes the hyphen of a broken word as one of two signs, and unmapped glyphs as zero; two signs for the entries
of lists are commonly left in an area of private use."""
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED_BY = 0.2
"""Part of the height of a digit by which a raised one begins above it, and may end below it."""
_RAISED_SIZE = 0.85
Box = tuple[float, float, float, float]
"""Left, right, bottom, top."""


class Glyph(NamedTuple):
    """A letter, a blank or several letters in one box, and where it stands on the page; y grows upwards."""

    text: str
    box: Box | None
    """None for blanks."""
    place: int
    """Its place in PDFium's list."""


@dataclass
class GlyphLine:
    """What PDFium takes for one line."""

    glyphs: list[Glyph] = field(default_factory=list)
    angle: float = 0.0
    """Degrees, counter-clockwise, from 0 to 360."""
    guessed: int = 0
    """Letters whose font does not say what they are: PDFium gives their codes."""

    @property
    def text(self) -> str:
        """The line with single blanks."""
        return " ".join("".join([glyph[0] for glyph in self.glyphs]).split())

    @property
    def boxes(self) -> list[Box]:
        """Where its letters stand."""
        return [glyph[1] for glyph in self.glyphs if glyph[1]]


def glyph_lines(text_page: pypdfium2.PdfTextPage) -> Iterator[GlyphLine]:
    """The lines of a page in PDFium's order."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw, code_at, box_at = text_page.raw, pdfium.FPDFText_GetUnicode, pdfium.FPDFText_GetCharBox
    glyphs: list[Glyph] = []
    box_before: Box | None = None
    digit: Glyph | None = None
    for index in range(text_page.count_chars()):
        code = code_at(raw, index)
        character = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else UNKNOWN
        if character in "\r\n":
            yield from _by_angle(text_page, glyphs)
            glyphs, box_before, digit = [], None, None
            continue
        box = None
        if not character.isspace() and box_at(raw, index, left, right, bottom, top):
            box = (left.value, right.value, bottom.value, top.value)
        if box is not None and box == box_before:
            # PDFium turns lines from right to left around by characters, and so the letters of a ligature too.
            text, _, first = glyphs[-1]
            text = character + text if _goes_before(character, text[0]) else text + character
            glyphs[-1] = Glyph(text, box, first)
            continue
        box_before = box
        glyphs.append(Glyph(_SIGNS.get(character, character), box, index))
        digit = _settle_digit(text_page, glyphs, digit) if "0" <= character <= "9" else None
    yield from _by_angle(text_page, glyphs)


def _settle_digit(text_page: pypdfium2.PdfTextPage, glyphs: list[Glyph], digit: Glyph | None) -> Glyph | None:
    """Writes the last glyph, a digit, as a raised one where it stands above another, whose number it is no part of.

    Args:
        digit: The digit on the line that stands before it; None where there is none.

    Returns:
        The digit on the line that the next one is compared with.
    """
    last = glyphs[-1]
    if digit is None or digit.box is None or last.box is None:
        return last
    (_, _, bottom, top), (_, _, low, high) = digit.box, last.box
    height = top - bottom
    is_higher = low - bottom > _RAISED_BY * height and high > top - _RAISED_BY * height
    # Old figures stand at different heights as well, but have one size.
    if not is_higher or _size(text_page, last) > _RAISED_SIZE * _size(text_page, digit):
        return last
    glyphs[-1] = Glyph(_RAISED[int(last.text)], last.box, last.place)
    return digit


def _size(text_page: pypdfium2.PdfTextPage, glyph: Glyph) -> float:
    """Size of the font as it is drawn."""
    matrix = pdfium.FS_MATRIX()
    scale = 1.0
    if pdfium.FPDFText_GetMatrix(text_page.raw, glyph.place, matrix):
        scale = math.hypot(matrix.c, matrix.d)
    return abs(float(pdfium.FPDFText_GetFontSize(text_page.raw, glyph.place))) * scale


@dataclass
class GlyphCounts:
    """How many letters of a page are known."""

    letters: int = 0
    unknown: int = 0
    """Without any character, or with one of private use, which means nothing elsewhere."""
    guessed: int = 0
    """Read by their codes."""
    is_nonsense: bool = False
    """Whether the codes hardly are characters."""

    @property
    def lost(self) -> int:
        """Letters that nobody can read."""
        return min(self.unknown + (self.guessed if self.is_nonsense else 0), self.letters)

    @property
    def are_lost(self) -> bool:
        """Whether too few letters are known for a text."""
        return self.lost > _MOST_LOST * self.letters


def count_glyphs(lines: Iterable[GlyphLine]) -> GlyphCounts:
    """Counts the letters of the lines of a page."""
    counts = GlyphCounts()
    guessed: list[str] = []
    for line in lines:
        text = "".join([glyph[0] for glyph in line.glyphs if glyph[1]])
        counts.letters += len(text)
        if not text.isascii():
            counts.unknown += sum(character == UNKNOWN or "\ue000" <= character <= "\uf8ff" for character in text)
        if line.guessed:
            counts.guessed += line.guessed
            guessed.append(text)
    if guessed:
        # Numbers of glyphs, taken for codes, make large letters and signs of small letters.
        whole = "".join(guessed)
        odd = sum(character == UNKNOWN for character in whole)
        small = sum(character.islower() or (character > "\u024f" and character.isalpha()) for character in whole)
        counts.is_nonsense = odd > _MOST_ODD * len(whole) or small < _LEAST_SMALL * len(whole)
    return counts


def _by_angle(text_page: pypdfium2.PdfTextPage, glyphs: list[Glyph]) -> Iterator[GlyphLine]:
    """A line as it is, or cut between words that run in different directions."""
    line: GlyphLine | None = None
    starts_word = True
    is_guessed = False
    for glyph in glyphs:
        if glyph[1] is None:
            starts_word = True
        elif starts_word:
            starts_word = False
            is_guessed = pdfium.FPDFText_HasUnicodeMapError(text_page.raw, glyph[2]) == 1
            angle = _angle(text_page, glyph[2])
            if line is None or (angle != line.angle and abs((angle - line.angle + 180) % 360 - 180) > _SAME_ANGLE):
                if line is not None:
                    yield line
                line = GlyphLine([], angle)
        if line is not None:
            line.glyphs.append(glyph)
            line.guessed += is_guessed and glyph[1] is not None
    if line is not None:
        yield line


def _angle(text_page: pypdfium2.PdfTextPage, place: int) -> float:
    """Degrees in which a letter runs; PDFium's own angle takes slanted letters for turned ones."""
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFText_GetMatrix(text_page.raw, place, matrix) or not (matrix.a or matrix.b):
        return 0.0
    # A size below zero turns the letters around once more.
    is_negative = pdfium.FPDFText_GetFontSize(text_page.raw, place) < 0
    return (math.degrees(math.atan2(matrix.b, matrix.a)) + (180 if is_negative else 0)) % 360


def _goes_before(character: str, first: str) -> bool:
    """Whether a letter of the glyph that begins with the other one stands before that one in the text."""
    return runs_leftwards(first if unicodedata.bidirectional(character) == _MARK else character)


def runs_leftwards(character: str) -> bool:
    """Whether this is a letter of a script that is read from right to left."""
    return unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def origin(text_page: pypdfium2.PdfTextPage, glyph: Glyph) -> tuple[float, float] | None:
    """Where the base line of a glyph begins."""
    x, y = ctypes.c_double(), ctypes.c_double()
    if pdfium.FPDFText_GetCharOrigin(text_page.raw, glyph.place, x, y):
        return x.value, y.value
    return None
