"""What a locale says about dates and numbers, from Unicode CLDR."""

from dataclasses import dataclass
from functools import cache

from appliance.tasks.dates import DateOrder


@dataclass(frozen=True)
class LocaleRules:
    """How documents of a locale write dates and numbers."""

    date_order: DateOrder | None
    """None where the locale does not say it: English without a country."""
    decimal_mark: str
    """`.` or `,`; empty for another one."""
    language: str


@cache
def locale_rules(name: str) -> LocaleRules:
    """The rules of a locale such as `de` or `en_GB`.

    Raises:
        ValueError: There is no such locale.
    """
    from babel import Locale, UnknownLocaleError

    try:
        locale = Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise ValueError(f"{name[:40] or 'an empty text'} is no locale of Unicode CLDR") from error
    pattern = str(locale.date_formats["short"].pattern)
    places = sorted((pattern.find(letter), letter) for letter in "dMy")
    order = {"d": DateOrder.DAY_FIRST, "M": DateOrder.MONTH_FIRST, "y": DateOrder.YEAR_FIRST}[places[0][1]]
    symbols = locale.number_symbols.get("latn") or locale.number_symbols.get(locale.default_numbering_system) or {}
    decimal_mark = str(symbols.get("decimal", ""))
    return LocaleRules(
        None if name == "en" else order,
        decimal_mark if decimal_mark in (".", ",") else "",
        str(locale) if str(locale) == "sr_Latn" else locale.language,
    )
