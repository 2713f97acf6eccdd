"""What people said of a teacher's answers: a file that is only added to, a line for each decision.

A decision is about a text and the answer that a person saw. Who, when and what the teacher had said stay beside it; a
later decision about the same text replaces an earlier one, and nothing is ever taken away.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import disk_errors
from appliance.ground.json_text import json_text
from appliance.ground.locks import exclusive_lock
from appliance.ground.text import human_count
from appliance.ground.users import current_user
from appliance.review.queue import Kind, QueueEntry
from appliance.tasks.answer_json import answer_of_json
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.person_values import output_field, person_value
from appliance.tasks.task import Task
from appliance.tasks.values import same

if TYPE_CHECKING:
    from appliance.quality.statistics import Interval

REVIEWS_VERSION = 1
_LOCK_SECONDS = 60.0


class Action(StrEnum):
    """What a person says of an answer."""

    ACCEPT = "accept"
    CORRECT = "correct"
    REJECT = "reject"
    """Nothing is to be learnt from this document."""
    SKIP = "skip"
    """The person cannot tell; the teacher's answer stays what it is."""


@dataclass(frozen=True)
class Decision:
    """One of them."""

    key: str
    """SHA-256 of the text."""
    document: str
    action: Action
    answer: Answer
    """What is right; of a rejected or skipped answer what the teacher said."""
    teacher_answer: Answer
    kind: Kind
    doubts: dict[str, str] = field(default_factory=dict)
    user: str = ""
    time: float = 0.0
    """Seconds since the epoch."""

    def line(self) -> str:
        """As it is kept."""
        return json_text({"version": REVIEWS_VERSION, **asdict(self)})


def decide(path: Path, task: Task, entry: QueueEntry, action: Action, changed: Mapping[str, Value]) -> Decision:
    """Keeps what the present user says of an answer; it is on the disk when this returns.

    Args:
        path: The file of decisions.
        changed: Of a correction: field -> its right value; the other fields are as the teacher said.

    Raises:
        UsageError: The task has no such field, a value cannot be one of it, or nothing is changed by a correction.
        ResourceError: It cannot be written.
    """
    teacher = dict(entry.row.teacher_answer or entry.row.answer)
    # What the person saw is the answer as the document prints it.
    answer = dict(entry.row.answer)
    for name, value in changed.items():
        answer[name] = person_value(task, output_field(task, name), value, entry.row.document)
    if action is Action.CORRECT and not changed:
        raise UsageError("a correction changes nothing", "name a field with its right value, or accept the answer")
    decision = Decision(
        entry.key, entry.row.document, action, answer, teacher, entry.kind, entry.doubts, current_user(), time.time()
    )  # fmt: skip
    busy = ResourceError(f"another process writes {path.name}", "try again in a moment")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path.with_name(".reviews.lock"), busy, _LOCK_SECONDS), path.open("ab+") as file:
            _mend(file)
            file.write(decision.line().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return decision


def _mend(file: BinaryIO) -> None:
    """Takes away what is left of a line that the machine died in; one that lacks only its end gets it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    last = file.read(size).rpartition(b"\n")[2]
    if last and _is_json(last):
        file.write(b"\n")
    elif last:
        file.truncate(size - len(last))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def read_decisions(path: Path) -> dict[str, Decision]:
    """Key of a text -> the decision that counts.

    Raises:
        UsageError: A line is no decision of this program.
    """
    decisions: dict[str, Decision] = {}
    if not path.is_file():
        return decisions
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == len(lines) and not _is_json(line)):  # the machine died in the last one
            continue
        where = f"{path.name}:{number}"
        try:
            decision = _decision(json.loads(line), where)
        except ValueError as error:
            raise UsageError(f"{where}: it is no JSON: {error}", "restore the file from a backup") from None
        decisions[decision.key] = decision
    return decisions


def _decision(record: object, where: str) -> Decision:
    if not isinstance(record, dict) or record.get("version") != REVIEWS_VERSION:
        raise UsageError(f"{where}: it is no decision of this version", "use the version of Stillroom that wrote it")
    try:
        return Decision(
            str(record["key"]), str(record["document"]), Action(record["action"]),
            answer_of_json(record["answer"], where), answer_of_json(record["teacher_answer"], where),
            Kind(record["kind"]), dict(record["doubts"]), str(record["user"]), float(record["time"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: it is no decision: {error}", "restore the file from a backup") from error


@dataclass(frozen=True)
class ReviewFigures:
    """What the decisions say of the teacher and of the queue."""

    open: int
    decisions: int
    rejected: int
    skipped: int
    ranked: int
    ranked_wrong: int
    """Of the ranked answers that were looked at, those in which a person changed something or rejected it."""
    audited: int
    audited_wrong: int
    teacher: "Interval"
    """Share of the random answers that are right as a whole."""

    @property
    def lift(self) -> float | None:
        """How many times as many mistakes a label finds where the queue ranks as where it draws; None if unknown."""
        if not self.ranked or not self.audited_wrong:
            return None
        return (self.ranked_wrong / self.ranked) / (self.audited_wrong / self.audited)

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [
            f"to look at   {human_count(self.open, 'answer')}; {self.decisions:,} looked at,"
            f" {self.rejected:,} rejected, {self.skipped:,} skipped"
        ]
        if self.ranked:
            lines.append(f"ranked       {self.ranked_wrong:,} of {self.ranked:,} were wrong")
        if self.audited:
            lines.append(f"at random    {self.audited_wrong:,} of {self.audited:,} were wrong")
            lines.append(f"teacher      {self.teacher.percent()} of whole answers right, {self.audited:,} at random")
        if self.lift is not None:
            lines.append(f"lift         a label where it is ranked mends {self.lift:.1f} times as many answers as one"
                         " at random")  # fmt: skip
        return lines


def is_wrong(task: Task, decision: Decision) -> bool:
    """Whether a person found a mistake in the teacher's answer."""
    if decision.action is Action.REJECT:
        return True
    return any(
        not same(each, decision.answer.get(each.name) or None, decision.teacher_answer.get(each.name) or None)
        for each in task.output_fields
    )


def review_figures(task: Task, entries: list[QueueEntry], decisions: Mapping[str, Decision]) -> ReviewFigures:
    """Figures of all decisions, whether or not their answers are still in the queue."""
    from appliance.quality.statistics import wilson

    counted = [each for each in decisions.values() if each.action is not Action.SKIP]
    ranked = [each for each in counted if each.kind is Kind.RANKED]
    audited = [each for each in counted if each.kind is Kind.AUDIT]
    wrong = sum(is_wrong(task, each) for each in audited)
    return ReviewFigures(
        open=sum(entry.key not in decisions for entry in entries),
        decisions=len(counted),
        rejected=sum(each.action is Action.REJECT for each in counted),
        skipped=len(decisions) - len(counted),
        ranked=len(ranked),
        ranked_wrong=sum(is_wrong(task, each) for each in ranked),
        audited=len(audited),
        audited_wrong=wrong,
        teacher=wilson(len(audited) - wrong, len(audited)),
    )
