"""Each field by itself: is what is there found, is nothing invented, is what was written right?

A field that most documents lack is right nearly everywhere for a student that never finds it. So a verdict asks more
than that most fields are right: that the values of each field are found. A field that the task requires must show it;
of the others, of labels and of slices with few rows it is enough that nothing shows the contrary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.quality.metrics import Judged, Outcome, by_cluster
from appliance.quality.readiness import Decision, Readiness, Shares, level_of, of_share
from appliance.quality.statistics import Interval, clopper_pearson, clustered_wilson
from appliance.tasks.linecode import Answer, display_value
from appliance.tasks.task import Field, FieldType, Task, TaskKind
from appliance.tasks.values import normalise, value_texts

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow

RECALL = 0.8
"""Share of the values of a field that must be found where the task does not say how many."""
LEAST_SLICE = 20
"""Documents of a slice, from which it must show what fields must show."""
MOST_SLICES = 12
"""Values of a field that a report breaks quality down by."""


@dataclass(frozen=True)
class FieldQuality:
    """One field, or one label, on judged documents; of records their cells. Intervals are of 95 %."""

    present: int
    """Values that there are."""
    found: int
    recall: Interval
    absent: int
    """Documents without a value."""
    invented: int
    """Of these: documents for which one was written."""
    invented_share: Interval
    written: int
    right: int
    """Of the values that were written."""
    precision: Interval

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 0 where nothing is right."""
        both = self.present + self.written
        return (self.found + self.right) / both if both else 0.0


@dataclass(frozen=True)
class _Tallies:
    """Of each document."""

    present: list[int]
    found: list[int]
    absent: list[int]
    quiet: list[int]
    """Absent values for which nothing was written."""
    written: list[int]
    right: list[int]


def _field_tallies(field: Field, judged: Sequence[Judged]) -> _Tallies:
    tallies = _Tallies([], [], [], [], [], [])
    for document in judged:
        if field.columns and not document.failed:
            cells = [document.cells[f"{field.name}.{name}"] for name in field.column_names
                     if f"{field.name}.{name}" in document.cells]  # fmt: skip
            present = sum(each.right + each.omitted + each.substituted for each in cells)
            found = right = sum(each.right for each in cells)
            written = sum(each.right + each.invented + each.substituted for each in cells)
            absent = int(field.name in document.absent and field.name in document.outcomes)
            quiet = int(absent and not written)
        else:
            outcome = document.outcomes.get(field.name)
            absent = int(outcome is not None and field.name in document.absent)
            present = int(outcome is not None and not absent)
            found = right = int(bool(present) and outcome is Outcome.CORRECT)
            quiet = int(bool(absent) and outcome is Outcome.CORRECT)
            written = found + int(outcome in (Outcome.SUBSTITUTED, Outcome.INVENTED))
        for tally, number in zip(
            (tallies.present, tallies.found, tallies.absent, tallies.quiet, tallies.written, tallies.right),
            (present, found, absent, quiet, written, right), strict=True,
        ):  # fmt: skip
            tally.append(number)
    return tallies


def _quality(judged: Sequence[Judged], tallies: _Tallies) -> FieldQuality:
    def interval(successes: Sequence[int], sizes: Sequence[int]) -> Interval:
        return clustered_wilson(by_cluster(judged, successes), by_cluster(judged, sizes))

    invented = [absent - quiet for absent, quiet in zip(tallies.absent, tallies.quiet, strict=True)]
    return FieldQuality(
        sum(tallies.present), sum(tallies.found), interval(tallies.found, tallies.present),
        sum(tallies.absent), sum(invented), interval(invented, tallies.absent),
        sum(tallies.written), sum(tallies.right), interval(tallies.right, tallies.written),
    )  # fmt: skip


def by_field_quality(task: Task, judged: Sequence[Judged]) -> dict[str, FieldQuality]:
    """Each field of the task."""
    return {each.name: _quality(judged, _field_tallies(each, judged)) for each in task.output_fields}


def label_tallies(
    task: Task, rows: Sequence["LabelledRow"], answers: Sequence[Answer | None], judged: Sequence[Judged]
) -> dict[str, _Tallies]:
    """Each label of a classification, one against the rest; nothing for another task."""
    if task.kind is not TaskKind.CLASSIFY:
        return {}
    (field,) = task.output_fields

    def labels(answer: Answer | None) -> set[str]:
        value = answer.get(field.name) if answer else None
        if task.multi_label:
            return set(value_texts(value))
        label = normalise(field, value)
        return {label} if isinstance(label, str) else set()

    pairs = [(labels(row.answer), labels(answer)) for row, answer in zip(rows, answers, strict=True)]
    found: dict[str, _Tallies] = {}
    for label in field.values:
        present = [int(label in gold) for gold, _ in pairs]
        written = [int(label in mine) for _, mine in pairs]
        both = [int(label in gold and label in mine) for gold, mine in pairs]
        absent = [1 - each for each in present]
        quiet = [int(not one and not other) for one, other in zip(present, written, strict=True)]
        found[label] = _Tallies(present, both, absent, quiet, written, both)
    return found


