"""Where a document prints what somebody says it says, and how it prints it.

People and frontiers write a value as they would say it: `12, Elm Road 5, Northfield` where the page has
`12,ELM ROAD 5,` and `NORTHFIELD` below, `5.0` for 5.00, `1000` for $1,000. Such a value stands in the document, in its
own spelling; a student that copies is taught that one. What no spelling of the document says is not in it.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
from string import ascii_letters

from appliance.tasks.canonical_text import canonical, canonical_text, tidy
from appliance.tasks.task import Comparator, Field
from appliance.tasks.values import find_spans, same


class How(StrEnum):
    """What had to be looked away from."""

    PRINTED = "printed"
    """Nothing but case, kinds of blanks and marks, line ends, unseen characters."""
    PUNCTUATION = "punctuation"
    """What stands between its words: marks, accents, the dots of abbreviations, how *and* is written."""
    WITHOUT_ADDITION = "without addition"
    """A last part in brackets, which is said of the value."""
    MISSPELT = "misspelt"
    """A letter of a long word beside words that are there; no digit."""
    READING = "reading"
    """How a number or a date is written."""


@dataclass(frozen=True)
class Anchor:
    """A value's place."""

    start: int
    end: int
    text: str
    """As the document prints it; blanks and line ends as one blank."""
    how: How


_GAP = r"[^\w]{0,6}"
"""Between two words of a value: marks, blanks and line ends, no letter or digit."""
_WORDS = re.compile(r"[^\W_]+|&")
_AND = frozenset({"&", "and", "und", "et", "y", "e", "och", "og", "en"})
_LONGEST_ABBREVIATION = 4
"""Letters of one that a page may print with dots: *L.L.C.*"""
_ADDITION = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
"""What whoever wrote the value down said of it in brackets, behind it."""
_FEW_WORDS, _MOST_WORDS = 3, 40
"""Of two words one may be misspelt; of longer values one in three. The longest are searched for no further."""
_LEAST_ALIKE = 5
"""Letters of a word that may be misspelt."""
_PARTS = re.compile(r"\d+|[^\W\d_]+")
"""Numbers, and words: *65g* is two of them, and so is a half."""
_MOST_PIECES = 8
_LEAST_STEM, _MOST_ENDING = 3, 3
"""Letters that two forms of a word have in common at least, and that their ends differ by at most."""
_READ = (Comparator.AMOUNT, Comparator.NUMBER, Comparator.INTEGER, Comparator.DATE)
_DIGITS = r"[-+]?\d[\d.,'\u2019\u00a0\u202f\u066b\u066c ]*"
_UNIT_BEFORE = r"(?:[^\W\d_]{1,4}\.? ?|[^\w\s.,;:()]{1,2} ?)?"
_UNIT_BEHIND = r"(?:[^\w\s.,;:]|\b[A-Za-z]{1,4}\b)?"
_NUMBER = re.compile(rf"(?<![\w.,]){_UNIT_BEFORE}[-+(]?[^\w\s.,;:()]?{_DIGITS}{_UNIT_BEHIND}")
_BARE_NUMBER = re.compile(_DIGITS)
_OUTER = " .,'\u00a0\u202f"
_DATE_WORDS = 6
_LEAST_DATE_DIGITS, _LONGEST_DATE = 3, 40
_MOST_TRIED = 2000
"""Stretches of a document that are read as numbers or dates."""


def anchored(field: Field, value: str, text: str) -> Anchor | None:
    """The value's place in the document; None where nothing there says the same."""
    if spans := find_spans(value, text):
        exact = [span for span in spans if tidy(text[slice(*span)]) == tidy(value)]
        if exact or field.comparator is not Comparator.EXACT:
            return _anchor(text, (exact or spans)[0], How.PRINTED)
    if field.comparator in _READ:
        return _read(field, value, text)
    if field.comparator is Comparator.EXACT:
        return None
    if (span := _between_words(value, text)) is not None:
        return _anchor(text, span, How.PUNCTUATION)
    if (main := _ADDITION.sub("", value)) not in (value, "") and (found := anchored(field, main, text)) is not None:
        return replace(found, how=How.WITHOUT_ADDITION)
    if (span := _misspelt(value, text)) is not None:
        return _anchor(text, span, How.MISSPELT)
    return None


def loose_places(value: str, text: str) -> list[tuple[int, int]]:
    """Stretches that together say each word of a value, which may be inflected, apart or in another order.

    For values that are not copied: `cup` where the page has *cups*, parts of a line behind one another.

    Returns:
        The stretches, in the order of the value; none where a word of it is not in the text.
    """
    words = _PARTS.findall(canonical(value).lower())
    whole = canonical_text(text)
    found = list(_PARTS.finditer(whole.text.lower()))
    page = [match.group() for match in found]
    places: list[tuple[int, int]] = []
    while words and len(places) < _MOST_PIECES:
        start, length = max(
            ((at, _common_length(words, page[at : at + len(words)])) for at in range(len(page))),
            key=lambda run: run[1], default=(0, 0),
        )  # fmt: skip
        if not length:
            return []
        places.append((whole.source(found[start].start()), whole.source_end(found[start + length - 1].end())))
        words = words[length:]
    return [] if words else places


def _common_length(words: list[str], page: list[str]) -> int:
    """How many words from the first on are the same or an inflection."""
    for length, (one, other) in enumerate(zip(words, page, strict=False)):
        if one != other and not _is_inflected(one, other):
            return length
    return min(len(words), len(page))


