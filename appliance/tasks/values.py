"""Values of fields: brought to one form, compared by the field's comparator, and found in the document."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from enum import StrEnum

from appliance.tasks.linecode import Value
from appliance.tasks.task import Comparator, Field

_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "zł": "PLN", "r$": "BRL", "us$": "USD", "c$": "CAD"}
_NUMBER = re.compile(r"\d(?:[\d.,'\u2019]|[^\S\n](?=\d{3}(?!\d)))*")
_MINUSES = re.compile("[\u2010-\u2015\u2212]")
_SIGN_BEFORE = re.compile(r"(?:^|[^\w\s])\s*-\s*[$€£¥]?\s*$|\s-[$€£¥]?$")
"""A minus at the start, after a mark, or close to the number; a dash between words and a number is none."""
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero gennaio janeiro januari ene gen janv",
            "feb february februar fevrier febrero febbraio fevereiro februari fev fevr",
            "mar march marz mars marzo marco maart mrt mrz maerz",
            "apr april avril abril aprile avr abr",
            "may mai mayo maggio maio mei maj mag",
            "jun june juni juin junio giugno junho giu",
            "jul july juli juillet julio luglio julho lug juil",
            "aug august aout agosto augustus augusti ago",
            "sep sept september septembre septiembre settembre setembro set",
            "oct october oktober octobre octubre ottobre outubro okt ott out",
            "nov november novembre noviembre novembro",
            "dec december dezember decembre diciembre dicembre dezembro dez dic",
        ),
        1,
    )
    for name in names.split()
}
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})\s*[-/.\s]\s*(\d{1,2})\s*[-/.\s]\s*(\d{4}|\d{2})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|\.)?[\s\-/,.]*(?:de\s+|of\s+)?([a-z]{3,})\.?[\s\-/,.]*(?:de\s+)?"
    r"(\d{4}|\d{2})(?!\d)"
)
_MONTH_DAY = re.compile(r"([a-z]{3,})\.?[\s\-/]*(\d{1,2})(?:st|nd|rd|th)?[\s,\-/.]+(\d{4}|\d{2})(?!\d)")


class DateOrder(StrEnum):
    """Which of the first two numbers of `03/04/2026` is the day."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"


def normalise(field: Field, value: Value) -> Value:
    """The value in the one form that its comparator compares; a value that has no such form stays a plain text."""
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, list):
        return [plain(text) for text in value] if field.comparator is not Comparator.EXACT else value
    match field.comparator:
        case Comparator.EXACT:
            return value.strip()
        case Comparator.AMOUNT | Comparator.NUMBER:
            number = read_number(value, field.comparator is Comparator.AMOUNT)
            return plain(value) if number is None else f"{number:f}"
        case Comparator.DATE:
            day = read_date(value, DateOrder.DAY_FIRST)
            return plain(value) if day is None else day.isoformat()
        case Comparator.ENUM:
            alike = (known for known in field.values if plain(known) == plain(value))
            return value if value in field.values else next(alike, plain(value))
        case _:
            return plain(value)


def same(field: Field, a: Value, b: Value) -> bool:
    """Whether two values of the field say the same, by its comparator; nothing equals only nothing."""
    first, second = normalise(field, a), normalise(field, b)
    if first is None or second is None:
        return first is second
    if isinstance(first, list) or isinstance(second, list):
        return isinstance(first, list) and isinstance(second, list) and sorted(first) == sorted(second)
    if field.comparator is Comparator.DATE and isinstance(a, str) and isinstance(b, str):
        return _same_date(a, b)
    if field.comparator in (Comparator.AMOUNT, Comparator.NUMBER) and isinstance(a, str) and isinstance(b, str):
        units = read_unit(a), read_unit(b)
        return first == second and (units[0] == units[1] or "" in units)
    return first == second


