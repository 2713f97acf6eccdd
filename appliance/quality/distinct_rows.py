"""Labelled rows as evidence: one row for each text, none that contradict each other, and which of them are much alike.

Two hundred copies of a document say no more about a student than one, and a row without a value says nothing about
what the student can read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.ground.errors import UsageError
from appliance.ground.text import human_count
from appliance.quality.near_duplicates import near_duplicates
from appliance.tasks.labels import LabelledRow

if TYPE_CHECKING:
    from appliance.tasks.task import Task

_NAMED_LINES = 4


@dataclass(frozen=True)
class DistinctRows:
    """Labelled rows with different texts."""

    rows: list[LabelledRow]
    copies: int
    """Further rows with the text of one of these."""
    clusters: list[int]
    """Number of the group of near duplicates that each row belongs to."""

    @property
    def empty(self) -> int:
        """How many of the rows have no value in any field."""
        return sum(not any(row.answer.values()) for row in self.rows)


def distinct_rows(task: "Task", rows: Sequence[LabelledRow]) -> DistinctRows:
    """One row for each text, the first; a person's answer stands above a teacher's.

    Raises:
        UsageError: Rows with one text disagree, or no row has a value.
    """
    from appliance.tasks.canonical_text import canonical

    by_text: dict[str, list[LabelledRow]] = {}
    for row in rows:
        by_text.setdefault(canonical(row.text), []).append(row)
    groups = [[row for row in group if row.source == "person"] or group for group in by_text.values()]
    _refuse_contradictions(task, groups)
    kept = [group[0] for group in groups]
    if not any(any(row.answer.values()) for row in kept):
        raise UsageError(
            f"none of the {human_count(len(rows), 'labelled row')} has a value, so nothing can be judged",
            "write the right values into `answer`; null is right only where a document has no value",
        )
    return DistinctRows(kept, len(rows) - len(kept), clusters([row.text for row in kept]))


def clusters(texts: Sequence[str]) -> list[int]:
    """For each text the number of the first one that it is nearly the same as, over others in between."""
    parents = list(range(len(texts)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for first, second in near_duplicates(texts):
        low, high = sorted((root(first), root(second)))
        parents[high] = low
    return [root(number) for number in range(len(texts))]


def _refuse_contradictions(task: "Task", groups: Sequence[Sequence[LabelledRow]]) -> None:
    from appliance.tasks.values import same

    refused = []
    for group in groups:
        differing = [
            field.name
            for field in task.output_fields
            if any(not same(field, row.answer.get(field.name), group[0].answer.get(field.name)) for row in group[1:])
        ]
        if differing:
            refused.append((group, differing))
    if not refused:
        return
    group, differing = refused[0]
    lines = [f"line {row.line_number}" if row.line_number else row.document for row in group]
    named = ", ".join(lines[:_NAMED_LINES]) + (" and more" if len(lines) > _NAMED_LINES else "")
    others = f"; so do the rows of {human_count(len(refused) - 1, 'other text')}" if len(refused) > 1 else ""
    raise UsageError(
        f"labelled rows with one text disagree on {', '.join(differing)}: {named}{others}",
        "correct them, or keep one row for each text",
    )
