"""The answers that a person should look at: where most is gained by it first, and between them some drawn at random.

The random ones say how good the teacher is, and how much more often the ranked ones are wrong: a share of ranked
answers would say neither.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.tasks.labels import LabelledRow, read_json_lines, read_row, text_hash

AUDIT_EVERY = 5
"""One of so many entries of the queue is drawn at random."""


class Kind(StrEnum):
    """Why an answer is in the queue."""

    RANKED = "ranked"
    """It is likely wrong, or much is learnt from it."""
    AUDIT = "audit"
    """It was drawn at random."""


@dataclass(frozen=True)
class QueueEntry:
    """One answer of a teacher."""

    row: LabelledRow
    score: float
    """Values that are expected to be wrong."""
    kind: Kind = Kind.RANKED
    doubts: dict[str, str] = field(default_factory=dict)
    """Field, or nothing for the whole answer -> why it is doubted."""

    @property
    def key(self) -> str:
        """Names the document by its text, as an answer is about a text."""
        return text_hash(self.row.text)


def in_turn(ranked: Sequence[QueueEntry], audited: Sequence[QueueEntry]) -> list[QueueEntry]:
    """Both in one order: each `AUDIT_EVERY`th is one of the random ones, as long as there are some."""
    entries: list[QueueEntry] = []
    first, second = list(ranked), list(audited)
    while first or second:
        wants_audit = (len(entries) + 1) % AUDIT_EVERY == 0
        entries.append((second if second and (wants_audit or not first) else first).pop(0))
    return entries


def write_queue(path: Path, entries: Iterable[QueueEntry]) -> None:
    """Writes the queue in its order."""
    write_lines(
        path,
        (entry.row.line(score=round(entry.score, 4), kind=entry.kind.value, doubts=entry.doubts) for entry in entries),
    )


def read_queue(path: Path) -> list[QueueEntry]:
    """The queue in its order.

    Raises:
        UsageError: There is none, or a line of it is not one.
    """
    if not path.is_file():
        raise UsageError("there is no queue of answers to look at", "`stillroom curate TASK` writes it")
    entries = []
    for number, record in read_json_lines(path):
        where = f"{path.name}:{number}"
        doubts, score, kind = record.get("doubts") or {}, record.get("score"), record.get("kind")
        if not isinstance(doubts, dict) or not isinstance(score, int | float) or kind not in set(Kind):
            raise UsageError(f"{where}: it is no entry of the queue", "run `stillroom curate` again")
        row = read_row(record, where)
        named = {str(name): str(reason) for name, reason in doubts.items()}
        entries.append(QueueEntry(row, float(score), Kind(str(kind)), named))
    return entries
