"""How people judged two answers to one document: which is right; kept with user and time, never overwritten.

Several screens may be open on one comparison, so there are many writers, each for a moment: the database keeps a
rollback journal rather than a write-ahead log, which SQLite before 3.51.3 can damage when two connections write.
The newest judgement of a document counts; the earlier ones stay as its history.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from pathlib import Path
from time import time as now

from appliance.ground.database import database_error, open_reader, open_writer
from appliance.ground.errors import ApplianceError
from appliance.ground.users import current_user

JUDGEMENTS_VERSION = 2
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS judgements (
    id INTEGER PRIMARY KEY, side INTEGER NOT NULL, path BLOB NOT NULL, sha256 TEXT NOT NULL, choice TEXT NOT NULL,
    user TEXT NOT NULL, time REAL NOT NULL);
PRAGMA user_version = {JUDGEMENTS_VERSION};
COMMIT
"""


class Choice(StrEnum):
    """How a person judges two answers."""

    A = "A"
    """The first is right, the other one is not."""
    B = "B"
    BOTH = "both"
    """Both are right: they say the same in other words."""
    NEITHER = "neither"
    SKIP = "skip"
    """The person cannot tell; the document does not count."""


@dataclass(frozen=True)
class Judgement:
    """One judgement."""

    side: int
    """The side that was compared with the first one."""
    path: bytes
    """Of the document, relative to its folder."""
    sha256: str
    """Of the bytes that were judged."""
    choice: Choice
    user: str = field(default_factory=current_user)
    time: float = field(default_factory=now)
    """Seconds since the epoch."""


def add_judgement(database_path: Path, judgement: Judgement) -> None:
    """Adds a judgement to the file, which is made where it is missing.

    Raises:
        ResourceError: It cannot be written.
    """
    with _opened(database_path) as connection:
        connection.execute(
            "INSERT INTO judgements (side, path, sha256, choice, user, time) VALUES (?, ?, ?, ?, ?, ?)",
            astuple(judgement),
        )


def judgements(database_path: Path, side: int) -> list[Judgement]:
    """All judgements of this side against the first, oldest first; none where there is no file.

    Raises:
        ApplianceError: The file is damaged or of another version.
    """
    if not database_path.exists():
        return []
    with _opened(database_path, for_reading=True) as connection:
        rows = connection.execute(
            "SELECT side, path, sha256, choice, user, time FROM judgements WHERE side = ? ORDER BY id", (side,)
        ).fetchall()
    return [Judgement(side, path, sha256, Choice(choice), *facts) for side, path, sha256, choice, *facts in rows]


@contextmanager
def _opened(path: Path, for_reading: bool = False) -> Iterator[sqlite3.Connection]:
    connection: sqlite3.Connection | None = None
    try:
        connection = open_reader(path, "PRAGMA user_version") if for_reading else open_writer(path, log=False)
        _check(path, connection, for_reading)
        yield connection
    except sqlite3.Error as error:
        raise database_error(
            f"the file of judgements {path}", error, "restore it from a backup, or move it away and judge again"
        ) from error
    finally:
        if connection is not None:
            connection.close()


def _check(path: Path, connection: sqlite3.Connection, for_reading: bool) -> None:
    """Makes the tables in a fresh file, and refuses another version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and not for_reading:
        connection.executescript(_SCHEMA)
        return
    if version != JUDGEMENTS_VERSION:
        raise ApplianceError(
            f"the judgements in {path} have version {version}, this program knows {JUDGEMENTS_VERSION}",
            "use the version of Stillroom that wrote them",
        )
