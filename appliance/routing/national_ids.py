"""National ids of Europe and the United States: their usual spellings, and the checksums that tell them from numbers.

Where an id has no checksum, its fixed parts and the date in it are checked instead.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

_LETTERS_ES = "TRWAGMYFPDXBNJZSQVHLCKE"
_LETTERS_FI = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_LETTERS_IE = "WABCDEFGHIJKLMNOPQRSTUV"
_MONTHS_IT = "ABCDEHLMPRST"
_ITIN_GROUPS = frozenset((*range(50, 66), *range(70, 89), 90, 91, 92, *range(94, 100)))
_OMOCODIA = str.maketrans("LMNPQRSTUV", "0123456789")
_ODD_IT = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


@dataclass(frozen=True)
class NationalId:
    """One kind of id."""

    name: str
    pattern: str
    """How it is written; without what must not stand beside it."""
    check: Callable[[str], bool]
    """Gets letters and digits only, in capitals."""


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _weighted(text: str, weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(_digits(text), weights, strict=False))


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _short_day(text: str, order: str = "ymd") -> bool:
    """Whether six digits are a day of some century."""
    parts = {name: int(text[2 * place : 2 * place + 2]) for place, name in enumerate(order)}
    return any(_is_day(century + parts["y"], parts["m"], parts["d"]) for century in (1900, 2000))


def _mod_11_10(text: str) -> bool:
    """Source: ISO 7064, mod 11,10."""
    product = 10
    for digit in _digits(text[:-1]):
        product = ((product + digit) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(text[-1])


def _luhn(text: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(_digits(text))):
        value = digit * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _german_tax(text: str) -> bool:
    counts = sorted(text[:10].count(digit) for digit in "0123456789")
    # One digit stands there twice or three times, all others at most once.
    return text[0] != "0" and counts[-1] in (2, 3) and counts[-2] == 1 and _mod_11_10(text)


def _austrian(text: str) -> bool:
    rest = _weighted(text[:3] + text[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return text[0] != "0" and rest == int(text[3]) and int(text[4:6]) <= 31 and int(text[6:8]) <= 15


def _swiss(text: str) -> bool:
    return _weighted(text, (1, 3) * 6 + (1,)) % 10 == 0


def _french(text: str) -> bool:
    number = text[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def _spanish(text: str) -> bool:
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _LETTERS_ES[int(number) % 23] == text[-1]


def _italian(text: str) -> bool:
    numeric = [text[place].translate(_OMOCODIA) for place in (6, 7, 9, 10, 12, 13, 14)]
    if not all(char.isdigit() for char in numeric) or text[8] not in _MONTHS_IT:
        return False
    total = sum(
        _ODD_IT[char] if place % 2 == 0 else int(char) if char.isdigit() else ord(char) - ord("A")
        for place, char in enumerate(text[:15])
    )
    return chr(ord("A") + total % 26) == text[15]


def _portuguese(text: str) -> bool:
    rest = _weighted(text[:8], range(9, 1, -1)) % 11
    return text[0] in "1235689" and int(text[8]) == (0 if rest < 2 else 11 - rest)


def _dutch(text: str) -> bool:
    return int(text) > 0 and (_weighted(text[:8], range(9, 1, -1)) - int(text[8])) % 11 == 0


def _belgian(text: str) -> bool:
    number, key = int(text[:9]), int(text[9:])
    return int(text[2:4]) % 20 <= 12 and key in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def _polish(text: str) -> bool:
    return (
        1 <= int(text[2:4]) % 20 <= 12
        and 1 <= int(text[4:6]) <= 31
        and (10 - _weighted(text[:10], (1, 3, 7, 9) * 3) % 10) % 10 == int(text[10])
    )


def _czech(text: str) -> bool:
    month = int(text[2:4]) % 50
    return 1 <= month % 20 <= 12 and 1 <= int(text[4:6]) <= 31 and int(text) % 11 == 0


def _hungarian(text: str) -> bool:
    return _weighted(text[:8], (3, 7) * 4) % 10 == int(text[8]) and int(text) > 0


def _hungarian_person(text: str) -> bool:
    digits = _short_day(text[1:7]) and text[0] in "12345678"
    # The weights were turned round for those born since 1997.
    return digits and int(text[10]) in (_weighted(text, range(1, 11)) % 11, _weighted(text, range(10, 0, -1)) % 11)


def _romanian(text: str) -> bool:
    rest = _weighted(text[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return text[0] != "0" and _short_day(text[1:7]) and (1 if rest == 10 else rest) == int(text[12])


def _bulgarian(text: str) -> bool:
    month = int(text[2:4]) % 20
    rest = _weighted(text[:9], (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return 1 <= month <= 12 and 1 <= int(text[4:6]) <= 31 and rest == int(text[9])


def _greek(text: str) -> bool:
    return _short_day(text[:6], "dmy") and _luhn(text)


def _baltic(text: str) -> bool:
    """Estonia and Lithuania."""
    rest = _weighted(text[:10], (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if rest == 10:
        rest = _weighted(text[:10], (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return text[0] in "12345678" and _short_day(text[1:7]) and rest == int(text[10])


def _swedish(text: str) -> bool:
    short = text[-10:]
    day = int(short[4:6])
    # A coordination number has 60 added to its day.
    return _short_day(short[:4] + f"{day - 60 if day > 60 else day:02}") and _luhn(short)


def _norwegian(text: str) -> bool:
    first = -_weighted(text[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -_weighted(text[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return 1 <= int(text[:2]) % 40 <= 31 and [first, second] == _digits(text[9:])


def _finnish(text: str) -> bool:
    number = int(text[:6] + text[-4:-1])
    return _short_day(text[:6], "dmy") and _LETTERS_FI[number % 31] == text[-1]


def _danish(text: str) -> bool:
    return _short_day(text[:6], "dmy")


def _irish(text: str) -> bool:
    total = _weighted(text[:7], range(8, 1, -1))
    if len(text) == 9:
        total += 9 * _LETTERS_IE.index(text[8])
    return _LETTERS_IE[total % 23] == text[7]


def _british_health(text: str) -> bool:
    check = 11 - _weighted(text[:9], range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(text[9])


def _british_insurance(text: str) -> bool:
    return text[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _american(text: str) -> bool:
    if text[0] == "9":
        # A tax number of those without a social security number.
        return int(text[3:5]) in _ITIN_GROUPS
    return text[:3] not in ("000", "666") and text[3:5] != "00" and text[5:] != "0000"


_THREES = r"\d{9}|\d{3}([ .-])\d{3}\1\d{3}"
NATIONAL_IDS = (
    NationalId("AT social insurance", r"\d{4}[ /-]?\d{6}", _austrian),
    NationalId("BE national number", r"\d{2}\.?\d{2}\.?\d{2}[ -]?\d{3}[ .]?\d{2}", _belgian),
    NationalId("BG EGN", r"\d{10}", _bulgarian),
    NationalId("CH AHV", r"756([ .]?)\d{4}\1\d{4}\1\d{2}", _swiss),
    NationalId("CZ and SK birth number", r"\d{6}/?\d{4}", _czech),
    NationalId("DE tax id", r"\d{11}|\d{2}([ /])\d{3}\1\d{3}\1\d{3}", _german_tax),
    NationalId("DK CPR", r"\d{6}-\d{4}", _danish),
    NationalId("EE and LT personal code", r"\d{11}", _baltic),
    NationalId("ES DNI and NIE", r"(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZ][ -]?\d{7})(?:-?[A-Z]| (?-i:[A-Z]))", _spanish),
    NationalId("FI personal code", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", _finnish),
    NationalId("FR NIR", r"[1-478] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _french),
    NationalId(
        "GB insurance number", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _british_insurance
    ),
    # Temporary and sample ones, which no rule covers but the form.
    NationalId(
        "GB insurance number by form", r"[A-Z]{2} ?\d{6} ?[A-DFMPT]|[A-Z]{2}(?: \d{2}){3} [FMPT]", lambda _: True
    ),
    NationalId("GB NHS number", r"\d{10}|\d{3}([ -])\d{3}\1\d{4}", _british_health),
    NationalId("GR AMKA", r"\d{11}", _greek),
    NationalId("HR OIB", r"\d{11}", _mod_11_10),
    NationalId("HU personal number", r"\d{11}|\d[ -]\d{6}[ -]\d{4}", _hungarian_person),
    NationalId("HU TAJ", _THREES, _hungarian),
    NationalId("IE PPS", r"\d{7}(?:[A-W][A-IW]?| (?-i:[A-W][A-IW]?))", _irish),
    NationalId(
        "IT codice fiscale", r"[A-Z]{6}[ ]?[\dL-V]{2}[A-EHLMPRST][\dL-V]{2}[ ]?[A-Z][\dL-V]{3}[ ]?[A-Z]", _italian
    ),
    NationalId("NL BSN", rf"{_THREES}|\d{{4}}([ .])\d{{2}}\2\d{{3}}", _dutch),
    NationalId("NO birth number", r"\d{6} ?\d{5}", _norwegian),
    NationalId("PL PESEL", r"\d{11}", _polish),
    NationalId("PT NIF", _THREES, _portuguese),
    NationalId("RO CNP", r"\d{13}", _romanian),
    NationalId("SE personal number", r"(?:19|20)?\d{6}[-+]?\d{4}", _swedish),
    NationalId("US SSN and ITIN", r"\d{3}([ -])\d{2}\1\d{4}", _american),
)
_COMPILED = tuple(
    (known, re.compile(rf"(?<!\w)(?<!\d[.,])(?:{known.pattern})(?!\w)(?![.,]\d)", re.IGNORECASE))
    for known in NATIONAL_IDS
)
_LABELLED_SSN = re.compile(
    r"(?<!\w)(?:ssn|social security(?: number| no\.?)?)[ \t]*[:#]?[ \t]*(\d{9})(?!\w)", re.IGNORECASE
)


def national_ids(text: str) -> Iterator[tuple[int, int]]:
    """Places of national ids in a plain text."""
    for known, pattern in _COMPILED:
        for found in pattern.finditer(text):
            compact = "".join(char for char in found.group().upper() if char.isalnum())
            if known.check(compact):
                yield found.span()
    for found in _LABELLED_SSN.finditer(text):
        if _american(found.group(1)):
            yield found.span(1)
