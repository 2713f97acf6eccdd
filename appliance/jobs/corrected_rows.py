"""Rows with what people corrected in them: their value in place of the model's, and the model's beside it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from appliance.jobs.review import Correction
from appliance.jobs.rows import UNSURE, Route, Row
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.spans import field_spans, first_place
from appliance.tasks.task import Field, Task
from appliance.tasks.values import normalised_answer

Corrections = Mapping[tuple[str, str], Mapping[str, Correction]]
"""(name, SHA-256 of the bytes) of a document -> field -> its correction in force."""
CORRECTION_COLUMNS = ("answered", "corrected by", "corrected at")
"""Of each field, behind its name, in a table of corrected rows."""


@dataclass(frozen=True)
class Corrector:
    """Puts a job's corrections into its rows."""

    corrections: Corrections
    task: Task
    text: Callable[[str], str | None]
    """Gives the text of the document with this name, where it was kept."""

    def corrected(self, row: Row) -> Row:
        """The row as people corrected it."""
        return corrected_row(row, self._of(row), self.task, lambda: self.text(row.document))

    def json_record(self, row: Row) -> dict[str, object]:
        """For JSON: the corrected row with what was corrected; the same object in every row of an export."""
        return {**self.corrected(row).record(), "corrections": correction_record(self._of(row))}

    def cells(self, row: Row, field: Field) -> tuple[Value, str | None, str | None]:
        """For a table: what `CORRECTION_COLUMNS` say of one field of the row."""
        return correction_cells(row, self._of(row), field)

    def _of(self, row: Row) -> Mapping[str, Correction]:
        """Field -> its correction; one that was made for other bytes of the document is none of this row."""
        return self.corrections.get((row.document, row.sha256 or ""), {})


def corrected_row(row: Row, by_field: Mapping[str, Correction], task: Task, text: Callable[[], str | None]) -> Row:
    """The row as people corrected it.

    A corrected value has no confidence, as the model's is about another one. An answer that needed a person and fits
    the task now is a person's; a document without an answer stays failed, as nobody has looked at its other fields.

    Args:
        text: Gives the document's text, where it was kept.
    """
    if not by_field:
        return row
    fields: Answer = {field.name: (row.fields or {}).get(field.name) for field in task.output_fields}
    fields |= {name: correction.correction for name, correction in by_field.items()}
    # A person who wrote a value that its pattern does not match has seen the document.
    findings = [
        each for each in answer_findings(task, fields) if each.code != "pattern" or each.fields[0] not in by_field
    ]
    unsure = [reason for reason in row.reasons if _is_unsure(reason) and reason.partition(":")[2] not in by_field]
    is_settled = row.route is Route.REVIEW and not findings and not unsure
    words = text()
    corrected = [field for field in task.output_fields if field.name in by_field]
    spans = {field.name: field_spans(field, fields[field.name], words or "") for field in corrected}
    places = {name: first_place(of) for name, of in spans.items()}
    normalised, marks = normalised_answer(corrected, fields)
    return replace(
        row,
        fields=fields,
        normalised={**{name: value for name, value in row.normalised.items() if name not in by_field}, **normalised},
        marks={**{name: of for name, of in row.marks.items() if name not in by_field}, **marks},
        confidence={name: value for name, value in row.confidence.items() if name not in by_field},
        evidence={**row.evidence, **places},
        spans={**row.spans, **spans},
        route=Route.PERSON if is_settled else row.route,
        error=None if is_settled else row.error,
        error_message="" if is_settled else row.error_message,
        reasons=[*(each.reason for each in findings), *unsure] if row.route is Route.REVIEW else row.reasons,
    )


def _is_unsure(reason: str) -> bool:
    return reason.startswith(f"{UNSURE}:")


def correction_record(by_field: Mapping[str, Correction]) -> dict[str, dict[str, object]]:
    """For JSON: field -> what the model answered, what a person says, who that is and when."""
    return {
        name: {
            "answered": correction.original,
            "corrected": correction.correction,
            "user": correction.user,
            "time": _utc(correction.time),
        }
        for name, correction in by_field.items()
    }


def correction_cells(
    row: Row, by_field: Mapping[str, Correction], field: Field
) -> tuple[Value, str | None, str | None]:
    """The values of `CORRECTION_COLUMNS`: the model's answer of every row, who corrected it, and when.

    Args:
        row: As the model answered.
    """
    answered = (row.fields or {}).get(field.name)
    correction = by_field.get(field.name)
    return (answered, None, None) if correction is None else (answered, correction.user, _utc(correction.time))


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
