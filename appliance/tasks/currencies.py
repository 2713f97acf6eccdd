"""Currencies as documents write them: codes, symbols and words, each with the currencies that it may mean."""
# ruff: noqa: RUF001 (letters of other scripts)

import re
from collections.abc import Iterable
from functools import cache

_WRITTEN = {
    "EUR": "€ euro euros евро ευρώ ευρω",
    "USD": "$ us$ $us щ.д щ.д. usd$ dollar dollars dólares",
    "GBP": "£ £gb gb£ uk£ pound pounds",
    "JPY": "¥ 円 yen jp¥",
    "CNY": "元 rmb cn¥ yuan 人民币",
    "CHF": "fr fr. sfr sfr. franken",
    "PLN": "zł zl złotych złoty",
    "CZK": "kč kc korun",
    "HUF": "ft forint",
    "RON": "lei leu",
    "BGN": "лв лв. лева",
    "RUB": "₽ руб руб. р. рублей рубля рубль",
    "UAH": "₴ грн грн. гривень",
    "TRY": "₺ tl lira",
    "INR": "₹ rs rs. inr₹ रु रु. rupees",
    "BRL": "r$ reais",
    "CAD": "c$ ca$ can$",
    "AUD": "a$ au$",
    "NZD": "nz$",
    "HKD": "hk$",
    "SGD": "s$",
    "TWD": "nt$",
    "MXN": "mx$ mex$",
    "KRW": "₩ 원 won",
    "THB": "฿ บาท baht",
    "VND": "₫ đ đồng",
    "ILS": "₪ ש״ח",
    "NGN": "₦",
    "PHP": "₱",
    "MYR": "rm",
    "IDR": "rp rp.",
    "ZAR": "r",
    "PEN": "s/ s/.",
    "AED": "د.إ",
    "SAR": "ر.س ﷼",
    "EGP": "ج.م e£",
    "IRR": "ریال",
    "GEL": "₾",
    "KZT": "₸",
    "DKK": "dkr",
    "SEK": "skr",
    "NOK": "nkr",
    "ISK": "íkr",
    "BDT": "৳",
    "GHS": "₵ gh₵",
    "AMD": "֏",
    "CRC": "₡",
    "RSD": "din din. дин дин.",
    "HRK": "kn",
}
_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD"
    " HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL"
    " LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR"
    " PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP"
    " TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW DEM ATS FRF ITL ESP NLG BEF"
    " FIM GRD IEP PTE LVL LTL EEK SKK SIT"
).split()
_SEVERAL = {"kr": "SEK NOK DKK ISK", "kr.": "DKK NOK SEK ISK"}
"""Words of several currencies; they go with each of them."""
PLAIN_DOLLARS = frozenset(("$", "dollar", "dollars", "dólares", "Dollar", "Dollars"))
_DOLLARS = frozenset(
    "USD AUD CAD NZD HKD SGD TWD MXN ARS CLP COP UYU DOP CUP BSD BBD BZD BMD BND FJD GYD JMD KYD LRD NAD SBD SRD TTD"
    " XCD CVE BRL NIO BOB".split()
)
"""Currencies that are written with the sign of the dollar."""
_SUBUNITS = frozenset(
    "c ct cent cents cts ¢ gr gr. grosz groszy grosze коп коп. копеек копейки p pence paise paisa öre øre ore kuruş"
    " bani haléřů hal hal. centimes centimos céntimos centavos rp rappen 分 角".split()
)


@cache
def _meanings() -> dict[str, str]:
    written = {word: code for code, words in _WRITTEN.items() for word in words.split()}
    return {**{code.casefold(): code for code in _CODES}, **_SEVERAL, **written}


def currency(word: str) -> str:
    """The code of the currency that a word names; several codes with blanks between; empty for no currency."""
    word = word.casefold()
    return _meanings().get(word) or _meanings().get(word.rstrip(".")) or ""


def is_subunit(word: str) -> bool:
    """Whether the word is a hundredth of some currency."""
    return word.casefold() in _SUBUNITS


def is_same_unit(first: str, second: str) -> bool:
    """Whether two units, currencies among them, may be one; a missing unit goes with every other."""
    if not first or not second or first == second:
        return True
    shared = set(first.split()) & set(second.split())
    return bool(shared) and not {first, second}.isdisjoint(_SEVERAL.values())


def one_currency(codes: list[str], has_plain_dollar: bool = False) -> str:
    """The currency that several words beside one number name together; empty where they disagree.

    Args:
        has_plain_dollar: One of the words is a dollar of no country; it goes with the dollar that is named beside it.
    """
    shared = set(codes[0].split())
    for code in codes[1:]:
        is_dollar = has_plain_dollar and "USD" in (shared | {code}) and not (shared | {code}) - _DOLLARS
        shared = shared & set(code.split()) or ((shared | {code}) - {"USD"} if is_dollar else set())
    if len(codes) == 1:
        return codes[0]
    return shared.pop() if len(shared) == 1 else ""


@cache
def currency_pattern() -> str:
    """A pattern for every word and symbol of a currency, longest first; words stand alone."""
    return _any_of(_meanings())


@cache
def subunit_pattern() -> str:
    """A pattern for every word of a hundredth of a currency."""
    return _any_of(_SUBUNITS)


def _any_of(words: Iterable[str]) -> str:
    alone = [
        (r"(?<![^\W\d_])" if word[0].isalpha() else "")
        + re.escape(word)
        + (r"(?![^\W\d_])" if word[-1].isalpha() else "")
        for word in sorted(words, key=len, reverse=True)
    ]
    return "(?:" + "|".join(alone) + ")"
