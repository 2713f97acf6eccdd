"""Is what the teacher says in the document? A literal value that is not printed there was invented or altered.

What is printed otherwise than the teacher says it (other blanks and marks, a number or a date in another form) is
taught as it is printed: a student that copies can write nothing else, and readers of the value compare it by what it
says.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from training.curate.doubts import Doubt

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.linecode import Record, Value
    from appliance.tasks.task import Field, Task

_JOINTS = re.compile(r"[;|\n]")


def as_printed(task: "Task", rows: Sequence["LabelledRow"]) -> tuple[list["LabelledRow"], dict[int, list[Doubt]]]:
    """The rows with their literal values as the documents print them, and the values that are not printed.

    A row whose answer changes keeps what the teacher said beside it.
    """
    found: list[LabelledRow] = []
    doubts: dict[int, list[Doubt]] = {}
    for number, row in enumerate(rows):
        answer, missing = dict(row.answer), []
        for field in task.output_fields:
            value = row.answer.get(field.name)
            if not value or field.evidence == "derived" or field.name in row.untrusted:
                continue
            printed = _printed(field, value, row.text)
            if printed is None:
                apart = _stands_apart(field, value, row.text)
                why = "stands at several places of the text; a list could hold them" if apart else "is not in the text"
                missing.append(Doubt(field.name, f"evidence: {field.name} {why}"))
            else:
                answer[field.name] = printed
        said = row.teacher_answer
        if said is None and row.source == "teacher":
            said = row.answer
        found.append(replace(row, answer=answer, teacher_answer=said))
        if missing:
            doubts[number] = missing
    return found, doubts


def _stands_apart(field: "Field", value: "Value", text: str) -> bool:
    """Whether a text is several ones that somebody joined, each of which the document prints."""
    if not isinstance(value, str):
        return False
    parts = [part for part in map(str.strip, _JOINTS.split(value)) if part]
    return len(parts) > 1 and all(_printed(field, part, text) is not None for part in parts)


def _printed(field: "Field", value: "Value", text: str) -> "Value":
    """The value as the document prints it; None where it does not."""
    from appliance.tasks.alignment import anchored
    from appliance.tasks.linecode import is_records

    def one(each: "Field", part: str) -> str | None:
        anchor = anchored(each, part, text)
        return None if anchor is None else anchor.text

    if isinstance(value, str):
        return one(field, value)
    if value is None:
        return None
    if not is_records(value):
        entries = [one(field, str(entry)) for entry in value]
        return None if None in entries else [entry for entry in entries if entry is not None]
    records: list[Record] = []
    for record in value:
        cells = dict(record)
        for column in field.columns:
            cell = record.get(column.name)
            if cell and column.evidence == "literal":
                cells[column.name] = one(column, cell)
                if cells[column.name] is None:
                    return None
        records.append(cells)
    return records