def by_label_quality(
    task: Task, rows: Sequence["LabelledRow"], answers: Sequence[Answer | None], judged: Sequence[Judged]
) -> dict[str, FieldQuality]:
    """Each label of a classification, the one with the worst F1 first; nothing for another task."""
    table = {label: _quality(judged, tallies) for label, tallies in label_tallies(task, rows, answers, judged).items()}
    seen = {label: quality for label, quality in table.items() if quality.present or quality.written}
    return dict(sorted(seen.items(), key=lambda entry: (entry[1].f1, entry[0])))


def slices_of(task: Task, rows: Sequence["LabelledRow"]) -> dict[str, dict[str, list[int]]]:
    """Field of the task's slices -> its right value -> numbers of the rows that have it, the most frequent first."""
    found: dict[str, dict[str, list[int]]] = {}
    for name in task.slices:
        numbers: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            numbers.setdefault(display_value(row.answer.get(name)), []).append(number)
        frequent = sorted(numbers.items(), key=lambda entry: (-len(entry[1]), entry[0]))[:MOST_SLICES]
        found[name] = dict(frequent)
    return found


def field_conditions(
    task: Task, rows: Sequence["LabelledRow"], answers: Sequence[Answer | None], judged: Sequence[Judged], look: int
) -> list[Readiness]:
    """What each field, label and slice must show, or must not show."""
    must: list[Readiness] = []
    watched: list[tuple[str, Sequence[Judged], Shares]] = []
    targets = task.readiness
    recall = RECALL if targets.recall is None else targets.recall
    for field in task.output_fields:
        tallies = _field_tallies(field, judged)
        shares = Shares(tallies.found, tallies.present)
        if recall and any(tallies.present):
            if _must_show(task, field) or targets.recall is not None:
                must.append(of_share(judged, shares, recall, "recall", field.name, look))
            else:
                watched.append((field.name, judged, shares))
        if targets.invented is not None and any(tallies.absent):
            quiet = Shares(tallies.quiet, tallies.absent)
            must.append(of_share(judged, quiet, 1 - targets.invented, "invented", field.name, look))
        if targets.precision is not None and any(tallies.written):
            right = Shares(tallies.right, tallies.written)
            must.append(of_share(judged, right, targets.precision, "precision", field.name, look))
    if not recall:
        return must
    for label, tallies in label_tallies(task, rows, answers, judged).items():
        watched.append((label, judged, Shares(tallies.found, tallies.present)))
    for name, values in slices_of(task, rows).items():
        for value, numbers in values.items():
            part = [judged[number] for number in numbers]
            shares = _all_values(task, part)
            subject = f"{name} {value or 'none'}"
            if not any(shares.sizes):
                continue
            if len(numbers) >= LEAST_SLICE:
                must.append(of_share(part, shares, recall, "recall", subject, look))
            else:
                watched.append((subject, part, shares))
    return [*must, *_surely_low(watched, recall, look)]


def _must_show(task: Task, field: Field) -> bool:
    return field.required or task.kind is not TaskKind.EXTRACT


def _all_values(task: Task, judged: Sequence[Judged]) -> Shares:
    tallies = [_field_tallies(field, judged) for field in task.output_fields if field.type is not FieldType.RECORDS]
    tallies = tallies or [_field_tallies(field, judged) for field in task.output_fields]
    return Shares(
        [sum(each.found[number] for each in tallies) for number in range(len(judged))],
        [sum(each.present[number] for each in tallies) for number in range(len(judged))],
    )


def _surely_low(watched: Sequence[tuple[str, Sequence[Judged], Shares]], recall: float, look: int) -> list[Readiness]:
    """Those whose values are surely not found; the more are watched, the surer it must be."""
    watched = [each for each in watched if sum(each[2].sizes)]
    level = 1 - (1 - level_of(look)) / max(1, len(watched))
    found = []
    for subject, judged, shares in watched:
        condition = of_share(judged, shares, recall, "recall", subject, look)
        if condition.decision is not Decision.NOT_READY:
            continue
        strict = clopper_pearson(
            sum(shares.successes) / condition.effect, sum(shares.sizes) / condition.effect, 2 * level - 1
        )
        if strict.high < recall:
            found.append(condition)
    return found
