"""Values of fields: brought to one form, compared by the field's comparator, and looked up in the document."""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from appliance.tasks.amount_words import POWERS_ALONE
from appliance.tasks.amounts import AmountReading, is_same_amount, read_amount
from appliance.tasks.canonical_text import canonical, canonical_text, tidy
from appliance.tasks.dates import DateReading, is_same_date, read_date
from appliance.tasks.linecode import Answer, Record, Value, is_records
from appliance.tasks.locales import LocaleRules, locale_rules
from appliance.tasks.marks import Mark
from appliance.tasks.task import Comparator, Field, FieldType

_NUMBERS = (Comparator.AMOUNT, Comparator.NUMBER, Comparator.INTEGER)
_NO_RULES = LocaleRules(None, "", "")


@dataclass(frozen=True)
class NormalisedValue:
    """A value in the form that programs read, with what a person should know about it."""

    value: Value
    """A date as ISO 8601, a number with a dot for its decimals, a text without unseen characters; None where what is
    written does not say it for certain."""
    marks: tuple[Mark, ...] = ()


def normalised_value(field: Field, value: Value) -> NormalisedValue:
    """The value as programs read it; the type of the field says what it is, or else its comparator."""
    if value is None or is_blank(value):
        return NormalisedValue(None)
    if is_records(value):
        return _normalised_records(field, value)
    if isinstance(value, list):
        return NormalisedValue([tidy(str(text)) for text in value])
    kind = Comparator(field.type) if field.type not in (FieldType.TEXT, FieldType.LIST) else field.comparator
    if field.is_choice:
        return NormalisedValue(_known_value(field, value) or tidy(value))
    if kind is not Comparator.DATE and kind not in _NUMBERS:
        return NormalisedValue(tidy(value))
    reading = _date(field, value) if kind is Comparator.DATE else _amount(field, value, kind)
    if reading is None or (kind is Comparator.INTEGER and not _is_whole(reading)):
        return NormalisedValue(None, (Mark.UNREAD,))
    return NormalisedValue(reading.form, tuple(sorted(reading.marks)))


def _normalised_records(field: Field, records: list[Record]) -> NormalisedValue:
    """Each column as its own type has it, with the marks of all."""
    rows: list[Record] = []
    marks: set[Mark] = set()
    for record in records:
        cells = {column.name: normalised_value(column, record.get(column.name)) for column in field.columns}
        rows.append({name: cell.value if isinstance(cell.value, str) else None for name, cell in cells.items()})
        marks |= {mark for cell in cells.values() for mark in cell.marks}
    return NormalisedValue(rows, tuple(sorted(marks)))


def _is_whole(reading: DateReading | AmountReading) -> bool:
    return isinstance(reading, AmountReading) and reading.number == reading.number.to_integral_value()


def normalised_answer(fields: Sequence[Field], answer: Answer) -> tuple[Answer, dict[str, list[str]]]:
    """The values of an answer as programs read them, and the marks of the fields that have some."""
    values = {field.name: normalised_value(field, answer.get(field.name)) for field in fields}
    marks = {name: [mark.value for mark in each.marks] for name, each in values.items() if each.marks}
    return {name: each.value for name, each in values.items()}, marks


def normalise(field: Field, value: Value) -> Value:
    """The value in the one form that its comparator compares; a value that has no such form stays a plain text."""
    if value is None or is_blank(value):
        return None
    if is_records(value):
        return [_normalised_record(field, record) for record in value]
    if isinstance(value, list):
        form = tidy if field.comparator is Comparator.EXACT else plain
        return [form(str(text)) for text in value]
    if field.comparator is Comparator.EXACT:
        return tidy(value)
    if field.comparator in (Comparator.ENUM, Comparator.BOOLEAN):
        return value if value in field.values else _known_value(field, value) or plain(value)
    reading = _reading(field, value)
    return plain(value) if reading is None or reading.form is None else reading.form


