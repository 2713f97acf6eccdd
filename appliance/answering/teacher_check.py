"""A teacher on labelled documents before it is paid for the others: is what it would teach good enough?"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import frontier_answerer
from appliance.engines.engine import Request, Result
from appliance.ground.errors import NotAllGood
from appliance.ground.progress import OnProgress, Progress, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.quality.gate import DEFAULT_REQUIRED
from appliance.quality.report import QualityReport
from appliance.routing.egress import EgressOptions
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Task

HOPELESS_BELOW = 0.15
"""A teacher that is surely worse than what is required by more than this is not mended by another wording."""


class TeacherVerdict(StrEnum):
    """What to do with a teacher."""

    GO = "GO"
    """It is surely as good as is required."""
    ITERATE = "ITERATE"
    """It may be, or could be with a better task file: describe the worst fields, or label more documents."""
    RETHINK = "RETHINK"
    """It is surely far worse: take another teacher, or another task."""


@dataclass(frozen=True)
class TeacherDecision:
    """A verdict with what it rests on."""

    verdict: TeacherVerdict
    required: float
    report: QualityReport

    @property
    def reason(self) -> str:
        """Why, in one line with the numbers."""
        accuracy, documents = self.report.field_accuracy, human_count(self.report.documents, "document")
        return f"{accuracy.percent()} of its fields are right, {documents}; {100 * self.required:.1f} % are required"

    @property
    def advice(self) -> str:
        """What to do next; empty where it can go on."""
        worst = [name for name, counts in self.report.fields_worst_first.items() if counts.correct < counts.fields][:3]
        fields = f" of {', '.join(worst)}" if worst else ""
        if self.verdict is TeacherVerdict.GO:
            return ""
        if self.verdict is TeacherVerdict.ITERATE:
            return f"improve descriptions and examples{fields} in task.toml, or label more documents"
        return "try another teacher, or ask for less: fewer fields, closed sets, one kind of document"


def decide_on_teacher(task: Task, report: QualityReport) -> TeacherDecision:
    """The verdict on a teacher's answers to labelled rows."""
    required = DEFAULT_REQUIRED if task.readiness.required is None else task.readiness.required
    accuracy = report.field_accuracy
    verdict = TeacherVerdict.ITERATE
    if accuracy.low >= required:
        verdict = TeacherVerdict.GO
    elif accuracy.high < required - HOPELESS_BELOW:
        verdict = TeacherVerdict.RETHINK
    return TeacherDecision(verdict, required, report)


def teacher_answers(
    settings: Settings,
    task: Task,
    rows: Sequence[LabelledRow],
    name: str,
    options: EgressOptions,
    on_progress: OnProgress = ignore_progress,
) -> list[Result]:
    """What the teacher answers to labelled rows, in their order; answers that were paid for before cost nothing.

    Raises:
        UsageError: Frontier or policy do not allow it.
        NotAllGood: A cap was reached, or the frontier is gone, before it had answered all.
    """
    answerer = frontier_answerer(settings, task, name, options)
    results: dict[str, Result] = {}
    try:
        requests = (Request(str(number), row.text, name=row.document) for number, row in enumerate(rows))
        for result in answer_all(answerer, requests):
            if answerer.ended is None or result.error != answerer.ended[0]:
                results[result.key] = result
            on_progress(Progress(len(results), len(rows)))
    finally:
        answerer.close()
    if answerer.ended is not None:
        raise NotAllGood(
            f"the teacher answered {len(results):,} of {human_count(len(rows), 'labelled row')}: {answerer.ended[1]}",
            "the same call asks for the rest",
        )
    return [results[str(number)] for number in range(len(rows))]