def _is_inflected(one: str, other: str) -> bool:
    """Whether two words differ at their ends alone: *leaf* and *leaves*."""
    if not (one.isalpha() and other.isalpha()) or abs(len(one) - len(other)) > _MOST_ENDING:
        return False
    shorter = min(len(one), len(other))
    return shorter >= _LEAST_STEM and _shared_letters(one, other) >= max(_LEAST_STEM, shorter - 1)


def _anchor(text: str, span: tuple[int, int], how: How) -> Anchor:
    return Anchor(*span, " ".join(text[slice(*span)].split()), how)


def _between_words(value: str, text: str) -> tuple[int, int] | None:
    """The words of the value one behind the other, whatever marks stand between them."""
    words = _WORDS.findall(canonical(value))
    if not words:
        return None
    whole = canonical_text(text)
    pattern = rf"(?<![^\W_]){_GAP.join(map(_word_pattern, words))}(?![^\W_])"
    match = re.search(pattern, whole.text, re.IGNORECASE)
    return (whole.source(match.start()), whole.source_end(match.end())) if match else None


def _misspelt(value: str, text: str) -> tuple[int, int] | None:
    """Stretch with the words of the value, of which one in three at most is spelt a little otherwise."""
    words = _WORDS.findall(canonical(value))
    most = len(words) // 2 if len(words) < _FEW_WORDS else len(words) // 3
    if not most or len(words) > _MOST_WORDS:
        return None
    whole = canonical_text(text)
    found = list(_WORDS.finditer(whole.text))
    page = [match.group().lower() for match in found]
    wanted = [word.lower() for word in words]
    for at in range(len(page) - len(wanted) + 1):
        other = [pair for pair in zip(wanted, page[at:], strict=False) if pair[0] != pair[1]]
        if 0 < len(other) <= most and all(map(_alike_words, *zip(*other, strict=True))):
            return whole.source(found[at].start()), whole.source_end(found[at + len(wanted) - 1].end())
    return None


def _alike_words(one: str, other: str) -> bool:
    """Whether one letter of two long words is another, too many, or in its neighbour's place; of digits none may be."""
    if min(len(one), len(other)) < _LEAST_ALIKE or not (one.isalpha() and other.isalpha()):
        return False
    start = _shared_letters(one, other)
    one, other = one[start:][::-1], other[start:][::-1]
    end = _shared_letters(one, other)
    one, other = one[end:], other[end:]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _shared_letters(one: str, other: str) -> int:
    """With which both words begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _word_pattern(word: str) -> str:
    """A word as documents write it that mean the same."""
    if word.lower() in _AND:
        return f"(?:{'|'.join(map(re.escape, sorted(_AND)))})" if word == "&" else f"(?:&|{re.escape(word)})"
    between = r"\.?" if word.isalpha() and len(word) <= _LONGEST_ABBREVIATION else ""
    return between.join(map(_letter_pattern, word))


@lru_cache(maxsize=4096)
def _letter_pattern(letter: str) -> str:
    """A letter with or without the accents that it has in the one text or the other."""
    bare = unicodedata.normalize("NFD", letter)[0]
    if not bare.isascii() or not bare.isalpha():
        return re.escape(letter)
    return f"[{bare}{_accented()[bare]}]"


@lru_cache(maxsize=1)
def _accented() -> dict[str, str]:
    """Letter of ASCII -> the Latin letters that are this one with marks."""
    found = dict.fromkeys(ascii_letters, "")
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        bare = unicodedata.normalize("NFD", chr(code))[0]
        if bare in found:
            found[bare] += chr(code)
    return found


def _read(field: Field, value: str, text: str) -> Anchor | None:
    """The stretch that reads as the value does; the one that is spelt most like it."""
    stretches = _date_stretches(text) if field.comparator is Comparator.DATE else _number_stretches(text)
    found: list[Anchor] = []
    for number, span in enumerate(stretches):
        if number >= _MOST_TRIED:
            break
        anchor = _anchor(text, span, How.READING)
        if same(field, value, anchor.text):
            found.append(anchor)
    digits = "".join(filter(str.isdigit, value))
    return max(found, key=lambda each: _closeness(each.text, digits), default=None)


def _closeness(printed: str, digits: str) -> tuple[bool, int]:
    own = "".join(filter(str.isdigit, printed))
    return own.startswith(digits) or digits.startswith(own), -len(printed)


def _number_stretches(text: str) -> Iterator[tuple[int, int]]:
    """Numbers with what may be their currency or unit, and each without it."""
    for match in _NUMBER.finditer(text):
        start, whole = match.start(), match.group().rstrip(_OUTER)
        yield start, start + len(whole)
        if (bare := _BARE_NUMBER.search(whole)) and len(number := bare.group().rstrip(_OUTER)) < len(whole):
            yield start + bare.start(), start + bare.start() + len(number)


def _date_stretches(text: str) -> Iterator[tuple[int, int]]:
    """Runs of a few words with some digits, within a line, the shortest first."""
    offset = 0
    for line in text.splitlines(keepends=True):
        words = list(re.finditer(r"\S+", line))
        for number, first in enumerate(words):
            for last in words[number : number + _DATE_WORDS]:
                stretch = line[first.start() : last.end()].rstrip(".,;:)")
                if sum(map(str.isdigit, stretch)) >= _LEAST_DATE_DIGITS and len(stretch) <= _LONGEST_DATE:
                    yield offset + first.start(), offset + first.start() + len(stretch)
        offset += len(line)
