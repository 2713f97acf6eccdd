"""The ledger of a job, read: documents, states, rows, texts and events in one SQLite file with one writer.

For readers in other processes (screens, `stillroom jobs`):

- `list_jobs(settings) -> list[JobSummary]`: every job, newest first; a job whose supervisor died shows as interrupted.
- `open_readonly(job_dir) -> LedgerReader`: a connection that cannot write; close it, or use it with `with`.
- `LedgerReader.summary() -> JobSummary`: the counters, from one row.
- `LedgerReader.documents_page(state, offset, limit) -> list[DocumentEntry]`: in path order; state None means all.
- `LedgerReader.row(document) -> Row | None`, `LedgerReader.text(document) -> str | None`, `LedgerReader.events(limit)`.
- `LedgerReader.raw_answer(document) -> str | None`: what the model wrote, kept where the text is.
- `LedgerReader.superseded_rows(document) -> list[Row]`: rows of earlier bytes of a file, or of a failure tried again.

The writing side is `ledger_writer.py`.
"""

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.documents.folder import FoundDocument, document_name, document_path
from appliance.engines.engine import INCOMPLETE
from appliance.ground import database
from appliance.ground.database import database_error, open_reader
from appliance.ground.errors import ApplianceError
from appliance.ground.processes import is_alive
from appliance.ground.settings import Settings
from appliance.jobs.job import LEDGER_NAME, job_dirs
from appliance.jobs.job_index import JobIndex, Signature, ledger_signature
from appliance.jobs.rows import Row, row_from_json
from appliance.jobs.states import FINAL_DOCUMENT_STATES, State
from appliance.routing.cascade import FALLBACK_UNANSWERED_PREFIX

LEDGER_VERSION = 4
_PROBE = "SELECT 1 FROM job"
_FOR_REVIEW = """FROM rows CROSS JOIN documents ON documents.id = rows.document
    WHERE rows.superseded = 0 AND rows.error IS NOT NULL AND documents.state = 'done'"""
"""An answer with an error beside it: a person must look. Rows come first, by the index of those with an error: a
screen counts these every second."""
FALLBACK_UNANSWERED = f"""SELECT rows.document {_FOR_REVIEW} AND json_extract(rows.row, '$.route') = 'review'
    AND coalesce(json_array_length(rows.row, '$.escalated'), 0) = 0"""
"""In a job with a fallback: documents whose fallback gave no answer, because of a cap or because it failed."""


_ENTRIES = """SELECT documents.id, path, documents.state, size_bytes, rows.error FROM documents
    LEFT JOIN rows ON rows.document = documents.id AND rows.superseded = 0"""


class NotBegun(ApplianceError):
    """The process that made the job ended before it had made its ledger; resuming it loses nothing."""


@dataclass(frozen=True)
class JobSummary:
    """One line of the list of jobs; times are seconds since the epoch."""

    id: str
    name: str
    task: str
    model: str
    state: State
    message: str
    total: int
    done: int
    failed: int
    """Documents that failed, the quarantined ones among them."""
    quarantined: int
    started: float | None
    finished: float | None
    documents_per_second: float
    """Of the latest run of the job."""
    waiting: int = 0
    """Documents whose files were still being written; the next run looks at them again."""
    missing: int = 0
    """Documents that left the folder; their rows stay."""
    left_out: dict[str, int] = field(default_factory=dict)
    """What the folder holds beside documents, by kind, when it was last listed: `documents/left_out.py` names them."""
    for_review: int = 0
    """Of the finished documents: how many have an answer that a person must look at."""

    @property
    def with_row(self) -> int:
        """Documents with a row."""
        return self.done + self.failed + self.missing


@dataclass(frozen=True)
class DocumentEntry:
    """One document of a job."""

    id: int
    path: bytes
    name: str
    state: State
    size_bytes: int
    error: str | None


def _entry_of(values: Sequence[Any]) -> DocumentEntry:
    identifier, path, state, size_bytes, error = values
    return DocumentEntry(identifier, path, document_name(path), State(state), size_bytes, error)


