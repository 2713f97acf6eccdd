"""The demo's figures: what the student and its base answer on the scored documents, against the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from appliance.quality.metrics import Judged, count, judge
from appliance.quality.statistics import Interval, clustered_wilson, wilson
from appliance.tasks.folder import SPLITS, TaskFolder
from appliance.tasks.labels import read_dataset, read_json_lines
from appliance.tasks.linecode import Answer

if TYPE_CHECKING:
    from appliance.tasks.task import Task


@dataclass(frozen=True)
class Score:
    """How good answers are."""

    fields: Interval
    documents: Interval
    judged: tuple[Judged, ...]
    invented: int
    absent: int

    @property
    def field_count(self) -> int:
        """Fields judged."""
        return sum(len(document.outcomes) for document in self.judged)


def score(task: "Task", golds: Mapping[str, Answer], answers: Mapping[str, Answer | None]) -> Score:
    """Judges every document of the truth; one without an answer has nothing right."""
    judged = tuple(judge(task, name, gold, answers.get(name)) for name, gold in sorted(golds.items()))
    counts = count(judged)
    fields = clustered_wilson(
        [document.correct for document in judged], [len(document.outcomes) for document in judged]
    )
    whole = sum(document.whole for document in judged)
    return Score(fields, wilson(whole, len(judged)), judged, counts.invented, counts.absent)


def read_answers(rows_path: Path) -> dict[str, Answer | None]:
    """Answers by document from the rows of a job."""
    answers: dict[str, Answer | None] = {}
    for _, row in read_json_lines(rows_path):
        answers[str(row["document"])] = cast("Answer | None", row["fields"])
    return answers


def equal_fields(task: "Task", one: Sequence[Answer | None], other: Sequence[Answer | None]) -> Interval:
    """Share of fields with the same value in both, documents as clusters."""
    names = [field.name for field in task.output_fields]
    equal = []
    for first, second in zip(one, other, strict=True):
        left, right = first or {}, second or {}
        agree = sum((left.get(name) or None) == (right.get(name) or None) for name in names)
        equal.append(agree if (first is None) == (second is None) else 0)
    return clustered_wilson(equal, [len(names)] * len(equal))


def planted_recall(teacher_path: Path, folder: TaskFolder) -> dict[str, tuple[int, int]]:
    """By kind of planted mistake, in how many answers the curation doubted something, of how many.

    `right` counts good answers in which it did; there most often a single value is not learnt from.
    """
    doubted = {row["document"] for _, row in read_json_lines(folder.rejected_path)}
    for name in SPLITS:
        doubted |= {row.document for row in read_dataset(folder.split_path(name)) if row.untrusted}
    recall: dict[str, tuple[int, int]] = {}
    for _, planted in read_json_lines(teacher_path):
        kind = str(planted["mistake"] or "right")
        caught, total = recall.get(kind, (0, 0))
        recall[kind] = (caught + (planted["document"] in doubted), total + 1)
    return recall
