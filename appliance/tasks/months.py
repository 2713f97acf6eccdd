"""Names of months in the languages of Europe and some more, wide and short, as dates and calendars have them.

The names are those of Babel (Unicode CLDR). A language is read once in a process, when a date holds a word that none of
the languages before it knows.
"""

import unicodedata
from functools import cache, lru_cache

LANGUAGES = {
    "latin": "en de fr es it pt nl sv da nb pl cs hu ro tr fi sk sl hr et lv lt nn is sq ca gl af id ms bs sr_Latn",
    "greek": "el",
    "cyrillic": "ru uk bg sr be mk",
}
"""Script -> languages in the order in which they are tried; where two use one word for two months, the first counts."""
_MORE_NAMES = {"mrz": 3, "maerz": 3}
"""What invoices write and CLDR has not."""
_CROATIAN = {"lip": 6, "srp": 7, "lis": 10, "listopad": 10, "listopada": 10}
"""Words that name another month in Polish or Czech."""
_DOTLESS_I = "\u0131"
_NOT_CZECH = frozenset({"lip", "listopada"})


def fold(text: str) -> str:
    """Text without case and accents, as names of months and dates are compared."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).replace(_DOTLESS_I, "i")


@lru_cache(maxsize=4096)
def month_number(word: str, day_has_dot: bool = False, year_has_dot: bool = False) -> int | None:
    """The month that a folded word names, from 1 to 12.

    Five words name one month in Croatian and another one in Polish or Czech: *listopad* is October or November. A
    Croatian date has a dot after the day and after the year, a Czech one after the day, a Polish one none; so the dots
    decide, and the one after the day is enough where Czech does not know the word.
    """
    if day_has_dot and word in _CROATIAN and (year_has_dot or word in _NOT_CZECH):
        return _CROATIAN[word]
    if word in _MORE_NAMES:
        return _MORE_NAMES[word]
    for language in LANGUAGES[_script(word)].split():
        if number := _names(language).get(word):
            return number
    return None


def _script(word: str) -> str:
    if "\u0370" <= word[:1] <= "\u03ff":
        return "greek"
    return "cyrillic" if "\u0400" <= word[:1] <= "\u04ff" else "latin"


@cache
def _names(language: str) -> dict[str, int]:
    """Folded name -> month."""
    from babel.localedata import clear_caches, get_locale_data

    months = get_locale_data(language)["months"]
    names = {
        # Catalan has "de gener" and "d'abril".
        fold(name).strip(". ").removeprefix("de ").removeprefix("d\u2019"): number
        for context in ("format", "stand-alone")
        for width in ("wide", "abbreviated")
        for number, name in months[context][width].items()
    }
    clear_caches()  # A language takes more than a megabyte, its months nothing.
    return names
