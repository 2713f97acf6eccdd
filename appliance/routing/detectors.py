"""Finds personal data by form and checksum: mail addresses, telephone numbers, IBANs, payment cards, national ids.

They look at a plainer copy of the text (compatibility forms, without invisible characters), so that a digit of another
width or a soft hyphen hides nothing; places refer to the text itself. Each takes time in proportion to the text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from appliance.routing.account_numbers import cards, ibans
from appliance.routing.detector_names import DETECTOR_NAMES
from appliance.routing.mail_addresses import mail_addresses
from appliance.routing.national_ids import national_ids
from appliance.routing.phones import GROUP_BEGINS, NO_MONEY, goes_on, phones
from appliance.routing.plain_copy import closed_up, plain_copy

LONG_NUMBER = "number"
"""Kind of what is found by its many digits alone."""


@dataclass(frozen=True)
class Finding:
    """A place in the text that must not leave."""

    kind: str
    """Name of the detector, `number`, or `field`."""
    start: int
    end: int


_WRITTEN_TOGETHER = re.compile(r"(?<!\w)\w+(?:[./-]\w+)*")
_IN_GROUPS = re.compile(rf"{GROUP_BEGINS}(?<!\d[/-])\d{{2,}}(?: {{1,2}}\d{{2,}}){{1,3}}(?! {{0,2}}\d){NO_MONEY}")
"""Longer rows of groups are columns of a table."""
_DAY = r"(?:\d{4}([./-])\d{1,2}\N\d{1,2}|\d{1,2}([./-])\d{1,2}\M(?:\d{4}|\d{2})|(?:19|20)\d{6})"
_DAYS = re.compile(
    _DAY.replace("N", "1").replace("M", "2") + rf"(?:T[\d.]+Z?|-{_DAY.replace('N', '3').replace('M', '4')})?"
)
_SUM = re.compile(r"\d+(?:\.\d{3})*|\d+\.\d{1,2}")


def _long_numbers(text: str, digits: int) -> Iterator[tuple[int, int]]:
    """Whatever holds so many digits, with the letters that are written to it; not days and sums of money."""
    for pattern in (_WRITTEN_TOGETHER, _IN_GROUPS):
        for match in pattern.finditer(text):
            if _is_long(text, match, digits):
                yield match.span()
    closed = closed_up(text)
    for match in _IN_GROUPS.finditer(closed.text) if closed.gap_starts else ():
        start, end = closed.original(match.start()), closed.original(match.end())
        if closed.holds_gap(*match.span()) and _is_long(closed.text, match, digits) and goes_on(text, start, end):
            yield start, end


def _is_long(text: str, match: re.Match[str], digits: int) -> bool:
    value = match.group()
    return sum(map(str.isdigit, value)) >= digits and not _DAYS.fullmatch(value) and not _is_sum(text, match)


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
    places = [
        Finding(name, *copy.place(start, end))
        for name in detectors
        for start, end in DETECTORS[name](copy.text)
        if end > start
    ]
    if digits:
        places += [Finding(LONG_NUMBER, *copy.place(*place)) for place in _long_numbers(copy.text, digits)]
    return joined(places)


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
