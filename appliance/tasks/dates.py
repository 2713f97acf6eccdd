"""Dates in any usual spelling: of 75 languages, in figures, in Japanese and Thai years; what is in doubt is marked.

A date in figures with slashes or dashes does not say which of its first two numbers is the day, unless one is above 12
or the task states an order. With dots the day comes first: no locale of CLDR writes a month before them.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.tasks.canonical_text import canonical
from appliance.tasks.marks import Mark
from appliance.tasks.months import fold, joined, month_number, roman_month

_LONGEST_VALUE = 1000
"""In characters; what is longer is a text, not a date."""
_CENTURY_STARTS = 69
"""Two-digit years from here on are of the twentieth century, as in POSIX."""
_OTHER_CALENDARS = ((0, 1000), (1300, 1500), (2400, 2700), (4300, 4400), (4600, 4800), (5600, 5900))
"""Years of two digits that a program filled up with zeros, and those that documents of today write in the Persian and
Islamic, the Buddhist, the Korean, the Chinese, and the Hebrew calendar."""
_NAMES_CALENDAR = re.compile(
    r"(?<![^\W\d_])(?:saka|shaka|samvat|vikram\w*|b\.?\s?s|e\.\s?c\.|\u12d3|o\.\s?s\.|old style|julian\w*"
    r"|a\.?\s?h|hijri\w*|ст\.\s?ст|стар\w+ стил\w+|reiwa|heisei|showa|taisho|meiji|minguo|roc)(?![^\W\d_])"
)
"""Nepal, Ethiopia and India beside the eras of Japan and the calendar before 1582."""
_ERAS = {
    "令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867, "民國": 1911, "民国": 1911,
}  # fmt: skip
"""Japanese and Taiwanese eras, and the year before their first."""
_BUDDHIST_YEARS = 543
_THAI = re.compile("[\u0e00-\u0eff]")
"""Thai and Lao letters. Beside them a year of two digits is one of the Buddhist calendar."""
_ERA_DATE = re.compile(rf"({'|'.join(_ERAS)})\s*(\d{{1,3}}|元)\s*年\s*(\d{{1,2}})\s*月\s*(\d{{1,2}})(?!\d)")
_YEAR_FIRST = re.compile(
    r"(?<!\d)(?<!\d[-/.])(\d{4})(?:\s*[-/.年년]\s*|\s+)(\d{1,2})(?:\s*[-/.月월]\s*|\s+)(\d{1,2})(?!\d)"
)
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
_NUMERIC = re.compile(
    r"(?<![\d^])(?<!\d[-/.,])(\d{1,2})\s*([-/.\s])\s*(\d{1,2})\s*([-/.\s])\s*'?(\d{4}|\d{2})(?![\d^])(?![-/.]\d)"
)
_DAY_MONTH_WORDS = re.compile(r"(?<!\d)(\d{1,2})\s*thang\s*(\d{1,2})\s*,?\s*(?:nam\s*)?(\d{4})(?!\d)")
"""Vietnamese: *4 tháng 3, 2026*."""
_TIME = re.compile(
    r"(?<![\d.,])t?\d{1,2}\s*[:h]\s*\d{2}(?:\s*[:.]\s*\d{2}(?:[.,]\d+)?)?(?!\d)(?:\s*[+-]\d{1,2}(?::?\d{2})?(?!\d))?"
    r"\s*(?:[ap]\.?m\.?|z|uhr)?|\d{1,2}\s*[時时시点]\s*(?:\d{1,2}\s*[分분]\s*)?(?:\d{1,2}\s*[秒초])?|"
    r"(?:utc|gmt)[+-]\d{1,2}(?::?\d{2})?(?!\d)|(?<=[\d\s])[+-][01]\d:?\d{2}(?!\d)|t\d{6}z?|"
    r"\d{1,2}\s*(?:uhr|val|h|[ap]\.?m)(?![^\W\d_])"
)
_TIME_WITH_DOTS = re.compile(r"(?<![\d.,-])(?<![-\w] )\d{1,2}\.\d{2}(?:\.\d{2})?(?![\d.])")
"""Only after a date: before it, as after a dash, they are another day (`01.03.-31.03.2024`)."""
_GUESS = re.compile(r"\?|(?<![^\W\d_])(?:approx\w*|circa|ca|estimated|est|geschatzt|about)(?![^\W\d_])|^c\.?\s+$")
"""Signs and words beside a date that make it a guess."""
_DIGIT_AS_LETTER = re.compile(r"(?<![^\W_])[loi](?=\d)|(?<=\d[-/.])[loi]\d|(?<=[02-9])o(?![^\W_])")
"""`l5.03.2024`; an *o* after a one is that of *1º*."""
_TORN_ORDINAL = re.compile(r"(?<=\d)(?:s t|n d|r d|t h)(?![^\W_])")
"""Set high on the page, the letters after a day come out of it apart: *18t h day of August*."""
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
_SAYS_LESS = re.compile(
    r"[<>\u2264\u2265\u2260~\u2248\u00b1]|(?<![^\W\d_])(?:not|nicht|kein|before|after|vor|nach|avant|apres|antes|despues|prima"
    r"|dopo|depois|voor|przed|pred|fore|efter|ennen|jalkeen|once|sonra|после|перед|раньше|позже|ca|circa|about|around"
    r"|approx|approximately|etwa|ungefahr|environ|vers|eve|vortag|vorabend|veille|vispera|vigilia|około|около|примерно|cerca)(?![^\W\d_])"
)
"""Words and signs before a date that say that it is another day, or a guess."""
_BEFORE_OR_AFTER = re.compile(
    r"(?<![^\W\d_])(?:"
    + fold(
        "înainte|după|sebelum|setelah|sesudah|trước|sau|πριν|μετά|enne|pärast|pirms|pēc|prieš|після|преди|след|prije|nakon"
        "|poslije|posle|قبل|بعد|לפני|אחרי"
    )
    + rf")(?![^\W\d_])|(?<![^\W\d_])pre $|{fold('ก่อน')}|หลัง"
)
"""Words before a date, of further languages."""
_OTHER_DAY_BEHIND = re.compile(
    r"^\s*[日号일]?\s*(?:\(.{1,3}\))?\s*(?:以前|以降|以後|以后|之前|之後|之后|より前|より後|前後|頃|이전|이후|[前後后전후](?![^\W\d_]))"
    r"|(?<![^\W\d_])(?:once|oncesi|sonra|sonrasi|jalkeen|पहले|बाद|(?:or|and|oder|und) (?:earlier|later|before"
    r"|after|fruher|spater))(?![^\W\d_])|^\s*(?:minus|plus|less)(?![^\W\d_])|^\. (?:elott|utan)(?![^\W\d_])"
)
"""Words behind a date, as several languages have them, that say that it is another day."""
_CLOCK = re.compile(r"(?<![\d.,:])\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?![\d:])")
_TOKEN = re.compile(r"\d+|[^\s\d\-/.,'()\[\]:;\"|+&^·]+|\S")
_BEFORE_OUR_ERA = re.compile(
    r"(?<![^\W\d_])(?:bce?|b\.\s?c|v\.\s?chr|v\.\s?u\.\s?z|av\.?\s?j|a\.\s?c\.|до н|przed n|pr\.\s?n|p\.\s?m\.\s?e|"
    r"i\.\s?e\.|f\.\s?kr|m\.\s?o\.|eaa|e\.?kr)(?![^\W\d_])"
)
_RANGE_WORDS = frozenset("to bis until till und and".split())
_LONGEST_FILLER = 5
_ERA_WORDS = frozenset(("milodiy", "urteko"))
_FILLERS = 3
_MOST_WORDS, _LEAST_NAME, _LONGEST_NAME = 3, 3, 30
"""Words of one month's name, and the characters that fillers may have and names may not."""