def _normalised_record(field: Field, record: Record) -> Record:
    cells = {column.name: normalise(column, record.get(column.name)) for column in field.columns}
    return {name: cell if isinstance(cell, str) else None for name, cell in cells.items()}


def is_blank(value: Value) -> bool:
    """Whether nothing of the value is seen."""
    return not any(map(tidy, value_texts(value)))


def value_texts(value: Value) -> list[str]:
    """The texts that a value is made of: itself, the entries of a list, the cells of records."""
    if value is None or isinstance(value, str):
        return [value] if value else []
    return [text for entry in value for text in ([entry] if isinstance(entry, str) else entry.values()) if text]


def read_quantity(field: Field, value: str) -> tuple[Decimal, str] | None:
    """The number that a value is, with its unit; None where it is none for certain."""
    reading = read_amount(value, field.comparator is Comparator.AMOUNT, _rules(field).decimal_mark)
    return (reading.number, reading.unit) if reading is not None and reading.form is not None else None


def same(field: Field, a: Value, b: Value) -> bool:
    """Whether two values of the field say the same, by its comparator; nothing equals only nothing."""
    first, second = normalise(field, a), normalise(field, b)
    if first is None or second is None:
        return first is second
    if is_records(a) or is_records(b):
        return is_records(a) and is_records(b) and len(a) == len(b) == len(equal_records(field, a, b))
    if isinstance(first, list) or isinstance(second, list):
        return isinstance(first, list) and isinstance(second, list) and _ordered(first) == _ordered(second)
    if isinstance(a, str) and isinstance(b, str):
        readings = _reading(field, a), _reading(field, b)
        if readings[0] is not None or readings[1] is not None:
            # What is read as numbers with units may differ by case alone: `5 mW`, `5 MW`.
            are_clear = all(reading is not None and reading.is_clear for reading in readings)
            return _says_the_same(*readings) or (not are_clear and canonical(a) == canonical(b))
    return first == second


def equal_records(field: Field, one: Sequence[Record], other: Sequence[Record]) -> dict[int, int]:
    """Records of two lists that say the same in every column: number in the first -> number in the second."""

    def key(record: Record) -> tuple[str | None, ...]:
        cells = (normalise(column, record.get(column.name)) for column in field.columns)
        return tuple(cell if isinstance(cell, str) else None for cell in cells)

    waiting: defaultdict[tuple[str | None, ...], deque[int]] = defaultdict(deque)
    for number, record in enumerate(other):
        waiting[key(record)].append(number)
    pairs = {}
    for number, record in enumerate(one):
        if (numbers := waiting.get(key(record))) and _is_same_record(field, record, other[numbers[0]]):
            pairs[number] = numbers.popleft()
    return pairs


def _is_same_record(field: Field, one: Record, other: Record) -> bool:
    return all(same(column, one.get(column.name), other.get(column.name)) for column in field.columns)


def _ordered(texts: list[str] | list[Record]) -> list[str]:
    return sorted(map(str, texts))


def _says_the_same(a: DateReading | AmountReading | None, b: DateReading | AmountReading | None) -> bool:
    """Whether two readings of one kind are clear and equal; what is not clear is only equal as a text."""
    if isinstance(a, DateReading) and isinstance(b, DateReading):
        return a.is_clear and b.is_clear and is_same_date(a, b)
    if isinstance(a, AmountReading) and isinstance(b, AmountReading):
        return a.is_clear and b.is_clear and is_same_amount(a, b)
    return False


def _reading(field: Field, value: str) -> DateReading | AmountReading | None:
    """The value as its comparator reads it; None for comparators of texts."""
    if field.comparator is Comparator.DATE:
        return _date(field, value)
    return _amount(field, value, field.comparator) if field.comparator in _NUMBERS else None


def _amount(field: Field, value: str, kind: Comparator) -> AmountReading | None:
    return read_amount(value, kind is Comparator.AMOUNT, _rules(field).decimal_mark)


