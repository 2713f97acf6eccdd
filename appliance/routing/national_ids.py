"""National ids: their usual spellings, and the check digits, computed by stdnum, that tell them from other numbers.

Where an id has no check digit, its fixed parts and the date in it are checked instead. Dates are checked less strictly
than stdnum does: a number with a day that is still to come must not leave either.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import stdnum.at.vnr
import stdnum.bg.egn
import stdnum.br.cpf
import stdnum.ch.ssn
import stdnum.de.idnr
import stdnum.ean
import stdnum.ee.ik
import stdnum.es.dni
import stdnum.es.nie
import stdnum.fr.nir
import stdnum.gb.nhs
import stdnum.ie.vat
import stdnum.in_.aadhaar
import stdnum.in_.pan
import stdnum.it.codicefiscale
import stdnum.luhn
import stdnum.mx.curp
import stdnum.nl.bsn
import stdnum.no.fodselsnummer
import stdnum.nz.ird
import stdnum.pl.pesel
import stdnum.pt.nif
import stdnum.ro.cnp
import stdnum.tr.tckimlik
from stdnum.iso7064 import mod_11_10

from appliance.routing.phones import NO_SUM, goes_on
from appliance.routing.plain_copy import closed_up, surroundings, tightened

_LETTERS_FI = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_ITIN_GROUPS = frozenset((*range(50, 66), *range(70, 89), 90, 91, 92, *range(94, 100)))


@dataclass(frozen=True)
class NationalId:
    """One kind of id."""

    name: str
    pattern: str
    """How it is written; without what must not stand beside it."""
    check: Callable[[str], bool]
    """Gets letters and digits only, in capitals."""


def _weighted(text: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))


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


def _day_and_month(day: str, month: int) -> bool:
    """Whether this can be the day of a month; numbers that code a century or a sex are taken out of the month first."""
    return 1 <= month <= 12 and 1 <= int(day) <= 31


def _austrian(text: str) -> bool:
    in_date = int(text[4:6]) <= 31 and int(text[6:8]) <= 15
    return text[0] != "0" and in_date and stdnum.at.vnr.calc_check_digit(text) == text[3]


def _spanish(text: str) -> bool:
    calc_check_digit = stdnum.es.nie.calc_check_digit if text[0] in "XYZ" else stdnum.es.dni.calc_check_digit
    return calc_check_digit(text[:-1]) == text[-1]


def _italian(text: str) -> bool:
    numeric = [text[place] for place in (6, 7, 9, 10, 12, 13, 14)]
    # Digits may be replaced by letters where two people would have the same code.
    if not all(char in "0123456789LMNPQRSTUV" for char in numeric) or text[8] not in "ABCDEHLMPRST":
        return False
    return stdnum.it.codicefiscale.calc_check_digit(text[:15]) == text[15]


def _german_insurance(text: str) -> bool:
    digits = f"{text[:8]}{ord(text[8]) - ord('A') + 1:02}{text[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = [int(digit) * weight for digit, weight in zip(digits, weights, strict=True)]
    # Not all days are days: numbers of one birthday that ran out have 50 added.
    return sum(sum(divmod(product, 10)) for product in products) % 10 == int(text[11])


def _belgian(text: str) -> bool:
    number, key = int(text[:9]), int(text[9:])
    return int(text[2:4]) % 20 <= 12 and key in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def _czech(text: str) -> bool:
    return _day_and_month(text[4:6], int(text[2:4]) % 50 % 20) and int(text[:9]) % 11 % 10 == int(text[9])


def _hungarian(text: str) -> bool:
    return _weighted(text[:8], (3, 7) * 4) % 10 == int(text[8]) and int(text) > 0


def _hungarian_person(text: str) -> bool:
    in_date = _short_day(text[1:7]) and text[0] in "12345678"
    # The weights were turned round for those born since 1997.
    return in_date and int(text[10]) in (
        _weighted(text[:10], range(1, 11)) % 11, _weighted(text[:10], range(10, 0, -1)) % 11
    )  # fmt: skip


def _romanian(text: str) -> bool:
    return text[0] != "0" and _short_day(text[1:7]) and stdnum.ro.cnp.calc_check_digit(text[:12]) == text[12]


def _bulgarian(text: str) -> bool:
    in_date = _day_and_month(text[4:6], int(text[2:4]) % 20)
    return in_date and stdnum.bg.egn.calc_check_digit(text[:9]) == text[9]


def _polish(text: str) -> bool:
    in_date = _day_and_month(text[4:6], int(text[2:4]) % 20)
    return in_date and stdnum.pl.pesel.calc_check_digit(text[:10]) == text[10]


def _baltic(text: str) -> bool:
    """Estonia and Lithuania."""
    in_date = text[0] in "12345678" and _short_day(text[1:7])
    return in_date and stdnum.ee.ik.calc_check_digit(text) == text[10]


def _swedish(text: str) -> bool:
    short = text[-10:]
    day = int(short[4:6])
    # A coordination number has 60 added to its day.
    return _short_day(short[:4] + f"{day - 60 if day > 60 else day:02}") and stdnum.luhn.is_valid(short)


def _norwegian(text: str) -> bool:
    number = stdnum.no.fodselsnummer
    digits = number.calc_check_digit1(text) + number.calc_check_digit2(text)
    return 1 <= int(text[:2]) % 40 <= 31 and digits == text[9:]


def _finnish(text: str) -> bool:
    number = int(text[:6] + text[-4:-1])
    return _short_day(text[:6], "dmy") and _LETTERS_FI[number % 31] == text[-1]


def _american(text: str) -> bool:
    if text[0] == "9":
        # A tax number of those without a social security number.
        return int(text[3:5]) in _ITIN_GROUPS
    return text[:3] not in ("000", "666") and text[3:5] != "00" and text[5:] != "0000"


def _singaporean(text: str) -> bool:
    rest = (_weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(text[0], 0)) % 11
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}
    return letters[text[0]][rest] == text[8]


def _of_hong_kong(text: str) -> bool:
    letters, digits = text[:-7], text[-7:-1]
    values = [36, *(ord(char) - 55 for char in letters)][-2:]
    total = _weighted(digits, (7, 6, 5, 4, 3, 2)) + 9 * values[0] + 8 * values[1]
    return "0123456789A"[-total % 11] == text[-1]


def _russian_insurance(text: str) -> bool:
    return _weighted(text[:9], range(9, 0, -1)) % 101 % 100 == int(text[9:])


_THREES = r"\d{9}|\d{3}([ .-])\d{3}\1\d{3}"
NATIONAL_IDS = (
    NationalId("AT social insurance", r"\d{4}[ /-]?\d{6}|(?!(?:19|20)\d\d )\d{4} \d{2}\.\d{2}\.\d{2}", _austrian),
    NationalId("BE national number", r"\d{2}[. /]?\d{2}[. /]?\d{2}[ -]?\d{3}[ .-]?\d{2}", _belgian),
    NationalId("BR CPF", r"\d{11}|\d{3}([ .])\d{3}\1\d{3}[- ]\d{2}", stdnum.br.cpf.is_valid),
    NationalId("BG EGN", r"\d{10}", _bulgarian),
    NationalId("CH AHV", r"756([ .]?)\d{4}\1\d{4}\1\d{2}", stdnum.ean.is_valid),
    NationalId("CZ and SK birth number", r"\d{6}[ /]?\d{4}|\d{2} \d{2} \d{2} ?/ ?\d{4}", _czech),
    # Those given before 1954, which have no check digit.
    NationalId("CZ and SK short number", r"\d{6}/\d{3}", lambda text: _day_and_month(text[4:6], int(text[2:4]) % 50)),
    NationalId("DE tax id", r"\d{11}|\d{2}([ /])\d{3}\1\d{3}\1\d{3}", stdnum.de.idnr.is_valid),
    NationalId("DE insurance number", r"\d{2}[ .-]?\d{6}[ .-]?[A-Z][ .-]?\d{3}", _german_insurance),
    NationalId("DK CPR", r"\d{6}-\d{4}", lambda text: _short_day(text[:6], "dmy")),
    NationalId("EE and LT personal code", r"\d{11}", _baltic),
    NationalId(
        "ES DNI and NIE",
        r"(?:\d{8}|\d{2}([. ])\d{3}\1\d{3}|[XYZ][ -]?\d{7})(?:-?[A-Z]| (?-i:[A-Z]))",
        _spanish,
    ),
    NationalId("FI personal code", r"\d{6}[-+A-FU-Y]\d{3}(?:[0-9A-Y]| (?-i:[0-9A-Y]))", _finnish),
    NationalId(
        "FR NIR",
        r"[1-478][ .-]?\d{2}[ .-]?\d{2}[ .-]?(?:\d{2}|2[AB])[ .-]?\d{3}[ .-]?\d{3}[ ./-]?\d{2}",
        lambda text: stdnum.fr.nir.calc_check_digits(text) == text[13:],
    ),
    NationalId(
        "GB insurance number",
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d{2}){3} ?[A-D]|[A-Z]{2}(?:-\d{2}){3}-[A-D]",
        lambda text: text[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"),
    ),
    # Temporary and sample ones, which no rule covers but the form.
    NationalId(
        "GB insurance number by form",
        r"[A-Z]{2} ?\d{6} ?[A-DFMPT]|[A-Z]{2}(?: \d{2}){3} [FMPT]|QQ(?: \d{2}){3} [A-D]",
        lambda _: True,
    ),
    NationalId("GB NHS number", r"\d{10}|\d{3}([ -])\d{3}\1\d{4}", lambda text: stdnum.gb.nhs.checksum(text) == 0),
    NationalId("GR AMKA", r"\d{11}", lambda text: _short_day(text[:6], "dmy") and stdnum.luhn.is_valid(text)),
    NationalId("HK identity card", r"[A-Z]{1,2} ?\d{6} ?\([0-9A]\)", _of_hong_kong),
    NationalId("HR OIB", r"\d{11}", mod_11_10.is_valid),
    NationalId("HU personal number", r"\d{11}|\d[ -]\d{6}[ -]\d{4}", _hungarian_person),
    NationalId("HU TAJ", _THREES, _hungarian),
    NationalId(
        "IE PPS",
        r"\d{7}(?:[A-W][A-IW]?| (?-i:[A-W][A-IW]?))",
        lambda text: stdnum.ie.vat.calc_check_digit(text[:7] + text[8:]) == text[7],
    ),
    NationalId("IN Aadhaar", r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", stdnum.in_.aadhaar.is_valid),
    NationalId("IN PAN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", stdnum.in_.pan.is_valid),
    NationalId(
        "IT codice fiscale",
        r"[A-Z]{3}[ -]?[A-Z]{3}[ -]?[\dL-V]{2}[A-EHLMPRST][\dL-V]{2}[ -]?[A-Z][\dL-V]{3} ?[A-Z]",
        _italian,
    ),
    NationalId("MX CURP", r"[A-Z]{4}\d{6}[A-Z]{6}[A-Z0-9]\d", stdnum.mx.curp.is_valid),
    NationalId(
        "NL BSN",
        rf"{_THREES}|\d{{4}}([ .])\d{{2}}\2\d{{3}}",
        lambda text: int(text) > 0 and stdnum.nl.bsn.checksum(text) == 0,
    ),
    NationalId("NO birth number", r"\d{6} ?\d{5}", _norwegian),
    NationalId("NZ IRD", r"\d{2,3}-\d{3}-\d{3}", stdnum.nz.ird.is_valid),
    NationalId("PL PESEL", r"\d{11}", _polish),
    NationalId(
        "PT NIF", _THREES, lambda text: text[0] in "1235689" and stdnum.pt.nif.calc_check_digit(text[:8]) == text[8]
    ),
    NationalId("RO CNP", r"\d ?\d{2} ?\d{2} ?\d{2} ?\d{6}", _romanian),
    NationalId("RU SNILS", r"\d{3}([ -])\d{3}\1\d{3}[ -]\d{2}", _russian_insurance),
    NationalId("SG NRIC and FIN", r"[STFGM]\d{7}[A-Z]|(?-i:[STFGM] \d{7} [A-Z])", _singaporean),
    NationalId("SE personal number", r"(?:19|20)?\d{6}[-+ ]?\d{4}", _swedish),
    NationalId("TR identity number", r"[1-9]\d{10}", stdnum.tr.tckimlik.is_valid),
    NationalId("US SSN and ITIN", r"\d{3}([ -])\d{2}\1\d{4}", _american),
)
_ANY_DIGITS = re.compile(r"\d[ \t\n./+-]{0,4}\d")
_SEPARATORS = re.compile(r"[^a-zA-Z0-9]+")
_COMPILED = tuple(
    (known, re.compile(rf"(?<!\w)(?<!\d\.)(?:{known.pattern}){NO_SUM}", re.IGNORECASE)) for known in NATIONAL_IDS
)
_LABELLED_SSN = re.compile(
    r"(?<!\w)(?:ssn|social security(?: number| no\.?)?)[ \t]{0,3}[:#]?[ \t\n]{0,3}(\d(?:[ \t\n.-]{0,3}\d){8})(?!\w)",
    re.IGNORECASE,
)


def national_ids(text: str) -> Iterator[tuple[int, int]]:
    """Places of national ids in a plain text."""
    yield from _as_written(text)
    closed = closed_up(text, tabs=True)
    if closed.gap_starts:
        for start, end in _as_written(closed.text):
            if closed.holds_gap(start, end) and goes_on(text, closed.original(start), closed.original(end)):
                yield closed.original(start), closed.original(end)
    tight = tightened(text)
    if tight.gap_starts:
        for first, last in surroundings(tight.gap_starts, len(tight.text)):
            for start, end in _as_written(tight.text[first:last]):
                if tight.holds_gap(first + start, first + end):
                    yield tight.original(first + start), tight.original(first + end)


def _as_written(text: str) -> Iterator[tuple[int, int]]:
    if not _ANY_DIGITS.search(text):
        return
    places: set[tuple[int, int]] = set()
    for known, pattern in _COMPILED:
        for match in pattern.finditer(text):
            if match.span() not in places and known.check(_SEPARATORS.sub("", match.group()).upper()):
                places.add(match.span())
    yield from places
    for match in _LABELLED_SSN.finditer(text):
        if _american(_SEPARATORS.sub("", match.group(1))):
            yield match.span(1)
