"""The database of a comparison, written: the only connection that changes `answers.db`.

An answer is written with its document and side as the key, in transactions with full sync, so that after a kill at
any moment the comparison goes on with the documents that have no answer yet.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.comparison.answers import ANSWERS_VERSION, answers_error
from appliance.comparison.folder import ANSWERS_NAME
from appliance.comparison.local_side import Text
from appliance.documents.sandbox import ReadReply
from appliance.engines.engine import Result
from appliance.ground.database import open_writer
from appliance.ground.errors import ResourceError
from appliance.jobs.states import State
from appliance.tasks.linecode import Answer

_SCHEMA = """
CREATE TABLE comparison (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '', supervisor TEXT NOT NULL DEFAULT '', started REAL, finished REAL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, name TEXT NOT NULL, lot INTEGER NOT NULL, sha256 TEXT,
    text TEXT, gold TEXT, read INTEGER NOT NULL DEFAULT 0, problem TEXT, message TEXT NOT NULL DEFAULT '');
CREATE TABLE answers (
    document INTEGER NOT NULL REFERENCES documents, side INTEGER NOT NULL, answer TEXT, confidence TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, error TEXT, error_message TEXT NOT NULL, money REAL, at REAL NOT NULL,
    PRIMARY KEY (document, side)) WITHOUT ROWID;
CREATE TABLE kills (document INTEGER NOT NULL, side INTEGER NOT NULL, kills INTEGER NOT NULL,
    PRIMARY KEY (document, side)) WITHOUT ROWID;
CREATE TABLE pairs (
    side INTEGER NOT NULL, document INTEGER NOT NULL REFERENCES documents, state TEXT NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (side, document)) WITHOUT ROWID;
CREATE INDEX pairs_by_state ON pairs (side, state, document);
"""


@dataclass(frozen=True)
class NewDocument:
    """A document of the comparison before it was read."""

    path: bytes
    name: str
    lot: int
    """A random number that only depends on the document: its place where documents are judged in random order."""
    gold: Answer | None


class AnswersWriter:
    """The only connection that changes the answers; its process holds the comparison."""

    def __init__(self, directory: Path) -> None:
        path = directory / ANSWERS_NAME
        try:
            self._connection = open_writer(path, secure_delete=True)
        except sqlite3.Error as error:
            raise answers_error(directory.name, error) from error
        try:
            if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'comparison'").fetchone() is None:
                # One transaction: a kill in here leaves an empty file that the next run fills.
                self._connection.executescript(
                    f"BEGIN IMMEDIATE; {_SCHEMA} INSERT INTO comparison (id, version, state)"
                    f" VALUES (1, {ANSWERS_VERSION}, '{State.QUEUED}'); COMMIT"
                )
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise answers_error(directory.name, error) from error

    def begin(self, state: State, supervisor: str) -> None:
        """Marks the comparison as in the hands of this process."""
        self._write(
            "UPDATE comparison SET state = ?, message = '', supervisor = ?, started = coalesce(started, ?),"
            " finished = NULL", [(state, supervisor, time.time())],
        )  # fmt: skip

    def end(self, state: State, message: str = "") -> None:
        """Marks the comparison as ended in this state."""
        self._write(
            "UPDATE comparison SET state = ?, message = ?, supervisor = '', finished = ?",
            [(state, message, time.time())],
        )

    def add_documents(self, documents: Iterable[NewDocument]) -> None:
        """Adds the documents, in path order; those that are there already stay as they are."""
        self._write(
            "INSERT OR IGNORE INTO documents (path, name, lot, gold) VALUES (?, ?, ?, ?)",
            (
                (found.path, found.name, found.lot, None if found.gold is None else json.dumps(found.gold))
                for found in documents
            ),
        )

    def unread(self) -> list[tuple[int, bytes]]:
        """Documents that nobody has read yet."""
        return list(self._connection.execute("SELECT id, path FROM documents WHERE read = 0 ORDER BY id"))

    def record_texts(self, found: Sequence[tuple[int, ReadReply]]) -> None:
        """Keeps what the readers found."""
        self._write(
            "UPDATE documents SET read = 1, sha256 = ?, text = ?, problem = ?, message = ? WHERE id = ?",
            (
                (reply.sha256, reply.text, None, "", document)
                if reply.problem is None
                else (reply.sha256, None, reply.problem.value, reply.message, document)
                for document, reply in found
            ),
        )

    def pending(self, side: int) -> Iterator[Text]:
        """Documents that have a text and no answer of this side, in path order; written answers do not disturb."""
        after = 0
        while True:
            found = self._connection.execute(
                "SELECT id, text, coalesce(kills.kills, 0) FROM documents"
                " LEFT JOIN kills ON kills.document = documents.id AND kills.side = ?"
                " WHERE id > ? AND text IS NOT NULL AND NOT EXISTS"
                " (SELECT 1 FROM answers WHERE answers.document = documents.id AND answers.side = ?)"
                " ORDER BY id LIMIT 1",
                (side, after, side),
            ).fetchone()
            if found is None:
                return
            after = found[0]
            yield Text(*found)

    def worked_seconds(self, side: int) -> float:
        """How long this side has worked in former runs."""
        (seconds,) = self._connection.execute("SELECT max(at) FROM answers WHERE side = ?", (side,)).fetchone()
        return float(seconds or 0.0)

    def record_answers(self, side: int, results: Sequence[tuple[int, Result, float]]) -> None:
        """Keeps results with their document and the side's seconds of work."""
        self._write(
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    document, side, None if result.answer is None else json.dumps(result.answer),
                    json.dumps(result.confidence), result.prompt_tokens, result.completion_tokens,
                    result.reasoning_tokens, result.seconds, result.error, result.error_message, result.money, at,
                )
                for document, result, at in results
            ),
        )  # fmt: skip

    def record_kill(self, side: int, document: int) -> None:
        """Counts a death of the engine that had this document in work."""
        self._write(
            "INSERT INTO kills VALUES (?, ?, 1) ON CONFLICT (document, side) DO UPDATE SET kills = kills + 1",
            [(document, side)],
        )

    def record_pairs(self, side: int, found: Iterable[tuple[int, str, Sequence[str]]]) -> None:
        """Keeps on which documents this side and the first agree, and in which fields they do not."""
        with self._transaction():
            self._connection.execute("DELETE FROM pairs WHERE side = ?", (side,))
            self._connection.executemany(
                "INSERT INTO pairs VALUES (?, ?, ?, ?)",
                ((side, document, state, json.dumps(list(fields))) for document, state, fields in found),
            )

    def forget_texts(self) -> None:
        """Deletes all texts; their bytes are overwritten in the file."""
        self._write("UPDATE documents SET text = NULL WHERE text IS NOT NULL", [()])
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the database; the last close folds the write-ahead log into it."""
        self._connection.close()

    def _write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._transaction():
            self._connection.executemany(statement, rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commits whole or not at all; a failing disk ends the run rather than being tried again."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise ResourceError(
                f"the comparison cannot be written: {error}", "free disk space, then run the same command again"
            ) from error
