"""What a student got wrong, field by field, with where the document says so."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.engines.engine import Result
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.quality.metrics import Outcome, outcome
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Value, display_value, is_records
from appliance.tasks.task import Field, Task, TaskKind
from appliance.tasks.values import find_spans, normalise, value_texts

AROUND = 40
"""Characters of the document before and behind a value."""


@dataclass(frozen=True)
class Evidence:
    """A place of the document."""

    start: int
    end: int
    around: str
    """What stands there, with a little before and behind; blanks and line ends as one blank."""


@dataclass(frozen=True)
class FieldError:
    """One wrong field of one document."""

    document: str
    field: str
    kind: str
    """`omitted`, `invented`, `substituted`, or the error class of a document without an answer."""
    right: Value
    answer: Value
    confidence: float | None
    right_evidence: Evidence | None
    answer_evidence: Evidence | None
    labelled_by: str
    """`person`, or `teacher` where nobody has looked at the teacher's answer."""


def field_errors(task: Task, rows: Sequence[LabelledRow], results: Sequence[Result]) -> list[FieldError]:
    """The wrong fields, those first of which the student was surest; a document without an answer is one error."""
    errors = []
    for row, result in zip(rows, results, strict=True):
        if result.answer is None:
            error = result.error or "no_answer"
            errors.append(FieldError(row.document, "", error, None, None, None, None, None, row.source))
            continue
        for field in task.output_fields:
            right, answer = row.answer.get(field.name) or None, result.answer.get(field.name) or None
            kind = outcome(field, right, answer)
            if kind is Outcome.CORRECT or field.name in row.untrusted:
                continue
            sure = result.confidence.get(field.name)
            places = _evidence(field, right, row.text), _evidence(field, answer, row.text)
            errors.append(
                FieldError(row.document, field.name, kind.value, right, answer, sure, *places, row.source)
            )  # fmt: skip
    return sorted(errors, key=lambda each: (each.field == "", -(each.confidence or 0.0), each.document))


def _evidence(field: Field, value: Value, text: str) -> Evidence | None:
    """Where a literal value stands, of several its first."""
    if value is None or field.evidence == "derived":
        return None
    cells = [cell for record in value for cell in record.values() if cell] if is_records(value) else value_texts(value)
    spans = find_spans(cells[0], text) if cells else []
    if not spans:
        return None
    start, end = spans[0]
    return Evidence(start, end, " ".join(text[max(0, start - AROUND) : end + AROUND].split()))


def write_errors(path: Path, errors: Sequence[FieldError]) -> None:
    """Writes them as JSON Lines."""
    write_lines(path, (json_text(asdict(each)) for each in errors))


@dataclass(frozen=True)
class Confusion:
    """A label that was given in place of another one."""

    right: str
    answer: str
    documents: int


def confusions(task: Task, rows: Sequence[LabelledRow], results: Sequence[Result]) -> list[Confusion]:
    """Of a classification with one label a document: which label is taken for which, the most frequent first."""
    if task.kind is not TaskKind.CLASSIFY or task.multi_label:
        return []
    (field,) = task.output_fields
    pairs = Counter(
        (display_value(normalise(field, row.answer.get(field.name))),
         display_value(normalise(field, result.answer.get(field.name))))
        for row, result in zip(rows, results, strict=True)
        if result.answer is not None
    )  # fmt: skip
    wrong = [(count, *pair) for pair, count in pairs.items() if pair[0] != pair[1]]
    return [Confusion(right, answer, count) for count, right, answer in sorted(wrong, key=lambda e: (-e[0], e[1:]))]
