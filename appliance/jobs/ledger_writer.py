"""The ledger of a job, written: the only connection that changes `job.db`.

Rows and states change in one transaction, with full sync, so each document has exactly one row or one failure
whatever is killed and whenever. SQLite before 3.51.3 can damage a WAL database that two connections write; a lock
on the job's folder keeps it at one.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from appliance.documents.folder import FoundDocument, document_name
from appliance.errors import ApplianceError, ResourceError
from appliance.jobs.job import LEDGER_NAME
from appliance.jobs.ledger import database_error
from appliance.jobs.rows import Row
from appliance.jobs.states import State

LEDGER_VERSION = 1

_SCHEMA = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0, started REAL, finished REAL,
    run_started REAL, run_base INTEGER NOT NULL DEFAULT 0, speed REAL NOT NULL DEFAULT 0,
    supervisor TEXT NOT NULL DEFAULT '');
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    sha256 TEXT, state TEXT NOT NULL, kills INTEGER NOT NULL DEFAULT 0);
CREATE INDEX documents_by_state ON documents (state, path);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents, superseded INTEGER NOT NULL DEFAULT 0,
    error TEXT, row TEXT NOT NULL);
CREATE UNIQUE INDEX one_row ON rows (document) WHERE superseded = 0;
CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents, text TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, document INTEGER, detail TEXT NOT NULL);
"""
_COUNTERS = {State.DONE: "done", State.FAILED: "failed", State.QUARANTINED: "quarantined"}


@dataclass(frozen=True)
class PendingDocument:
    """A document that has no row yet."""

    id: int
    path: bytes
    kills: int
    """How many children died with this document in work."""

    @property
    def name(self) -> str:
        """The path as text."""
        return document_name(self.path)


@dataclass(frozen=True)
class Outcome:
    """What one document came to: its final state, its row, and the text to keep."""

    document: PendingDocument
    state: State
    row: Row
    text: str | None = None
    notes: tuple[str, ...] = ()


