"""Finds personal data by form and checksum: mail addresses, telephone numbers, IBANs, payment cards, national ids.

They look at a plainer copy of the text (compatibility forms, without invisible characters), so that a digit of another
width or a soft hyphen hides nothing; places refer to the text itself.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from stdnum import luhn, numdb
from stdnum.iso7064 import mod_97_10

from appliance.routing.national_ids import national_ids

LONG_NUMBER = "number"
"""Kind of what is found by its many digits alone."""
MASKED_DIGITS = 9
"""From so many digits on a number is masked whatever it is, because ids have nine and more; a policy may differ."""
LEAST_DIGITS = 4
"""Fewer would mask quantities and years, and leave nothing to answer from."""
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")


@dataclass(frozen=True)
class Finding:
    """A place in the text that must not leave."""

    kind: str
    """Name of the detector, `number`, or `field`."""
    start: int
    end: int


@dataclass(frozen=True)
class Shadow:
    """The plainer copy, and where each of its characters stands in the text."""

    text: str
    starts: tuple[int, ...] | None
    """None where the copy is the text itself."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """A place of the copy as a place of the text."""
        if self.starts is None:
            return start, end
        return self.starts[start], self.starts[end - 1] + 1


def shadow_of(text: str) -> Shadow:
    """The plainer copy of the text."""
    if text.isascii():
        return Shadow(text, None)
    parts: list[str] = []
    starts: list[int] = []
    for position, char in enumerate(text):
        plain = char if char.isascii() else _plain(char)
        parts.append(plain)
        starts.extend([position] * len(plain))
    return Shadow("".join(parts), tuple(starts))


@cache
def _plain(char: str) -> str:
    if char in _DASHES:
        return "-"
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    if char.isdecimal():
        return str(int(char))
    return unicodedata.normalize("NFKC", char)


_AT = r"(?:@|[ \t]?[\[({][ \t]?at[ \t]?[\])}][ \t]?)"
_DOT = r"(?:\.|[ \t]?[\[({][ \t]?dot[ \t]?[\])}][ \t]?)"
_LOCAL = r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]{1,254}"
_MAIL = re.compile(
    rf"{_LOCAL}{_AT}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{0,8}}{_DOT}(?:xn--[\w-]+|[^\W\d_]{{2,63}})", re.IGNORECASE
)
_SPELT_MAIL = re.compile(rf"{_LOCAL}[ \t]at[ \t][\w-]{{1,63}}(?:[ \t]dot[ \t][\w-]{{1,63}}){{1,8}}", re.IGNORECASE)


def _mails(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_MAIL, _SPELT_MAIL):
        for match in pattern.finditer(text):
            yield match.span()


_GAP = r"[ \t./()-]{0,3}"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?"
_DATE = r"\d?([./-])\d{1,2}\1(?:\d{4}|\d{2})\b"
_NO_MONEY = r"(?!\w|[.,]\d|[ \t]?(?:[€$£]|EUR|USD|PLN|kr|z))"
"""What follows a number that is a sum of money."""
_BEGINS = r"(?<!\w)(?<!\d[.,])"
"""Not in the middle of a word or of a number; a comma alone may stand before it, as in a table."""
_PHONES = (
    # International.
    re.compile(rf"{_BEGINS}(?<!\+)\(?(?:\+|00)[ \t(]{{0,2}}[1-9](?:{_GAP}\d){{6,14}}(?!\d){_EXTENSION}"),
    # National with the trunk prefix.
    re.compile(rf"{_BEGINS}(?<![+-])\(?0(?!{_DATE}|[.,]\d\d?(?!\d))(?:{_GAP}\d){{7,12}}(?!\w|,\d)"),
    # A prefix in brackets.
    re.compile(rf"{_BEGINS}\(\d{{1,4}}\)(?:{_GAP}\d){{5,10}}(?!\w|,\d)"),
    # North America.
    re.compile(
        rf"{_BEGINS}(?<!-)(?:\+?1[ .-]?)?(?:\([2-9]\d{{2}}\)[ .-]?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}"
        rf"{_EXTENSION}(?!\w)"
    ),
    # Groups without a prefix, as in Denmark, Norway, Poland, Spain, Greece and Hungary; not two years.
    re.compile(
        rf"{_BEGINS}(?<![/-])(?!(?:19|20)\d{{2}} (?:19|20)\d{{2}})"
        r"(?:\d{2}(?:[ -]\d{2}){3}|\d{4} \d{4}|\d{3} \d{2} \d{3}"
        r"|\d{2} \d{3} \d{2} \d{2}|\d{3} \d{7}|(?:2[1-9]|69)\d{2} \d{3} \d{3}|\d{2}/\d{3}[ -]\d{3,4}"
        rf"|[5-9]\d{{2}}([ -])\d{{3}}\1\d{{3}}){_NO_MONEY}"
    ),
    # Bare digits of the length of a subscriber's number; not a day such as 20261125.
    re.compile(
        rf"{_BEGINS}(?<!\d[/-])(?<![€$£])(?<![€$£] )(?<!EUR )(?<!USD )"
        rf"(?!(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d))(?:[2-9]\d{{7,10}}|1[2-9]\d{{9}}){_NO_MONEY}"
    ),
)
_LABELLED_PHONE = re.compile(
    r"(?<!\w)(?:tel|t[eé]l[eé]phone|telefono?|tel[eé]fono|telefoon|telefon|phone|fax|mobile?|m[oó]vil|cell|cellulare"
    r"|handy|portable|tlf|puh|whatsapp)\.?(?:[ \t]*(?:no|nr|number|nummer)\.?)?[ \t]*[:.]?[ \t]*"
    r"(\(?\+?\d[\d \t./()-]{3,22}\d)",
    re.IGNORECASE,
)


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _PHONES:
        for match in pattern.finditer(text):
            yield match.span()
    for match in _LABELLED_PHONE.finditer(text):
        yield match.span(1)


_IBAN_PART = re.compile(r"(\d+)!")


@cache
def _iban_length(country: str) -> int:
    """Letters and digits of a country's IBANs; 0 where the country is not in the registry. Source: ISO 13616."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    return 4 + sum(map(int, _IBAN_PART.findall(structure))) if structure else 0


