"""Replies that frontiers were paid for, kept so that no kill and no second run pays for them again.

A reply is found by the hash of the request's bytes and of the address that they went to: the masked text, prompt,
schema, model and parameters are all in there. It is kept byte for byte as it came and before anybody reads it, so that
nothing that it holds can lose it; values that were masked are not in it, nor is the document's text. Each reply names
the run that paid for it, and goes with that run. One that was no good answer counts in its own run alone, until a
person asks for another: another run may ask again.
"""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from appliance.ground.database import open_writer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.locks import open_lock, try_lock_place, unlock_place
from appliance.ground.settings import Settings

ANSWERED = "answered"
"""Outcome of a reply that was a good answer; others are the names of failures."""
UNREAD = ""
"""Outcome of a reply that nobody has read yet: the program was killed at that moment."""
_LOOK_SECONDS = 0.05
"""How often a request of another process is looked at."""
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE answers (
    key TEXT NOT NULL, run TEXT NOT NULL, outcome TEXT NOT NULL, body BLOB, content TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, money REAL, paid_at REAL NOT NULL, PRIMARY KEY (key, run)) WITHOUT ROWID;
CREATE INDEX answers_by_run ON answers (run);
PRAGMA user_version = {_VERSION};
"""
_BEFORE_VERSION_2 = """
DROP INDEX answers_by_run;
ALTER TABLE answers RENAME TO former_answers;
"""
_FROM_VERSION_1 = """
INSERT INTO answers SELECT key, run, 'answered', NULL, content, prompt_tokens, completion_tokens, reasoning_tokens,
    seconds, money, paid_at FROM former_answers;
DROP TABLE former_answers;
"""
_COLUMNS = "key, run, content, prompt_tokens, completion_tokens, reasoning_tokens, seconds, money, outcome, body"


@dataclass(frozen=True)
class PaidAnswer:
    """A frontier's reply to one request, with what the request and those before it for the same document took."""

    key: str
    run: str
    content: str
    """The text of the answer where an earlier version kept nothing else; otherwise it stands in the body."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    money: float | None = None
    outcome: str = ANSWERED
    body: bytes | None = None
    """As it came; None in what an earlier version kept."""


def request_key(url: str, body: bytes) -> str:
    """What names a request: the address and every byte that leaves, the frontier's key apart."""
    return hashlib.sha256(url.encode() + b"\0" + body).hexdigest()


class PaidAnswers:
    """The replies of this installation; any number of processes and threads."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home_dir / "paid-answers" / "answers.db"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._keys: set[str] = set()
        """Of requests that a thread asks for now."""
        self._keys_changed = threading.Condition()
        self._asking = -1
        """Descriptor of the file whose places stand for requests that some process asks for now."""

    @contextmanager
    def alone_with(self, key: str, stop: threading.Event, patience_seconds: float) -> Iterator[None]:
        """Lets threads and processes with equal documents wait for the first of them, whose reply is theirs.

        Args:
            stop: Ends the waiting for another process.
            patience_seconds: After so long the other process counts as stuck, and is waited for no more.

        Raises:
            ResourceError: The file of locks cannot be made.
        """
        with self._keys_changed:
            self._keys_changed.wait_for(lambda: key not in self._keys)
            self._keys.add(key)
        try:
            place = int(key[:15], 16)
            is_locked = self._wait_for_others(place, stop, time.monotonic() + patience_seconds)
            try:
                yield
            finally:
                if is_locked:
                    unlock_place(self._asking, place)
        finally:
            with self._keys_changed:
                self._keys.discard(key)
                self._keys_changed.notify_all()

    def _wait_for_others(self, place: int, stop: threading.Event, deadline: float) -> bool:
        """Whether this process is now the only one to ask for the request of this place."""
        try:
            with self._lock:
                if self._asking < 0:
                    self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._asking = open_lock(self._path.with_name("asking.lock"))
            while not try_lock_place(self._asking, place):
                if time.monotonic() > deadline or stop.wait(_LOOK_SECONDS):
                    return False
        except OSError:
            # A file system without such locks: two processes may pay for one reply, and that is all.
            return False
        return True

    def get(self, key: str, run: str = "") -> PaidAnswer | None:
        """The reply to this request, if it was ever paid for: this run's own, or another's that is a good answer.

        Raises:
            ApplianceError: The database cannot be read: asking again would pay again.
        """
        with self._opened() as connection:
            values = connection.execute(
                f"SELECT {_COLUMNS} FROM answers WHERE key = ? AND (run = ? OR outcome = ?)"
                " ORDER BY outcome = ? DESC, run = ? DESC LIMIT 1",
                (key, run, ANSWERED, ANSWERED, run),
            ).fetchone()
        return None if values is None else PaidAnswer(*values)

    def put(self, reply: PaidAnswer) -> None:
        """Keeps a reply in place of what was kept for the same request and run; it is on the disk when this returns.

        Raises:
            ApplianceError: The disk is full or not writable.
        """
        with self._opened() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO answers ({_COLUMNS}, paid_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*astuple(reply), time.time()),
            )

    def drop(self, key: str, run: str) -> None:
        """Deletes what was kept for this request: it turned out to be nothing that anybody was paid for.

        Raises:
            ApplianceError: The database cannot be written.
        """
        with self._opened() as connection:
            connection.execute("DELETE FROM answers WHERE key = ? AND run = ?", (key, run))

    def forget(self, run: str, only_failed: bool = False) -> int:
        """Deletes what this run paid for, and overwrites it in the file; gives how many replies.

        Args:
            only_failed: Only replies that were no good answers, so that the run may ask again.

        Raises:
            ApplianceError: The database cannot be written.
        """
        if not self._path.exists():
            return 0
        condition, values = (" AND outcome != ?", (run, ANSWERED)) if only_failed else ("", (run,))
        with self._opened() as connection:
            return connection.execute(f"DELETE FROM answers WHERE run = ?{condition}", values).rowcount

    def close(self) -> None:
        """Closes the database; whoever uses it again opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._asking >= 0:
                os.close(self._asking)
                self._asking = -1

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise ResourceError(
                    f"the paid answers in {self._path} cannot be used: {error}",
                    "check the disk and the permissions; without this file all documents are paid for again",
                ) from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # No write-ahead log: several processes write here.
        connection = open_writer(self._path, log=False, secure_delete=True, any_thread=True)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == _VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been first.
        version = self._version(connection)
        if version in (0, 1):
            script = _SCHEMA if version == 0 else _BEFORE_VERSION_2 + _SCHEMA + _FROM_VERSION_1
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute("COMMIT")
        if version not in (0, 1, _VERSION):
            raise ApplianceError(
                f"{self._path} has version {version}, this program knows {_VERSION}",
                "use the program that made it, or move the file away: all documents are then paid for again",
            )

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)


def forget_paid_answers(settings: Settings, run: str, only_failed: bool = False) -> int:
    """Deletes the replies that this run paid for; gives how many.

    Args:
        only_failed: Only those that were no good answers.

    Raises:
        ApplianceError: They cannot be deleted.
    """
    answers = PaidAnswers(settings)
    try:
        return answers.forget(run, only_failed)
    finally:
        answers.close()
