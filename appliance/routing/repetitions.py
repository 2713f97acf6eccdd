"""Values that stand in a text more than once: what was found in one place must not leave from another.

A telephone number is known by the word before it; where the same digits stand without that word, or beside one that
makes a sum of them, no detector finds them.
"""

import re
from collections.abc import Iterator, Sequence

from appliance.routing.detectors import MAIL, Finding
from appliance.routing.plain_copy import plain_copy

_LEAST_DIGITS = 6
"""Shorter ones are years, sums and numbers of articles."""
_MOST_DIGITS = 34
_MOST_GROUPS = 8
_GROUP = re.compile(r"\d+")
_BETWEEN = re.compile(r"[ \t()/-]{1,3}")
"""What stands between the groups of one number; points and commas are those of sums."""
_JOINED_BEFORE = re.compile(r"\w|(?<=\d)[.,]")


def repetitions(text: str, places: Sequence[Finding]) -> Iterator[Finding]:
    """Every place where the digits of a value that was found stand as a number of their own, its own place among them.

    Args:
        text: The text in which the values were found.
        places: Where they were found.
    """
    kinds: dict[str, str] = {}
    for finding in places:
        digits = _digits(text[finding.start : finding.end])
        if finding.kind not in (MAIL, "field") and _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS:
            kinds.setdefault(digits, finding.kind)
    if not kinds:
        return
    copy = plain_copy(text)
    groups = [match.span() for match in _GROUP.finditer(copy.text)]
    number = 0
    while number < len(groups):
        length, kind = _repeated(copy.text, groups[number : number + _MOST_GROUPS], kinds)
        if length:
            place = copy.place(groups[number][0], groups[number + length - 1][1])
            yield Finding(kind, *place)
        number += max(length, 1)


def _repeated(text: str, groups: Sequence[tuple[int, int]], kinds: dict[str, str]) -> tuple[int, str]:
    """How many of these groups of digits, from the first on, are a known value, and its kind; the longest wins."""
    start = groups[0][0]
    best, digits = (0, ""), ""
    if start and _JOINED_BEFORE.match(text, start - 1):
        return best
    for count, (first, last) in enumerate(groups, 1):
        if count > 1 and not _BETWEEN.fullmatch(text, groups[count - 2][1], first):
            break
        digits += text[first:last]
        if len(digits) > _MOST_DIGITS:
            break
        if digits in kinds and not _goes_on(text, last):
            best = (count, kinds[digits])
    return best


def _goes_on(text: str, end: int) -> bool:
    """Whether the number does not end here: a letter, or the fraction of a sum."""
    return text[end : end + 1].isalnum() or (text[end : end + 1] in tuple(".,") and text[end + 1 : end + 2].isdigit())


def _digits(value: str) -> str:
    return "".join(str(int(sign)) for sign in value if sign.isdecimal())