def _date(field: Field, value: str) -> DateReading | None:
    rules = _rules(field)
    return read_date(value, field.date_order or rules.date_order, rules.language)


def _rules(field: Field) -> LocaleRules:
    return locale_rules(field.locale) if field.locale else _NO_RULES


def _known_value(field: Field, value: str) -> str | None:
    return next((known for known in field.values if plain(known) == plain(value)), None)


def plain(text: str) -> str:
    """Text without what rarely means anything: case, kind of blanks, spelling of letters and marks, outer marks."""
    folded = canonical(text)
    return folded.strip(" .,;:") or folded


def read_number(text: str, money: bool) -> Decimal | None:
    """The first number in the text, whatever its separators and whatever stands beside it.

    Args:
        money: A dot before the last three digits separates thousands; otherwise it is a decimal mark.
    """
    reading = read_amount(text, money)
    return None if reading is None else reading.number


def read_unit(text: str) -> str:
    """The currency or unit that stands with the number, in one spelling; empty where there is none."""
    reading = read_amount(text, money=True)
    return "" if reading is None else reading.unit


def evidence(field: Field, value: Value, text: str) -> int | None:
    """Where the value stands in the text, as an offset in characters; case, blanks and codes aside.

    A list has its first entry's place if every entry is there, records that of their first cell if every cell of a
    literal column is. Derived values have no place.
    """
    if not value or field.evidence == "derived":
        return None
    if isinstance(value, str):
        return find(value, text)
    places = [find(part, text) for part in printed_texts(field, value)]
    return None if not places or any(place is None for place in places) else places[0]


def printed_texts(field: Field, value: Value) -> list[str]:
    """The texts of a value that the document should print as they are: of records the cells of literal columns."""
    if field.evidence == "derived":
        return []
    if not is_records(value):
        return value_texts(value)
    literal = [column.name for column in field.columns if column.evidence == "literal"]
    return [cell for record in value for name in literal if (cell := record.get(name))]


def find(value: str, text: str) -> int | None:
    """The first place where the value stands alone: not inside a longer word or number."""
    span = find_span(value, text)
    return None if span is None else span[0]


def find_span(value: str, text: str) -> tuple[int, int] | None:
    """The first stretch of the text that is the value; offsets count characters as they are written.

    A place that prints the value letter by letter comes first; where there is none, canonical forms are compared, and a
    word may be parted at a line end.
    """
    return next(_literal_spans(value, text), None) or next(_canonical_spans(value, text), None)


def find_spans(value: str, text: str) -> list[tuple[int, int]]:
    """Every stretch of the text that is the value, in order."""
    return sorted({*_literal_spans(value, text), *_canonical_spans(value, text)})


_LONG_VALUE = 500
"""In characters. Where a text repeats itself, a pattern of a longer value takes a second for each page of it."""


def _may_hold(value: str, text: str) -> bool:
    return len(value) < _LONG_VALUE or _letters(canonical(value)) in _letters(canonical_text(text).text)


@lru_cache(maxsize=4)
def _letters(folded: str) -> str:
    """What is left of a text in canonical form whatever parts its words."""
    return "".join(folded.split()).replace("-", "").replace("\u0131", "i")


def _literal_spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    if (words := value.split()) and _may_hold(value, text):
        yield from _spans(words, r"\s+".join(map(re.escape, words)), text)


def _canonical_spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    if text.isascii() and value.isascii() and not _PARTED_WORD.search(text):
        return
    if (words := canonical(value).split()) and _may_hold(value, text):
        whole = canonical_text(text)
        for start, end in _spans(words, r"\s".join(map(_parted_at_line_ends, words)), whole.text):
            yield whole.source(start), whole.source_end(end)


_PARTED_WORD = re.compile(r"-[^\S\n]*\n")


