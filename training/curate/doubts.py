"""What speaks against a row, or against one of its values; the rest of the row still teaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task

WHOLE_ROW = ""


@dataclass(frozen=True)
class Doubt:
    """Why something is not learnt from."""

    field: str
    """`WHOLE_ROW`, or the field whose value it is about."""
    reason: str
    """Begins with a code: `form: ...`, `evidence: ...`."""


Doubts = Mapping[int, Sequence[Doubt]]
"""Number of a row -> what speaks against it; rows without a doubt are not in it."""


@dataclass(frozen=True)
class Sorted:
    """What is left of rows after their doubts."""

    kept: list["LabelledRow"]
    """With the fields named whose values are not trusted."""
    rejected: list[tuple["LabelledRow", list[str]]]
    """With reasons."""
    masked: int
    """Values that are newly not trusted in rows that are kept."""


def sort_out(task: "Task", rows: Sequence["LabelledRow"], doubts: Doubts) -> Sorted:
    """Rows whose doubts concern some fields are kept without these; others, and rows with no value left, are not."""
    kept: list[LabelledRow] = []
    rejected: list[tuple[LabelledRow, list[str]]] = []
    masked, names = 0, {field.name for field in task.output_fields}
    for number, row in enumerate(rows):
        some = doubts.get(number, ())
        about_fields = {doubt.field: doubt.reason for doubt in some if doubt.field != WHOLE_ROW}
        untrusted = {**about_fields, **row.untrusted}
        if any(doubt.field == WHOLE_ROW for doubt in some) or (about_fields and not names - set(untrusted)):
            rejected.append((row, [doubt.reason for doubt in some]))
        elif about_fields:
            masked += len(set(about_fields) - set(row.untrusted))
            kept.append(replace(row, untrusted=untrusted))
        else:
            kept.append(row)
    return Sorted(kept, rejected, masked)
