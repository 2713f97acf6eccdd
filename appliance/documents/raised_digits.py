"""Digits above or below the line, which beside other digits would make another number of them: 100 with a note 1.

Readers mark such text where it begins and ends; `settled` writes the digits that stand beside others as raised or
lowered ones, and takes the marks away. Elsewhere, as in m2 or H2O, digits stay what they are.
"""

import re

RAISED, LOWERED, ENDED = "\ufdd0", "\ufdd1", "\ufdd2"
"""Marks that no text has: the code points stand for no characters."""
_MARKS = re.compile("[\ufdd0-\ufdd2]")
_MARKED = re.compile("([\ufdd0\ufdd1])[^\ufdd0-\ufdd2]*\ufdd2(?:\\1[^\ufdd0-\ufdd2]*\ufdd2)*")
"""One or several in a row: programs cut one raised number into several runs."""
_NUMBER = re.compile(r"[+\-\u2212\u2013(]?[0-9]")
_FROM = "0123456789+-\u2212\u2013()"
_HIGH = str.maketrans(_FROM, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁽⁾")
_LOW = str.maketrans(_FROM, "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₍₎")


def raised(text: str) -> str:
    """Text that stands above the line, with its marks; only digits need them."""
    return f"{RAISED}{text}{ENDED}" if _NUMBER.search(text) else text


def lowered(text: str) -> str:
    """Text that stands below the line, with its marks."""
    return f"{LOWERED}{text}{ENDED}" if _NUMBER.search(text) else text


def settled(text: str) -> str:
    """The text without marks, in which raised and lowered digits are no part of the number beside them."""
    return text if _MARKS.search(text) is None else _MARKS.sub("", _MARKED.sub(_written, text))


def _written(marked: "re.Match[str]") -> str:
    inside = _MARKS.sub("", marked.group())
    start, end = marked.span()
    around = marked.string[max(start - 1, 0) : start] + marked.string[end : end + 1]
    if _NUMBER.match(inside) is None or not any(sign.isdigit() or _MARKS.match(sign) for sign in around):
        return inside
    return inside.translate(_HIGH if marked.group(1) == RAISED else _LOW)
