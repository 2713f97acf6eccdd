"""What makes real pages long: prose, tables and lists that nobody asks for, with values in them that mislead."""

import random

from page_tables import draw_table

from training.demo.noise import REMARKS
from training.demo.printing import Style, print_value

_ONSETS = (
    "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pr", "qu", "r", "s",
    "sch", "st", "t", "tr", "v", "w", "z", "", "", "",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ie", "ei", "au", "ou", "\u00e9", "\u00e4", "\u00f3", "ij", "ai", "y")
_CODAS = ("", "", "", "n", "r", "s", "t", "l", "m", "nd", "ng", "rt", "st", "ns", "x", "ck", "nt")
_SMALL = (
    "de", "la", "van", "het", "und", "der", "die", "the", "of", "to", "and", "in", "is", "et", "les", "des", "pour",
    "en", "per", "il", "di", "na", "do", "w", "z", "que", "por", "a", "we", "not", "bij", "op", "von", "mit", "zu",
    "our", "your",
)  # fmt: skip
_STOPS = (".", ".", ".", ".", ",", ";", ":", "!", "?")
_KINDS = ("date", "amount", "code", "percent", "integer", "name", "city", "product", "time")
_VALUE_SHARE = 0.04
"""Of the words of prose that are a value of some kind instead."""
_MOST_PROSE, _MOST_LIST = 9, 8
"""Lines."""


def draw_fillers(rng: random.Random, style: Style, most: int) -> list[list[str]]:
    """One to `most` blocks of lines."""
    return [rng.choice((_prose, _prose, _list, _table, _remarks))(rng, style) for _ in range(rng.randint(1, most))]


def _word(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(_SMALL)
    syllables = rng.choice((1, 2, 2, 3))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))


def _sentence(rng: random.Random, style: Style) -> str:
    words = []
    for _ in range(rng.randrange(4, 18)):
        is_value = rng.random() < _VALUE_SHARE
        words.append(print_value(rng, rng.choice(_KINDS), style) if is_value else _word(rng))
    text = " ".join(words)
    return text[:1].upper() + text[1:] + rng.choice(_STOPS)


def _prose(rng: random.Random, style: Style) -> list[str]:
    """A paragraph in lines of one width."""
    width, lines, line = rng.randrange(40, 120), list[str](), ""
    most = rng.randrange(1, _MOST_PROSE + 1)
    while len(lines) < most:
        for word in _sentence(rng, style).split():
            if len(line) + len(word) > width:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
    return lines[:most]


def _list(rng: random.Random, style: Style) -> list[str]:
    """Numbered or dotted points."""
    mark = rng.choice(("{n}. ", "{n}) ", "- ", "* ", "\u2022 ", "({n}) ", ""))
    return [mark.format(n=n) + _sentence(rng, style) for n in range(1, rng.randrange(2, _MOST_LIST + 1))]


def _table(rng: random.Random, style: Style) -> list[str]:
    return draw_table(rng, style).lines


def _remarks(rng: random.Random, style: Style) -> list[str]:
    return [*rng.sample(REMARKS, rng.randrange(1, 4)), _sentence(rng, style)]
