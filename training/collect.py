"""Recorded teacher answers into a task folder: joined with the documents' texts, each answer stored once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.documents.named import NoDocument, read_named, text_of
from appliance.documents.sandbox import ReaderLimits, ReadReply
from appliance.ground.errors import ApplianceError
from appliance.ground.json_text import json_text
from appliance.tasks.answer_json import flat_values, number_text
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.task import NO, YES
from training.answers_file import add_answers, alone
from training.records import KNOWN_KEYS, Record, RecordFile, read_records

if TYPE_CHECKING:
    from appliance.tasks.task import Task


class BadRecord(ApplianceError):
    """A recorded answer cannot be used; the others can."""


@dataclass
class CollectResult:
    """What an import did."""

    imported: int = 0
    known: int = 0
    """Answers that were there already."""
    bad: list[str] = field(default_factory=list)
    """One message for each record that could not be used, with file and line."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Keys that say nothing to Stillroom -> records with them."""


@dataclass(frozen=True)
class Documents:
    """The folder whose documents the records name, and how they are read."""

    folder: Path | None = None
    limits: ReaderLimits = field(default_factory=ReaderLimits)


def collect_recorded(
    task: "Task", task_folder: Path, recorded: Path, documents: Documents | None = None, teacher: str = ""
) -> CollectResult:
    """Adds recorded answers to `teacher/answers.jsonl`; doing it again adds nothing.

    Args:
        teacher: Name of the teacher where a record does not give one; the task's where this is empty.

    Raises:
        UsageError: The file cannot be read, a column of it could be two things, or another call is at work.
        ResourceError: The sandbox of the readers lacks a required part on this machine.
    """
    folder, result, file = TaskFolder(task_folder), CollectResult(), RecordFile()
    with alone(folder):
        records = list(read_records(recorded, [output_field.name for output_field in task.output_fields], file))
        result.ignored = dict(file.ignored)
        result.bad += [f"{recorded.name}:{number}: {reason}" for number, reason in file.broken]
        replies = _read_all([record for _, record in records], documents or Documents())
        rows = []
        for number, record in records:
            try:
                rows.append(make_row({"teacher": teacher or task.teacher, **record}, replies))
            except ApplianceError as error:
                result.bad.append(f"{recorded.name}:{number}: {error.message}")
        result.imported, result.known = add_answers(folder.answers_path, rows)
    return result


def make_row(record: Record, documents: Mapping[str, ReadReply | NoDocument]) -> LabelledRow:
    """A row from a recorded answer.

    Args:
        documents: What came of each document that records name.

    Raises:
        BadRecord: Something in it is missing, or of the wrong kind.
        NoDocument: Its document cannot be read.
    """
    try:  # a name that is no UTF-8 on disk is written with half pairs; nothing else may hold one
        json_text({**record, "document": ""}).encode()
    except UnicodeEncodeError as error:
        raise BadRecord("it holds half of a surrogate pair, which is no character") from error
    unknown = sorted(set(record) - set(KNOWN_KEYS))
    if unknown:
        raise BadRecord(f"unknown key {unknown[0]!r}; known are {', '.join(KNOWN_KEYS)}")
    for key in ("document", "text", "teacher", "group", "id", "source", "working"):
        if not isinstance(record.get(key), str | None):
            raise BadRecord(f"{key} is not a text")
    labels = _labels(record)
    answer = _answer(record, labels)
    name, text = record.get("document"), record.get("text")
    if isinstance(text, str):
        digest = text_hash(text)
        name = name or str(record.get("id") or f"text-{digest[:12]}")
    elif isinstance(name, str):
        text, digest = text_of(name, documents[name])
    else:
        raise BadRecord("neither document nor text is given")
    source = record.get("source") or "teacher"
    if source not in ("teacher", "person"):
        raise BadRecord(f"source is {str(source)[:40]!r}, neither teacher nor person")
    teacher, group = str(record.get("teacher") or ""), _text(record.get("group"))
    working = (_text(record.get("working")) or "").strip()
    return LabelledRow(str(name), text, answer, digest, labels, teacher, group, source, working=working)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _labels(record: Record) -> dict[str, float] | None:
    labels = record.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, dict) or not labels:
        raise BadRecord("labels is not an object of label and share")
    for label, share in labels.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadRecord(f"the share of label {label!r} is not a number from 0 to 1")
    total = sum(labels.values())
    if not 0 < total <= 1.001:
        raise BadRecord(f"the shares of the labels sum to {total:.3f}, not to 1")
    return {label: float(share) for label, share in labels.items()}


def _answer(record: Record, labels: dict[str, float] | None) -> Answer:
    answer, label = record.get("answer"), record.get("label")
    if isinstance(answer, dict):
        return {name: _value(name, value) for name, value in flat_values(answer).items()}
    if isinstance(answer, str):  # a task that generates has one field
        return {"text": answer}
    if isinstance(label, str | list):
        return {"label": _value("label", label)}
    if label is not None:
        raise BadRecord("label is neither a text nor a list of texts")
    if labels:
        return {"label": max(sorted(labels), key=lambda name: labels[name])}
    raise BadRecord("neither answer nor label nor labels is given")


def _value(name: str, value: object) -> Value:
    """Numbers as text, empty values as null; the schema is the curation's business."""
    if isinstance(value, list):
        records = [_record(part) for part in value if isinstance(part, dict)]
        texts = [text for part in value if not isinstance(part, dict) and (text := _written(part)) is not None]
        if records and texts:
            raise BadRecord(f"{name} has texts and records in one list")
        return [record for record in records if any(record.values())] or texts or None
    return _written(value)


def _record(values: dict[str, object]) -> dict[str, str | None]:
    """One record; what lies within one of its values is under its name and a dot."""
    return {column: _written(cell) for column, cell in flat_values(values).items()}


def _written(value: object) -> str | None:
    """A value as the record writes it: of a number all digits, as a document prints them; a truth as yes or no."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, float):
        return number_text(value)
    return value if isinstance(value, str) else json_text(value)


def _read_all(records: list[Record], documents: Documents) -> dict[str, ReadReply | NoDocument]:
    """What came of the documents that records name without giving their text."""
    named = (record.get("document") for record in records if not isinstance(record.get("text"), str))
    return read_named((name for name in named if isinstance(name, str)), documents.folder, documents.limits)
