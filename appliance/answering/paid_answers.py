"""Answers that frontiers were paid for, kept so that no kill and no second run pays for them again.

An answer is found by the hash of the request's bytes and of the address that they went to: the masked text, prompt,
schema, model and parameters are all in there. What is kept is the frontier's reply as it came, with its placeholders;
values that were masked are not in it, nor is the document's text. Each answer names the run that paid for it, and goes
with that run.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from appliance.ground.database import open_writer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.settings import Settings

_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, run TEXT NOT NULL, content TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, seconds REAL NOT NULL, money REAL,
    paid_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_run ON answers (run);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


@dataclass(frozen=True)
class PaidAnswer:
    """A frontier's reply to one request, with what it took."""

    key: str
    run: str
    content: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    seconds: float
    money: float | None


def request_key(url: str, body: bytes) -> str:
    """What names a request: the address and every byte that leaves, the frontier's key apart."""
    return hashlib.sha256(url.encode() + b"\0" + body).hexdigest()


class PaidAnswers:
    """The answers of this installation; any number of processes and threads."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home_dir / "paid-answers" / "answers.db"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> PaidAnswer | None:
        """The answer to this request, if it was ever paid for.

        Raises:
            ApplianceError: The database cannot be read: asking again would pay again.
        """
        columns = "key, run, content, prompt_tokens, completion_tokens, reasoning_tokens, seconds, money"
        with self._opened() as connection:
            values = connection.execute(f"SELECT {columns} FROM answers WHERE key = ?", (key,)).fetchone()
        return None if values is None else PaidAnswer(*values)

    def put(self, answer: PaidAnswer) -> None:
        """Keeps an answer; it is on the disk when this returns.

        Raises:
            ApplianceError: The disk is full or not writable.
        """
        with self._opened() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*astuple(answer), time.time())
            )

    def forget(self, run: str) -> int:
        """Deletes what this run paid for, and overwrites it in the file; gives how many answers.

        Raises:
            ApplianceError: The database cannot be written.
        """
        if not self._path.exists():
            return 0
        with self._opened() as connection:
            return connection.execute("DELETE FROM answers WHERE run = ?", (run,)).rowcount

    def close(self) -> None:
        """Closes the database; whoever uses it again opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

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
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(_SCHEMA)
            elif version != _VERSION:
                raise ApplianceError(
                    f"{self._path} has version {version}, this program knows {_VERSION}",
                    "use the program that made it, or move the file away: all documents are then paid for again",
                )
        except BaseException:
            connection.close()
            raise
        return connection


def forget_paid_answers(settings: Settings, run: str) -> None:
    """Deletes the answers that this run paid for.

    Raises:
        ApplianceError: They cannot be deleted.
    """
    answers = PaidAnswers(settings)
    try:
        answers.forget(run)
    finally:
        answers.close()
