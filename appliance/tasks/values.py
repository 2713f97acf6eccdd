"""Values of fields: brought to one form, compared by the field's comparator, and found in the document."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from appliance.tasks.canonical_text import canonical, canonical_text, tidy
from appliance.tasks.linecode import Value
from appliance.tasks.months import fold, month_number
from appliance.tasks.task import Comparator, Field

_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "zł": "PLN", "r$": "BRL", "us$": "USD", "c$": "CAD"}
_NUMBER = re.compile(r"\d(?:[\d.,'\u2019\u066b\u066c]|[^\S\n](?=\d{3}(?!\d)))*")
_ARABIC_DECIMAL = "\u066b"
_MINUSES = re.compile("[\u2010-\u2015\u2212]")
_SIGN_BEFORE = re.compile(r"(?:^|[^\w\s])\s*-\s*[$€£¥]?\s*$|\s-[$€£¥]?$")
"""A minus at the start, after a mark, or close to the number; a dash between words and a number is none."""
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})\s*[-/.\s]\s*(\d{1,2})\s*[-/.\s]\s*(\d{4}|\d{2})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
_MONTH = r"([^\W\d_]{3,20})(?![^\W\d_])"
_WORD_START = r"(?<![^\W\d_])"
"""Without it, each letter of a long word would begin a search of its own."""
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|(\.))?[\s\-/,.]*(?:de\s+|of\s+|d['\u2019])?"
    + _MONTH
    + r"\.?[\s\-/,.]*(?:del?\s+)?"
    r"(\d{4}|\d{2})(?!\d)(\.?)"
)
_YEAR_MONTH_DAY = re.compile(r"(?<!\d)(\d{4})\.?[\s\-/]*(?:m\.?\s+)?" + _MONTH + r"\.?[\s\-/]*(\d{1,2})(?![\s,]*\d)")
"""Hungarian *2026. március 4.*, Lithuanian *2026 m. kovo 4 d.*"""
_YEAR_DAY_MONTH = re.compile(r"(?<!\d)(\d{4})\.?\s*gada\s+(\d{1,2})\.?\s*" + _MONTH)
"""Latvian *2026. gada 4. marts*"""
_MONTH_DAY = re.compile(_WORD_START + _MONTH + r"\.?[\s\-/]*(\d{1,2})(?:st|nd|rd|th)?[\s,\-/.]+(\d{4}|\d{2})(?!\d)")

_WORD_DATES = ((_YEAR_MONTH_DAY, 1, 2, 3), (_YEAR_DAY_MONTH, 1, 3, 2), (_MONTH_DAY, 3, 1, 2))
"""Pattern, and which of its groups are year, month and day."""


class DateOrder(StrEnum):
    """Which of the first two numbers of `03/04/2026` is the day."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"


def normalise(field: Field, value: Value) -> Value:
    """The value in the one form that its comparator compares; a value that has no such form stays a plain text."""
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, list):
        form = tidy if field.comparator is Comparator.EXACT else plain
        return [form(text) for text in value]
    match field.comparator:
        case Comparator.EXACT:
            return tidy(value)
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
    """Text without what rarely means anything: case, kind of blanks, spelling of letters and marks, outer marks."""
    folded = canonical(text)
    return folded.strip(" .,;:") or folded


def read_number(text: str, money: bool) -> Decimal | None:
    """The first number in the text, whatever its separators.

    Args:
        money: A dot before the last three digits separates thousands; otherwise it is a decimal mark.
    """
    text = _MINUSES.sub("-", unicodedata.normalize("NFKC", text))
    match = _NUMBER.search(text)
    if match is None:
        return None
    digits = re.sub(r"[\s'\u2019\u066c]", "", match.group()).rstrip(".,\u066b")
    digits = "".join(str(int(char)) if char.isdecimal() else char for char in digits)
    mark = _decimal_mark(digits, money)
    whole, _, fraction = digits.rpartition(mark) if mark else (digits, "", "")
    # Decimals are made from text only: arithmetic on them rounds to 28 digits.
    whole, fraction = re.sub(r"\D", "", whole).lstrip("0") or "0", fraction.rstrip("0")
    unsigned = whole + ("." + fraction if fraction else "")
    before, after = text[: match.start()], text[match.end() :].strip()
    negative = (
        _SIGN_BEFORE.search(before) is not None
        # In `5.-` the dash stands for the cents.
        or (after == "-" and not match.group().endswith((".", ",")))
        or (before.rstrip(" $€£¥").endswith("(") and after.startswith(")"))
    )
    return Decimal("-" + unsigned if negative and unsigned != "0" else unsigned)


