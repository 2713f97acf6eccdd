"""Does the answer have the form that the task asks for, and do equal documents have equal answers?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.curate.doubts import WHOLE_ROW, Doubt, Doubts

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


def wrong_form(task: "Task", rows: Sequence["LabelledRow"]) -> Doubts:
    """Values that are none of this task's fields, and rows of another task or without a text."""
    from appliance.tasks.answer_findings import answer_findings

    names = {field.name for field in task.output_fields}
    doubts: dict[int, list[Doubt]] = {}
    for number, row in enumerate(rows):
        found = []
        for finding in answer_findings(task, row.answer):
            code = finding.code.partition(":")[0]
            # What a person says is right, whatever pattern or rule it breaks.
            if row.source == "person" and code in ("pattern", "rule"):
                continue
            code = "form" if code == "required" else code
            fields = [name if name in names else WHOLE_ROW for name in finding.fields]
            found += [Doubt(name, f"{code}: {finding.message}") for name in fields]
        if not row.text.strip():
            found.append(Doubt(WHOLE_ROW, "form: the document has no text"))
        found += _wrong_labels(task, row)
        if found:
            doubts[number] = found
    return doubts


def _wrong_labels(task: "Task", row: "LabelledRow") -> list[Doubt]:
    """What is wrong with a row's label shares; the label for none of these is one of the task's."""
    if row.labels is None:
        return []
    if not task.labels:
        return [Doubt(WHOLE_ROW, "form: the row gives shares of labels, but the task has no labels")]
    if task.multi_label:
        return [Doubt(WHOLE_ROW, "form: shares of labels are for tasks in which a document has one label")]
    (label_field,) = task.output_fields
    return [
        Doubt(WHOLE_ROW, f"form: {label!r} is not a label of the task")
        for label in row.labels
        if label not in label_field.values
    ]


def duplicates(task: "Task", rows: Sequence["LabelledRow"]) -> Doubts:
    """Rows with the same text: all but the first, and in the first the fields on which they disagree.

    Which of two contradicting answers is right cannot be known here, and both together teach a coin toss. A person's
    answer stands above a teacher's to the same text.
    """
    same_text: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        same_text.setdefault(" ".join(row.text.split()), []).append(number)
    doubts: dict[int, list[Doubt]] = {}
    for numbers in same_text.values():
        persons = [number for number in numbers if rows[number].source == "person"]
        if persons:
            reason = "duplicate: a person answered the same text"
            doubts |= {number: [Doubt(WHOLE_ROW, reason)] for number in sorted(set(numbers) - set(persons))}
            numbers = persons
        first = rows[numbers[0]]
        others = [rows[number] for number in numbers[1:]]
        differing = [
            name for name in _names(task) if any(row.answer.get(name) != first.answer.get(name) for row in others)
        ]
        if differing:
            reason = f"duplicate: {len(numbers)} rows with this text disagree on {', '.join(differing)}"
            doubts[numbers[0]] = [Doubt(name, reason) for name in differing]
        else:
            reason = f"duplicate: same text and answer as {first.document}"
        doubts |= {number: [Doubt(WHOLE_ROW, reason)] for number in numbers[1:]}
    return doubts


def _names(task: "Task") -> list[str]:
    return [field.name for field in task.output_fields]
