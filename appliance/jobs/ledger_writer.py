"""The ledger of a job, written: the only connection that changes `job.db`.

Rows and states change in one transaction, with full sync, so each document has exactly one row or one failure
whatever is killed and whenever. SQLite before 3.51.3 can damage a WAL database that two connections write; a lock
on the job's folder keeps it at one. After a write that failed nothing more is written: what the disk said about a
failed sync cannot be believed the second time.
"""

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.documents.folder import FoundDocument, document_name
from appliance.ground.database import open_writer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.text import human_count
from appliance.jobs.job import LEDGER_NAME
from appliance.jobs.ledger import FALLBACK_UNANSWERED, LEDGER_VERSION, LedgerReader, connect, ledger_error
from appliance.jobs.rows import Row
from appliance.jobs.states import FINAL_DOCUMENT_STATES, State

_SCHEMA = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0, started REAL, finished REAL,
    run_started REAL, speed REAL NOT NULL DEFAULT 0,
    supervisor TEXT NOT NULL DEFAULT '', waiting INTEGER NOT NULL DEFAULT 0);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    sha256 TEXT, state TEXT NOT NULL, crash_count INTEGER NOT NULL DEFAULT 0);
CREATE INDEX documents_by_state ON documents (state, path);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents, superseded INTEGER NOT NULL DEFAULT 0,
    error TEXT, row TEXT NOT NULL, money REAL, worked_seconds REAL, cached INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX one_row ON rows (document) WHERE superseded = 0;
CREATE INDEX rows_by_document ON rows (document);
CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents, text TEXT NOT NULL,
    raw TEXT NOT NULL DEFAULT '');
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, document INTEGER, detail TEXT NOT NULL);
"""
_FROM_VERSION_1 = """
ALTER TABLE job ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job DROP COLUMN run_base;
ALTER TABLE texts ADD COLUMN raw TEXT NOT NULL DEFAULT '';
CREATE INDEX rows_by_document ON rows (document);
UPDATE job SET version = 2;
"""
_FROM_VERSION_2 = """
ALTER TABLE documents RENAME COLUMN kills TO crash_count;
ALTER TABLE rows ADD COLUMN money REAL;
ALTER TABLE rows ADD COLUMN worked_seconds REAL;
ALTER TABLE rows ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
UPDATE job SET version = 3;
"""
_COUNTERS = {State.DONE: "done", State.FAILED: "failed", State.QUARANTINED: "quarantined", State.PAUSED: "waiting"}
"""State of a document -> the counter in the job's row; a queued document is in none."""


@dataclass(frozen=True)
class PendingDocument:
    """A document that has no row yet, with its size and time as they were when the folder was listed."""

    id: int
    path: bytes
    crash_count: int
    """How many children died with this document in work."""
    size_bytes: int = 0
    modified_ns: int = 0

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
    raw: str = ""
    """What the model wrote, kept where the text is."""
    money: float | None = None
    """What the answer took, in the currency of the frontier's prices; None where nobody knows or nothing answered."""
    worked_seconds: float | None = None
    """Second of work at which the answer came, earlier runs of the job counted; None where nothing answered."""
    cached: bool = False
    """Whether the answer had been paid for before."""


@dataclass(frozen=True)
class ChangedDocument:
    """A document with a row whose file has another size or time than the row is about."""

    id: int
    document: FoundDocument
    sha256: str | None
    """Hash of the bytes that the row is about."""


