"""Values of real contracts: what lawyers say each contract says, where it is printed, and a regular expression for it.

The lawyers' answers are dates as `1/22/2020`, terms as `successive 1 year`, parties with their short names. A student
that copies is taught what the contract prints for them: `January 22, 2020`, `one (1) year`, the party's name. What is
printed in no form that is known here is left out and counted.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.tasks.dates import DateOrder, read_date
from appliance.tasks.linecode import Answer
from appliance.tasks.values import find_spans

TASK = """version = 1
name = "contracts"
kind = "extract"
instruction = "Read the contract"
locale = "en-US"

[[fields]]
name = "document_name"
type = "text"
phrase = "title of the contract"

[[fields]]
name = "parties"
type = "list"

[[fields]]
name = "agreement_date"
type = "date"

[[fields]]
name = "effective_date"
type = "date"

[[fields]]
name = "expiration_date"
type = "date"

[[fields]]
name = "renewal_term"
type = "text"

[[fields]]
name = "notice_period_to_terminate_renewal"
type = "text"
phrase = "notice to end renewal"

[[fields]]
name = "governing_law"
type = "text"

[input]
long = "window"
"""
NAMES = tuple(re.findall(r'(?m)^name = "(\w+)"', TASK)[1:])
DATES = ("agreement_date", "effective_date", "expiration_date")
TERMS = ("renewal_term", "notice_period_to_terminate_renewal")
NEAR = {
    "effective_date": r"effective",
    "expiration_date": r"expir|terminat|until|end(?:s|ing)?\b|term\b",
    "renewal_term": r"renew|extend|successive|additional",
    "notice_period_to_terminate_renewal": r"renew|prior|notice|terminat",
    "governing_law": r"govern|laws? of|construed",
}
"""Where a value is printed several times, the place nearest to such a word counts."""
_MONTH = (
    "(?:January|February|March|April|May|June|July|August|September|October|November|December"
    "|Sept?|Oct|Nov|Dec|Jan|Feb|Mar|Apr|Jun|Jul|Aug)"
)
_DATE = re.compile(
    rf"{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\s*,?\s*\d{{4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s+(?:day\s+of\s+)?{_MONTH}\.?,?\s+\d{{4}}"
    r"|\b\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b|\b\d{4}-\d{2}-\d{2}\b",
    re.IGNORECASE,
)
_NUMBERS = dict(enumerate("zero one two three four five six seven eight nine ten eleven twelve".split()))
_NUMBERS |= {15: "fifteen", 18: "eighteen", 24: "twenty-four", 30: "thirty", 36: "thirty-six", 45: "forty-five",
             60: "sixty", 90: "ninety", 120: "one hundred twenty", 180: "one hundred eighty"}  # fmt: skip
_TERM = re.compile(r"(\d+)\s*(day|week|month|quarter|year)", re.IGNORECASE)
_ALIAS = re.compile(r"[(\[\"“].*$", re.DOTALL)


@dataclass(frozen=True)
class PrintedValue:
    """A value as the contract prints it."""

    field: str
    text: str
    place: int
    """Offset in the contract."""


def printed_values(text: str, fields: Mapping[str, object]) -> tuple[list[PrintedValue], int]:
    """What a contract prints of the lawyers' answers, and how many of these it prints in no known form."""
    values, lost = [], 0
    for name in NAMES:
        answers = fields.get(name)
        texts = [str(answer) for answer in answers] if isinstance(answers, list) else [str(answers)] if answers else []
        for answer in map(_party, texts) if name == "parties" else texts:
            if len(answer) < 3:  # a party's short name alone
                continue
            spans = list(_spans(name, answer, text))
            if spans:
                start, end = _nearest(name, spans, text)
                values.append(PrintedValue(name, " ".join(text[start:end].split()), start))
            else:
                lost += 1
    return values, lost


