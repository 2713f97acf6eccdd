"""The database of a comparison, read: documents, their texts and what every side answered.

The writing side is `answers_writer.py`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.comparison.folder import ANSWERS_NAME
from appliance.ground.database import database_error, open_reader
from appliance.ground.errors import ApplianceError
from appliance.ground.processes import is_alive
from appliance.jobs.states import State
from appliance.tasks.linecode import Answer

ANSWERS_VERSION = 1

AGREE, DIFFER, NEITHER = "agree", "differ", "neither"
"""Of two sides on one document: the same answer, another one, or no answer on either side."""


@dataclass(frozen=True)
class SideAnswer:
    """What one side said about one document."""

    document: int
    answer: Answer | None
    confidence: dict[str, float]
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    seconds: float
    error: str | None
    error_message: str
    money: float | None = 0.0
    """What a frontier took for it; None where it did not tell its tokens."""
    at: float = 0.0
    """Seconds of work on this side, from its start, at which the answer came."""


@dataclass(frozen=True)
class ComparedDocument:
    """One document with what all sides said."""

    id: int
    name: str
    gold: Answer | None
    answers: tuple[SideAnswer | None, ...]
    """In the order of the sides; None where a side has not answered yet."""
    differing: tuple[str, ...] = field(default=())
    """Fields in which the pair that is looked at differs."""


@dataclass(frozen=True)
class ComparisonState:
    """How far a comparison is."""

    state: State
    message: str
    documents: int
    read: int
    """Documents that were read or could not be read."""
    unreadable: int
    answered: tuple[int, ...]
    """Documents with an answer or a failure, by side."""
    started: float | None
    finished: float | None


class AnswersReader:
    """A connection that only reads; close it, or use it with `with`."""

    def __init__(self, connection: sqlite3.Connection, sides: int) -> None:
        self._connection = connection
        self._sides = sides

    def state(self) -> ComparisonState:
        """How far the comparison is; one whose process died shows as interrupted."""
        state, message, supervisor, started, finished = self._connection.execute(
            "SELECT state, message, supervisor, started, finished FROM comparison"
        ).fetchone()
        shown = State(state)
        if shown in (State.RUNNING, State.QUEUED) and not is_alive(supervisor):
            shown = State.INTERRUPTED
        documents, read, unreadable = self._connection.execute(
            "SELECT count(*), coalesce(sum(read), 0), count(problem) FROM documents"
        ).fetchone()
        by_side = dict(self._connection.execute("SELECT side, count(*) FROM answers GROUP BY side"))
        answered = tuple(by_side.get(side, 0) for side in range(self._sides))
        return ComparisonState(shown, message, documents, read, unreadable, answered, started, finished)

    def documents(self) -> Iterator[ComparedDocument]:
        """All documents that were read, in path order, with their answers."""
        found = self._connection.execute("SELECT id, name, gold FROM documents WHERE problem IS NULL ORDER BY id")
        answers = _by_document(
            self._connection.execute(f"SELECT {_ANSWER_COLUMNS} FROM answers ORDER BY document, side")
        )
        following = next(answers, None)
        for identifier, name, gold in found:
            while following is not None and following[0] < identifier:
                following = next(answers, None)
            given = following[1] if following is not None and following[0] == identifier else {}
            sides = tuple(given.get(side) for side in range(self._sides))
            yield ComparedDocument(identifier, name, json.loads(gold) if gold else None, sides)

    def unreadable(self, limit: int) -> list[tuple[str, str, str]]:
        """Documents without a text: name, problem, message."""
        return list(
            self._connection.execute(
                "SELECT name, problem, message FROM documents WHERE problem IS NOT NULL ORDER BY id LIMIT ?", (limit,)
            )
        )

    def count_pairs(self, side: int, state: str) -> int:
        """Documents on which this side and the first agree, differ or both have no answer."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM pairs WHERE side = ? AND state = ?", (side, state)
        ).fetchone()
        return int(count)

    def differing(self, side: int, offset: int, limit: int, at_random: bool = False) -> list[ComparedDocument]:
        """Documents on which this side and the first differ, in path order or in a random one that stays the same."""
        order = "documents.lot, documents.id" if at_random else "pairs.document"
        found = self._connection.execute(
            "SELECT documents.id, name, gold, fields FROM pairs JOIN documents ON documents.id = pairs.document"
            f" WHERE side = ? AND state = ? ORDER BY {order} LIMIT ? OFFSET ?",
            (side, DIFFER, limit, offset),
        ).fetchall()
        return [
            ComparedDocument(
                identifier, name, json.loads(gold) if gold else None, self._answers(identifier),
                tuple(json.loads(fields)),
            )
            for identifier, name, gold, fields in found
        ]  # fmt: skip

    def find(self, name: str) -> int | None:
        """The document of this name."""
        found = self._connection.execute("SELECT id FROM documents WHERE name = ?", (name,)).fetchone()
        return int(found[0]) if found else None

    def text(self, document: int) -> str | None:
        """The document's text; None where none was kept or there is none."""
        found = self._connection.execute("SELECT text FROM documents WHERE id = ?", (document,)).fetchone()
        return found[0] if found else None

    def data_version(self) -> int:
        """A number that changes whenever another process wrote."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> "AnswersReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self, document: int) -> tuple[SideAnswer | None, ...]:
        found = self._connection.execute(
            f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE document = ? ORDER BY side", (document,)
        )
        given = dict(map(_answer, found))
        return tuple(given.get(side) for side in range(self._sides))


_ANSWER_COLUMNS = (
    "side, document, answer, confidence, prompt_tokens, completion_tokens, reasoning_tokens, seconds, error,"
    " error_message, money, at"
)


def _answer(values: Sequence[object]) -> tuple[int, SideAnswer]:
    side, document, answer, confidence, *rest = values
    parsed = json.loads(answer) if isinstance(answer, str) else None
    return int(str(side)), SideAnswer(document, parsed, json.loads(str(confidence)), *rest)  # type: ignore[arg-type]


def _by_document(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, dict[int, SideAnswer]]]:
    document, given = None, dict[int, SideAnswer]()
    for side, answer in map(_answer, rows):
        if document is not None and answer.document != document:
            yield document, given
            given = {}
        document = answer.document
        given[side] = answer
    if document is not None:
        yield document, given


def open_answers(directory: Path, sides: int) -> AnswersReader:
    """Opens the answers for reading.

    Raises:
        ApplianceError: There are none, or the file is damaged.
    """
    path = directory / ANSWERS_NAME
    try:
        connection = open_reader(path, "SELECT version FROM comparison")
    except sqlite3.DatabaseError as error:
        raise answers_error(directory.name, error) from error
    (version,) = connection.execute("SELECT version FROM comparison").fetchone() or (None,)
    if version == ANSWERS_VERSION:
        return AnswersReader(connection, sides)
    connection.close()
    raise ApplianceError(
        f"the answers of {directory.name} have version {version}, this program knows {ANSWERS_VERSION}",
        "use the program that made the comparison, or compare again",
    )


def answers_error(comparison: str, error: sqlite3.Error) -> ApplianceError:
    """What an operator reads when SQLite refuses the answers."""
    return database_error(
        f"the file of answers of comparison {comparison}", error, "`stillroom comparisons remove`, then compare again"
    )