class Ledger:
    """The writer; only the process that holds the job's lock may make one."""

    def __init__(self, directory: Path | None, identifier: str, name: str, task: str, model: str) -> None:
        """Opens or makes the ledger.

        Args:
            directory: The job's folder; None keeps everything in memory, for work that leaves nothing behind.
        """
        self._directory = directory
        self._identifier = identifier
        self._broken = ""
        """What the first write that failed said."""
        try:
            self._connection = open_writer(directory / LEDGER_NAME if directory else None)
        except sqlite3.Error as error:
            raise ledger_error(identifier, error) from error
        try:
            self._prepare(name, task, model)
        except sqlite3.Error as error:
            self._connection.close()
            raise ledger_error(identifier, error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, name: str, task: str, model: str) -> None:
        execute = self._connection.execute
        if execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone() is None:
            # One transaction: a kill in here leaves an empty file that the next run fills.
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
        execute(
            "INSERT OR IGNORE INTO job (id, version, identifier, name, task, model, state)"
            " VALUES (1, ?, ?, ?, ?, ?, ?)",
            (LEDGER_VERSION, self._identifier, name, task, model, State.QUEUED),
        )
        (version,) = execute("SELECT version FROM job").fetchone()
        if version in (1, 2):
            steps = (_FROM_VERSION_1 if version == 1 else "") + _FROM_VERSION_2
            self._connection.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT")
        elif version != LEDGER_VERSION:
            raise ApplianceError(
                f"the ledger of job {self._identifier} has version {version}, this program knows {LEDGER_VERSION}",
                "use the version of Stillroom that made the job",
            )

    @property
    def reader(self) -> LedgerReader:
        """The reading side on this connection; for a ledger in memory it is the only one."""
        return LedgerReader(self._identifier, self._connection)

    def begin_run(self, state: State, supervisor: str) -> None:
        """Marks the job as in the hands of this supervisor."""
        now = time.time()
        with self._transaction():
            self._connection.execute(
                "UPDATE job SET state = ?, message = '', started = coalesce(started, ?), finished = NULL,"
                " run_started = ?, speed = iif(?, 0, speed), supervisor = ?",
                (state, now, now, state is State.RUNNING, supervisor),
            )
            self._event("run", None, state)

    def end_run(self, state: State, message: str = "") -> None:
        """Marks the job as ended in this state."""
        with self._transaction():
            self._connection.execute(
                "UPDATE job SET state = ?, message = ?, finished = ?, supervisor = ''", (state, message, time.time())
            )
            self._event("end", None, f"{state} {message}".strip())

    def add_documents(self, documents: Iterable[FoundDocument]) -> list[ChangedDocument]:
        """Adds new documents; gives those with a row whose size or time is no longer that of the row.

        What is said about a changed document stays as it is until `supersede` or `keep`: a kill between the two
        only means that the next run finds it changed again.
        """
        changed: list[ChangedDocument] = []
        added = 0
        with self._transaction():
            for document in documents:
                known = self._connection.execute(
                    "SELECT id, size_bytes, modified_ns, state, sha256 FROM documents WHERE path = ?", (document.path,)
                ).fetchone()
                if known is None:
                    self._connection.execute(
                        "INSERT INTO documents (path, size_bytes, modified_ns, state) VALUES (?, ?, ?, ?)",
                        (document.path, document.size_bytes, document.modified_ns, State.QUEUED),
                    )
                    added += 1
                elif (document.size_bytes, document.modified_ns) != known[1:3]:
                    if known[3] in FINAL_DOCUMENT_STATES:
                        changed.append(ChangedDocument(known[0], document, known[4]))
                    else:
                        self._set_facts(known[0], document)
            if added:
                self._connection.execute("UPDATE job SET total = total + ?", (added,))
        return changed

    def keep(self, changed: ChangedDocument) -> None:
        """Notes the new size and time of a document whose bytes are the same as before."""
        with self._transaction():
            self._set_facts(changed.id, changed.document)

    def supersede(self, changed: ChangedDocument) -> None:
        """Marks the document's row as about previous bytes and queues the document again."""
        with self._transaction():
            self._queue_again(changed.id)
            self._set_facts(changed.id, changed.document)
            self._event("changed", changed.id, "the file changed; its row is superseded")

    def retry(self, fallback_unanswered: bool = False) -> int:
        """Queues failed and quarantined documents again; gives how many.

        Args:
            fallback_unanswered: Also those whose fallback did not answer, so that only the local answer is in the row.
        """
        with self._transaction():
            documents = self._connection.execute(
                "SELECT id FROM documents WHERE state IN (?, ?)", (State.FAILED, State.QUARANTINED)
            ).fetchall()
            if fallback_unanswered:
                documents += self._connection.execute(FALLBACK_UNANSWERED).fetchall()
            for (document,) in documents:
                self._queue_again(document)
            if documents:
                # Together with the rows: a job that is done has them all.
                message = f"{human_count(len(documents), 'document')} to be tried again"
                self._connection.execute("UPDATE job SET state = ?, message = ?", (State.PAUSED, message))
                self._event("retry", None, message)
        return len(documents)

    def waiting(self) -> list[PendingDocument]:
        """Documents that an earlier run left because their files were still being written."""
        return [
            PendingDocument(*values) for values in self._connection.execute(_PENDING + "state = ?", (State.PAUSED,))
        ]

    def requeue(self, document: PendingDocument) -> None:
        """Gives a document that waited its turn again."""
        with self._transaction():
            self._set_state(document.id, State.QUEUED)

    def forget(self, document: PendingDocument) -> bool:
        """Drops a document that waited, never had a row, and whose file is gone; False if it has had one."""
        with self._transaction():
            if self._connection.execute("SELECT 1 FROM rows WHERE document = ?", (document.id,)).fetchone():
                return False
            self._set_state(document.id, State.QUEUED)
            self._connection.execute("DELETE FROM documents WHERE id = ?", (document.id,))
            self._connection.execute("UPDATE job SET total = total - 1")
            self._event("gone", None, "a file that was being written under another name is gone")
        return True

    def counts(self) -> tuple[int, int]:
        """How many documents there are, and how many of them have their row."""
        total, finished = self._connection.execute("SELECT total, done + failed + quarantined FROM job").fetchone()
        return int(total), int(finished)

    def worked_seconds(self) -> float:
        """How long earlier runs have worked on documents, until their last answer."""
        (seconds,) = self._connection.execute("SELECT max(worked_seconds) FROM rows").fetchone()
        return float(seconds or 0.0)

    def pending(self, after: bytes, limit: int, last: bytes | None = None) -> list[PendingDocument]:
        """Documents without a row whose path comes after this one, in path order; up to the last one that is wanted."""
        bound, values = ("", ()) if last is None else (" AND path <= ?", (last,))
        rows = self._connection.execute(
            f"{_PENDING}state = ? AND path > ?{bound} ORDER BY path LIMIT ?", (State.QUEUED, after, *values, limit)
        )
        return [PendingDocument(*values) for values in rows]

    def beyond(self, last: bytes | None) -> int:
        """How many documents without a row come after the last one that is wanted; none where all are."""
        if last is None:
            return 0
        rows = self._connection.execute(
            "SELECT count(*) FROM documents WHERE state = ? AND path > ?", (State.QUEUED, last)
        )
        return int(rows.fetchone()[0])

    def record(self, outcomes: Sequence[Outcome], documents_per_second: float = 0.0) -> None:
        """Writes rows, texts, final states and counters of documents in one transaction."""
        counted = Counter(_COUNTERS[outcome.state] for outcome in outcomes)
        with self._transaction():
            for outcome in outcomes:
                document = outcome.document
                self._connection.execute(
                    "INSERT INTO rows (document, error, row, money, worked_seconds, cached) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        document.id,
                        outcome.row.error,
                        outcome.row.to_json(),
                        outcome.money,
                        outcome.worked_seconds,
                        outcome.cached,
                    ),
                )
                self._connection.execute(
                    "UPDATE documents SET state = ?, sha256 = ? WHERE id = ?",
                    (outcome.state, outcome.row.sha256, document.id),
                )
                if outcome.text is not None:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO texts (document, text, raw) VALUES (?, ?, ?)",
                        (document.id, outcome.text, outcome.raw),
                    )
                if outcome.notes:
                    self._event("read", document.id, "; ".join(outcome.notes))
            self._connection.execute(
                "UPDATE job SET speed = ?, "
                + ", ".join(f"{column} = {column} + {int(count)}" for column, count in counted.items()),
                (documents_per_second,),
            )

    def record_waiting(self, document: PendingDocument, detail: str) -> None:
        """Leaves a document whose file is still being written to the next run."""
        with self._transaction():
            self._set_state(document.id, State.PAUSED)
            self._event("waiting", document.id, detail)

    def record_crash(self, document: PendingDocument, detail: str) -> None:
        """Counts the death of a child against a document that it had in work."""
        with self._transaction():
            self._connection.execute("UPDATE documents SET crash_count = crash_count + 1 WHERE id = ?", (document.id,))
            self._event("crash", document.id, detail)

    def close(self) -> None:
        """Closes the database with everything folded into its one file, unless a write had failed."""
        if self._broken and self._directory:
            self._close_as_it_is(self._directory)
            return
        try:
            if self._directory:
                # The last connection would do this when it closes, but a reader may be there now.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise ledger_error(self._identifier, error) from error
        finally:
            self._connection.close()

    def _close_as_it_is(self, directory: Path) -> None:
        """Closes without a checkpoint, which would move pages that the disk may have lost; recovery is for later."""
        # A connection that has read counts as one that is still there; only the last one makes a checkpoint.
        with contextlib.ExitStack() as guard:
            with contextlib.suppress(sqlite3.Error):
                guard.callback(connect(directory, "mode=ro").close)
            self._connection.close()

    def _set_facts(self, document: int, facts: FoundDocument) -> None:
        self._connection.execute(
            "UPDATE documents SET size_bytes = ?, modified_ns = ? WHERE id = ?",
            (facts.size_bytes, facts.modified_ns, document),
        )

    def _queue_again(self, document: int) -> None:
        self._connection.execute("UPDATE rows SET superseded = 1 WHERE document = ?", (document,))
        self._connection.execute("DELETE FROM texts WHERE document = ?", (document,))
        self._connection.execute("UPDATE documents SET crash_count = 0, sha256 = NULL WHERE id = ?", (document,))
        self._set_state(document, State.QUEUED)

    def _set_state(self, document: int, state: State) -> None:
        """Moves a document to a state, and its counters with it."""
        (previous,) = self._connection.execute("SELECT state FROM documents WHERE id = ?", (document,)).fetchone()
        self._connection.execute("UPDATE documents SET state = ? WHERE id = ?", (state, document))
        for counted, step in ((previous, -1), (state, 1)):
            if column := _COUNTERS.get(State(counted)):
                self._connection.execute(f"UPDATE job SET {column} = {column} + ?", (step,))

    def _event(self, kind: str, document: int | None, detail: str) -> None:
        self._connection.execute(
            "INSERT INTO events (time, kind, document, detail) VALUES (?, ?, ?, ?)",
            (time.time(), kind, document, detail),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commits whole or not at all; a failing disk ends the run rather than being tried again."""
        if self._broken:
            raise _unwritable(self._broken)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._broken = str(error)
            raise _unwritable(str(error)) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


_PENDING = "SELECT id, path, crash_count, size_bytes, modified_ns FROM documents WHERE "


def _unwritable(reason: str) -> ResourceError:
    return ResourceError(
        f"the ledger cannot be written: {reason}",
        "free disk space or mend the disk, then `stillroom jobs resume`; nothing that was finished is lost",
    )