class DateOrder(StrEnum):
    """Which number of a date in figures is the day."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"
    YEAR_FIRST = "year_first"
    """As day or month first where the year has four digits; `26/03/04` begins with the year."""


@dataclass(frozen=True)
class DateReading:
    """A day with what is in doubt about it."""

    day: date
    marks: frozenset[Mark] = frozenset()
    other: date | None = None
    """The day where the first two numbers are exchanged; None where they cannot be."""
    is_clear: bool = True
    """Whether the whole value is this date."""

    @property
    def form(self) -> str | None:
        """The day as ISO 8601 writes it; None where it is not certain enough to be one."""
        is_certain = self.is_clear and self.other is None and Mark.CALENDAR not in self.marks
        return self.day.isoformat() if is_certain else None


def read_date(text: str, order: DateOrder | None = None, language: str = "") -> DateReading | None:
    """The date that a value is; None where it holds none.

    Args:
        order: What the task states; None where it states nothing.
        language: Of the documents, where the task states it; decides between months that share a name.
    """
    text = fold(canonical(text)) if len(text) <= _LONGEST_VALUE else ""
    text = _TORN_ORDINAL.sub(lambda match: match.group().replace(" ", "") + " ", text)
    place = _era_date(text) or _year_first(text) or _numeric(text, order, 4)
    # Programs write the time before the year: `Mon Mar  4 10:00:00 CET 2024`.
    timeless = _CLOCK.sub(lambda match: " " * len(match.group()), text)
    place = place or _in_words(text, language) or _numeric(text, order, 2) or _in_words(timeless, language)
    if place is None:
        return None
    reading, start, end = place
    rest = _TIME.sub(" ", f"{text[:start]} {_TIME_WITH_DOTS.sub(' ', text[end:])}")
    marks = set(reading.marks)
    is_thai_short = Mark.CENTURY in marks and _THAI.search(text) is not None
    is_of_other = any(first <= reading.day.year < last for first, last in _OTHER_CALENDARS)
    if is_of_other or is_thai_short or _BEFORE_OUR_ERA.search(rest) or _NAMES_CALENDAR.search(rest):
        marks.add(Mark.CALENDAR)
    is_clear = not any(char.isdigit() for char in rest) and not _SAYS_LESS.search(text[:start])
    is_clear = is_clear and not _BEFORE_OR_AFTER.search(text[:start]) and not _OTHER_DAY_BEHIND.search(text[end:])
    is_clear = is_clear and not any(map(_GUESS.search, (rest, text[:start]))) and not _DIGIT_AS_LETTER.search(text)
    if not is_clear:
        marks = {Mark.UNREAD}
    return DateReading(reading.day, frozenset(marks), reading.other, is_clear)


def is_same_date(a: DateReading, b: DateReading) -> bool:
    """Whether two readings are one day, both in the same order: `03/04/2026` is never `04/03/2026`."""
    if (Mark.CALENDAR in a.marks) != (Mark.CALENDAR in b.marks):
        return False
    if a.day == b.day:
        return True
    return (a.other or a.day) == (b.other or b.day)


_Place = tuple[DateReading, int, int]
"""A reading, and the stretch of the text that it is."""


def _era_date(text: str) -> _Place | None:
    if match := _ERA_DATE.search(text):
        year = _ERAS[match[1]] + (1 if match[2] == "元" else int(match[2]))
        return _place(year, int(match[3]), int(match[4]), match.start(), match.end())
    return None


def _year_first(text: str) -> _Place | None:
    for pattern in (_YEAR_FIRST, _COMPACT):
        if match := pattern.search(text):
            return _place(int(match[1]), int(match[2]), int(match[3]), match.start(), match.end())
    if match := _DAY_MONTH_WORDS.search(text):
        return _place(int(match[3]), int(match[2]), int(match[1]), match.start(), match.end())
    return None


def _numeric(text: str, order: DateOrder | None, year_digits: int) -> _Place | None:
    """The first date in figures. One with a whole year comes before words: *mar 28/04/2026* is a Tuesday."""
    match = next((each for each in _NUMERIC.finditer(text) if len(each[5]) == year_digits), None)
    if match is None:
        return None
    first, second, last = int(match[1]), int(match[3]), int(match[5])
    before = text[: match.start()]
    if len(match[5]) == 2 and re.search(r"[^\W\d_]\s?$", before) and before.strip()[-2:-1] in ("", " "):
        return None  # `R6.3.24` counts the years of an emperor
    if order is DateOrder.YEAR_FIRST and len(match[5]) == 2:
        return _place(first, second, last, match.start(), match.end(), True)
    day_first = _place(last, second, first, match.start(), match.end(), len(match[5]) == 2)
    month_first = _place(last, first, second, match.start(), match.end(), len(match[5]) == 2)
    if order is DateOrder.DAY_FIRST or order is DateOrder.MONTH_FIRST:
        stated, other = (day_first, month_first) if order is DateOrder.DAY_FIRST else (month_first, day_first)
        return stated or other
    is_east_asian = len(match[5]) == 2 and _EAST_ASIAN.search(text) is not None
    if match[2] == match[4] == "." and not is_east_asian:
        return day_first or month_first
    others = [day_first, month_first]
    if is_east_asian or (match[2] == match[4] == "-" and len(match[1]) == len(match[5]) == 2):
        others.append(_place(first, second, last, match.start(), match.end(), True))  # `26-03-04` may be ISO 8601, cut
    readings = [place[0] for place in others if place is not None]
    other_day = next((reading.day for reading in readings if reading.day != readings[0].day), None)
    if other_day is None:
        return day_first or month_first
    return DateReading(readings[0].day, readings[0].marks | {Mark.DATE_ORDER}, other_day), match.start(), match.end()


def _place(year: int, month: int, day: int, start: int, end: int, is_short: bool = False) -> _Place | None:
    marks = frozenset({Mark.CENTURY}) if is_short else frozenset()
    if is_short:
        year += 1900 if year >= _CENTURY_STARTS else 2000
    try:
        return DateReading(date(year, month, day), marks), start, end
    except ValueError:
        return None


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def is_word(self) -> bool:
        return self.text[0].isalpha()

    @property
    def may_be_day(self) -> bool:
        return len(self.text) <= 2 and 1 <= int(self.text) <= 31

    @property
    def is_year(self) -> bool:
        return len(self.text) == 4


def _in_words(text: str, language: str) -> _Place | None:
    """The first date whose month is a word or, between marks, a Roman number."""
    if not any(char.isalpha() for char in text) or not any(char.isdigit() for char in text):
        return None
    tokens = [_Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    for at, token in enumerate(tokens):
        if token.is_word and (place := _around(text, tokens, at, language)):
            return place
    return None


def _around(text: str, tokens: list[_Token], at: int, language: str) -> _Place | None:
    """The date whose month begins with the token at this place."""
    left = _numbers(tokens, at, -1)
    for width in range(_MOST_WORDS, 0, -1):
        end, word = _words(tokens, at, width)
        if not word or len(word) > _LONGEST_NAME:
            continue
        right = _numbers(tokens, end, 1)
        if not right and len(left) < 2:
            continue
        parts = _parts(left, right)
        if parts is None:
            continue
        year, day, is_short = parts
        # A dot after the day and after the year tells Croatian months from Czech and Polish ones.
        dots = (
            [text[number.end : number.end + 1] == "." for number in (day, year)] if left[:1] == [day] else [False] * 2
        )
        month = month_number(word, dots[0], dots[1], language)
        if month is None and width == 1 and left and left[0].end < tokens[at].start + 1:
            month = _roman(text, left[0], tokens[at])
        if month is None and word[0] in _PREFIX_LETTERS and len(word) > 1:
            month = month_number(word[1:], language=language)
        if month:
            numbers = [token for token in (*left[:2], *right[:2]) if token in (year, day)]
            return _place(
                _gregorian(text, int(year.text)), month, int(day.text),
                min(tokens[at].start, *(token.start for token in numbers)),
                max(tokens[end - 1].end, *(token.end for token in numbers)), is_short,
            )  # fmt: skip
    return None


_PREFIX_LETTERS = frozenset("ב")
"""Hebrew writes *in March* as one word."""


def _roman(text: str, day: _Token, word: _Token) -> int | None:
    between = text[day.end : word.start].strip()
    return roman_month(word.text) if between or len(word.text) > 1 else None


def _words(tokens: list[_Token], at: int, width: int) -> tuple[int, str]:
    """The end and the joined text of so many words, with dots and hyphens between them at most."""
    words, end = [tokens[at].text], at + 1
    while len(words) < width:
        following = end
        while following < len(tokens) and tokens[following].text in (".", "-", "'"):
            following += 1
        if following >= len(tokens) or not tokens[following].is_word:
            return 0, ""
        words.append(tokens[following].text)
        end = following + 1
    return end, joined("".join(words))


def _numbers(tokens: list[_Token], at: int, step: int) -> list[_Token]:
    """The next two numbers on one side of a month, the nearest first; short words and marks may stand between."""
    numbers: list[_Token] = []
    fillers = 0
    at = at - 1 if step < 0 else at
    while 0 <= at < len(tokens) and len(numbers) < 2 and fillers <= _FILLERS:
        token = tokens[at]
        if token.is_number:
            if _is_of_time(tokens, at):
                break
            numbers.append(token)
        elif token.is_word:
            fillers += 1
            if not _is_filler(token.text):
                break
        elif token.text not in "-/.,'()\"^\u00b0":
            break
        at += step
    return numbers


def _is_of_time(tokens: list[_Token], at: int) -> bool:
    """Whether a colon stands between this number and another one; in `Date: 5` and `2024:10:15` it parts them."""
    for colon, other in ((at + 1, at + 2), (at - 1, at - 2)):
        if 0 <= other < len(tokens) and tokens[colon].text == ":" and tokens[other].is_number:
            return len(tokens[at].text) <= 2
    return False


def _is_filler(word: str) -> bool:
    """Whether a word may stand between the numbers of a date: *de*, *of*, *gada*; another month's name may not."""
    if word in _RANGE_WORDS or (len(word) > _LONGEST_FILLER and word not in _ERA_WORDS):
        return False
    return len(word) < _LEAST_NAME or month_number(word) is None


def _parts(left: list[_Token], right: list[_Token]) -> tuple[_Token, _Token, bool] | None:
    """Year, day and whether the year has two digits, of the numbers before and after a month."""
    before = left[0] if left else None
    after = right[0] if right else None
    last = right[1] if len(right) > 1 else None
    if before and after:
        if before.may_be_day and after.is_year:
            return after, before, False
        if before.is_year and after.may_be_day:
            return before, after, False
    if before and before.may_be_day and len(left) > 1 and left[1].is_year:
        return left[1], before, False
    if after and after.may_be_day and last and last.is_year:
        return last, after, False
    if before and before.may_be_day and after and len(after.text) == 2:
        return after, before, True
    if after and after.may_be_day and last and len(last.text) == 2:
        return last, after, True
    return None


def _gregorian(text: str, year: int) -> int:
    """A year of the Thai calendar as one of ours; Thai dates of ours have other numbers."""
    return year - _BUDDHIST_YEARS if _THAI.search(text) and 2400 <= year < 2700 else year
