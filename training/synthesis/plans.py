"""What a document is to say, drawn before it is written: values, and how it is to look.

Values come from the seeds, from the examples of the task file and from the closed sets of the task; numbers, dates and
codes keep the shape of a seed's and get other digits. Rare values of the task's slices are drawn as often as frequent
ones, and fields are left out more often than in the seeds: what seeds have too little of is what a student lacks.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Answer, Record, Value, is_records
from appliance.tasks.task import Comparator, Field, Task, TaskKind
from appliance.tasks.values import normalise

SHOWN_SEEDS = 2
NULL_MORE = 0.1
"""By how much likelier a field is left out than in the seeds."""
MOST_RECORDS = 12
LAYOUTS = (
    "in the layout of the examples", "as running text without labels", "as a form with a label before each value",
    "as a table", "as an e-mail with greeting and signature", "with the values in another order than in the examples",
    "with headings and some paragraphs between the values", "all on very few lines",
)  # fmt: skip
LENGTHS = (
    "as long as the examples", "half as long as the examples", "twice as long as the examples",
    "four times as long as the examples, with matter that is beside the point",
)  # fmt: skip
NOISES = (
    "", "", "with a few typing errors outside the values",
    "as a poor scan reads: odd blanks, some marks for letters, but no value changed",
    "without any punctuation at the ends of lines", "with lines broken in odd places",
)  # fmt: skip
DISTRACTIONS = (
    "", "", "with other numbers, dates and names that are labelled clearly as something else",
    "with a quotation of an older document that is about something else",
    "with a note that says that a similar value was wrong and does not hold",
)  # fmt: skip
_READ = (Comparator.AMOUNT, Comparator.NUMBER, Comparator.INTEGER, Comparator.DATE)


@dataclass(frozen=True)
class DocumentPlan:
    """One document to be written."""

    number: int
    answer: Answer
    seeds: tuple[LabelledRow, ...]
    """Shown as examples of the manner."""
    layout: str
    length: str
    noise: str
    distraction: str
    language: str = ""
    """Empty for that of the examples."""

    @property
    def style(self) -> list[str]:
        """How it is to look, in words."""
        parts = [self.layout, self.length, self.noise, self.distraction]
        return [part for part in parts if part] + ([f"in {self.language}"] if self.language else [])


def draw_plan(
    task: Task, seeds: Sequence[LabelledRow], number: int, seed: int = 0, languages: Sequence[str] = ()
) -> DocumentPlan:
    """The plan of this number; it follows from the seeds, the seed and the number only."""
    rng = random.Random(f"{seed}/{number}")
    answer = _label(rng, task, number) if task.kind is TaskKind.CLASSIFY else _answer(rng, task, seeds)
    shown = _shown(rng, task, seeds, answer)
    return DocumentPlan(
        number, answer, shown, rng.choice(LAYOUTS), rng.choice(LENGTHS), rng.choice(NOISES), rng.choice(DISTRACTIONS),
        rng.choice(["", *languages]) if languages else "",
    )  # fmt: skip


def _label(rng: random.Random, task: Task, number: int) -> Answer:
    (field,) = task.output_fields
    if not task.multi_label:
        return {field.name: field.values[number % len(field.values)]}
    return {field.name: sorted(rng.sample(field.values, rng.randint(1, min(3, len(field.values)))))}


def _shown(rng: random.Random, task: Task, seeds: Sequence[LabelledRow], answer: Answer) -> tuple[LabelledRow, ...]:
    """Some seeds; of a classification those of the label first, as they say what it means."""
    pool = list(seeds)
    rng.shuffle(pool)
    if task.kind is TaskKind.CLASSIFY:
        (field,) = task.output_fields
        pool.sort(key=lambda row: row.answer.get(field.name) != answer.get(field.name))
    return tuple(pool[:SHOWN_SEEDS])


def _answer(rng: random.Random, task: Task, seeds: Sequence[LabelledRow]) -> Answer:
    answer: Answer = {}
    for field in task.output_fields:
        values = [row.answer.get(field.name) for row in seeds]
        some = [value for value in values if value]
        missing = 1 - len(some) / len(values) if values else 0.0
        if not field.required and rng.random() < min(0.9, missing + NULL_MORE):
            answer[field.name] = None
        else:
            answer[field.name] = _value(rng, field, some)
    return answer


def _value(rng: random.Random, field: Field, some: Sequence[Value]) -> Value:
    if field.columns:
        records = [record for value in some if is_records(value) for record in value]
        return [_record(rng, field, records) for _ in range(rng.randint(1, MOST_RECORDS))] if records else None
    if field.is_choice:
        return rng.choice(field.values)
    texts = [text for value in some for text in ([value] if isinstance(value, str) else map(str, value or []))]
    texts += field.examples
    if field.is_several:
        pool = sorted(set(field.values or texts))
        return rng.sample(pool, rng.randint(1, min(4, len(pool)))) if pool else None
    return drawn_text(rng, field, texts) if texts else None


def _record(rng: random.Random, field: Field, records: Sequence[Record]) -> Record:
    values: Mapping[str, list[str]] = {
        name: [str(record[name]) for record in records if record.get(name)] for name in field.column_names
    }
    return {
        column.name: (rng.choice(column.values) if column.is_choice else drawn_text(rng, column, values[column.name]))
        if values[column.name]
        else None
        for column in field.columns
    }


def drawn_text(rng: random.Random, field: Field, texts: Sequence[str]) -> str:
    """A text like these: their words in another mixture, their digits others, and of the field's form."""
    for _ in range(20):
        text = rng.choice(list(texts))
        if any(map(str.isdigit, text)):
            text = _other_digits(rng, text)
        elif len(texts) > 1 and len(words := text.split()) > 1:
            other = rng.choice(list(texts)).split()
            at = rng.randrange(1, len(words))
            text = " ".join([*words[:at], *(other[at:] or other[-1:])])
        if _is_of(field, text):
            return text
    return rng.choice(list(texts))


def _other_digits(rng: random.Random, text: str) -> str:
    """The same shape; a number keeps that it begins with no nought."""
    return re.sub(
        r"\d+",
        lambda match: "".join(
            str(rng.randrange(1 if at == 0 and digit != "0" and len(match.group()) > 1 else 0, 10))
            for at, digit in enumerate(match.group())
        ),
        text,
    )


def _is_of(field: Field, text: str) -> bool:
    if field.pattern and re.fullmatch(field.pattern, text) is None:
        return False
    return field.comparator not in _READ or normalise(field, text) is not None
