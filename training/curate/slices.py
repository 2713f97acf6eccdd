"""Parts of the rows that are counted by themselves: values of a task's slices, labels, and what is unusual."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.tasks.folder import SPLITS, Split
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import TaskKind
from training.curate.split import place, sibling_key, strata_of

if TYPE_CHECKING:
    from appliance.tasks.task import Task

EMPTY = "documents without any value"
OUT_OF_SCOPE = "documents that abstain"
AMBIGUOUS = "documents of which the teacher is unsure"
UNSURE = 0.75
"""Share of a teacher's answers to a document, or of its probability, that another answer leaves it at most."""
MOST_SLICES = 50


@dataclass(frozen=True)
class SliceLimits:
    """How many rows of one value of a slice, or of one label, train."""

    cap: int = 0
    """At most so many; 0 means all."""
    floor: int = 0
    """Slices with fewer are named in the report."""


@dataclass(frozen=True)
class SliceReport:
    """One slice."""

    name: str
    train: int
    validation: int
    test: int
    below_floor: bool = False


def slice_names(task: "Task", row: LabelledRow) -> list[str]:
    """The slices that a row is in."""
    names = [f"{name} {value or 'none'}" for name, value in strata_of(task, row)]
    if not any(row.answer.values()):
        names.append(EMPTY)
    elif task.kind is TaskKind.CLASSIFY and task.abstain and row.answer.get("label") == task.abstain:
        names.append(OUT_OF_SCOPE)
    shares = [*row.agreement.values(), *([max(row.labels.values())] if row.labels else [])]
    if row.source == "teacher" and min(shares, default=1.0) <= UNSURE:
        names.append(AMBIGUOUS)
    return names


def capped(
    task: "Task", rows: Sequence[LabelledRow], limits: SliceLimits
) -> tuple[list[LabelledRow], list[tuple[LabelledRow, list[str]]]]:
    """The rows without what is above the cap of a slice, and those with the reason; which go follows from their texts.

    People's answers stay, and so does a row that a slice with room needs.
    """
    if not limits.cap:
        return list(rows), []
    counts = Counter(name for row in rows for name in slice_names(task, row))
    order = sorted(range(len(rows)), key=lambda number: place(f"cap {sibling_key(rows[number])}"))
    rejected: dict[int, list[str]] = {}
    for number in order:
        names = slice_names(task, rows[number])
        above = [name for name in names if counts[name] > limits.cap]
        if names and len(above) == len(names) and rows[number].source != "person":
            rejected[number] = [f"cap: {name} has more than {limits.cap} rows" for name in above]
            counts.subtract(names)
    kept = [row for number, row in enumerate(rows) if number not in rejected]
    return kept, [(rows[number], rejected[number]) for number in sorted(rejected)]


def slice_reports(
    task: "Task", splits: Mapping[Split, Sequence[LabelledRow]], limits: SliceLimits
) -> tuple[SliceReport, ...]:
    """Each slice with its rows in each split, the smallest first."""
    counts: defaultdict[str, Counter[Split]] = defaultdict(Counter)
    for split in SPLITS:
        for row in splits[split]:
            for name in slice_names(task, row):
                counts[name][split] += 1
    ordered = sorted(counts.items(), key=lambda entry: (entry[1].total(), entry[0]))[:MOST_SLICES]
    return tuple(
        SliceReport(name, each["train"], each["validation"], each["test"], each.total() < limits.floor)
        for name, each in ordered
    )
