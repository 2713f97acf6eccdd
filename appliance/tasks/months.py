"""Names of months in 75 languages, wide and short, as dates and calendars have them.

The names are those of Babel (Unicode CLDR). A language is read once in a process, when a date holds a word that none of
the languages before it in its script knows.
"""

import unicodedata
from functools import cache, lru_cache

LANGUAGES = {
    "latin": "en de fr es it pt nl sv da nb pl cs hu ro tr fi sk sl hr et lv lt nn is sq ca gl af id ms bs sr_Latn"
    " lb eu cy ga mt sw az uz fil eo fo",
    "greek": "el",
    "cyrillic": "ru uk bg sr be mk kk ky tg",
    "arabic": "ar ar_LB ar_DZ ar_MA fa ur ps",
    "hebrew": "he",
    "devanagari": "hi mr ne",
    "bengali": "bn",
    "gurmukhi": "pa",
    "gujarati": "gu",
    "tamil": "ta",
    "telugu": "te",
    "kannada": "kn",
    "malayalam": "ml",
    "sinhala": "si",
    "thai": "th",
    "lao": "lo",
    "myanmar": "my",
    "khmer": "km",
    "georgian": "ka",
    "armenian": "hy",
    "ethiopic": "am",
}
"""Script -> languages in the order in which they are tried; where two use one word for two months, the first counts."""
_MORE_NAMES = {"mrz": 3, "maerz": 3, "janner": 1, "jaenner": 1, "feber": 2, "sept": 9, "setiembre": 9}
"""What invoices write and CLDR has not."""
_CROATIAN = {"lip": 6, "srp": 7, "lis": 10, "listopad": 10, "listopada": 10}
"""Words that name another month in Polish or Czech."""
_DOTLESS_I = "\u0131"
_NOT_CZECH = frozenset({"lip", "listopada"})
_ROMAN = dict(zip("i ii iii iv v vi vii viii ix x xi xii".split(), range(1, 13), strict=True))
_LEAST_PREFIX = 3
_PREFIXES = ("de ", "d'", "d\u2019")
"""Catalan has *de gener* and *d'abril*."""


def fold(text: str) -> str:
    """Text without case and accents, as names of months and dates are compared."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char)).replace(_DOTLESS_I, "i")
    return unicodedata.normalize("NFC", bare)


@lru_cache(maxsize=4096)
def month_number(word: str, day_has_dot: bool = False, year_has_dot: bool = False, language: str = "") -> int | None:
    """The month that a folded word names, from 1 to 12; several words of one name stand without blanks and dots.

    Five words name one month in Croatian and another one in Polish or Czech: *listopad* is October or November. A
    Croatian date has a dot after the day and after the year, a Czech one after the day, a Polish one none; so the dots
    decide, and the one after the day is enough where Czech does not know the word.

    Args:
        language: Of the documents, where it is known; its names come before all others.
    """
    if language and (number := _names(language).get(word)):
        return number
    if not language and day_has_dot and word in _CROATIAN and (year_has_dot or word in _NOT_CZECH):
        return _CROATIAN[word]
    if word in _MORE_NAMES:
        return _MORE_NAMES[word]
    languages = LANGUAGES.get(_script(word), "").split()
    for each in languages:
        if number := _names(each).get(word):
            return number
    return _by_beginning(word, languages) if len(word) >= _LEAST_PREFIX else None


def roman_month(word: str) -> int | None:
    """The month that a folded Roman number is, as in `4.III.2026`."""
    return _ROMAN.get(word)


def _by_beginning(word: str, languages: list[str]) -> int | None:
    """The month whose name begins so, where all languages agree; for abbreviations that CLDR has not."""
    numbers = {number for language in languages for name, number in _names(language).items() if name.startswith(word)}
    return numbers.pop() if len(numbers) == 1 else None


def _script(word: str) -> str:
    return unicodedata.name(word[:1], "").partition(" ")[0].lower()


@cache
def _names(language: str) -> dict[str, int]:
    """Folded name -> month."""
    from babel.localedata import clear_caches, exists, get_locale_data

    if not exists(language):
        language = language.partition("_")[0]
    if not exists(language):
        return {}
    months = get_locale_data(language)["months"]
    names = {}
    for context in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            for number, name in months[context][width].items():
                folded = fold(name)
                for prefix in _PREFIXES:
                    folded = folded.removeprefix(prefix)
                if not any(char.isdigit() for char in folded):
                    names[joined(folded)] = number
                    if language == "eu":
                        names[joined(folded) + "ren"] = number  # *of March* is one word
    clear_caches()  # A language takes more than a megabyte, its months nothing.
    return names


def joined(name: str) -> str:
    """A folded name without blanks and marks between its parts."""
    return "".join(char for char in name if char not in " .'-\u2019\u00a0\u200c\u200d\u200e\u200f")
