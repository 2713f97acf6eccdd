"""Does the answer have the form that the task asks for?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task

Findings = dict[int, list[str]]
"""LabelledRow number -> reasons; rows without a reason are not in it."""


_PERSONS = {"form": "form", "required": "form"}
_TEACHERS = _PERSONS | {"pattern": "pattern", "rule": "rule"}
"""Kind of a finding -> how the reason of a rejected row begins."""


def wrong_form(task: "Task", rows: Sequence["LabelledRow"]) -> Findings:
    """Rows whose answer is not one of this task's, or that have no text."""
    from appliance.tasks.answer_findings import answer_findings

    findings: Findings = {}
    for number, row in enumerate(rows):
        # What a person says is right, whatever rule it breaks.
        codes = _PERSONS if row.source == "person" else _TEACHERS
        kinds = [(finding.reason.partition(":")[0], finding.message) for finding in answer_findings(task, row.answer)]
        reasons = [f"{codes[kind]}: {message}" for kind, message in kinds if kind in codes]
        if not row.text.strip():
            reasons.append("form: the document has no text")
        reasons += _wrong_labels(task, row)
        if reasons:
            findings[number] = reasons
    return findings


def _wrong_labels(task: "Task", row: "LabelledRow") -> list[str]:
    """What is wrong with a row's label shares; the label for none of these is one of the task's."""
    if row.labels is None:
        return []
    if not task.labels:
        return ["form: the row gives shares of labels, but the task has no labels"]
    if task.multi_label:
        return ["form: shares of labels are for tasks in which a document has one label"]
    (label_field,) = task.output_fields
    return [f"form: {label!r} is not a label of the task" for label in row.labels if label not in label_field.values]


def duplicates(task: "Task", rows: Sequence["LabelledRow"]) -> Findings:
    """Rows with the same text: all of them where the answers disagree, all but the first where they agree.

    Which of two contradicting answers is right cannot be known here, and both together teach a coin toss. A person's
    answer stands above a teacher's to the same text.
    """
    same_text: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        same_text.setdefault(" ".join(row.text.split()), []).append(number)
    findings: Findings = {}
    for numbers in same_text.values():
        persons = [number for number in numbers if rows[number].source == "person"]
        if persons:
            taught = set(numbers) - set(persons)
            findings |= {number: ["duplicate: a person answered the same text"] for number in sorted(taught)}
            numbers = persons
        first = rows[numbers[0]]
        differing = [
            name for name in _names(task) if any(rows[n].answer.get(name) != first.answer.get(name) for n in numbers)
        ]
        if differing:
            reason = f"duplicate: {len(numbers)} rows with this text disagree on {', '.join(differing)}"
            findings |= {number: [reason] for number in numbers}
        else:
            findings |= {number: [f"duplicate: same text and answer as {first.document}"] for number in numbers[1:]}
    return findings


def _names(task: "Task") -> list[str]:
    return [field.name for field in task.output_fields]
