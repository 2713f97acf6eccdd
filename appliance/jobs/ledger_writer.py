"""The ledger of a job, written: what a run, a person and the folder change in it.

Rows and states change in one transaction, with full sync, so each document has exactly one row or one failure
whatever is killed and whenever; `ledger_connection.py` is the connection.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.documents.folder import FoundDocument, document_name
from appliance.ground.json_text import json_text
from appliance.ground.text import human_count, storable
from appliance.jobs.ledger import FALLBACK_UNANSWERED, LedgerReader
from appliance.jobs.ledger_connection import LedgerConnection
from appliance.jobs.ledger_schema import COUNTERS
from appliance.jobs.rows import Row
from appliance.jobs.states import FINAL_DOCUMENT_STATES, State

_PENDING = "SELECT id, path, crash_count, size_bytes, modified_ns, former_path FROM documents WHERE "


@dataclass(frozen=True)
class PendingDocument:
    """A document that has no row yet, with its size and time as they were when the folder was listed."""

    id: int
    path: bytes
    crash_count: int
    """How many children died with this document in work."""
    size_bytes: int = 0
    modified_ns: int = 0
    former_path: bytes | None = None
    """Where the same file was before it was renamed."""

    @property
    def name(self) -> str:
        """The path as text."""
        return document_name(self.path)

    @property
    def former_name(self) -> str | None:
        """The former path as text."""
        return None if self.former_path is None else document_name(self.former_path)


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
class ListedDocument:
    """A document that the ledger knows of."""

    id: int
    path: bytes


@dataclass(frozen=True)
class MissingDocument:
    """A document that left the folder."""

    id: int
    path: bytes
    sha256: str | None
    """None where it was never read."""
    modified_ns: int


@dataclass(frozen=True)
class ChangedDocument:
    """A document with a row whose file has another size or time than the row is about."""

    id: int
    document: FoundDocument
    sha256: str | None
    """Hash of the bytes that the row is about; None where the size alone says that the file has other ones."""


class Ledger(LedgerConnection):
    """The writer; only the process that holds the job's lock may make one."""

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

    def set_message(self, message: str) -> None:
        """What a person reads beside the job's state, until that changes."""
        with self._transaction():
            self._connection.execute("UPDATE job SET message = ?", (message,))

    def end_run(self, state: State, message: str = "") -> None:
        """Marks the job as ended in this state."""
        with self._transaction():
            self._connection.execute(
                "UPDATE job SET state = ?, message = ?, finished = ?, supervisor = ''",
                (state, storable(message), time.time()),
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
                elif document.problem:
                    # Nothing is known of it now; an answer about its bytes, if there is one, is as good as before.
                    continue
                elif (document.size_bytes, document.modified_ns) != known[1:3]:
                    if known[3] in FINAL_DOCUMENT_STATES:
                        sha256 = known[4] if document.size_bytes == known[1] else None
                        changed.append(ChangedDocument(known[0], document, sha256))
                    else:
                        self._set_facts(known[0], document)
                elif known[3] == State.MISSING:
                    self._came_back(known[0])
            if added:
                self._connection.execute("UPDATE job SET total = total + ?", (added,))
        return changed

    def keep(self, changed: ChangedDocument) -> None:
        """Notes the new size and time of a document whose bytes are the same as before."""
        with self._transaction():
            self._set_facts(changed.id, changed.document)
            (state,) = self._connection.execute("SELECT state FROM documents WHERE id = ?", (changed.id,)).fetchone()
            if state == State.MISSING:
                self._came_back(changed.id)

    def listed(self, after: bytes, last: bytes | None) -> list[ListedDocument]:
        """Documents that are not known to be missing, with paths after the one and up to the other, in path order."""
        bound, values = ("", ()) if last is None else (" AND path <= ?", (last,))
        cursor = self._connection.execute(
            f"SELECT id, path FROM documents WHERE path > ?{bound} AND state <> ? ORDER BY path",
            (after, *values, State.MISSING),
        )
        return [ListedDocument(*entry) for entry in cursor]

    def drop(self, documents: Sequence[ListedDocument]) -> None:
        """Removes what is no document, with all that was said about it."""
        with self._transaction():
            for document in documents:
                self._remove(document.id)
                self._event("dropped", None, f"{document_name(document.path)} is no document of the folder")

    def note_missing(self, rows: Sequence[tuple[ListedDocument, Row]]) -> int:
        """Marks documents that left the folder; gives how many of them nobody has read as they were.

        One that had failed and was to be tried again is none of these.

        Args:
            rows: Each with the row that it gets where it has none.
        """
        unread = 0
        with self._transaction():
            for document, row in rows:
                if self._present_row(document.id) is None:
                    unread += not self._had_failed(document.id)
                    self._connection.execute(
                        "INSERT INTO rows (document, error, row) VALUES (?, ?, ?)",
                        (document.id, row.error, row.to_json()),
                    )
                self._set_state(document.id, State.MISSING)
                self._event("missing", document.id, row.error_message)
        return unread

    def never_read(self, after: bytes, limit: int) -> list[PendingDocument]:
        """Documents that never had a row, with paths after this one, in path order."""
        rows = self._connection.execute(
            f"{_PENDING}state = ? AND path > ? AND NOT EXISTS (SELECT 1 FROM rows WHERE document = documents.id)"
            " ORDER BY path LIMIT ?",
            (State.QUEUED, after, limit),
        )
        return [PendingDocument(*values) for values in rows]

    def missing_of_size(self, size_bytes: int) -> list[MissingDocument]:
        """Documents of this size that left the folder, in path order."""
        rows = self._connection.execute(
            "SELECT id, path, sha256, modified_ns FROM documents WHERE state = 'missing' AND size_bytes = ?"
            " ORDER BY path",
            (size_bytes,),
        )
        return [MissingDocument(*values) for values in rows]

    def rename(self, missing: MissingDocument, present: PendingDocument) -> None:
        """Makes a document that left the folder and one that came into it the one document that they are.

        An answer stays; without one the document is queued under its new name.
        """
        facts = FoundDocument(present.path, present.size_bytes, present.modified_ns)
        with self._transaction():
            self._remove(present.id)
            self._connection.execute(
                "UPDATE documents SET path = ?, former_path = ? WHERE id = ?",
                (present.path, missing.path, missing.id),
            )
            self._set_facts(missing.id, facts)
            if (row := self._present_row(missing.id)) is not None:
                row = replace(row, document=facts.name, former_document=document_name(missing.path))
                self._connection.execute(
                    "UPDATE rows SET row = ? WHERE document = ? AND superseded = 0", (row.to_json(), missing.id)
                )
            self._came_back(missing.id)
            self._event("renamed", missing.id, f"{document_name(missing.path)} is now {facts.name}")

    def note_left_out(self, counts: Mapping[str, int]) -> None:
        """Notes what the folder holds beside documents."""
        with self._transaction():
            self._connection.execute("UPDATE job SET left_out = ?", (json_text(counts),))

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
            self._remove(document.id)
            self._event("gone", None, "a file that was being written under another name is gone")
        return True

    def counts(self) -> tuple[int, int]:
        """How many documents there are, and how many of them have their row."""
        counters = "total, done + failed + quarantined + missing"
        total, finished = self._connection.execute(f"SELECT {counters} FROM job").fetchone()
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
        counted = Counter(COUNTERS[outcome.state] for outcome in outcomes)
        with self._transaction():
            for outcome in outcomes:
                document = outcome.document
                self._connection.execute(
                    "INSERT INTO rows (document, error, row, money, worked_seconds, cached) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        document.id,
                        outcome.row.error,
                        storable(outcome.row.to_json()),
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
                        (document.id, storable(outcome.text), storable(outcome.raw)),
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
