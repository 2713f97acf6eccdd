"""Traffic as rows to learn from, with the model that answered it as the teacher."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.frontier_answer import read_answer
from appliance.engines.frontier_config import ModelChoice, Usage
from appliance.engines.frontier_errors import FrontierFailure
from appliance.engines.frontier_reply import Reply
from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.linecode import Answer
from appliance.tasks.task import TaskKind
from appliance.tasks.values import normalise
from training.answers_file import add_answers, alone
from training.collect import BadRecord
from training.logs.exchanges import Exchange, LogFile, read_exchanges
from training.logs.workloads import Workload, workloads

if TYPE_CHECKING:
    from appliance.tasks.task import Task

LEAST_FITTING = 0.5
"""Share of a workload's answers that must be answers of the task, if nobody chose the workload."""


@dataclass
class LogResult:
    """What an import of a log did."""

    exchanges: int = 0
    imported: int = 0
    known: int = 0
    bad: list[str] = field(default_factory=list)
    """A message for each line or answer that could not be used."""
    passed_over: dict[str, int] = field(default_factory=dict)
    workload: int = 0
    """Number of the one that was imported, from 1; 0 where none was."""
    workloads: list[dict[str, object]] = field(default_factory=list)
    """The ranked ones."""


def read_log(path: Path) -> tuple[list[Workload], LogResult]:
    """The ranked workloads of a log.

    Raises:
        UsageError: The file cannot be read, or has no exchange.
    """
    log = LogFile()
    exchanges = list(read_exchanges(path, log))
    result = LogResult(len(exchanges), passed_over=dict(log.passed_over))
    result.bad = [f"{path.name}:{number}: {reason.partition(': ')[2] or reason}" for number, reason in log.broken]
    if not exchanges:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in log.passed_over.items()) or "no record"
        raise UsageError(
            f"{path.name} has no request with its answer ({reasons})",
            "give chat logs with `messages` and the answer, or an export of Langfuse with `input` and `output`",
        )
    ranked = workloads(exchanges)
    result.workloads = [workload.record() for workload in ranked]
    return ranked, result


def import_log(task: "Task", task_folder: Path, path: Path, chosen: int | None = None) -> LogResult:
    """Adds a workload of a log to the teacher's answers; doing it again adds nothing.

    Args:
        chosen: Number of the workload in their order, from 1; by default the one whose answers fit the task best.

    Raises:
        UsageError: The file cannot be read, there is no such workload, or none fits the task.
    """
    ranked, result = read_log(path)
    if chosen is not None and not 1 <= chosen <= len(ranked):
        raise UsageError(f"the log has no workload {chosen}", f"it has {len(ranked)}: --dry-run lists them")
    result.workload = chosen or _best(task, ranked)
    workload = ranked[result.workload - 1]
    rows = []
    for exchange, document in zip(workload.exchanges, workload.documents, strict=True):
        try:
            rows.append(_row(task, exchange, document.strip(), path.name))
        except BadRecord as error:
            result.bad.append(f"{path.name}:{exchange.place}: {error.message}")
    folder = TaskFolder(task_folder)
    with alone(folder):
        result.imported, result.known = add_answers(folder.answers_path, rows)
    return result


def _best(task: "Task", ranked: Sequence[Workload]) -> int:
    """Number of the workload whose answers are most often answers of the task; of equal ones the first."""
    shares = [_fitting(task, workload.exchanges) for workload in ranked]
    best = max(range(len(ranked)), key=lambda number: (shares[number], -number))
    if shares[best] < LEAST_FITTING:
        raise UsageError(
            f"no workload of the log answers what {task.name} asks: {shares[best]:.0%} of the answers fit at best",
            "--dry-run lists the workloads; --workload N imports one all the same",
        )
    return best + 1


def _fitting(task: "Task", exchanges: Sequence[Exchange]) -> float:
    some = exchanges[:200]
    names = {field.name for field in task.output_fields}
    fitting = 0
    for exchange in some:
        try:
            answer = logged_answer(task, exchange.answer)
        except BadRecord:
            continue
        fitting += any(answer.get(name) for name in names)
    return fitting / len(some)


_AS_LOGGED = ModelChoice("", structured="json_object")
"""Logs keep answers of any form: numbers without quotes, fences, further keys."""


def logged_answer(task: "Task", text: str) -> Answer:
    """What a logged answer says, as the task wants it.

    Raises:
        BadRecord: It is no answer of the task.
    """
    if task.kind is TaskKind.GENERATE:
        return {"text": text.strip()}
    if task.kind is TaskKind.CLASSIFY and not task.multi_label:
        (field,) = task.output_fields
        if isinstance(label := normalise(field, text.strip().strip("\"'.")), str) and label in field.values:
            return {field.name: label}
    try:
        return read_answer(task, (), _AS_LOGGED, Reply(text, Usage(), "")).answer
    except FrontierFailure as failure:
        raise BadRecord(failure.message) from failure


def _row(task: "Task", exchange: Exchange, text: str, source: str) -> LabelledRow:
    if not text:
        raise BadRecord("nothing is left of the message without the prompt")
    digest = text_hash(text)
    provenance = {"log": source, "served": exchange.model, "licence": "unknown"}
    if exchange.moment is not None:
        provenance["date"] = time.strftime("%Y-%m-%d", time.gmtime(exchange.moment))
    return LabelledRow(
        f"{source}:{exchange.place}", text, logged_answer(task, exchange.answer), digest,
        teacher=exchange.model or task.teacher,
        provenance={key: value for key, value in provenance.items() if value},
    )  # fmt: skip
