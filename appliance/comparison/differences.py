"""Which documents two sides answer differently: a database that is derived from the jobs' rows, for screens.

A folder may hold 100,000 documents, and a page of those that differ must not cost the comparison of them all. So they
are noted once, with a stamp that names the state of the rows; where the rows have changed since, they are noted anew.
The file is a cache and never the truth: on a disk that cannot be written it is made in memory.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.comparison.folder import draw_number
from appliance.comparison.join import ComparedDocument
from appliance.comparison.metrics import DIFFER, compare_answers
from appliance.ground.database import connect, open_writer
from appliance.ground.errors import ResourceError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task

_SCHEMA = """
CREATE TABLE stamp (value TEXT NOT NULL);
CREATE TABLE differences (
    side INTEGER NOT NULL, path BLOB NOT NULL, draw INTEGER NOT NULL, fields TEXT NOT NULL, gold TEXT NOT NULL,
    PRIMARY KEY (side, path)) WITHOUT ROWID;
CREATE INDEX differences_drawn ON differences (side, draw, path);
"""


@dataclass(frozen=True)
class Difference:
    """A document that a side and the first one answer differently."""

    path: bytes
    fields: tuple[str, ...]
    gold: Answer | None


class Differences:
    """The documents that differ, side by side, open for reading."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def count(self, side: int) -> int:
        """How many documents this side and the first one answer differently."""
        (count,) = self._connection.execute("SELECT count(*) FROM differences WHERE side = ?", (side,)).fetchone()
        return int(count)

    def page(self, side: int, offset: int, limit: int, at_random: bool = False) -> list[Difference]:
        """Some of them, in path order or in a random one that stays the same."""
        order = "draw, path" if at_random else "path"
        rows = self._connection.execute(
            f"SELECT path, fields, gold FROM differences WHERE side = ? ORDER BY {order} LIMIT ? OFFSET ?",
            (side, limit, offset),
        )
        return [Difference(path, tuple(json.loads(fields)), json.loads(gold)) for path, fields, gold in rows]

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()


def read_differences(path: Path, stamp: str | None = None) -> Differences | None:
    """The differences that were noted; None where there are none, or where they are of another state of the rows.

    Args:
        stamp: Names the state of the rows; None takes those of any state.
    """
    with contextlib.suppress(sqlite3.Error):
        # Nobody changes the file, a new one takes its place.
        connection = connect(path, "mode=ro&immutable=1", "SELECT value FROM stamp")
        (value,) = connection.execute("SELECT value FROM stamp").fetchone()
        if stamp is None or value == stamp:
            return Differences(connection)
        connection.close()
    return None


def note_differences(path: Path, stamp: str, task: Task, documents: Iterable[ComparedDocument]) -> Differences:
    """Compares every side with the first one and notes where they differ."""
    connection = open_writer(None, any_thread=True)
    connection.executescript(f"BEGIN; {_SCHEMA}")
    connection.execute("INSERT INTO stamp VALUES (?)", (stamp,))
    for document in documents:
        first, *others = document.answers
        if first is None or document.problem is not None:
            continue
        for side, other in enumerate(others, 1):
            if other is None:
                continue
            state, fields = compare_answers(task, first.row.fields, other.row.fields)
            if state == DIFFER:
                values = (
                    side,
                    document.path,
                    draw_number(document.path),
                    json_text(fields, ascii_only=True),
                    json_text(document.gold, ascii_only=True),
                )
                connection.execute("INSERT INTO differences VALUES (?, ?, ?, ?, ?)", values)
    connection.execute("COMMIT")
    # Without the file the next reader compares again.
    with contextlib.suppress(ResourceError):
        write_file(path, connection.serialize(), private=True)
    return Differences(connection)
