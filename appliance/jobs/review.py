"""What people corrected in a job's answers: original, correction, user and time, kept beside the ledger.

The ledger has one writer, the job's supervisor, so corrections have a database of their own, `review.db`. Any number
of people may correct at once: each change is one short transaction of a connection that is opened for it, under a lock,
because SQLite before 3.51.3 can damage a WAL database that two connections write.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.ground.database import open_reader, open_writer
from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.json_text import json_text
from appliance.ground.locks import exclusive_lock
from appliance.ground.users import current_user
from appliance.jobs.job import task_path
from appliance.jobs.ledger import LedgerReader, open_readonly
from appliance.jobs.rows import Row
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.person_values import output_field, person_value
from appliance.tasks.taskfile import load_task

REVIEW_NAME = "review.db"
REVIEW_VERSION = 1
_LOCK_SECONDS = 60.0
_COLUMNS = "document, sha256, field, original, correction, user, time"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS corrections (
    id INTEGER PRIMARY KEY, document TEXT NOT NULL, sha256 TEXT NOT NULL, field TEXT NOT NULL,
    original TEXT NOT NULL, correction TEXT NOT NULL, user TEXT NOT NULL, time REAL NOT NULL);
CREATE INDEX IF NOT EXISTS corrections_by_document ON corrections (document, sha256);
"""


@dataclass(frozen=True)
class Correction:
    """One field of one document, as a person says it is."""

    document: str
    sha256: str
    """Of the document's bytes: a file that changes is another document."""
    field: str
    original: Value
    """What the model said."""
    correction: Value
    user: str
    time: float
    """Seconds since the epoch."""


def correct_field(directory: Path, document: str, field: str, value: Value, user: str | None = None) -> Correction:
    """Keeps a person's value for one field of one document of a job.

    Args:
        directory: The job's folder.
        document: Path of the document, or as the rows spell it; kept as they do.
        value: None says that the document holds no such value.

    Raises:
        UsageError: There is no such document or field, or the value cannot be one of it.
        ResourceError: The correction cannot be written.
    """
    task = load_task(task_path(directory))
    described = output_field(task, field)
    with open_readonly(directory) as reader:
        document, row = _row(reader, document)
    cleaned = person_value(task, described, value, document)
    original = (row.fields or {}).get(field)
    made = Correction(document, row.sha256 or "", field, original, cleaned, user or current_user(), time.time())
    with _writing(directory) as connection:
        connection.execute(
            f"INSERT INTO corrections ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (made.document, made.sha256, made.field, _json(original), _json(cleaned), made.user, made.time),
        )
    return made


def read_corrections(directory: Path, document: str | None = None) -> list[Correction]:
    """All corrections of a job or of one document, the oldest first; later ones of a field replace earlier ones."""
    path = directory / REVIEW_NAME
    if not path.is_file():
        return []
    where, values = ("WHERE document = ?", (document,)) if document is not None else ("", ())
    try:
        with _reading(path) as connection:
            if _version(connection, path) == 0:
                return []  # the first correction was cut short: by a kill, or because the disk was full
            rows = connection.execute(f"SELECT {_COLUMNS} FROM corrections {where} ORDER BY id", values).fetchall()
        return [
            Correction(name, sha256, field, json.loads(original), json.loads(correction), user, moment)
            for name, sha256, field, original, correction, user, moment in rows
        ]
    except (sqlite3.DatabaseError, ValueError) as error:
        raise ApplianceError(
            f"the corrections of job {directory.name} cannot be read: {error}",
            f"restore {path} from a backup, or move it away",
        ) from error


def follow_rename(directory: Path, former: str, present: str, sha256: str) -> None:
    """Gives the corrections of a document that was renamed its new name.

    Raises:
        ResourceError: They cannot be written.
    """
    if not (directory / REVIEW_NAME).is_file():
        return
    with _writing(directory) as connection:
        connection.execute(
            "UPDATE corrections SET document = ? WHERE document = ? AND sha256 = ?", (present, former, sha256)
        )


def corrected_documents(directory: Path) -> dict[tuple[str, str], dict[str, Correction]]:
    """(name, SHA-256 of the bytes) of each document with corrections in force -> field -> its correction."""
    by_document: dict[tuple[str, str], list[Correction]] = {}
    for correction in read_corrections(directory):
        by_document.setdefault((correction.document, correction.sha256), []).append(correction)
    force = {key: in_force(corrections, key[1]) for key, corrections in by_document.items()}
    return {key: by_field for key, by_field in force.items() if by_field}


def corrected_count(directory: Path) -> int:
    """How many documents have corrections in force; 0 where they cannot be read, as a count is worth no failed run."""
    with contextlib.suppress(ApplianceError):
        return len(corrected_documents(directory))
    return 0


def in_force(corrections: list[Correction], sha256: str | None) -> dict[str, Correction]:
    """Field -> the latest correction of a document with these bytes; one back to the original is none."""
    latest = {each.field: each for each in corrections if each.sha256 == (sha256 or "")}
    return {field: each for field, each in latest.items() if each.correction != each.original}


def corrected_records(directory: Path) -> Iterator[dict[str, object]]:
    """One record for each corrected document, in the form that `stillroom collect --recorded` imports.

    `answer` is the model's answer with the corrections in force; documents without a kept text are left out, as they
    cannot be learned from.
    """
    by_document: dict[str, list[Correction]] = {}
    for correction in read_corrections(directory):
        by_document.setdefault(correction.document, []).append(correction)
    names = [each.name for each in load_task(task_path(directory)).output_fields]
    with open_readonly(directory) as reader:
        for document in sorted(by_document):
            entry = reader.document(document)
            row = reader.row(entry.id) if entry else None
            text = reader.text(entry.id) if entry else None
            force = in_force(by_document[document], row.sha256 if row else None)
            if row is None or text is None or not force:
                continue
            answer: Answer = {name: (row.fields or {}).get(name) for name in names}
            answer |= {field: each.correction for field, each in force.items()}
            yield {
                "document": document, "text": text, "answer": answer, "source": "person",
                "corrections": [asdict(each) for each in by_document[document]],
            }  # fmt: skip


def _row(reader: LedgerReader, document: str) -> tuple[str, Row]:
    """The document's name as the rows spell it, and its row."""
    entry = reader.document(document)
    if entry is None:
        raise UsageError(f"the job has no document {document}", "spell the name as in the rows")
    row = reader.row(entry.id)
    if row is None:
        raise UsageError(f"{entry.name} has no row yet", "wait until the job has answered it, then correct it")
    return entry.name, row


def _json(value: Value) -> str:
    return json_text(value)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_reader(path, "PRAGMA user_version")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _writing(directory: Path) -> Iterator[sqlite3.Connection]:
    """A transaction of the only connection that writes; another person waits some seconds."""
    path = directory / REVIEW_NAME
    busy = ResourceError(f"another process holds the corrections of job {directory.name}", "try again in a moment")
    try:
        # Not without end: a process that was stopped may hold it.
        with exclusive_lock(directory / ".review.lock", busy, _LOCK_SECONDS):
            connection = open_writer(path)
            try:
                if _version(connection, path) == 0:
                    connection.executescript(
                        f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {REVIEW_VERSION}; COMMIT"
                    )
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()
    except (sqlite3.Error, OSError) as error:
        raise ResourceError(
            f"the correction cannot be written to {path}: {error}", "check the free space and the rights"
        ) from error


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the database; 0 before anything is in it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, REVIEW_VERSION):
        raise ApplianceError(
            f"{path} has version {version}, this program knows {REVIEW_VERSION}",
            "use the version of Stillroom that wrote it",
        )
    return int(version)
