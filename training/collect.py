"""Recorded teacher answers into a task folder: joined with the documents' texts, each answer stored once."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import ApplianceError, UsageError
from appliance.tasks.linecode import Answer
from training.records import KNOWN_KEYS, Record, read_records
from training.rows import Row, read_rows, row_line, text_hash, write_lines

if TYPE_CHECKING:
    from appliance.tasks.task import Task

ANSWERS = Path("teacher") / "answers.jsonl"


class BadRecord(ApplianceError):
    """A recorded answer cannot be used; the others can."""


@dataclass
class Collected:
    """What an import did."""

    imported: int = 0
    known: int = 0
    """Answers that were there already."""
    bad: list[str] = field(default_factory=list)
    """One message for each record that could not be used, with file and line."""


def collect_recorded(
    task: "Task", task_folder: Path, recorded: Path, documents_dir: Path | None = None, teacher: str = ""
) -> Collected:
    """Adds recorded answers to `teacher/answers.jsonl`; doing it again adds nothing.

    Args:
        teacher: Name of the teacher where a record does not give one.

    Raises:
        UsageError: The file is neither JSON Lines nor CSV, or is no file of this task.
    """
    answers_path = task_folder / ANSWERS
    rows = read_rows(answers_path) if answers_path.is_file() else []
    known = {content_key(row) for row in rows}
    done = Collected()
    for number, record in read_records(recorded, [asked.name for asked in task.asked]):
        try:
            row = make_row({"teacher": teacher, **record}, documents_dir)
        except ApplianceError as error:
            done.bad.append(f"{recorded.name}:{number}: {error.message}")
            continue
        key = content_key(row)
        if key in known:
            done.known += 1
            continue
        known.add(key)
        rows.append(row)
        done.imported += 1
    if done.imported or not answers_path.is_file():
        write_lines(answers_path, map(row_line, rows))
    return done


def content_key(row: Row) -> str:
    """SHA-256 of what makes an answer: document, text, teacher and what the teacher said."""
    content = [row.document, row.sha256, text_hash(row.text), row.teacher, row.answer, row.labels]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def make_row(record: Record, documents_dir: Path | None) -> Row:
    """A row from a recorded answer.

    Raises:
        BadRecord: Something in it is missing, of the wrong kind, or its document cannot be read.
    """
    unknown = sorted(set(record) - set(KNOWN_KEYS))
    if unknown:
        raise BadRecord(f"unknown key {unknown[0]!r}; known are {', '.join(KNOWN_KEYS)}")
    for key in ("document", "text", "label", "teacher", "group", "id", "source"):
        if not isinstance(record.get(key), str | None):
            raise BadRecord(f"{key} is not a text")
    labels = _labels(record)
    answer = _answer(record, labels)
    name, text = record.get("document"), record.get("text")
    if isinstance(text, str):
        digest = text_hash(text)
        name = name or str(record.get("id") or f"text-{digest[:12]}")
    elif isinstance(name, str):
        text, digest = _read(name, documents_dir)
    else:
        raise BadRecord("neither document nor text is given")
    source = record.get("source") or "teacher"
    if source not in ("teacher", "person"):
        raise BadRecord(f"source is {str(source)[:40]!r}, neither teacher nor person")
    teacher, group = str(record.get("teacher") or ""), _text(record.get("group"))
    return Row(str(name), digest, text, answer, labels, teacher, group, "person" if source == "person" else "teacher")


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
        return {name: _value(value) for name, value in answer.items()}
    if isinstance(answer, str):  # a task that generates has one field
        return {"text": answer}
    if isinstance(label, str):
        return {"label": label}
    if labels:
        return {"label": max(sorted(labels), key=lambda name: labels[name])}
    raise BadRecord("neither answer nor label nor labels is given")


def _value(value: object) -> str | list[str] | None:
    """Numbers as text, empty values as null; the schema is the curation's business."""
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, list):
        return [str(part) for part in value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(name: str, documents_dir: Path | None) -> tuple[str, str]:
    """Text and SHA-256 of a document below the folder."""
    from appliance.documents.reading import read_document

    if documents_dir is None:
        raise BadRecord(f"the text of {name} is not given, and no folder of documents either")
    path = documents_dir / name
    try:
        inside = path.resolve(strict=True).is_relative_to(documents_dir.resolve(strict=True))
        if not inside or not path.is_file():
            raise BadRecord(f"{name} is not a file below {documents_dir.name}")
        data = path.read_bytes()
        return read_document(data).text, hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise BadRecord(f"{name} cannot be read: {os.strerror(error.errno) if error.errno else error}") from error
    except UsageError:
        raise
    except ApplianceError as error:
        raise BadRecord(f"{name}: {error.message}") from error