def _decimal_mark(digits: str, money: bool) -> str:
    """The separator that is a decimal mark; empty where there is none."""
    if _ARABIC_DECIMAL in digits:
        return _ARABIC_DECIMAL if digits.count(_ARABIC_DECIMAL) == 1 else ""
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
    match = _NUMBER.search(text)
    if match is None:
        return ""
    words = (text[: match.start()] + " " + text[match.end() :]).casefold().strip("()+-\u2212 .:")
    words = " ".join(words.split())
    return _CURRENCIES.get(words, words.upper())


def read_date(text: str, order: DateOrder) -> date | None:
    """The first date in the text, in any usual spelling; two-digit years are of this century."""
    text = fold(text)
    if numbers := _YEAR_FIRST.search(text) or _COMPACT.search(text):
        return _date(*map(int, numbers.groups()))
    for match in _DAY_MONTH.finditer(text):
        day, day_dot, word, year, year_dot = match.groups()
        if month := month_number(word, bool(day_dot), bool(year_dot)):
            return _date(int(year), month, int(day))
    for pattern, year_at, month_at, day_at in _WORD_DATES:
        for match in pattern.finditer(text):
            if month := month_number(match[month_at]):
                return _date(int(match[year_at]), month, int(match[day_at]))
    if numbers := _NUMERIC.search(text):
        first, second, year = map(int, numbers.groups())
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
    """Where the value stands in the text, as an offset in characters; case, blanks and codes aside.

    A list has its first entry's place if every entry is there. Derived values have no place.
    """
    if not value or field.evidence == "derived":
        return None
    if isinstance(value, list):
        places = [find(part, text) for part in value]
        return None if any(place is None for place in places) else places[0]
    return find(value, text)


def find(value: str, text: str) -> int | None:
    """The first place where the value stands alone: not inside a longer word or number."""
    span = find_span(value, text)
    return None if span is None else span[0]


def find_span(value: str, text: str) -> tuple[int, int] | None:
    """The first stretch of the text that is the value; offsets count characters as they are written.

    A place that prints the value letter by letter comes first; where there is none, canonical forms are compared, and a
    word may be parted at a line end.
    """
    return next(_literal_spans(value, text), None) or next(_canonical_spans(value, text), None)


def find_spans(value: str, text: str) -> list[tuple[int, int]]:
    """Every stretch of the text that is the value, in order."""
    return sorted({*_literal_spans(value, text), *_canonical_spans(value, text)})


def _literal_spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    if words := value.split():
        pattern = _alone(words, r"\s+".join(map(re.escape, words)))
        yield from (match.span() for match in pattern.finditer(text))


def _canonical_spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    if text.isascii() and value.isascii() and not _PARTED_WORD.search(text):
        return
    if words := canonical(value).split():
        whole = canonical_text(text)
        pattern = _alone(words, r"\s".join(_parted_at_line_ends(word) for word in words))
        for match in pattern.finditer(whole.text):
            yield whole.source(match.start()), whole.source_end(match.end())


_PARTED_WORD = re.compile(r"-[^\S\n]*\n")


def _parted_at_line_ends(word: str) -> str:
    """A pattern for the word, whole or parted by hyphens at line ends; a hyphen of its own may end a line too."""
    pattern = ""
    for left, right in pairwise([*word, ""]):
        pattern += re.escape(left)
        if left == "-":
            pattern += r"\n?"
        elif left.isalpha() and right.isalpha():
            pattern += r"(?:-\n)?"
    return pattern


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _alone(words: Sequence[str], body: str) -> re.Pattern[str]:
    """A pattern for words that are no part of a longer word or number."""
    # Scripts without case (Chinese, Thai, Arabic) do not part words in a way that `\w` knows.
    first, last = words[0][0], words[-1][-1]
    before = r"(?<![\w\u00ad\u200c\u200d\u2060])" if _is_parted(first) else ""
    after = r"(?![\w\u0300-\u036f\u00ad\u200c\u200d\u2060])" if _is_parted(last) else ""
    if first.isdigit():
        before += rf"(?<!\d[{_NUMBER_MARKS}])(?<!\^)"
    if last.isdigit():
        after += rf"(?![{_NUMBER_MARKS}]\d)(?!\^)"
    return _compiled(before + body + after)


_NUMBER_MARKS = ".,'\u2019\u066b\u066c"


def _is_parted(char: str) -> bool:
    return char.isdigit() or char.lower() != char.upper()
