"""Glyphs of a PDF page: PDFium's own lines of them, each with the direction in which it runs."""

import ctypes
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

_RIGHT_TO_LEFT = ("R", "AL")
"""Classes of the letters of Hebrew and Arabic."""
_MARK = "NSM"
"""Class of the marks on letters of any script."""
_SAME_ANGLE = 1.0
"""Degrees by which the words of one line may differ."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_SIGNS = {"\x02": "-", "\ufffe": "-", "\x00": UNKNOWN}
"""PDFium writes the hyphen of a broken word as one of two signs, and unmapped glyphs as zero."""
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
    for index in range(text_page.count_chars()):
        code = code_at(raw, index)
        character = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else UNKNOWN
        if character in "\r\n":
            yield from _by_angle(text_page, glyphs)
            glyphs, box_before = [], None
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
    yield from _by_angle(text_page, glyphs)


def _by_angle(text_page: pypdfium2.PdfTextPage, glyphs: list[Glyph]) -> Iterator[GlyphLine]:
    """A line as it is, or cut between words that run in different directions."""
    line: GlyphLine | None = None
    starts_word = True
    for glyph in glyphs:
        if glyph[1] is None:
            starts_word = True
        elif starts_word:
            starts_word = False
            clockwise: float = pdfium.FPDFText_GetCharAngle(text_page.raw, glyph[2])
            angle = -math.degrees(clockwise) % 360 if clockwise > 0 else 0.0
            if line is None or (angle != line.angle and abs((angle - line.angle + 180) % 360 - 180) > _SAME_ANGLE):
                if line is not None:
                    yield line
                line = GlyphLine([], angle)
        if line is not None:
            line.glyphs.append(glyph)
    if line is not None:
        yield line


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
