"""Numbers and texts of workbooks as their formats show them: digits, groups, shares, currencies, brackets, conditions.

Source: ECMA-376 part 1, 18.8.30 and 18.8.31. Points and commas are those of the format codes themselves, which are
English in every file.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from appliance.documents.moments import Part, is_moment, moment_parts, moment_text

_MONEY, _MONEY_CENTS = "#,##0_);(#,##0)", "#,##0.00_);(#,##0.00)"
_DATE, _TIME = "yyyy-mm-dd", "h:mm:ss"
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: _MONEY, 6: _MONEY, 7: _MONEY_CENTS, 8: _MONEY_CENTS, 9: "0%",
    10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??", 14: _DATE, 15: _DATE, 16: "d-mmm", 17: "mmm-yy",
    18: _TIME, 19: _TIME, 20: _TIME, 21: _TIME, 22: "yyyy-mm-dd h:mm", 37: _MONEY, 38: _MONEY, 39: _MONEY_CENTS,
    40: _MONEY_CENTS, 41: _MONEY, 42: _MONEY, 43: _MONEY_CENTS, 44: _MONEY_CENTS, 45: "mm:ss", 46: "[h]:mm:ss",
    47: "mm:ss.0", 48: "##0.0E+0", 49: "@", **dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), _DATE),
    **dict.fromkeys((32, 33, 34, 35, 55, 56), _TIME),
}  # fmt: skip
"""Codes of the formats that files name by number alone; which currency some of them show depends on the machine."""
_MAX_CODE_CHARACTERS = 300
_MAX_DECIMALS = 30
_SECTION = re.compile(r'(?:"[^"]*"?|\\.|\[[^\]]*\]|[^;])*', re.DOTALL)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)\s*(-?[\d.]+)\]")
_TOKEN = re.compile(
    r'"([^"]*)"?|\\(.)|(_.)|(\*.)|\[\$([^\]-]*)[^\]]*\]|(\[[^\]]*\])|(General)|([eE][+-])|([0#?])|([.,%/@])|(.)',
    re.DOTALL | re.IGNORECASE,
)
_MOST_DENOMINATOR = 9999


@dataclass(frozen=True)
class _Section:
    """One of the forms that a format has, for positive numbers, negative ones, zero or text."""

    tokens: tuple[tuple[str, str], ...]
    """Kind and text: `digit`, `mark` for point, comma, percent, slash and at, `exponent`, `general`, `text`."""
    condition: tuple[str, float] | None
    moment: tuple[Part, ...]
    """Parts of a date or a time; empty where it shows neither."""

    @property
    def is_empty(self) -> bool:
        """Whether it shows nothing at all."""
        return not self.tokens

    @property
    def has_text_place(self) -> bool:
        """Whether text goes into it."""
        return ("mark", "@") in self.tokens


class NumberFormat:
    """A parsed format code."""

    def __init__(self, code: str) -> None:
        code = code[:_MAX_CODE_CHARACTERS] if code.strip() else "General"
        sections = [_section(text) for text in _sections(code)][:4]
        self._text = sections[3] if len(sections) == 4 else next((one for one in sections if one.has_text_place), None)
        # A text place among numbers shows a number as it is.
        self._numbers = sections[:3]

    @property
    def shows_moments(self) -> bool:
        """Whether it shows numbers as dates or times."""
        return bool(self._numbers and self._numbers[0].moment)

    def number_text(self, number: float, epoch: datetime) -> str:
        """A number as it is shown; nothing where the format hides it."""
        section, is_absolute = self._section_for(number)
        if section.moment:
            shown = moment_text(number, list(section.moment), epoch)
            return plain_number(number) if shown is None else shown
        value = abs(number) if is_absolute else number
        try:
            return _number(value, section)
        except (InvalidOperation, OverflowError, ValueError):
            return plain_number(number)

    def text_text(self, text: str) -> str:
        """A text as it is shown; nothing where the format hides it."""
        if self._text is None:
            return text
        return "".join(text if kind == "mark" and sign == "@" else sign for kind, sign in self._text.tokens).strip()

    def _section_for(self, number: float) -> tuple[_Section, bool]:
        """The section for a number, and whether the section itself says what the sign is."""
        sections = self._numbers
        if any(section.condition for section in sections):
            for section in sections:
                if section.condition and _holds(number, section.condition):
                    return section, section.condition[0] in ("<", "<=") and section.condition[1] <= 0
            plain = [section for section in sections if section.condition is None]
            first = sections[0].condition
            # Behind a section for all that is not negative stands one that writes the sign itself.
            is_rest = first is not None and first[0] in (">", ">=") and first[1] == 0
            return (plain or sections)[-1], is_rest and number < 0 and len(sections) == 2
        if number < 0 and len(sections) > 1:
            return sections[1], True
        if number == 0 and len(sections) > 2:
            return sections[2], True
        return sections[0], False


def plain_number(number: float) -> str:
    """A number in its shortest form; a zero has no sign."""
    return f"{number or 0.0:.15g}"


def _sections(code: str) -> list[str]:
    texts, position = [], 0
    while position <= len(code):
        section = _SECTION.match(code, position)
        end = section.end() if section else len(code)
        texts.append(code[position:end])
        position = end + 1
    return texts


def _section(text: str) -> _Section:
    condition = _CONDITION.search(text)
    limit = None
    if condition:
        try:
            limit = (condition.group(1), float(condition.group(2)))
        except ValueError:
            limit = None
    tokens: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(text):
        quoted, escaped, blank, fill, currency, _, general, exponent, digit, mark, other = token.groups()
        if general:
            tokens.append(("general", ""))
        elif exponent:
            tokens.append(("exponent", exponent))
        elif digit:
            tokens.append(("digit", digit))
        elif mark:
            tokens.append(("mark", mark))
        elif blank:
            tokens.append(("text", " "))
        elif not fill:
            shown = next((text for text in (quoted, escaped, currency, other) if text is not None), "")
            tokens += [("text", shown)] if shown else []
    has_general = ("general", "") in tokens
    moment = [] if has_general else moment_parts(text)
    return _Section(tuple(tokens), limit, tuple(moment) if is_moment(moment) else ())


def _holds(number: float, condition: tuple[str, float]) -> bool:
    sign, limit = condition
    return {"<": number < limit, "<=": number <= limit, ">": number > limit, ">=": number >= limit,
            "=": number == limit, "<>": number != limit}[sign]  # fmt: skip


def _number(value: float, section: _Section) -> str:
    tokens = list(section.tokens)
    kinds = [kind for kind, _ in tokens]
    if "general" in kinds or section.has_text_place:
        shown = plain_number(value)
        return "".join(shown if kind == "general" or sign == "@" else sign for kind, sign in tokens).strip()
    if "digit" not in kinds:
        sign = "-" if value < 0 and tokens else ""
        return (sign + "".join(sign for kind, sign in tokens if kind == "text" or sign == "%")).strip()
    digits = [index for index, kind in enumerate(kinds) if kind == "digit"]
    if ("mark", "/") in tokens[digits[0] : digits[-1] + 2]:
        return _fraction(value, tokens)
    amount = Decimal(repr(value)) * Decimal(100) ** tokens.count(("mark", "%"))
    if "exponent" in kinds:
        return _scientific(amount, tokens)
    return _fixed(amount, tokens)


def _fixed(amount: Decimal, tokens: list[tuple[str, str]]) -> str:
    """Digits put into their places, from the point outwards, with the text that stands between them."""
    places = [index for index, (kind, _) in enumerate(tokens) if kind == "digit"]
    point = next((index for index, token in enumerate(tokens) if token == ("mark", ".")), None)
    whole = [index for index in places if point is None or index < point]
    part = [index for index in places if point is not None and index > point][:_MAX_DECIMALS]
    commas = [index for index, token in enumerate(tokens) if token == ("mark", ",")]
    last = whole[-1] if whole else -1
    scale = sum(1 for index in commas if index > last and (point is None or index < point))
    scale += sum(1 for index in commas if part and index > part[-1])
    grouped = any(whole and whole[0] < index < last for index in commas)
    shown = (abs(amount) / Decimal(1000) ** scale).quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP)
    digits, _, decimals = f"{shown:f}".partition(".")
    written = {**_whole_digits(digits, whole, tokens, grouped), **_decimal_digits(decimals, part, tokens)}
    minus = "-" if amount < 0 and shown else ""
    pieces = []
    for index, (kind, sign) in enumerate(tokens):
        if kind == "digit":
            pieces.append(written.get(index, ""))
        elif index == point or kind == "text" or sign in ("%", "/"):
            pieces.append(sign)
    return minus + "".join(pieces).strip()


def _whole_digits(digits: str, places: list[int], tokens: list[tuple[str, str]], grouped: bool) -> dict[int, str]:
    """Digits before the point by place; those without a place of their own go into the first one."""
    digits = "" if digits.strip("0") == "" else digits
    needed = sum(1 for index in places if tokens[index][1] == "0")
    digits = digits.rjust(needed, "0")
    written: dict[int, str] = {}
    for count, index in enumerate(reversed(places)):
        is_first = index == places[0]
        start = 0 if is_first else len(digits) - count - 1
        piece = digits[max(start, 0) : max(len(digits) - count, 0)]
        if grouped and piece:
            after = count
            piece = "".join(
                digit + ("," if (after + len(piece) - 1 - at) % 3 == 0 and after + len(piece) - 1 - at else "")
                for at, digit in enumerate(piece)
            )
        written[index] = piece
    return written


def _decimal_digits(decimals: str, places: list[int], tokens: list[tuple[str, str]]) -> dict[int, str]:
    """Digits after the point by place; zeros at the end are kept where the format asks for them."""
    kept = len(decimals.rstrip("0"))
    kept = max(kept, max((at + 1 for at, index in enumerate(places) if tokens[index][1] == "0"), default=0))
    return {index: decimals[at : at + 1] if at < kept else "" for at, index in enumerate(places)}


def _scientific(amount: Decimal, tokens: list[tuple[str, str]]) -> str:
    at = next(index for index, (kind, _) in enumerate(tokens) if kind == "exponent")
    point = next((index for index, token in enumerate(tokens[:at]) if token == ("mark", ".")), at)
    decimals = sum(1 for kind, _ in tokens[point:at] if kind == "digit")
    width = sum(1 for kind, _ in tokens[at:] if kind == "digit")
    places = [index for index, (kind, _) in enumerate(tokens) if kind == "digit"]
    step = sum(1 for index in places if index < point)
    power = amount.adjusted() if amount else 0
    # With places for several digits, as in ##0.0E+0, the power is a multiple of their number.
    power -= power % step if step > 1 else 0
    mantissa = f"{abs(amount).scaleb(-power):.{min(decimals, _MAX_DECIMALS)}f}"
    if step < 2 and mantissa.partition(".")[0] == "10":
        power, mantissa = power + 1, f"{abs(amount).scaleb(-power - 1):.{min(decimals, _MAX_DECIMALS)}f}"
    sign = "-" if power < 0 else "+" if tokens[at][1].endswith("+") else ""
    written = f"{'-' if amount < 0 else ''}{mantissa}E{sign}{str(abs(power)).rjust(width, '0')}"
    return _with_text_around(written, tokens, places)


def _fraction(value: float, tokens: list[tuple[str, str]]) -> str:
    at = tokens.index(("mark", "/"))
    fixed = re.match(r"\d+", "".join(sign for _, sign in tokens[at + 1 :]).strip().replace("?", "").replace("#", ""))
    width = sum(1 for kind, _ in tokens[at:] if kind == "digit")
    above = [index for index, (kind, _) in enumerate(tokens[:at]) if kind == "digit"]
    # A gap between the digits before the slash parts the whole number from the fraction.
    has_whole = any(kind == "text" for kind, _ in tokens[above[0] : above[-1]]) if above else False
    whole, rest = divmod(abs(Fraction(repr(value))), 1) if has_whole else (0, abs(Fraction(repr(value))))
    if fixed and int(fixed.group()):
        denominator = min(int(fixed.group()), _MOST_DENOMINATOR)
        numerator = int(rest * denominator + Fraction(1, 2))
    else:
        near = rest.limit_denominator(max(min(10**width - 1, _MOST_DENOMINATOR), 1))
        numerator, denominator = near.numerator, near.denominator
    if has_whole and numerator == denominator:
        whole, numerator = whole + 1, 0
    minus = "-" if value < 0 else ""
    parts = [str(whole)] if has_whole and (whole or not numerator) else []
    parts += [f"{numerator}/{denominator}"] if numerator or not has_whole else []
    places = [index for index, (kind, _) in enumerate(tokens) if kind == "digit"]
    if fixed:
        places = [*places, *(index for index, (_, sign) in enumerate(tokens) if index > at and sign.isdigit())]
    return _with_text_around(minus + " ".join(parts), tokens, sorted(places))


def _with_text_around(written: str, tokens: list[tuple[str, str]], places: list[int]) -> str:
    """A number with the text that its format has before the first place of a digit and behind the last one."""
    before, after = tokens[: places[0]], tokens[places[-1] + 1 :]
    texts = ["".join(sign for kind, sign in part if kind == "text" or sign == "%") for part in (before, after)]
    return f"{texts[0]}{written}{texts[1]}".strip()