def _spans(name: str, answer: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the contract prints an answer."""
    if name in DATES:
        wanted = read_date(answer, DateOrder.MONTH_FIRST, "en")
        for match in _DATE.finditer(text) if wanted and wanted.form else ():
            reading = read_date(match.group(), DateOrder.MONTH_FIRST, "en")
            if wanted and reading and reading.form == wanted.form:
                yield match.span()
    elif name in TERMS:
        if term := _TERM.search(answer):
            number, unit = int(term.group(1)), term.group(2)
            word = re.escape(_NUMBERS.get(number, str(number))).replace("\\ ", r"\s+").replace(r"\-", r"[-\s]")
            pattern = rf"\b(?:{word}\s*)?\(?\b{number}\)?[\s-]+{unit}s?\b|\b{word}[\s-]+{unit}s?\b"
            yield from (match.span() for match in re.finditer(pattern, text, re.IGNORECASE))
    else:
        yield from find_spans(answer, text) or find_spans(answer.rstrip("."), text)


def _party(answer: str) -> str:
    """A party's name without its short names."""
    return _ALIAS.sub("", answer).strip(" ,;\n")


def _nearest(name: str, spans: list[tuple[int, int]], text: str) -> tuple[int, int]:
    if name not in NEAR:
        return spans[0]
    words = [match.start() for match in re.finditer(NEAR[name], text, re.IGNORECASE)]
    # A word that comes after the value says less.
    return min(spans, key=lambda span: min((max(span[0] - word, 3 * (word - span[0])) for word in words), default=0))


def answer_of(values: list[PrintedValue]) -> Answer:
    """A contract's answer as the task's rows have it."""
    answer: Answer = dict.fromkeys(NAMES)
    for value in values:
        if value.field == "parties":
            parties = answer["parties"] or []
            answer["parties"] = list(dict.fromkeys([*parties, value.text]))
        else:
            answer[value.field] = value.text
    return answer


_NAME = r"[A-Z][\w.&,' -]{2,60}?"
_PERIOD = r"(?:\w+\s*)?\(?\d+\)?\s+(?:days|months)"
EXPRESSIONS = {
    "document_name": r"(?m)^\W*([A-Z][A-Z &,/-]*AGREEMENT[A-Z ]*|[A-Z][\w &,/-]{0,60}Agreement)\W*$",
    "parties": rf"(?s)between:?\s+({_NAME})(?:\s*\(|,\s+an?\s).{{0,400}}?\band\s+({_NAME})(?:\s*\(|,\s+an?\s)",
    "agreement_date": rf"(?:dated|made|entered into)[^.]{{0,80}}?({_DATE.pattern})",
    "effective_date": rf"(?:effective)[^.]{{0,80}}?({_DATE.pattern})",
    "expiration_date": rf"(?:expire|terminate|until|end)[^.]{{0,80}}?({_DATE.pattern})",
    "renewal_term": r"renew[^.]{0,160}?((?:\w+\s*)?\(?\d*\)?[\s-]+(?:year|month)s?)",
    "notice_period_to_terminate_renewal": rf"renew[^.]{{0,300}}?({_PERIOD})[^.]{{0,40}}(?:prior|before|notice)",
    "governing_law": r"(?:laws? of|governed by)\s+(?:the\s+)?(?:laws\s+of\s+)?(?:the\s+)?"
    r"(?:(?:State|Commonwealth)\s+of\s+)?([A-Z]\w+(?:\s+[A-Z]\w+)?)",
}
"""The simple baseline: the first match of each."""
_BY_CASE = ("parties", "governing_law", "document_name")


def by_expressions(text: str) -> Answer:
    """What the regular expressions find in a contract."""
    answer: Answer = dict.fromkeys(NAMES)
    for name, expression in EXPRESSIONS.items():
        if match := re.search(expression, text, 0 if name in _BY_CASE else re.IGNORECASE):
            groups = [" ".join(group.split()) for group in match.groups() if group]
            answer[name] = groups if name == "parties" else groups[0]
    return answer