def _parted_at_line_ends(word: str) -> str:
    """A pattern for the word, whole or parted by hyphens at line ends; a hyphen of its own may end a line too."""
    pattern = ""
    for left, right in pairwise([*word, ""]):
        pattern += re.escape(left)
        if left == "-":
            pattern += r"\n?"
        elif left.isalpha() and right.isalpha():
            pattern += r"(?:-\n)?"
    return pattern


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _spans(words: Sequence[str], body: str, text: str) -> Iterator[tuple[int, int]]:
    """Where words stand in a text that are no part of a longer word or number."""
    if not _has_caseless(text):
        yield from (match.span() for match in _compiled(_pattern(words, body, r"\w")).finditer(text))
        return
    # A class of characters without case takes milliseconds to compile, for each value: they are looked at one by one.
    pattern, at = _compiled(_pattern(words, body, "")), 0
    while match := pattern.search(text, at):
        start, end = match.span()
        begins_inside = start > 0 and _is_parted(words[0][0]) and _joins(text[start - 1])
        ends_inside = end < len(text) and _is_parted(words[-1][-1]) and _joins(text[end])
        if begins_inside or ends_inside:
            at = start + 1
        else:
            yield start, end
            at = end


def _pattern(words: Sequence[str], body: str, joined: str) -> str:
    """A pattern for words beside which none of the joined characters stand, and nothing that makes another number."""
    # Scripts without case (Chinese, Thai, Arabic) do not part words in a way that `\w` knows.
    first, last = words[0][0], words[-1][-1]
    before = rf"(?<![{joined}\d\u00ad\u200c\u200d\u2060])" if _is_parted(first) else ""
    after = rf"(?![{joined}\d\u0300-\u036f\u00ad\u200c\u200d\u2060])" if _is_parted(last) else ""
    if first.isdigit():
        before += rf"(?<!\d[{_NUMBER_MARKS}])(?<!\^)"
    elif words[0][1:2].isdigit() and first in _SIGNS + _NUMBER_MARKS:
        before += r"(?<!\d)"  # `-5` of `10-5` and `.50` of `2.50` are no values
    if joined and last.isdigit() and sum(map(len, words)) >= _LEAST_GLUED:
        # Text that is taken out of a PDF may have a label right behind its value: `993548900Invoice no.`
        after = rf"(?:{after}|(?=(?-i:[A-Z\u00c0-\u00de][a-z\u00df-\u00ff])))"
    if last.isdigit():
        after += rf"(?![{_NUMBER_MARKS}]\d)(?!\^)(?![{POWERS_ALONE}])"
    # Nearly every place of a text is ruled out by its character alone, before anything beside it is looked at.
    return f"(?={re.escape(first)}){before}{body}{after}"


_NUMBER_MARKS = ".,'\u2019\u066b\u066c"
_LEAST_GLUED = 6
"""Characters of a number or code that may stand without a blank before a word."""


_SIGNS = "+-\u2212\u2013"
_CASELESS = (
    "\u0590-\u05ff\u0620-\u109f\u1100-\u139f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3105-\u318e\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97c\uac00-\ud7fb\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc\uff66-\uffdc"
    "\U00020000-\U0003ffff"
)
"""Letters of Hebrew, Arabic, the scripts of South and East Asia, and Ethiopic: what stands in another script or in
figures among them, as in `\u5408\u8a081,234\u5186`, stands alone."""
_CASELESS_LETTER = re.compile(f"[{_CASELESS}]")


@lru_cache(maxsize=4)
def _has_caseless(text: str) -> bool:
    return not text.isascii() and _CASELESS_LETTER.search(text) is not None


def _joins(char: str) -> bool:
    """Whether a character makes one word with a letter or digit beside it."""
    return char == "_" or (char.isalnum() and not is_caseless(char))


def is_caseless(char: str) -> bool:
    """Whether a character is a letter of a script that has no case; its digits are none."""
    return not char.isdigit() and _CASELESS_LETTER.match(char) is not None


def _is_parted(char: str) -> bool:
    return char.isdigit() or char.lower() != char.upper()
