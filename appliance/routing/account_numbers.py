"""IBANs and payment cards, by their check digits, whatever parts their groups."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, pairwise

from stdnum import numdb

_GAP = r"[ \t\n.,/_:|-]{0,8}"
_IBAN_PART = re.compile(r"(\d+)!([nac])")
_IBAN_CLASSES = {"n": r"\d", "a": "[A-Z]", "c": "[A-Z0-9]"}
_IBAN_START = re.compile(
    rf"(?:(?<![^\W_])|(?<=iban))(?=([A-Z]){_GAP}([A-Z]){_GAP}\d{_GAP}\d)", re.IGNORECASE | re.ASCII
)
_FOREIGN_IBAN = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)(?![\w])", re.ASCII
)
"""Of a country without a known form: only in capitals and in the usual groups, or chance finds too many."""
_POLISH_ACCOUNT = re.compile(r"(?<![^\W_])\d{2}(?: ?\d{4}){6}(?![^\W_])")
"""As it is written within Poland: an IBAN without its country."""
_LIKE_IBAN = re.compile(
    r"(?<!\w)([A-Z]{2}) ?\d{2}(?: {1,2}[A-Z\d]{4}){2,7}(?: {1,2}[A-Z\d]{1,4})?(?!\w)"
    r"|(?<=IBAN)[ \t:.]{0,4}([A-Z\d]{4}(?: {0,2}[A-Z\d]{4}){3,7}(?: {0,2}[A-Z\d]{1,4})?)(?!\w)"
)


@cache
def _iban_form(country: str) -> re.Pattern[str] | None:
    """A country's IBANs with gaps; None where the country is not in the registry. Source: ISO 13616."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    if not structure:
        return None
    classes = [r"\d", r"\d"]
    for count, kind in _IBAN_PART.findall(structure):
        classes += [_IBAN_CLASSES[kind]] * int(count)
    return re.compile(_GAP.join([*country, *classes]), re.IGNORECASE | re.ASCII)


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Places of IBANs in a plain text."""
    for start in _IBAN_START.finditer(text):
        form = _iban_form((start[1] + start[2]).upper())
        match = form.match(text, start.start()) if form is not None else None
        if match is not None and iban_is_good(re.sub(r"[\W_]", "", match.group())):
            yield match.span()
    for match in _FOREIGN_IBAN.finditer(text):
        if iban_is_good(match.group().replace(" ", "")):
            yield match.span()
    for match in _POLISH_ACCOUNT.finditer(text):
        if iban_is_good("PL" + match.group().replace(" ", "")):
            yield match.span()


def like_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Places that read as an IBAN whose check digits are wrong: by its country and groups, or by its label."""
    for match in _LIKE_IBAN.finditer(text):
        if match[2] is not None:
            yield match.span(2)
        elif _iban_form(match[1]) is not None:
            yield match.span()


def iban_is_good(compact: str) -> bool:
    """Whether the check digits of an IBAN without blanks are right. Source: ISO 13616, ISO 7064 mod 97-10."""
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


_CHAIN = re.compile(r"\d+(?:[ \t\n._/|-]{1,4}\d+)*")
_GROUP = re.compile(r"\d+")
_LENGTHS = range(12, 20)
_START = re.compile(r"(?:5[0678]|6)\d{10}|[2-6]\d{12}|(?:1800|2131)\d{11}")
"""Twelve digits have only Maestro cards; JCB cards of fifteen begin with 1800 or 2131."""
_USUAL_GROUPS = frozenset(
    ((4, 6, 5), (4, 6, 4), (8, 8), (4, 4, 4), *((*(4,) * fours, last) for fours in (3, 4) for last in range(1, 5)))
)
_LABEL = re.compile(
    r"(?:card|karte|carte|tarjeta|carta|kort|kaart|visa|master|maestro|amex|diners|karta|pan|kartu)\w*[^\w\n]{0,3}"
    r"(?:\w{2,12}[^\w\n]{1,3})?\Z",
    re.IGNORECASE,
)
_LABEL_CHARACTERS = 40
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Places of payment cards in a plain text."""
    for chain in _CHAIN.finditer(text):
        if len(chain.group()) >= _LENGTHS.start and not (chain.group().isdecimal() and _is_in_word(text, chain)):
            yield from _in_chain(text, chain)


def _is_in_word(text: str, chain: re.Match[str]) -> bool:
    """Whether a letter touches a number without groups, which makes it a part of a code."""
    return text[chain.start() - 1 : chain.start()].isalpha() or text[chain.end() : chain.end() + 1].isalpha()


def _in_chain(text: str, chain: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The longest card number at each group of a row of groups: it begins and ends with a group."""
    groups = [match.span() for match in _GROUP.finditer(text, chain.start(), chain.end())]
    gaps = ["", *(text[end:start] for (_, end), (start, _) in pairwise(groups))]
    digits = "".join([text[start:end] for start, end in groups])
    places = [0, *accumulate(end - start for start, end in groups)]
    luhn = _Luhn(digits)
    for first, offset in enumerate(places[:-1]):
        if not _START.match(digits, offset):
            continue
        best = None
        for last in range(first, len(groups)):
            length = places[last + 1] - offset
            if length >= _LENGTHS.stop:
                break
            if (
                length in _LENGTHS
                and luhn.is_good(offset, offset + length)
                and _START.match(digits[offset : offset + length])
                and _looks_whole(text, groups[first][0], gaps, places, first, last)
            ):
                best = last
        if best is not None:
            yield groups[first][0], groups[best][1]


def _looks_whole(text: str, start: int, gaps: list[str], places: list[int], first: int, last: int) -> bool:
    """Whether the groups are written as one number, and not numbers that stand side by side or in a column."""
    inner = gaps[first + 1 : last + 1]
    if all(len(gap) == 1 and gap in " \t-" for gap in inner):
        return True
    sizes = [places[at + 1] - places[at] for at in range(first, last + 1)]
    if tuple(sizes) in _USUAL_GROUPS or set(sizes) == {1}:
        return True
    # The end of a line may part a group.
    joined = sizes[:1]
    for gap, size in zip(inner, sizes[1:], strict=True):
        if "\n" in gap:
            joined[-1] += size
        else:
            joined.append(size)
    if len(joined) > 1 and tuple(joined) in _USUAL_GROUPS:
        return True
    return _LABEL.search(text, max(0, start - _LABEL_CHARACTERS), start) is not None


class _Luhn:
    """Checks any part of a row of digits at once. Source: ISO/IEC 7812-1, annex B."""

    def __init__(self, digits: str) -> None:
        values = [int(digit) for digit in digits]
        # Sums of digits as they are at even places and doubled at odd ones, and the other way round.
        self._sums = [
            [0, *accumulate(value if at % 2 == parity else _DOUBLED[value] for at, value in enumerate(values))]
            for parity in (0, 1)
        ]

    def is_good(self, start: int, end: int) -> bool:
        """Whether the last digit of this part is its check digit."""
        sums = self._sums[(end - 1) % 2]
        return (sums[end] - sums[start]) % 10 == 0
