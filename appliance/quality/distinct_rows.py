"""Labelled rows as evidence: one row for each text, none that contradict each other, and which of them are much alike.

Two hundred copies of a document say no more about a student than one, and a row without a value says nothing about
what the student can read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from appliance.ground.errors import UsageError
from appliance.ground.text import human_count
from appliance.quality.near_duplicates import clusters, near_ones
from appliance.tasks.canonical_text import canonical
from appliance.tasks.labels import LabelledRow, read_json_lines
from appliance.tasks.linecode import Answer
from appliance.tasks.task import TaskKind

if TYPE_CHECKING:
    from appliance.tasks.task import Task

_NAMED_LINES = 4
_WITH_DIGITS = re.compile(r"\w*\d\w*")
"""Numbers, dates, times, and the parts of codes: what counts documents up."""


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
        UsageError: Rows with one text disagree, no row has a value, or all have the same.
    """
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
    _refuse_one_answer(task, kept)
    numbers = clusters([row.text for row in kept], known=_numbered_alike(task, kept))
    return DistinctRows(kept, len(rows) - len(kept), numbers)


def without_near_training_rows(task: "Task", rows: Sequence[LabelledRow], train_path: Path) -> list[LabelledRow]:
    """The rows that are not nearly the same as a training row with the same answer: those a student knows by heart.

    A form that was filled in otherwise has another answer, and shows what the student can read.

    Raises:
        UsageError: None is left.
    """
    records = [record for _, record in read_json_lines(train_path)] if train_path.is_file() else []
    training = [(str(record.get("text")), answer) for record in records if _is_answer(answer := record.get("answer"))]
    others = [
        row
        for row, near in zip(rows, near_ones([row.text for row in rows], [text for text, _ in training]), strict=True)
        if not any(_same_answer(task, row.answer, training[number][1]) for number in near)
    ]
    if not others:
        raise UsageError(
            f"every labelled row is nearly the same as a training row of {train_path}",
            "judge on documents that the student was not trained on, such as dataset/test.jsonl",
        )
    return others


def _is_answer(value: object) -> TypeGuard[Answer]:
    return isinstance(value, dict) and all(isinstance(each, str | list | None) for each in value.values())


def _same_answer(task: "Task", first: Answer, second: Answer) -> bool:
    from appliance.tasks.values import same

    return all(same(field, first.get(field.name), second.get(field.name)) for field in task.output_fields)


def _numbered_alike(task: "Task", rows: Sequence[LabelledRow]) -> list[list[int]]:
    """Groups of rows whose texts differ in numbers alone, and whose right answers do not depend on them."""
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(_WITH_DIGITS.sub("0", canonical(row.text)), []).append(number)
    return [
        group
        for group in groups.values()
        if all(_same_answer(task, rows[number].answer, rows[group[0]].answer) for number in group[1:])
    ]


def _refuse_one_answer(task: "Task", rows: Sequence[LabelledRow]) -> None:
    if len(rows) < 2 or not all(_same_answer(task, row.answer, rows[0].answer) for row in rows[1:]):
        return
    if task.kind is TaskKind.CLASSIFY:
        what, hint = f"have the label {rows[0].answer.get('label')}", "label documents of other labels, too"
    else:
        what, hint = "have the same answer", "label documents with other values, too"
    raise UsageError(
        f"all {human_count(len(rows), 'labelled row')} {what}, so a student that always answers it would be right", hint
    )


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
