"""Dates, times and durations in workbooks, which store them as numbers of days.

A whole date is written as 2025-07-04 and a time of day as 14:30:00, whatever order and language the sheet shows them
in: both depend on the machine that opens it. Parts of dates and durations are written as the format has them.
"""

import re
from datetime import datetime, timedelta

EPOCH, EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_SECOND = timedelta(seconds=1)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WORD = re.compile(r"[^\W\d_]{2}")
_DAYS_WITH_A_LEAP_DAY = 60
"""Excel counts a 29 February 1900, so that its days before that one are one later than the others say."""
_MAX_DURATION = 1e9
"""Days; beyond, a duration is written as a number."""
_TOKEN = re.compile(
    r'"([^"]*)"?|\\(.)|_.|\*.|\[\$([^\]-]*)[^\]]*\]|\[(h+|m+|s+)\]|\[[^\]]*\]|(AM/PM|A/P)|(y+|e+(?![+-])|m+|d+|h+|s+)'
    r"|(\.0+)|(.)",
    re.DOTALL | re.IGNORECASE,
)

Part = tuple[str, str]
"""Letter and form: `y`, `m`, `d`, `h`, `n` for minutes, `s`; upper case for the largest unit of a duration; `f` for
parts of seconds, `a` for the half of the day, `t` for text."""


def moment_parts(section: str) -> list[Part]:
    """What a section of a number format shows of a moment, in order."""
    parts: list[Part] = []
    for token in _TOKEN.finditer(section):
        quoted, escaped, sign, largest, half, letters, fraction, other = token.groups()
        if largest:
            parts.append(({"h": "H", "m": "N", "s": "S"}[largest[0].lower()], largest))
        elif half:
            parts.append(("a", half))
        elif letters:
            letter = letters[0].lower()
            parts.append(("y" if letter == "e" else letter, letters.lower()))
        elif fraction and parts and parts[-1][0] in "sS":
            parts.append(("f", fraction))
        else:
            text = next((text for text in (quoted, escaped, sign, fraction, other) if text is not None), " ")
            parts.append(("t", text))
    clock = [index for index, (letter, _) in enumerate(parts) if letter in "hmsHNS"]
    for place, index in enumerate(clock):
        before = parts[clock[place - 1]][0] if place else ""
        after = parts[clock[place + 1]][0] if place + 1 < len(clock) else ""
        # An m beside hours or seconds means minutes.
        if parts[index][0] == "m" and (before in ("h", "H") or after in ("s", "S")):
            parts[index] = ("n", parts[index][1])
    return parts


def is_moment(parts: list[Part]) -> bool:
    """Whether a format shows any part of a date or a time: beside places of digits, such letters are but letters."""
    has_digits = any(letter == "t" and form in ("0", "#", "?") for letter, form in parts)
    return not has_digits and any(letter in "ymdhnsHNS" for letter, _ in parts)


def moment_text(days: float, parts: list[Part], epoch: datetime) -> str | None:
    """A number of days as the parts show it; None where it lies outside the calendar."""
    letters = {letter for letter, _ in parts}
    if letters & set("HNS"):
        return _duration(days, parts) if abs(days) < _MAX_DURATION else None
    if not 0 <= days < (datetime.max - epoch).days + 1:  # the last day is in the year 9999
        return None
    if epoch == EPOCH and 1 <= days < _DAYS_WITH_A_LEAP_DAY:
        days += 1
    digits = next((len(form) - 1 for letter, form in parts if letter == "f"), 0)
    moment = _moment(days, epoch, min(digits, 3))
    fraction = f".{moment.microsecond // 1000:03}"[: digits + 1] if digits else ""
    is_whole = {"y", "m", "d"} <= letters
    has_time = bool(letters & set("hns"))
    if is_whole and has_time and days >= 1:
        return _with_words_around(moment.strftime("%Y-%m-%d %H:%M:%S") + fraction, parts)
    if has_time and (is_whole or not letters & set("ymd")):
        return _with_words_around(moment.strftime("%H:%M:%S") + fraction, parts)
    if is_whole:
        return _with_words_around(moment.strftime("%Y-%m-%d"), parts)
    return "".join(_part(moment, part) for part in parts).strip()


def _with_words_around(shown: str, parts: list[Part]) -> str:
    """A moment with the words that its format has before and behind it; signs and single letters are but its form."""
    places = [index for index, (letter, _) in enumerate(parts) if letter != "t"]
    edges = (parts[: places[0]], parts[places[-1] + 1 :])
    before, after = ("".join(form for _, form in edge) for edge in edges)
    # An unquoted g stands for the era, b for a calendar.
    before = before if _WORD.search(before.strip("gGbB12 ")) else ""
    return f"{before}{shown}{after if _WORD.search(after) else ''}".strip()


def _moment(days: float, epoch: datetime, digits: int) -> datetime:
    unit = 10**digits
    ticks = min(round(days * 86400 * unit), (datetime.max - epoch) // _SECOND * unit)
    return epoch + timedelta(microseconds=ticks * (1_000_000 // unit))


def _part(moment: datetime, part: Part) -> str:
    letter, form = part
    length = len(form)
    if letter == "y":
        return f"{moment.year % 100:02}" if length < 3 else str(moment.year)
    if letter == "m" and length > 2:
        name = _MONTHS[moment.month - 1]
        return name[:3] if length == 3 else name[:1] if length == 5 else name
    if letter == "d" and length > 2:
        name = _WEEKDAYS[moment.weekday()]
        return name[:3] if length == 3 else name
    if letter in "mdhns":
        number = {"m": moment.month, "d": moment.day, "h": moment.hour, "n": moment.minute, "s": moment.second}[letter]
        return f"{number:02}" if length > 1 else str(number)
    if letter == "a":
        return "AM" if moment.hour < 12 else "PM"
    return form if letter == "t" else ""


def _duration(days: float, parts: list[Part]) -> str:
    digits = min(next((len(form) - 1 for letter, form in parts if letter == "f"), 0), 3)
    unit = 10**digits
    ticks = round(abs(days) * 86400 * unit)
    seconds, fraction = divmod(ticks, unit)
    largest = next(letter for letter, _ in parts if letter in "HNS")
    total = {"H": seconds // 3600, "N": seconds // 60, "S": seconds}[largest]
    rest = {"h": seconds // 3600 % 24, "n": seconds // 60 % 60, "m": seconds // 60 % 60, "s": seconds % 60}
    pieces = ["-" if days < 0 and ticks else ""]
    for letter, form in parts:
        if letter == "f":
            pieces.append(f".{fraction:0{digits}}")
        elif letter == "t":
            pieces.append(form)
        elif letter in "HNS" or letter in rest:
            width = len(form.strip("[]"))
            pieces.append(f"{total if letter == largest else rest[letter]:0{width}}")
    return "".join(pieces).strip()
