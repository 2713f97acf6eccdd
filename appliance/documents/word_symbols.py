"""Signs of symbol fonts, which Word stores by their place in the font, as the characters that they show.

Source: the encoding of the font Symbol, ISO 8859-7 in its letters; the character table of Wingdings.
"""

import re
from collections.abc import Callable

_WINGDINGS = {
    0xFC: "\u2713", 0xFB: "\u2717", 0xFE: "\u2611", 0xFD: "\u2612", 0xA8: "\u2610", 0x6F: "\u2610", 0xA3: "\u2610",
    0x78: "\u2612", 0x71: "\u2610", 0x72: "\u2610", 0x6E: "\u25a0", 0x6C: "\u25cf", 0xA7: "\u25aa", 0x76: "\u2756",
    0xD8: "\u27a2", 0xE0: "\u2192", 0xDF: "\u2190", 0xE8: "\u2794", 0xF0: "\u21e8", 0x4A: "\u263a", 0x4C: "\u2639",
    0x28: "\u260e", 0x2A: "\u2709", 0x9F: "\u2022", 0x9E: "\u00b7",
}  # fmt: skip
_WINGDINGS_2 = {0x50: "\u2713", 0x4F: "\u2717", 0x52: "\u2611", 0x53: "\u2612", 0x51: "\u2612", 0x54: "\u2612",
                0xA3: "\u2610", 0x2A: "\u2610", 0x30: "\u2610"}  # fmt: skip
_SYMBOL_LETTERS = (
    "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ",
    "αβχδεφγηιϕκλμνοπθρστυϖωξψζ",
)
_SYMBOL = {
    0xA0: "\u20ac", 0xA2: "\u2032", 0xA3: "\u2264", 0xA5: "\u221e", 0xAB: "\u2194", 0xAC: "\u2190", 0xAD: "\u2191",
    0xAE: "\u2192", 0xAF: "\u2193", 0xB0: "\u00b0", 0xB1: "\u00b1", 0xB2: "\u2033", 0xB3: "\u2265", 0xB4: "\u00d7",
    0xB5: "\u221d", 0xB6: "\u2202", 0xB7: "\u2022", 0xB8: "\u00f7", 0xB9: "\u2260", 0xBA: "\u2261", 0xBB: "\u2248",
    0xBC: "\u2026", 0xC6: "\u2205", 0xC7: "\u2229", 0xC8: "\u222a", 0xCE: "\u2208", 0xD0: "\u2220", 0xD1: "\u2207",
    0xD2: "\u00ae", 0xD3: "\u00a9", 0xD4: "\u2122", 0xD5: "\u220f", 0xD6: "\u221a", 0xD7: "\u22c5", 0xDE: "\u21d2",
    0xE2: "\u00ae", 0xE3: "\u00a9", 0xE4: "\u2122", 0xE5: "\u2211", 0xF2: "\u222b", 0x22: "\u2200", 0x24: "\u2203",
    0x2D: "\u2212", 0x40: "\u2245", 0x5E: "\u22a5", 0x7E: "\u223c",
}  # fmt: skip

_FIELD = re.compile(r"\s*SYMBOL\s+(\d{1,5}|0x[0-9a-f]{1,4})\b(?:[^\"]*?\bf\s+\"?([^\"\\]{1,60}))?", re.IGNORECASE)
_MAX_INSTRUCTION = 300
_PRIVATE = re.compile("[\uf020-\uf0ff]")


def symbol_text(font: str, code: str) -> str:
    """The character that a place in a font shows; nothing where the font's table is not known here.

    Args:
        code: Four hexadecimal digits; the private area from F000 on repeats the places 00 to FF.
    """
    try:
        number = int(code[-6:], 16)
    except ValueError:
        return ""
    place = number - 0xF000 if 0xF000 <= number <= 0xF0FF else number
    name = font.casefold().replace(" ", "")
    if name == "symbol":
        for start, letters in zip((0x41, 0x61), _SYMBOL_LETTERS, strict=True):
            if start <= place < start + len(letters):
                return letters[place - start]
        return _SYMBOL.get(place, chr(place) if 0x20 <= place < 0x7F else "")
    if name == "wingdings2":
        return _WINGDINGS_2.get(place, "")
    if name.startswith(("wingdings", "webdings")) or not name:
        return _WINGDINGS.get(place, "")
    # Other fonts put ordinary characters at the places of the private area.
    return chr(place) if place >= 0x20 and not 0xD800 <= place < 0xE000 and place <= 0x10FFFF else ""


def symbol_field_text(instruction: str) -> str | None:
    """What a field that shows a sign of a font shows; None for the instruction of another field."""
    field = _FIELD.match(instruction[:_MAX_INSTRUCTION])
    if field is None:
        return None
    number = int(field.group(1), 16 if "x" in field.group(1).lower() else 10)
    return symbol_text((field.group(2) or "Symbol").strip(), f"{number:X}")


def shown_signs(text: str, font: Callable[[], str]) -> str:
    """Text whose characters of the private area are the signs that a font shows for them.

    Args:
        font: Gives the name of the font; called only where there are such characters.
    """
    if _PRIVATE.search(text) is None:
        return text
    name = font()
    return _PRIVATE.sub(lambda sign: symbol_text(name, f"{ord(sign.group()):X}"), text)
