"""Which old encoding bytes are in, found by how the characters would stand together.

Every candidate is tried on the bytes. Letters of one script that are frequent in the languages written with it speak
for a candidate; a sign inside a word, or two scripts in one word, speak against it. That is enough for a line of text,
where statistics over bytes are not.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_SAMPLE_CHARACTERS = 4000
_FEWEST_POINTS = 0.5
"""Mean points of a character beyond ASCII below which a candidate is not believed."""
_JIS_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
_HIGH = re.compile(r"[^\x00-\x7f]")

_LATIN = "éèàêçüöäßñáíóúåæøãõîôûëïœâìòùÿ"
_SIGNS = (
    "\u2019\u2018\u201c\u201d\u201e\u2013\u2014\u2026\u2022\u20ac\u00a3\u00a9\u00ae\u00b0\u00a7\u00ab\u00bb\u00a0\u2122\u00bf"
    "\u00a1\u00b5\u00b1\u00d7\u00bd\u00bc\u00be\u00b2\u00b3\u00b7"
)


@dataclass(frozen=True)
class _Candidate:
    """An encoding and what speaks for it."""

    name: str
    frequent: str
    """Letters that make up most of the text, in lower case."""
    script: str = "LATIN"
    """First word of the Unicode names of its letters."""


_SINGLE = (
    _Candidate("cp1252", _LATIN),
    _Candidate("cp1250", "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäăâîşţđ"),
    _Candidate("iso8859_2", "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäăâîşţđ"),
    _Candidate("cp1254", "çğıöşü\u0130"),
    _Candidate("cp1257", "āčēģīķļņšūžąęėįųõäöü"),
    _Candidate("cp1251", "оеаинтсрвлкмдпуяыьгзбчйіїє", "CYRILLIC"),
    _Candidate("koi8_r", "оеаинтсрвлкмдпуяыьгзбчй", "CYRILLIC"),
    _Candidate("iso8859_5", "оеаинтсрвлкмдпуяыьгзбчй", "CYRILLIC"),
    _Candidate("cp1253", "αοιετσνηυρπκμλωςάέίόήύώδγ", "GREEK"),
    _Candidate("cp1255", "יוהלארתמבשנכדעקפםחןסגטץךז", "HEBREW"),
    _Candidate("cp1256", "اليمنوربتدسعكفقحجهةأشصضطخ", "ARABIC"),
    _Candidate("cp874", "กงจดตนบมยรลวสหอะาิีึืุูเแโใไ่้็์", "THAI"),
)
_DOUBLE = ("cp932", "euc_jp", "gb18030", "big5", "cp949")


def find_encoding(data: bytes) -> str | None:
    """Name of the encoding that fits best; None where none is believed.

    UTF-8, UTF-16 and UTF-32 are not among the candidates: they are recognised by their own rules.
    """
    if any(escape in data for escape in _JIS_ESCAPES):
        return "iso2022_jp" if _decoded(data, "iso2022_jp") is not None else None
    best, most = None, _FEWEST_POINTS
    for name, points_of in _candidates():
        text = _decoded(data, name)
        points = points_of(_sample(text)) if text is not None else 0.0
        # A hair more than equal: earlier candidates are the commoner ones.
        if points > most + 1e-9:
            best, most = name, points
    return best


def _candidates() -> list[tuple[str, Callable[[str], float]]]:
    single = [(candidate.name, lambda text, one=candidate: _single_points(text, one)) for candidate in _SINGLE]
    double = [(name, lambda text, one=name: _double_points(text, one)) for name in _DOUBLE]
    return [*single, *double]


def _decoded(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        return None


def _sample(text: str) -> str:
    """Lines with characters beyond ASCII, up to a bound: the rest says nothing."""
    if len(text) <= _SAMPLE_CHARACTERS:
        return text
    pieces, size = [], 0
    for found in _HIGH.finditer(text):
        start = max(found.start() - 20, 0)
        pieces.append(text[start : found.end() + 20])
        size += len(pieces[-1])
        if size > _SAMPLE_CHARACTERS:
            break
    return " ".join(pieces)


def _single_points(text: str, candidate: _Candidate) -> float:
    """Mean points of the characters beyond ASCII, in an encoding of one byte a character."""
    points, count = 0.0, 0
    for place, character in enumerate(text):
        if character < "\x80":
            continue
        count += 1
        before = text[place - 1] if place else " "
        after = text[place + 1] if place + 1 < len(text) else " "
        points += _points(character, before, after, candidate)
    return points / count if count else 0.0


def _points(character: str, before: str, after: str, candidate: _Candidate) -> float:
    if character == "\u00b5" or not (character.isalpha() or unicodedata.category(character)[0] == "M"):
        if character in _SIGNS:
            # An apostrophe or a dash may stand between letters; a pound sign may not.
            inside = before.isalpha() and after.isalpha()
            return 0.6 if not inside or character in _SIGNS[:8] else -1.0
        return -1.0 if before.isalpha() or after.isalpha() or character < "\xa0" else 0.0
    if _script(character) != candidate.script:
        return -1.0
    latin = candidate.script == "LATIN"
    if (
        (before.islower() and character.isupper())
        or (character.islower() and after.isupper())
        or (not latin and (_is_plain(before) or _is_plain(after)))
    ):
        return -1.0
    place = max(candidate.frequent.find(character.lower()), candidate.frequent.find(character))
    if latin:
        # Hardly a Latin word is made of accented letters alone.
        alone = not (_is_plain(before) or _is_plain(after))
        return (1.0 if place >= 0 else 0.3) - (0.6 if alone else 0.0)
    if not (before.isalpha() or after.isalpha() or candidate.script == "THAI"):
        return 0.2
    points = 1.0 - 0.6 * place / len(candidate.frequent) if place >= 0 else 0.3
    # Words in capitals alone are rarer than what a wrong encoding makes of small letters.
    return points * (0.8 if character.isupper() and before.isalpha() else 1.0)


def _is_plain(character: str) -> bool:
    return character < "\x80" and character.isalpha()


@cache
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _double_points(text: str, encoding: str) -> float:
    """Mean points of the characters beyond ASCII, in an encoding of East Asia."""
    high = _HIGH.findall(text)
    return sum(_east_asian_points(character, encoding) for character in high) / len(high) if high else 0.0


@cache
def _east_asian_points(character: str, encoding: str) -> float:
    code = ord(character)
    if 0xFF61 <= code <= 0xFF9F or 0xE000 <= code <= 0xF8FF:  # katakana of half width; private characters
        return -0.5
    if 0x3000 <= code <= 0x3020 or 0xFF01 <= code <= 0xFF5E:
        return 0.8
    if 0x3041 <= code <= 0x30FE:
        return 1.0 if encoding in ("cp932", "euc_jp") else 0.2
    if 0xAC00 <= code <= 0xD7A3:
        return 1.0 if encoding == "cp949" and _is_common(character, "euc_kr", (0xB0, 0xC8)) else -0.5
    if 0x4E00 <= code <= 0x9FFF:
        return _han_points(character, encoding)
    return -0.5 if code < 0x2000 else 0.0


def _han_points(character: str, encoding: str) -> float:
    """Whether a Chinese character is among the common ones, which the old standards put first."""
    standard, leads = {
        "cp932": ("euc_jp", (0xB0, 0xCF)), "euc_jp": ("euc_jp", (0xB0, 0xCF)), "gb18030": ("gb2312", (0xB0, 0xD7)),
        "big5": ("big5", (0xA4, 0xC6)), "cp949": ("euc_kr", (0x100, 0x100)),
    }[encoding]  # fmt: skip
    return 0.9 if _is_common(character, standard, leads) else 0.0


def _is_common(character: str, standard: str, leads: tuple[int, int]) -> bool:
    try:
        return leads[0] <= codecs.encode(character, standard)[0] <= leads[1]
    except UnicodeEncodeError:
        return False
