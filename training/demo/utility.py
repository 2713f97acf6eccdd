"""The demo's documents: utility bills, the genre that the base never saw; its recorded teacher makes known mistakes."""

import datetime
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.demo.documents import GeneratedDocument, OutputField, Printed, choose_labels, compose, raise_case
from training.demo.genres import UTILITY_BILL, UTILITY_DISTRACTORS, FieldSpec
from training.demo.layouts import TRAINING_WAYS, draw_layout
from training.demo.pools import Split, pools
from training.demo.printing import Style, draw_style, print_date, print_value

PRESENT_SHARE = 0.9
"""Chance of each output field to stand in a document."""
ALWAYS = frozenset({"account_number", "amount_due", "bill_date"})
MISTAKE_SHARE = 0.15
MISTAKES = ("swapped", "invented", "misread", "cut", "missing", "malformed")
"""Kinds of planted mistakes, in the order in which they are dealt."""

Truth = dict[str, str | None]


@dataclass(frozen=True)
class TeacherRow:
    """What the recorded teacher says about a document; `mistake` names a planted one."""

    answer: dict[str, object]
    mistake: str | None


def _printed(rng: random.Random, style: Style) -> list[Printed]:
    distractors = rng.sample(list(UTILITY_DISTRACTORS), rng.randrange(2, 7))
    requested = [spec for spec in UTILITY_BILL.fields if spec.key in ALWAYS or rng.random() < PRESENT_SHARE]
    specs: list[FieldSpec] = [*requested, *distractors]
    if rng.random() < 0.6:
        rng.shuffle(specs)
    first = rng.randrange(100, 80_000)
    billed = datetime.date(rng.randrange(2015, 2027), rng.randrange(1, 13), rng.randrange(1, 29))
    due = billed + datetime.timedelta(days=rng.randrange(10, 45))
    known = {
        "previous_reading": str(first),
        "current_reading": str(first + rng.randrange(10, 6000)),
        "bill_date": print_date(billed, style),
        "due_date": print_date(due, style),
    }
    labels = choose_labels(rng, specs)
    return [
        Printed(spec, label, known.get(spec.key) or print_value(rng, spec.kind, style))
        for spec, label in zip(specs, labels, strict=True)
    ]


def draw_bill(rng: random.Random, split: Split) -> GeneratedDocument:
    """A bill with the names and layouts of the split; its questions are the ten fields in the task's order."""
    while True:
        style = draw_style(rng, pools(split))
        layout = draw_layout(rng, split, rng.choice((1, 2, 2, 3)), TRAINING_WAYS)
        printed = _printed(rng, style)
        values = {field.spec.key: field.value for field in printed}
        has_issuer = "supplier" in values
        if not has_issuer and layout.header.startswith(("company", "letter")):
            continue
        text = compose(rng, UTILITY_BILL, printed, layout, style, 0.35)
        fields = tuple(OutputField(spec.key.replace("_", " "), values.get(spec.key)) for spec in UTILITY_BILL.fields)
        document = GeneratedDocument(text, fields, UTILITY_BILL.name, layout)
        document = raise_case(document) if layout.upper else document
        if _is_printable(document.text):
            return document


def _is_printable(text: str) -> bool:
    """Whether a PDF with the standard fonts can show it."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def truth_of(document: GeneratedDocument) -> Truth:
    """The true answer by field name."""
    pairs = zip(UTILITY_BILL.fields, document.output_fields, strict=True)
    return {spec.key: field.value if isinstance(field.value, str) else None for spec, field in pairs}


def draw_bills(seed: int, count: int, split: Split) -> list[GeneratedDocument]:
    """So many different bills: a pure function of the arguments."""
    rng = random.Random(f"bills/{seed}/{split}")
    bills: dict[str, GeneratedDocument] = {}
    while len(bills) < count:
        bill = draw_bill(rng, split)
        bills[bill.text] = bill
    return list(bills.values())


def _misread(rng: random.Random, value: str) -> str:
    """The value with one digit or letter changed."""
    places = [at for at, character in enumerate(value) if character.isalnum()]
    at = rng.choice(places)
    pool = "0123456789" if value[at].isdigit() else "abcdefghijklmnopqrstuvwxyz"
    return value[:at] + rng.choice([c for c in pool if c != value[at].lower()]) + value[at + 1 :]


def _spoil(rng: random.Random, truth: Truth, mistake: str, others: Sequence[Truth]) -> dict[str, object]:
    """The answer with one mistake of this kind."""
    answer: dict[str, object] = dict(truth)
    present = [key for key, value in truth.items() if value]
    key = rng.choice(present)
    value = truth[key] or ""
    if mistake == "swapped":
        pairs = (("previous_reading", "current_reading"), ("bill_date", "due_date"), ("account_number", "meter_number"))
        usable = [pair for pair in pairs if truth[pair[0]] and truth[pair[1]]]
        first, second = rng.choice(usable) if usable else rng.sample(present, 2)
        answer[first], answer[second] = truth[second], truth[first]
    elif mistake == "invented":
        absent = [name for name, value in truth.items() if not value]
        key = rng.choice(absent) if absent else key
        answer[key] = rng.choice([other[key] for other in others if other[key] and other[key] != truth[key]])
    elif mistake == "misread":
        answer[key] = _misread(rng, value)
    elif mistake == "cut":
        answer[key] = value[: max(1, len(value) * 2 // 3)].rstrip()
    elif mistake == "missing":
        answer[key] = None
    else:
        # The answer names a field that the task does not have.
        answer[key.replace("_", " ").title()] = answer.pop(key)
    return answer


def teacher_rows(seed: int, truths: Sequence[Truth]) -> Iterator[TeacherRow]:
    """A recorded answer for each document; exactly the planted share of them is wrong."""
    rng = random.Random(f"teacher/{seed}")
    wrong = sorted(rng.sample(range(len(truths)), round(len(truths) * MISTAKE_SHARE)))
    kinds = {at: MISTAKES[number % len(MISTAKES)] for number, at in enumerate(wrong)}
    for at, truth in enumerate(truths):
        mistake = kinds.get(at)
        yield TeacherRow(dict(truth) if mistake is None else _spoil(rng, truth, mistake, truths), mistake)