class Ledger:
    """The writer; only the process that holds the job's lock may make one."""

    def __init__(self, directory: Path, identifier: str, name: str, task: str, model: str) -> None:
        self._connection = sqlite3.connect(directory / LEDGER_NAME, isolation_level=None)
        (directory / LEDGER_NAME).chmod(0o600)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._prepare(identifier, name, task, model)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise database_error(directory, error) from error
        self._directory = directory

    def _prepare(self, identifier: str, name: str, task: str, model: str) -> None:
        if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone() is None:
            # One transaction: a kill in here leaves an empty file that the next run fills.
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
        self._connection.execute(
            "INSERT OR IGNORE INTO job (id, version, identifier, name, task, model, state)"
            " VALUES (1, ?, ?, ?, ?, ?, ?)",
            (LEDGER_VERSION, identifier, name, task, model, State.QUEUED),
        )
        (version,) = self._connection.execute("SELECT version FROM job").fetchone()
        if version != LEDGER_VERSION:
            raise ApplianceError(
                f"the ledger of job {identifier} has version {version}, this program knows {LEDGER_VERSION}",
                "use the program that made the job",
            )

    def begin_run(self, state: State, supervisor: str) -> None:
        """Marks the job as in the hands of this supervisor."""
        now = time.time()
        with self._transaction():
            self._connection.execute(
                "UPDATE job SET state = ?, message = '', started = coalesce(started, ?), finished = NULL,"
                " run_started = ?, run_base = done + failed + quarantined, supervisor = ?",
                (state, now, now, supervisor),
            )
            self._event("run", None, state)

    def end_run(self, state: State, message: str = "") -> None:
        """Marks the job as ended in this state."""
        now = time.time()
        with self._transaction():
            self._connection.execute(
                "UPDATE job SET speed = (done + failed + quarantined - run_base) / max(? - run_started, 0.001)"
                " WHERE state = ?",
                (now, State.RUNNING),
            )
            self._connection.execute(
                "UPDATE job SET state = ?, message = ?, finished = ?, supervisor = ''", (state, message, now)
            )
            self._event("end", None, f"{state} {message}".strip())

    def add_documents(self, documents: Iterable[FoundDocument]) -> list[PendingDocument]:
        """Adds new documents; gives those known ones whose size or time changed since they got their row."""
        changed: list[PendingDocument] = []
        with self._transaction():
            for found in documents:
                known = self._connection.execute(
                    "SELECT id, size_bytes, modified_ns, state FROM documents WHERE path = ?", (found.path,)
                ).fetchone()
                if known is None:
                    self._connection.execute(
                        "INSERT INTO documents (path, size_bytes, modified_ns, state) VALUES (?, ?, ?, ?)",
                        (found.path, found.size_bytes, found.modified_ns, State.QUEUED),
                    )
                    self._connection.execute("UPDATE job SET total = total + 1")
                elif (found.size_bytes, found.modified_ns) != known[1:3]:
                    if known[3] != State.QUEUED:
                        changed.append(PendingDocument(known[0], found.path, 0))
                    self._connection.execute(
                        "UPDATE documents SET size_bytes = ?, modified_ns = ? WHERE id = ?",
                        (found.size_bytes, found.modified_ns, known[0]),
                    )
        return changed

    def counts(self) -> tuple[int, int]:
        """How many documents there are, and how many of them have their row."""
        total, finished = self._connection.execute("SELECT total, done + failed + quarantined FROM job").fetchone()
        return int(total), int(finished)

    def sha256(self, document: PendingDocument) -> str | None:
        """Hash of the bytes that the document's row is about."""
        found = self._connection.execute("SELECT sha256 FROM documents WHERE id = ?", (document.id,)).fetchone()
        return str(found[0]) if found and found[0] else None

    def supersede(self, document: PendingDocument) -> None:
        """Marks the document's row as about former bytes and queues the document again."""
        with self._transaction():
            (state,) = self._connection.execute("SELECT state FROM documents WHERE id = ?", (document.id,)).fetchone()
            self._connection.execute("UPDATE rows SET superseded = 1 WHERE document = ?", (document.id,))
            self._connection.execute("DELETE FROM texts WHERE document = ?", (document.id,))
            self._connection.execute(
                "UPDATE documents SET state = ?, kills = 0, sha256 = NULL WHERE id = ?", (State.QUEUED, document.id)
            )
            if column := _COUNTERS.get(State(state)):
                self._connection.execute(f"UPDATE job SET {column} = {column} - 1")
            self._event("changed", document.id, "the file changed; its row is superseded")

    def pending(self, after: bytes, limit: int) -> list[PendingDocument]:
        """Documents without a row whose path comes after this one, in path order."""
        found = self._connection.execute(
            "SELECT id, path, kills FROM documents WHERE state = ? AND path > ? ORDER BY path LIMIT ?",
            (State.QUEUED, after, limit),
        )
        return [PendingDocument(*values) for values in found]

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Writes rows, texts, final states and counters of documents in one transaction."""
        with self._transaction():
            for outcome in outcomes:
                document = outcome.document
                self._connection.execute(
                    "INSERT INTO rows (document, error, row) VALUES (?, ?, ?)",
                    (document.id, outcome.row.error, outcome.row.to_json()),
                )
                self._connection.execute(
                    "UPDATE documents SET state = ?, sha256 = ? WHERE id = ?",
                    (outcome.state, outcome.row.sha256, document.id),
                )
                column = _COUNTERS[outcome.state]
                self._connection.execute(f"UPDATE job SET {column} = {column} + 1")
                if outcome.text is not None:
                    self._connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (document.id, outcome.text))
                if outcome.notes:
                    self._event("read", document.id, "; ".join(outcome.notes))

    def record_kill(self, documents: Sequence[PendingDocument], detail: str) -> None:
        """Counts the death of a child against the documents it had in work."""
        with self._transaction():
            for document in documents:
                self._connection.execute("UPDATE documents SET kills = kills + 1 WHERE id = ?", (document.id,))
                self._event("kill", document.id, detail)

    def close(self) -> None:
        """Closes the database; the last close folds the write-ahead log into it."""
        self._connection.close()

    def _event(self, kind: str, document: int | None, detail: str) -> None:
        self._connection.execute(
            "INSERT INTO events (time, kind, document, detail) VALUES (?, ?, ?, ?)",
            (time.time(), kind, document, detail),
        )

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    """Commits whole or not at all; a failing disk ends the run rather than being tried again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
                return
        except sqlite3.OperationalError as failed:
            raise ResourceError(f"the ledger cannot be written: {failed}", "free disk space, then resume") from failed
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise ResourceError(f"the ledger cannot be written: {error}", "free disk space, then resume") from error