@dataclass(frozen=True)
class FinishedDocument:
    """One document with its present row."""

    path: bytes
    sha256: str | None
    row: Row
    state: State = State.DONE
    money: float | None = None
    """What the answer took, in the currency of the frontier's prices."""
    worked_seconds: float | None = None
    """Second of the job's work at which the answer came; None where nothing answered, as with a file that is broken."""
    cached: bool = False
    """Whether the answer had been paid for before, perhaps by another run."""


def _finished_document(values: Sequence[Any]) -> FinishedDocument:
    path, sha256, row, state, money, worked_seconds, cached = values
    return FinishedDocument(path, sha256, row_from_json(row), State(state), money, worked_seconds, bool(cached))


@dataclass(frozen=True)
class FallbackFailure:
    """Documents that a fallback did not answer for one reason."""

    error: str
    """Error class, such as `unauthorised`."""
    documents: int
    message: str
    """The most frequent of their messages."""


class LedgerReader:
    """A connection that only reads; any number of them in any process."""

    def __init__(self, identifier: str, connection: sqlite3.Connection) -> None:
        self._identifier = identifier
        self._connection = connection

    def summary(self) -> JobSummary:
        """The job's counters and state."""
        cursor = self._connection.execute("SELECT * FROM job")
        values = cursor.fetchone()
        if values is None:
            raise ApplianceError(f"job {self._identifier} has an empty ledger", "run it again")
        named = dict(zip((described[0] for described in cursor.description), values, strict=True))
        if named["version"] > LEDGER_VERSION:
            raise ApplianceError(
                f"the ledger of job {self._identifier} has version {named['version']}, this program knows"
                f" {LEDGER_VERSION}",
                "use the version of Stillroom that made the job",
            )
        return _summary(named, self.for_review())

    def documents_page(self, state: State | None, offset: int, limit: int) -> list[DocumentEntry]:
        """Documents in path order; state None means all of them."""
        where = "WHERE documents.state = ?" if state else ""
        rows = self._connection.execute(
            f"{_ENTRIES} {where} ORDER BY path LIMIT ? OFFSET ?", (*([state] if state else []), limit, offset)
        )
        return list(map(_entry_of, rows))

    def row(self, document: int) -> Row | None:
        """The document's present row."""
        row = self._connection.execute(
            "SELECT row FROM rows WHERE document = ? AND superseded = 0", (document,)
        ).fetchone()
        return row_from_json(row[0]) if row else None

    def superseded_rows(self, document: int) -> list[Row]:
        """The document's superseded rows, the oldest first."""
        rows = self._connection.execute(
            "SELECT row FROM rows WHERE document = ? AND superseded = 1 ORDER BY id", (document,)
        )
        return [row_from_json(text) for (text,) in rows]

    def document(self, name: str) -> DocumentEntry | None:
        """The document with this path or shown name."""
        # The name as the rows write it, which a person copies, comes before a path as the shell gives it.
        for path in dict.fromkeys((document_path(name), os.fsencode(name))):
            if self._connection.execute("SELECT 1 FROM documents WHERE path = ?", (path,)).fetchone():
                return self._entry(path)
        return None

    def _entry(self, path: bytes) -> DocumentEntry:
        return _entry_of(self._connection.execute(f"{_ENTRIES} WHERE path = ?", (path,)).fetchone())

    def rows(self) -> Generator[Row]:
        """Present rows in path order; close it where it is not read to its end, or the ledger stays in use."""
        with contextlib.closing(self.finished_documents()) as documents:
            yield from (document.row for document in documents)

    def finished_documents(self) -> Generator[FinishedDocument]:
        """Documents with a row, in path order; close it as `rows`."""
        with contextlib.closing(self._finished("ORDER BY path")) as cursor:
            yield from map(_finished_document, cursor)

    def finished_document(self, path: bytes) -> FinishedDocument | None:
        """The document with this path, if it has a row."""
        values = self._finished("WHERE path = ?", path).fetchone()
        return None if values is None else _finished_document(values)

    def _finished(self, clause: str, *values: bytes) -> sqlite3.Cursor:
        joined = "FROM documents JOIN rows ON rows.document = documents.id AND rows.superseded = 0"
        columns = "money, worked_seconds, cached" if self._has_work() else "NULL, NULL, 0"
        return self._connection.execute(f"SELECT path, sha256, row, state, {columns} {joined} {clause}", values)

    def _has_work(self) -> bool:
        """Whether rows carry money and time of work; not in an earlier ledger that no run has brought up to date."""
        return any(name == "worked_seconds" for _, name, *_ in self._connection.execute("PRAGMA table_info(rows)"))

    def documents_with_row(self) -> Iterator[FoundDocument]:
        """Documents with a row, with the size and time of their files when it was written."""
        states = ", ".join("?" * len(FINAL_DOCUMENT_STATES))
        cursor = self._connection.execute(
            f"SELECT path, size_bytes, modified_ns FROM documents WHERE state IN ({states})", FINAL_DOCUMENT_STATES
        )
        return (FoundDocument(*values) for values in cursor)

    def worked_seconds(self) -> list[float]:
        """For each row that was answered, and not from what had been paid for before: the second of the job's work."""
        if not self._has_work():
            return []
        cursor = self._connection.execute(
            "SELECT worked_seconds FROM rows WHERE superseded = 0 AND worked_seconds IS NOT NULL AND NOT cached"
        )
        return [seconds for (seconds,) in cursor]

    def written_rows(self) -> int:
        """How many rows were ever written, superseded ones among them."""
        return self._count("FROM rows")

    def for_review(self) -> int:
        """How many documents have an answer that a person must look at."""
        return self._count(_FOR_REVIEW)

    def _count(self, selection: str, *values: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) {selection}", values).fetchone()[0])

    def review_page(self, offset: int, limit: int) -> list[DocumentEntry]:
        """The documents that a person must look at, in path order."""
        rows = self._connection.execute(
            f"SELECT documents.id, path, documents.state, size_bytes, rows.error {_FOR_REVIEW}"
            " ORDER BY path LIMIT ? OFFSET ?",
            (limit, offset),
        )
        return list(map(_entry_of, rows))

    def fallback_failures(self) -> list[FallbackFailure]:
        """Why the fallback did not answer, most frequent reason first; only of a job with a fallback."""
        cursor = self._connection.execute(
            "SELECT coalesce(json_extract(row, '$.error'), ''), coalesce(json_extract(row, '$.error_message'), '')"
            f" FROM rows WHERE superseded = 0 AND document IN ({FALLBACK_UNANSWERED}) ORDER BY rows.id"
        )
        messages: dict[str, Counter[str]] = {}
        for error, message in cursor:
            reason = message.partition(FALLBACK_UNANSWERED_PREFIX)[2] or message
            messages.setdefault(error, Counter())[reason] += 1
        failures = [
            FallbackFailure(error, counts.total(), counts.most_common(1)[0][0]) for error, counts in messages.items()
        ]
        return sorted(failures, key=lambda failure: -failure.documents)

    def incomplete(self) -> int:
        """Documents of whose lists or records the last entries are missing."""
        return self._count("FROM rows WHERE superseded = 0 AND error IS NOT NULL AND error = ?", INCOMPLETE)

    def damage(self) -> str | None:
        """What SQLite finds wrong in the file; None where it is sound. Reads all of it."""
        (finding,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        return None if finding == "ok" else str(finding)

    def text(self, document: int) -> str | None:
        """The document's text; None where none was kept or there is none."""
        row = self._connection.execute("SELECT text FROM texts WHERE document = ?", (document,)).fetchone()
        return str(row[0]) if row else None

    def raw_answer(self, document: int) -> str | None:
        """What the model wrote, before it was parsed; None where it was not kept."""
        try:
            row = self._connection.execute("SELECT raw FROM texts WHERE document = ?", (document,)).fetchone()
        except sqlite3.OperationalError:
            return None  # a ledger of version 1 that no run has brought up to date
        return str(row[0]) if row and row[0] else None

    def events(self, limit: int) -> list[tuple[float, str, str]]:
        """The latest events, newest first: time, kind, detail."""
        rows = self._connection.execute("SELECT time, kind, detail FROM events ORDER BY id DESC LIMIT ?", (limit,))
        return list(rows)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> "LedgerReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_readonly(directory: Path) -> LedgerReader:
    """Opens the ledger of a job's folder for reading.

    Raises:
        ApplianceError: There is no ledger, or it is damaged.
    """
    try:
        return LedgerReader(directory.name, open_reader(directory / LEDGER_NAME, _PROBE))
    except sqlite3.Error as error:
        if _has_not_begun(directory, error):
            raise NotBegun(
                f"job {directory.name} has not begun", f"`stillroom jobs resume {directory.name}` begins it"
            ) from error
        raise ledger_error(directory.name, error) from error


def connect(directory: Path, mode: str) -> sqlite3.Connection:
    """A connection that only reads.

    Raises:
        sqlite3.Error: There is no ledger, it is damaged, or it cannot be opened in this mode.
    """
    return database.connect(directory / LEDGER_NAME, mode, _PROBE)


def _has_not_begun(directory: Path, error: sqlite3.Error) -> bool:
    """Whether the process that made the job ended before it had made its ledger."""
    try:
        return os.stat(directory / LEDGER_NAME).st_size == 0 or "no such table: job" in str(error)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def list_jobs(settings: Settings) -> list[JobSummary]:
    """All jobs, the one that started last first; a job without a readable ledger shows as failed.

    Only ledgers that changed since the last list are opened.
    """
    index = JobIndex(settings)
    summaries = [_listed(directory, index) for directory in job_dirs(settings)]
    index.save()
    return sorted(summaries, key=lambda summary: -(summary.started or 0.0))


def _listed(directory: Path, index: JobIndex) -> JobSummary:
    signature = ledger_signature(os.fspath(directory))
    if signature is not None and (counters := index.get(directory.name, signature)) is not None:
        with contextlib.suppress(TypeError, ValueError):
            return JobSummary(**{**counters, "state": State(counters["state"])})
    try:
        summary = _read_once(directory, signature)
    except (ApplianceError, sqlite3.Error) as error:
        state = State.INTERRUPTED if isinstance(error, NotBegun) else State.FAILED
        return JobSummary(directory.name, directory.name, "", "", state, str(error), 0, 0, 0, 0, None, None, 0.0)
    if signature is not None and summary.state not in (State.RUNNING, State.QUEUED):
        index.put(directory.name, signature, asdict(summary))
    return summary


def _read_once(directory: Path, signature: Signature | None) -> JobSummary:
    """The counters; of a ledger without a log they are read as if nothing changed, and again if something did."""
    if signature is not None and signature[3] == 0:
        with contextlib.suppress(ApplianceError, sqlite3.Error):
            with LedgerReader(directory.name, connect(directory, "mode=ro&immutable=1")) as reader:
                summary = reader.summary()
            if ledger_signature(os.fspath(directory)) == signature:
                return summary
    with open_readonly(directory) as reader:
        return reader.summary()


def _summary(values: dict[str, Any], for_review: int) -> JobSummary:
    state = State(values["state"])
    if state in (State.RUNNING, State.QUEUED) and not is_alive(values["supervisor"]):
        state = State.INTERRUPTED
    return JobSummary(
        values["identifier"], values["name"], values["task"], values["model"], state, values["message"],
        values["total"], values["done"], values["failed"] + values["quarantined"], values["quarantined"],
        values["started"], values["finished"], values["speed"], values.get("waiting", 0),
        values.get("missing", 0), json.loads(values.get("left_out", "{}")), for_review,
    )  # fmt: skip


def ledger_error(job: str, error: sqlite3.Error) -> ApplianceError:
    """What an operator reads when SQLite refuses the ledger of a job."""
    return database_error(f"the ledger of job {job}", error, f"`stillroom jobs remove {job}`, then run it again")
