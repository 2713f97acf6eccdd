"""How good answers are: field by field against gold, with what kind of mistake each wrong one is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.quality.statistics import Interval, clustered_wilson, wilson
from appliance.tasks.linecode import Answer, is_records

if TYPE_CHECKING:
    from appliance.tasks.record_matching import ColumnCounts
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
    failed: bool = False
    """Whether the document got no answer."""
    cells: dict[str, "ColumnCounts"] = field(default_factory=dict)
    """Of records, by `field.column`: what became of the cells. They explain the outcome of the field and are counted
    nowhere else."""
    cluster: int | None = None
    """Documents of one cluster are nearly the same and count as one in intervals; None for one of its own."""

    @property
    def correct(self) -> int:
        """How many fields are right."""
        return sum(outcome is Outcome.CORRECT for outcome in self.outcomes.values())

    @property
    def invented(self) -> int:
        """How many absent fields got a value."""
        return sum(outcome is Outcome.INVENTED for outcome in self.outcomes.values())

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
    """One document; one without an answer has nothing right, its absent fields neither."""
    if answer is None:
        outcomes = {field.name: Outcome.OMITTED for field in task.output_fields}
    else:
        outcomes = {
            field.name: outcome(field, gold.get(field.name), answer.get(field.name)) for field in task.output_fields
        }
    absent = frozenset(field.name for field in task.output_fields if not gold.get(field.name))
    return Judged(document, outcomes, absent, answer is None, _cells(task, gold, answer or {}))


def _cells(task: "Task", gold: Answer, answer: Answer) -> dict[str, "ColumnCounts"]:
    """Record lists beside each other, column by column."""
    from appliance.tasks.record_matching import match_records

    cells: dict[str, ColumnCounts] = {}
    for each in task.output_fields:
        truth, value = gold.get(each.name), answer.get(each.name)
        if each.columns and (truth or value):
            match = match_records(each, truth if is_records(truth) else [], value if is_records(value) else [])
            cells |= {f"{each.name}.{column}": counts for column, counts in match.columns.items()}
    return cells


def by_cluster(judged: Sequence[Judged], numbers: Sequence[float]) -> list[float]:
    """Sums of the documents' numbers, one for each cluster."""
    sums: dict[object, float] = {}
    for place, (document, number) in enumerate(zip(judged, numbers, strict=True)):
        key = ("alone", place) if document.cluster is None else document.cluster
        sums[key] = sums.get(key, 0) + number
    return list(sums.values())


def count(judged: Iterable[Judged], field: str | None = None) -> Counts:
    """Sums over documents, of one field or of all."""
    tally: Counter[Outcome] = Counter()
    absent = 0
    for document in judged:
        names = [field] if field is not None else list(document.outcomes)
        tally.update(document.outcomes[name] for name in names if name in document.outcomes)
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
    """Counts of each field, the one first whose mistakes cost most: their number times the weight of the field.

    Behind a field of records come its columns, as `field.column`, cell by cell.
    """
    table = {field.name: count(judged, field.name) for field in task.output_fields}
    weights = {field.name: field.weight for field in task.output_fields}

    def cost(entry: tuple[str, Counts]) -> tuple[float, float]:
        name, counts = entry
        return -weights[name] * (counts.fields - counts.correct), counts.accuracy

    by_cost = dict(sorted(table.items(), key=cost))
    columns = {each.name: [f"{each.name}.{name}" for name in each.column_names] for each in task.output_fields}
    return {
        part: by_cost[name] if part == name else count_cells(judged, part)
        for name in by_cost
        for part in (name, *columns[name])
    }


def count_cells(judged: Iterable[Judged], column: str) -> Counts:
    """Sums over documents of one column of records, `field.column`."""
    counts = [document.cells[column] for document in judged if column in document.cells]
    right, empty = sum(each.right for each in counts), sum(each.empty for each in counts)
    omitted, invented = sum(each.omitted for each in counts), sum(each.invented for each in counts)
    substituted = sum(each.substituted for each in counts)
    return Counts(sum(each.total for each in counts), right + empty, omitted, invented, substituted, empty + invented)


def weighted_accuracy(task: "Task", judged: Sequence[Judged]) -> float | None:
    """Share of the fields' weight that is right; None where all fields weigh the same."""
    if len({field.weight for field in task.output_fields}) < 2:
        return None
    weights = {field.name: field.weight for field in task.output_fields}
    total = sum(weights[name] for document in judged for name in document.outcomes)
    right = sum(
        weights[name] for document in judged for name, each in document.outcomes.items() if each is Outcome.CORRECT
    )
    return right / total if total else None


@dataclass(frozen=True)
class Coverage:
    """Accuracy of the fields that a model is most sure of."""

    share: float
    """Of all fields."""
    fields: int
    least_confidence: float
    """Of the fields that count; a threshold that would answer just these."""
    accuracy: Interval


COVERAGES = (0.5, 0.7, 0.9)


def coverages(judged: Sequence[Judged], confidences: Sequence[Mapping[str, float]]) -> tuple[Coverage, ...]:
    """Accuracy at shares of the fields, surest first; nothing where the model gives no confidence.

    Args:
        confidences: Of each document's fields; a field without one counts as the least sure.
    """
    places = [
        (confidence.get(name, 0.0), number, result is Outcome.CORRECT)
        for number, (document, confidence) in enumerate(zip(judged, confidences, strict=True))
        for name, result in document.outcomes.items()
    ]
    if not any(confidences):
        return ()
    places.sort(key=lambda place: (-place[0], place[1]))
    table = []
    for share in COVERAGES:
        surest = places[: round(share * len(places))]
        right, sizes = Counter(place[1] for place in surest if place[2]), Counter(place[1] for place in surest)
        accuracy = clustered_wilson([right[number] for number in sizes], list(sizes.values()))
        table.append(Coverage(share, len(surest), surest[-1][0] if surest else 0.0, accuracy))
    return tuple(table)


@dataclass(frozen=True)
class Abstention:
    """How a classifier uses the label that means: none of these, or too unsure."""

    abstained: int
    rightly: int
    """Abstained where gold does too."""
    missed: int
    """Answered where gold abstains."""
    answered: int
    answered_accuracy: Interval


def abstention(task: "Task", golds: Sequence[Answer], answers: Sequence[Answer | None]) -> Abstention | None:
    """Counts of abstaining; None for a task without such a label. A document without an answer counts as abstained."""
    if task.abstain is None:
        return None
    from appliance.tasks.values import normalise

    (field,) = task.output_fields
    pairs = [
        (normalise(field, gold.get(field.name)), normalise(field, answer.get(field.name)) if answer else None)
        for gold, answer in zip(golds, answers, strict=True)
    ]
    silent = [label is None or label == task.abstain for _, label in pairs]
    rightly = sum(quiet and gold == task.abstain for (gold, _), quiet in zip(pairs, silent, strict=True))
    answered = [gold == label for (gold, label), quiet in zip(pairs, silent, strict=True) if not quiet]
    missed = sum(gold == task.abstain for gold, _ in pairs) - rightly
    return Abstention(sum(silent), rightly, missed, len(answered), wilson(sum(answered), len(answered)))


def document_accuracy(judged: Sequence[Judged]) -> float:
    """Share of documents whose every field is right; 0 for none."""
    return sum(document.whole for document in judged) / len(judged) if judged else 0.0
