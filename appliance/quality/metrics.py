"""How good answers are: field by field against gold, with what kind of mistake each wrong one is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.tasks.linecode import Answer

if TYPE_CHECKING:
    from appliance.tasks.task import Field, Task


class Outcome(StrEnum):
    """What became of one field of one document."""

    CORRECT = "correct"
    OMITTED = "omitted"
    """Gold has a value, the answer has none."""
    INVENTED = "invented"
    """Gold has none, the answer has one."""
    SUBSTITUTED = "substituted"
    """Both have a value, and they differ."""


@dataclass(frozen=True)
class Judged:
    """One document's fields, judged."""

    document: str
    outcomes: dict[str, Outcome]
    absent: frozenset[str]
    """Fields for which gold has no value; only these can be invented."""

    @property
    def correct(self) -> int:
        """How many fields are right."""
        return sum(outcome is Outcome.CORRECT for outcome in self.outcomes.values())

    @property
    def whole(self) -> bool:
        """Whether every field is right."""
        return self.correct == len(self.outcomes)


@dataclass(frozen=True)
class Counts:
    """Outcomes of many fields."""

    fields: int
    correct: int
    omitted: int
    invented: int
    substituted: int
    absent: int
    """Fields whose gold is null: the ones that could have been invented."""

    @property
    def accuracy(self) -> float:
        """Share of fields that are right; 0 for none."""
        return self.correct / self.fields if self.fields else 0.0


def outcome(field: "Field", gold: object, answer: object) -> Outcome:
    """Compares one value by the field's comparator; an empty value counts as null."""
    from appliance.tasks.values import same

    gold_value, value = gold or None, answer or None
    if gold_value is None:
        return Outcome.CORRECT if value is None else Outcome.INVENTED
    if value is None:
        return Outcome.OMITTED
    return Outcome.CORRECT if same(field, gold_value, value) else Outcome.SUBSTITUTED  # type: ignore[arg-type]


def judge(task: "Task", document: str, gold: Answer, answer: Answer | None) -> Judged:
    """One document; a document without an answer has every gold value omitted and nothing right by luck."""
    if answer is None:
        outcomes = {field.name: Outcome.OMITTED for field in task.asked}
    else:
        outcomes = {field.name: outcome(field, gold.get(field.name), answer.get(field.name)) for field in task.asked}
    return Judged(document, outcomes, frozenset(field.name for field in task.asked if not gold.get(field.name)))


def count(judged: Iterable[Judged], field: str | None = None) -> Counts:
    """Sums over documents, of one field or of all."""
    tally: Counter[Outcome] = Counter()
    absent = 0
    for document in judged:
        names = [field] if field is not None else list(document.outcomes)
        tally.update(document.outcomes[name] for name in names)
        absent += sum(name in document.absent for name in names)
    return Counts(
        tally.total(),
        tally[Outcome.CORRECT],
        tally[Outcome.OMITTED],
        tally[Outcome.INVENTED],
        tally[Outcome.SUBSTITUTED],
        absent,
    )


def by_field(task: "Task", judged: Sequence[Judged]) -> dict[str, Counts]:
    """Counts of each field, worst first."""
    table = {field.name: count(judged, field.name) for field in task.asked}
    return dict(sorted(table.items(), key=lambda entry: entry[1].accuracy))


def document_accuracy(judged: Sequence[Judged]) -> float:
    """Share of documents whose every field is right; 0 for none."""
    return sum(document.whole for document in judged) / len(judged) if judged else 0.0
