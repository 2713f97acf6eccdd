"""Finds personal data by form and checksum: mail addresses, telephone numbers, IBANs, payment cards, national ids.

They look at a plainer copy of the text (compatibility forms, without invisible characters), so that a digit of another
width or a soft hyphen hides nothing; places refer to the text itself. Each takes time in proportion to the text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from appliance.routing.account_numbers import cards, ibans, like_ibans
from appliance.routing.detector_names import DETECTOR_NAMES
from appliance.routing.mail_addresses import mail_addresses
from appliance.routing.national_ids import national_ids
from appliance.routing.phones import GROUP_BEGINS, NO_MONEY, end_of, goes_on, phones
from appliance.routing.plain_copy import closed_up, plain_copy, surroundings, with_digits_meant

LONG_NUMBER = "number"
"""Kind of what is found by its many digits alone."""


@dataclass(frozen=True)
class Finding:
    """A place in the text that must not leave."""

    kind: str
    """Name of the detector, `number`, or `field`."""
    start: int
    end: int


MAIL, PHONE = DETECTOR_NAMES[0], DETECTOR_NAMES[-1]
_UNIT = re.compile(r"\dl(?![^\W_])")
_WRITTEN_TOGETHER = re.compile(r"(?<!\w)\w+(?:[./-]\w+)*")
_IN_GROUPS = re.compile(rf"{GROUP_BEGINS}(?<!\d[/-])\d{{2,}}(?: {{1,2}}\d{{2,}}){{1,3}}(?! {{0,2}}\d){NO_MONEY}")
"""Longer rows of groups are columns of a table."""
_DAY = r"(?:\d{4}([./-])\d{1,2}\N\d{1,2}|\d{1,2}([./-])\d{1,2}\M(?:\d{4}|\d{2})|(?:19|20)\d{6})"
_DAYS = re.compile(
    _DAY.replace("N", "1").replace("M", "2") + rf"(?:T[\d.]+Z?|-{_DAY.replace('N', '3').replace('M', '4')})?"
)
_YEARS = re.compile(r"(?:19|20)\d{2}(?: {1,2}(?:19|20)\d{2})+")
"""The heads of columns."""
_FRACTION = re.compile(r"0\.\d+")
_SUM = re.compile(r"\d+(?:\.\d{3})*|\d+\.\d{1,2}")


def _long_numbers(text: str, digits: int) -> Iterator[tuple[int, int]]:
    """Whatever holds so many digits, with the letters that are written to it; not days and sums of money."""
    for pattern in (_WRITTEN_TOGETHER, _IN_GROUPS):
        for match in pattern.finditer(text):
            if _is_long(text, match, digits):
                yield match.span()
    for start, end in like_ibans(text):
        if sum(map(str.isdigit, text[start:end])) >= digits:
            yield start, end
    closed = closed_up(text)
    for match in _IN_GROUPS.finditer(closed.text) if closed.gap_starts else ():
        start, end = closed.original(match.start()), closed.original(match.end())
        if closed.holds_gap(*match.span()) and _is_long(closed.text, match, digits) and goes_on(text, start, end):
            yield start, end_of(text, start, end)


def _is_long(text: str, match: re.Match[str], digits: int) -> bool:
    value = match.group()
    if _DAYS.fullmatch(value) or _YEARS.fullmatch(value) or _FRACTION.fullmatch(value):
        return False
    return sum(map(str.isdigit, value)) >= digits and not _is_sum(text, match)


def _is_sum(text: str, match: re.Match[str]) -> bool:
    """Whether it is a number with a decimal part, in it or behind it."""
    decimals = re.compile(r",\d{1,2}(?!\d)").match(text, match.end())
    value = match.group()
    return bool(_SUM.fullmatch(value)) and (decimals is not None or value[-3:-2] == "." or value[-2:-1] == ".")


DETECTORS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = dict(
    zip(DETECTOR_NAMES, (mail_addresses, ibans, cards, national_ids, phones), strict=True)
)
"""Name -> places in a plain text."""


def findings(text: str, detectors: tuple[str, ...], digits: int = 0) -> list[Finding]:
    """What these detectors find, in the order of the text; places that overlap are joined.

    Args:
        digits: Numbers of so many digits or more are found whatever they are; 0 finds none for that.
    """
    copy = plain_copy(text)
    places = list(_in_plain(copy.text, detectors, digits))
    meant, slips = with_digits_meant(copy.text)
    numbers = tuple(name for name in detectors if name != MAIL)
    for first, last in surroundings(slips, len(meant)):
        places += [
            Finding(place.kind, first + place.start, first + place.end)
            for place in _in_plain(meant[first:last], numbers, digits)
            if _is_slip(copy.text[first:last], meant[first:last], place)
        ]
    return joined([Finding(place.kind, *copy.place(place.start, place.end)) for place in places])


def _in_plain(text: str, detectors: tuple[str, ...], digits: int) -> Iterator[Finding]:
    """What is found in a plain text, unordered."""
    for name in detectors:
        yield from (Finding(name, start, end) for start, end in DETECTORS[name](text) if end > start)
    if digits:
        yield from (Finding(LONG_NUMBER, *place) for place in _long_numbers(text, digits))


def _is_slip(text: str, meant: str, place: Finding) -> bool:
    """Whether what is found in the text as it was meant holds a letter for a digit, and not units such as `10l`."""
    written = text[place.start : place.end]
    if written == meant[place.start : place.end]:
        return False
    if place.kind in (PHONE, LONG_NUMBER):
        changed = sum(map(str.isalpha, written)) - sum(map(str.isalpha, meant[place.start : place.end]))
        return not _UNIT.search(written) and sum(map(str.isdigit, written)) >= 2 * changed
    return True


def joined(places: list[Finding]) -> list[Finding]:
    """The places without overlaps; the longest of those that overlap says what it is."""
    rest = sorted(places, key=lambda finding: (finding.start, -finding.end))
    apart: list[Finding] = []
    longest = 0
    for finding in rest:
        if apart and finding.start < apart[-1].end:
            last, length = apart[-1], finding.end - finding.start
            kind = finding.kind if length > longest else last.kind
            longest = max(longest, length)
            apart[-1] = Finding(kind, last.start, max(last.end, finding.end))
        else:
            apart.append(finding)
            longest = finding.end - finding.start
    assert all(first.end <= second.start for first, second in pairwise(apart))
    return apart