def plain(text: str) -> str:
    """Text without what rarely means anything: case, width and kind of blanks, compatibility forms, outer marks."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(" .,;:") or folded


def read_number(text: str, money: bool) -> Decimal | None:
    """The first number in the text, whatever its separators.

    Args:
        money: A dot before the last three digits separates thousands; otherwise it is a decimal mark.
    """
    text = _MINUSES.sub("-", unicodedata.normalize("NFKC", text))
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = re.sub(r"[\s'\u2019]", "", found.group()).rstrip(".,")
    digits = "".join(str(int(char)) if char.isdecimal() else char for char in digits)
    mark = _decimal_mark(digits, money)
    whole, _, fraction = digits.rpartition(mark) if mark else (digits, "", "")
    # Decimals are made from text only: arithmetic on them rounds to 28 digits.
    whole, fraction = re.sub(r"\D", "", whole).lstrip("0") or "0", fraction.rstrip("0")
    unsigned = whole + ("." + fraction if fraction else "")
    before, after = text[: found.start()], text[found.end() :].strip()
    negative = (
        _SIGN_BEFORE.search(before) is not None
        # In `5.-` the dash stands for the cents.
        or (after == "-" and not found.group().endswith((".", ",")))
        or (before.rstrip(" $€£¥").endswith("(") and after.startswith(")"))
    )
    return Decimal("-" + unsigned if negative and unsigned != "0" else unsigned)


def _decimal_mark(digits: str, money: bool) -> str:
    """The separator that is a decimal mark; empty where there is none."""
    marks = [char for char in digits if char in ".,"]
    if not marks:
        return ""
    last = marks[-1]
    if len(set(marks)) == 2:
        return last if marks.count(last) == 1 else ""
    if len(marks) > 1:
        return ""
    whole, _, fraction = digits.partition(last)
    thousands = len(fraction) == 3 and whole not in ("", "0") and len(whole) <= 3
    return "" if thousands and (last == "," or money) else last


def read_unit(text: str) -> str:
    """The currency or unit that stands with the number, in one spelling; empty where there is none."""
    text = unicodedata.normalize("NFKC", text)
    found = _NUMBER.search(text)
    if found is None:
        return ""
    words = (text[: found.start()] + " " + text[found.end() :]).casefold().strip("()+-\u2212 .:")
    words = " ".join(words.split())
    return _CURRENCIES.get(words, words.upper())


def read_date(text: str, order: DateOrder) -> date | None:
    """The first date in the text, in any usual spelling; two-digit years are of this century."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(char for char in text if not unicodedata.combining(char))
    if found := _YEAR_FIRST.search(text) or _COMPACT.search(text):
        return _date(*map(int, found.groups()))
    for pattern, day_at, month_at in ((_DAY_MONTH, 0, 1), (_MONTH_DAY, 1, 0)):
        for found in pattern.finditer(text):
            groups = found.groups()
            if month := _MONTHS.get(groups[month_at]):
                return _date(int(groups[2]), month, int(groups[day_at]))
    if found := _NUMERIC.search(text):
        first, second, year = map(int, found.groups())
        day, month = (first, second) if order is DateOrder.DAY_FIRST else (second, first)
        return _date(year, month, day) or _date(year, day, month)
    return None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year + 2000 if year < 100 else year, month, day)
    except ValueError:
        return None


def _same_date(a: str, b: str) -> bool:
    """Both read in the same order; so `03/04/2026` is `2026-04-03` or `2026-03-04`, but not `04/03/2026`."""
    if plain(a) == plain(b):
        return True
    for order in DateOrder:
        first = read_date(a, order)
        if first is not None and first == read_date(b, order):
            return True
    return False


def evidence(field: Field, value: Value, text: str) -> int | None:
    """Where the value stands in the text, as an offset in characters; whatever its case and blanks.

    A list has its first entry's place if every entry is found. Derived values have no place.
    """
    if not value or field.evidence == "derived":
        return None
    if isinstance(value, list):
        places = [find(part, text) for part in value]
        return None if any(place is None for place in places) else places[0]
    return find(value, text)


def find(value: str, text: str) -> int | None:
    """The first place where the value stands alone: not inside a longer word or number."""
    words = value.split()
    if not words:
        return None
    body = r"\s+".join(re.escape(word) for word in words)
    # Scripts without case (Chinese, Thai, Arabic) do not part words in a way that `\w` knows.
    before = r"(?<!\w)" if _parted(words[0][0]) else ""
    after = r"(?!\w)" if _parted(words[-1][-1]) else ""
    if words[0][0].isdigit():
        before += r"(?<!\d[.,])"
    if words[-1][-1].isdigit():
        after += r"(?![.,]\d)"
    found = re.search(before + body + after, text, re.IGNORECASE)
    return found.start() if found else None


def _parted(char: str) -> bool:
    return char.isdigit() or char.lower() != char.upper()
