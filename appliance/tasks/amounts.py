"""Numbers and amounts of money: read whatever their digits, separators, signs and currencies, or not at all.

A sign is never lost: where a minus, brackets or the side of an account may or may not belong to the number, the value
is not read. Neither is one with several numbers, or with signs (`<`, `±`, `~`) that change what a number says.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from appliance.tasks.amount_words import (
    BOUND_WORDS,
    COUNTING_WORDS,
    MEASURES,
    MINUS_WORDS,
    NEGATIVE_SIDES,
    OTHER_THINGS,
    POWERS,
    POWERS_ALONE,
    SIDES,
    UNCLEAR_WORDS,
    UNITS_WITH_CASE,
    VAGUE_AFTERWARDS,
    VAGUE_WORDS,
    leaves_power_open,
    power_of_currency,
)
from appliance.tasks.canonical_text import canonical
from appliance.tasks.currencies import (
    PLAIN_DOLLARS,
    currency,
    currency_pattern,
    is_same_unit,
    is_subunit,
    one_currency,
    subunit_pattern,
)
from appliance.tasks.marks import Mark

_DECIMAL, _THOUSANDS = "\ue000", "\ue001"
"""The Arabic marks, which no comma or dot may stand for: they are never in doubt."""
_ARABIC_MARKS = {0x66B: _DECIMAL, 0x66C: _THOUSANDS}
_NUMBER = re.compile(rf"(?:(?<![\w.,'])[.,{_DECIMAL}](?=\d))?\d(?:[\d.,'{_DECIMAL}{_THOUSANDS}]| (?=\d{{3}}(?!\d)))*")
_GROUPED = re.compile(r"\d{1,3}(?:(\D)\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})*,\d{3}")
"""Thousands, in the Indian way too: `12,34,567`."""
_VULGAR = re.compile(r"(?:(\d+)\^)?(\d{1,2})/(\d{1,3})\^?(?!\d)")
_EXPONENT = re.compile(r"[eE]([+-]?\d{1,3})(?![\w.,])")
_LETTER_FOR_DIGIT_BEFORE = re.compile(r"(?<![^\W_])(?:[OolI]+[.,]?|[^\W\d_],)$")
_LETTER_FOR_DIGIT_AFTER = re.compile(r"(?![mM][23](?!\d))[^\W\d_]\d|[.,]?[OoI](?![^\W_])|[.,][OolI]+\d")
"""Letters that touch the digits as only a misread digit does: `l,234.56`, `1O0`, `1.234,5O`."""
_BOTH_SIGNS = re.compile(r"(?:\+\s*/?\s*-|-\s*/?\s*\+)\s*$")
_DECORATION = ".,:;#*=()/'\"&_|[]!+"
_UNIT_SIGNS = "%‰°"

_MOST_ZEROS = 24
"""That words of powers of ten may add to a number; more of them are a text."""
_LONGEST_VALUE, _LONGEST_WORD = 1000, 40
"""In characters; what is longer is a text, not a number with its unit."""


@dataclass(frozen=True)
class AmountReading:
    """A number with what stands beside it."""

    number: Decimal
    unit: str
    """Currency code or unit, in one spelling; empty where there is none."""
    side: str = ""
    """`credit` or `debit` where the side of an account is written."""
    marks: frozenset[Mark] = frozenset()
    is_clear: bool = True
    """Whether the whole value is this number."""
    has_sign: bool = True
    """Whether it is known if the amount is more or less; a side of an account alone does not say it."""
    separator: str = ""
    """The dot or comma that may part thousands or decimals; empty where it can mean only one of them."""

    @property
    def form(self) -> str | None:
        """The number as digits with a dot, without exponent; None where it is not certain enough to be one."""
        return f"{self.number:f}" if self.is_clear and self.has_sign else None


def read_amount(text: str, money: bool, decimal_mark: str = "") -> AmountReading | None:
    """The number that a value is; None where it holds no digit.

    Args:
        money: One separator before three digits parts thousands; otherwise only a comma does.
        decimal_mark: Of the documents' locale, `.` or `,`; empty where it is not known.
    """
    has_fraction = any("<fraction>" in unicodedata.decomposition(char) and char != "\u2044" for char in text)
    text = canonical(text.translate(_ARABIC_MARKS), fold_case=False)
    match = _number_place(text) if len(text) <= _LONGEST_VALUE else None
    if match is None:
        return None
    digits = match.group().rstrip(".,'")
    head, tail = text[: match.start()], text[match.start() + len(digits) :]
    if not decimal_mark and re.match(r"[.,]-", tail):
        decimal_mark = tail[0]  # in `1.234,-` a dash stands for the cents
    unsigned, other, is_clear = _unsigned(digits, money, decimal_mark)
    if has_fraction and (fraction := _VULGAR.match(text, match.start())):
        unsigned, tail = _fraction(fraction, text)
        other = None
    elif exponent := _EXPONENT.match(tail):
        power, tail = int(exponent[1]), tail[exponent.end() :]
        unsigned, is_clear = (_shifted(unsigned, power), is_clear) if abs(power) <= _MOST_ZEROS else (unsigned, False)
    elif money and (cents := _cents_after_currency(tail)) and not re.search(r"[.,]\d{1,2}$", digits):
        unsigned, tail = _decimal(f"{unsigned:f}", cents[0]), cents[1]
    beside = _Beside(head, tail, money)
    sign = -1 if beside.is_negative else 1
    marks = {Mark.DECIMAL_MARK} if other is not None else set()
    if beside.side:
        marks.add(Mark(beside.side))
    is_clear = is_clear and beside.is_clear and _touches_only_what_it_may(head, digits, tail)
    return AmountReading(
        _signed(_shifted(unsigned, beside.power), sign),
        beside.unit,
        beside.side,
        frozenset(marks) if is_clear else frozenset({Mark.UNREAD}),
        is_clear,
        beside.has_sign,
        "" if other is None else next(char for char in digits if char in ".,"),
    )


def _touches_only_what_it_may(head: str, digits: str, tail: str) -> bool:
    """Whether no misread letter touches the number, no dash that stands for its zero, and no plus for *or more*."""
    if _LETTER_FOR_DIGIT_BEFORE.search(head[-_LONGEST_WORD:]) or _LETTER_FOR_DIGIT_AFTER.match(tail):
        return False
    if _BOTH_SIGNS.search(head):
        return False
    # `-,50` is fifty cents on a price label, and less than nothing in a ledger.
    is_dash_for_zero = head.rstrip(" ").endswith("-") and re.fullmatch(r"[.,]\d\d", digits) is not None
    is_or_more = tail.startswith("+") and tail.strip() == "+" and not re.search(r"[.,]\d\d$", digits)
    return not is_dash_for_zero and not is_or_more


def is_same_amount(a: AmountReading, b: AmountReading) -> bool:
    """Whether two clear readings say the same; where separators are in doubt, under one meaning of them for both."""
    if a.number != b.number or a.has_sign != b.has_sign or not is_same_unit(a.unit, b.unit):
        return False
    if not a.has_sign and a.side != b.side:
        return False
    # No locale writes one number as `1.234` and as `1,234`.
    return a.separator == b.separator or not (a.separator and b.separator)


def _number_place(text: str) -> re.Match[str] | None:
    """The first number that is no part of a word, or else the first one."""
    first = None
    for match in _NUMBER.finditer(text):
        before = text[: match.start()]
        word = re.search(r"[^\W\d_]+\.?$", before[-_LONGEST_WORD:])
        if word is None or currency(word.group()) or word.group().casefold() in MINUS_WORDS:
            return match
        first = first or match
    return first


def _unsigned(digits: str, money: bool, decimal_mark: str) -> tuple[Decimal, Decimal | None, bool]:
    """The number of a run of digits and separators, its other meaning, and whether the separators make sense."""
    if _DECIMAL in digits or _THOUSANDS in digits:
        whole, _, fraction = digits.partition(_DECIMAL)
        return _decimal(whole, fraction), None, _DECIMAL not in fraction and fraction.isdigit() | (not fraction)
    marks = [char for char in digits if char in ".,"]
    if not marks:
        return _decimal(digits, ""), None, digits.isdigit() or _GROUPED.fullmatch(digits) is not None
    last = marks[-1]
    whole, _, fraction = digits.rpartition(last)
    if len(set(marks)) == 2 or (" " in whole or "'" in whole):
        is_clear = marks.count(last) == 1 and fraction.isdigit() and _is_grouped(whole)
        if marks.count(last) > 1:
            return _decimal(digits, ""), None, False
        return _decimal(whole, fraction), None, is_clear
    if len(marks) > 1:
        return _decimal(digits, ""), None, _GROUPED.fullmatch(digits) is not None
    as_decimal, as_thousands = _decimal(whole, fraction), _decimal(digits, "")
    if not (len(fraction) == 3 and whole not in ("", "0") and len(whole) <= 3 and fraction.isdigit()):
        return as_decimal, None, fraction.isdigit()
    if decimal_mark:
        return (as_decimal if last == decimal_mark else as_thousands), None, True
    if last == "," or money:
        return as_thousands, as_decimal, True
    return as_decimal, as_thousands, True


def _is_grouped(whole: str) -> bool:
    return whole.isdigit() or not whole or _GROUPED.fullmatch(whole) is not None


def _decimal(whole: str, fraction: str) -> Decimal:
    # Decimals are made from text only: arithmetic on them rounds to 28 digits.
    whole, fraction = re.sub(r"\D", "", whole).lstrip("0") or "0", re.sub(r"\D", "", fraction).rstrip("0")
    return Decimal(whole + ("." + fraction if fraction else ""))


def _signed(number: Decimal, sign: int) -> Decimal:
    # Not a minus of arithmetic, which rounds to 28 digits.
    return number.copy_negate() if sign < 0 and number else number


def _shifted(number: Decimal, power: int) -> Decimal:
    """The number times a power of ten, exactly, without zeros after its decimal mark."""
    if not power:
        return number
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    whole, _, fraction = f"{Decimal((sign, digits, exponent + power)):f}".partition(".")
    return _decimal(whole, fraction)


def _fraction(match: re.Match[str], text: str) -> tuple[Decimal, str]:
    """The number of a fraction that is written as one, and what follows; a fraction without end has no number."""
    whole, above, below = int(match[1] or 0), int(match[2]), int(match[3])
    tail = text[match.end() :]
    if not below or (1000 * above) % below:
        return Decimal(whole), f" ^{tail}"
    whole_text, _, fraction = f"{Decimal((whole * below + above) * 1000 // below) / 1000:f}".partition(".")
    return _decimal(whole_text, fraction), tail


def _cents_after_currency(tail: str) -> tuple[str, str] | None:
    """The cents and the rest of `€50` or ` EUR 50 cents` after a whole number."""
    match = _cents_pattern().match(tail)
    if match is None:
        return None
    subunit = match[3] or ""
    if len(match[2]) == 1 and not subunit:
        return None
    return match[2].rjust(2, "0"), f" {match[1]}{tail[match.end() :]}"


@cache
def _cents_pattern() -> re.Pattern[str]:
    subunits = subunit_pattern()
    return re.compile(
        rf"\s?({currency_pattern()})\.?\s?(\d{{1,2}})(?![\d.,]\d)(?:\s?({subunits})\.?)?(?=\s*[-)]?\s*$)", re.IGNORECASE
    )


@cache
def _currency_end() -> re.Pattern[str]:
    return re.compile(rf"({currency_pattern()})\.?\s*$", re.IGNORECASE)


@cache
def _currency_start() -> re.Pattern[str]:
    return re.compile(rf"\s*({currency_pattern()})\.?", re.IGNORECASE)


class _Beside:
    """What stands before and after a number, taken apart piece by piece; what is left is its unit."""

    def __init__(self, head: str, tail: str, money: bool) -> None:
        label, colon, rest = head.rpartition(":")
        self._head = rest if colon and not re.search(r"[-(]", label) else head
        self._tail = tail
        self.is_negative = False
        self.is_clear = self._head is head or not _changes_number(label, money)
        self.has_sign = True
        self.side = ""
        self.power = 0
        self.unit = ""
        self._take_sign()
        self._take_words(money)

    def _take_sign(self) -> None:
        """Minuses before and after, beyond a currency too, and brackets around number and currency."""
        # In `5.-` and `5,--` the dash stands for the cents; India and East Africa end sums with `/-` and `/=`.
        self._tail = re.sub(r"^(?:[.,]-{1,2}|/[-=])(?!\w)", "", self._tail)
        self._take_brackets()
        before, after = self._minus_before(), self._minus_after()
        self.is_negative = self.is_negative or before or after
        # A dash that is left over between two words is part of them; any other may be a sign.
        left_over = re.sub(r"(?<=\w)-(?=\w)", "", f"{self._head} # {self._tail}")
        self.is_clear = self.is_clear and not (before and after) and "-" not in left_over

    def _take_brackets(self) -> None:
        opening, closing = self._head.rfind("("), self._tail.find(")")
        if opening < 0 or closing < 0 or ")" in self._head[opening:] or "(" in self._tail[:closing]:
            return
        inside = f"{self._head[opening + 1 :]} {self._tail[:closing]}".strip(" -+.%")
        if not all(_names_money(word) for word in inside.split()):
            self.is_clear = False
            return
        # A minus before or behind the brackets is one sign that is written twice, or two that cancel each other.
        is_signed = self._head[:opening].rstrip().endswith("-") or self._tail[closing + 1 :].lstrip().startswith("-")
        self.is_clear = self.is_clear and not is_signed
        self.is_negative = True
        self._head = f"{self._head[:opening]} {self._head[opening + 1 :]}"
        self._tail = f"{self._tail[:closing]} {self._tail[closing + 1 :]}"

    def _minus_before(self) -> bool:
        head = self._head.rstrip()
        if head.endswith("-"):
            rest = head[:-1]
            # `Total -5` has a sign; `Total - 5` and `A-5` have a dash between two things.
            parts = rest[-1:].isalnum() or (rest[-1:].isspace() and not self._head.endswith("-"))
            if parts and rest.strip() and not _currency_end().search(rest):
                return False
            self._head = rest
            return True
        if unit := _currency_end().search(head):
            rest = head[: unit.start()]
            before_dash = rest.rstrip().removesuffix("-")
            touches = rest.endswith("-") and not before_dash[-1:].isalnum()
            if before_dash != rest.rstrip() and (touches or not before_dash.strip()):
                self._head = before_dash + head[unit.start() :]
                return True
        elif re.match(r"-\w+\.?$", head):
            self._head = head[1:]
            return True
        return False

    def _minus_after(self) -> bool:
        tail = self._tail.strip()
        if tail == "-" or (tail.startswith("-") and _currency_start().fullmatch(tail[1:].strip())):
            self._tail = tail[1:]
            return True
        if (unit := _currency_start().match(tail)) and tail[unit.end() :].strip() == "-":
            self._tail = tail[: unit.end()]
            return True
        return False

    def _take_words(self, money: bool) -> None:
        """Sides of an account, powers of ten and the currency; the words that are left are the unit."""
        units, codes = [], []
        tail = self._tail.strip()
        if alone := len(tail) - len(tail.lstrip(POWERS_ALONE)):
            self._tail = tail = f"{' '.join(tail[:alone])} {tail[alone:]}"
        before = _TOUCHING_SIGN.sub(". ", self._head).split()
        beside = [*before, *tail.split()]
        for place, written in enumerate(beside):
            word = written.strip(_DECORATION)
            word = word if word in SIDES else word.casefold()
            power, of_currency = power_of_currency(written.strip("()[]+*:;,.")) if money else (0, "")
            if code := currency(written.strip("()[]+*:;,")) or currency(word) or of_currency:
                codes.append(code)
                self.power += power if of_currency == code else 0
            elif word in MINUS_WORDS or (money and word in SIDES):
                self.side = SIDES.get(word, self.side)
                self.has_sign = word in MINUS_WORDS or word in NEGATIVE_SIDES
                # Two signs of one number may be one that is written twice, or two that cancel each other.
                self.is_clear = self.is_clear and not self.is_negative and BOUND_WORDS.isdisjoint(beside)
                self.is_negative = self.has_sign
            elif word in POWERS and (money or word not in MEASURES | OTHER_THINGS):
                self.power += POWERS[word]
            elif word == "l" and codes[-1:] == ["INR"]:
                self.power += POWERS["lakh"]
            elif word:
                bare = written.strip(_DECORATION)
                units.append(bare if UNITS_WITH_CASE.fullmatch(bare) else word.upper())
                is_vague = word in (VAGUE_WORDS if place < len(before) else VAGUE_AFTERWARDS)
                is_other = (word in UNCLEAR_WORDS or is_subunit(word)) if money else word in OTHER_THINGS
                self.is_clear = self.is_clear and not (is_vague or is_other or word in COUNTING_WORDS)
        if self.power > _MOST_ZEROS:
            self.power, self.is_clear = 0, False
        named = one_currency(codes, any(word in PLAIN_DOLLARS for word in beside)) if codes else ""
        self.unit = " ".join([*([named] if named else codes), *units])
        # `Cr` beside rupees is ten million of them, or a credit.
        is_open = (named == "INR" and self.side == "credit") or (money and leaves_power_open(beside, named))
        if (codes and not named) or is_open or not _says_no_more(f"{self._head} {self._tail}"):
            self.is_clear = False


_TOUCHING_SIGN = re.compile(r"(?<=[a-z])\.(?=[\u00a2-\u00a5\u20a0-\u20cf$])")  # in `ca.€500`


def _changes_number(label: str, money: bool) -> bool:
    """Whether what stands before a colon changes the number: `Minus: 5`, `Betrag in TEUR: 5`, `Max.: 5`, `CR: 5`."""
    words = [word.strip(_DECORATION) for word in label.split()]
    folded = [word.casefold() for word in words]
    if any(word in MINUS_WORDS or (money and word in POWERS) for word in folded):
        return True
    if money and any(power_of_currency(word)[0] for word in words):
        return True
    return len(words) == 1 and (folded[0] in VAGUE_WORDS or (money and (words[0] in SIDES or folded[0] in SIDES)))


def _names_money(word: str) -> bool:
    """Whether the word is a currency, a power of ten, or both."""
    word = word.strip(".,")
    return bool(
        currency(word) or word.casefold() in POWERS or word.strip(POWERS_ALONE) == "" or power_of_currency(word)[0]
    )


def _says_no_more(beside: str) -> bool:
    """Whether nothing stands beside a number that changes what it says: further numbers, signs such as `<` and `±`."""
    if re.search(r"(?<![^\W_])\d|(?<![^\W_])x\d", beside) or beside.count("(") != beside.count(")"):
        return False
    return all(
        char.isalnum()
        or char.isspace()
        or char in "-" + _DECORATION + _UNIT_SIGNS
        or unicodedata.category(char) in ("Sc", "Mn", "Mc", "Lm")
        for char in beside
    )