_IBAN_START = re.compile(r"(?<![^\W_])[A-Z]{2}[ \t]?\d[ \t]?\d", re.IGNORECASE)
_IBAN_GAPS = " \t\n.-"
_FOREIGN_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)(?![\w])")
"""Of a country without a known length: only in capitals and in the usual groups, or chance finds too many."""


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN_START.finditer(text):
        country = match.group()[:2].upper()
        if length := _iban_length(country):
            end, compact = _take(text, match.start(), length)
            if len(compact) == length and iban_is_good(compact):
                yield match.start(), end
    for match in _FOREIGN_IBAN.finditer(text):
        if iban_is_good(match.group().replace(" ", "")):
            yield match.span()


def _take(text: str, start: int, length: int) -> tuple[int, str]:
    """So many letters and digits from here, with at most one separator between two of them."""
    taken: list[str] = []
    position, gap = start, False
    while position < len(text) and len(taken) < length:
        char = text[position]
        if char.isascii() and char.isalnum():
            taken.append(char.upper())
            gap = False
        elif char in _IBAN_GAPS and not gap:
            gap = True
        else:
            break
        position += 1
    return position, "".join(taken)


def iban_is_good(compact: str) -> bool:
    """Whether the check digits of an IBAN without blanks are right. Source: ISO 13616, ISO 7064 mod 97-10."""
    return mod_97_10.is_valid(compact[4:] + compact[:4])


_DIGIT_CHAIN = re.compile(r"(?<![\w])\d+(?:[ \t-]\d+)*(?!\w)")
_CARD_LENGTHS = range(12, 20)
_CARD_START = re.compile(r"(?:5[0678]|6)\d{10}|[2-6]\d{12}|(?:1800|2131)\d{11}")
"""Twelve digits have only Maestro cards; JCB cards of fifteen begin with 1800 or 2131."""


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for chain in _DIGIT_CHAIN.finditer(text):
        if len(chain.group()) < _CARD_LENGTHS.start:
            continue
        groups = [
            (chain.start() + group.start(), chain.start() + group.end()) for group in re.finditer(r"\d+", chain.group())
        ]
        for first in range(len(groups)):
            yield from _card_from(text, groups[first:])


def _card_from(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The longest card number that begins with the first group and ends with a group."""
    digits, best = "", None
    for start, end in groups:
        digits += text[start:end]
        if len(digits) >= _CARD_LENGTHS.stop:
            break
        if len(digits) in _CARD_LENGTHS and _CARD_START.match(digits) and luhn.is_valid(digits):
            best = end
    if best is not None:
        yield groups[0][0], best


_WRITTEN_TOGETHER = re.compile(r"(?<!\w)\w+(?:[./-]\w+)*")
_IN_GROUPS = re.compile(rf"(?<!\w)(?<!\d[.,/-])\d{{2,}}(?: \d{{2,}}){{1,3}}(?! ?\d){_NO_MONEY}")
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
            value = match.group()
            if sum(map(str.isdigit, value)) >= digits and not _DAYS.fullmatch(value) and not _is_sum(text, match):
                yield match.span()


def _is_sum(text: str, match: re.Match[str]) -> bool:
    """Whether it is a number with a decimal part, in it or behind it."""
    decimals = re.compile(r",\d{1,2}(?!\d)").match(text, match.end())
    value = match.group()
    return bool(_SUM.fullmatch(value)) and (decimals is not None or value[-3:-2] == "." or value[-2:-1] == ".")


DETECTORS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "mail": _mails,
    "iban": _ibans,
    "card": _cards,
    "national_id": national_ids,
    "phone": _phones,
}
"""Name -> places in a plain text."""


def findings(text: str, detectors: tuple[str, ...], digits: int = 0) -> list[Finding]:
    """What these detectors find, in the order of the text; places that overlap are joined.

    Args:
        digits: Numbers of so many digits or more are found whatever they are; 0 finds none for that.
    """
    shadow = shadow_of(text)
    places = [
        Finding(name, *shadow.place(start, end))
        for name in detectors
        for start, end in DETECTORS[name](shadow.text)
        if end > start
    ]
    if digits:
        places += [Finding(LONG_NUMBER, *shadow.place(*place)) for place in _long_numbers(shadow.text, digits)]
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
