"""A threshold chosen on labelled documents: both models answer them, and a rule that was fixed beforehand decides.

The local model answers in a child process under the engine's lease; the frontier's answers are kept as they come, so
that neither a kill nor a second run pays for them again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import frontier_answerer
from appliance.answering.lease import OnWait, ignore_wait
from appliance.answering.local import answer_texts
from appliance.engines.engine import Request, Result
from appliance.engines.frontier import frontier_identity
from appliance.engines.frontier_config import load_frontier
from appliance.ground.errors import NotAllGood, ResourceError, UsageError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.progress import OnProgress
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.models.selection import choose_model, verify_chosen
from appliance.quality.distinct_rows import distinct_rows
from appliance.quality.metrics import Outcome, judge
from appliance.quality.threshold_curve import ALWAYS, LEAST, Curve, Point, Unit, choose, make_curve
from appliance.routing.cascade import fields_below
from appliance.routing.egress import EgressOptions
from appliance.tasks.labels import LabelledRow, check_rows, read_labels
from appliance.tasks.task import Task

_CURVE_NAME = "curve.json"
LEAST_ROWS = 50
"""Fewer labelled documents cannot tell one threshold from another."""


@dataclass(frozen=True)
class ThresholdRequest:
    """What a threshold is chosen for."""

    task: Task
    labels_path: Path
    fallback: str
    model: str | None = None
    most_money_per_1000: float | None = None
    """What 1,000 documents may cost on average."""
    options: EgressOptions = field(default_factory=EgressOptions)


@dataclass(frozen=True)
class Chosen:
    """A threshold and what it rests on."""

    point: Point
    curve: Curve
    labelled_by: tuple[str, ...]
    """Who says what is right: people, or the teacher whose answers nobody has looked at."""

    def lines(self) -> list[str]:
        """For a terminal."""
        text = self.curve.lines(self.point)
        if "teacher" in self.labelled_by:
            text.append("some rows hold the teacher's own answer: there, right means agreement with the teacher")
        return text


def choose_threshold(
    settings: Settings,
    request: ThresholdRequest,
    on_progress: OnProgress,
    on_wait: OnWait = ignore_wait,
) -> Chosen:
    """Lets both models answer the labelled documents and applies the rule.

    Args:
        on_progress: Rows that the local model has answered.
        on_wait: Called where another process has the engine, with who that is.

    Raises:
        UsageError: The rows, the model or the frontier are not as they must be, or the policy does not allow it.
        NotAllGood: A cap was reached before the frontier had answered all rows.
    """
    labelled_rows = read_labels(request.labels_path)
    check_rows(request.task, labelled_rows)
    rows = distinct_rows(request.task, labelled_rows).rows
    if len(rows) < LEAST_ROWS:
        copies = f" of {len(labelled_rows):,} have texts of their own" if len(rows) < len(labelled_rows) else ""
        raise UsageError(
            f"{human_count(len(rows), 'labelled row')}{copies}: too few to choose a threshold",
            f"label at least {LEAST_ROWS} documents, or give `--threshold` a number",
        )
    artifact_dir, manifest = choose_model(settings, request.task, request.model)
    verify_chosen(artifact_dir, manifest.identity)
    local = answer_texts(
        settings, artifact_dir, request.task, [row.text for row in rows],
        lambda progress: on_progress(replace(progress, stage="labelled rows")), on_wait,
    )  # fmt: skip
    requests = [
        # The local answer knows values of fields that the policy masks, as in a run.
        Request(str(number), row.text, known=mine.answer or {})
        for number, (row, mine) in enumerate(zip(rows, local, strict=True))
    ]
    remote = _remote_answers(settings, request, requests)
    currency = load_frontier(settings, request.fallback).prices.currency
    curve = make_curve(
        list(_units(request.task, rows, local, remote)), [result.money or 0.0 for result in remote], currency
    )
    chosen = Chosen(choose(curve, request.most_money_per_1000), curve, tuple(sorted({row.source for row in rows})))
    record = {"version": 1, "threshold": chosen.point.threshold, "labelled_by": chosen.labelled_by, **curve.record()}
    write_file(
        _directory(settings, request) / _CURVE_NAME, (json_text(record, ascii_only=True, indent=2) + "\n").encode()
    )
    return chosen


def _remote_answers(settings: Settings, request: ThresholdRequest, requests: Sequence[Request]) -> list[Result]:
    """The frontier's results in the order of the requests."""
    answerer = frontier_answerer(settings, request.task, request.fallback, request.options)
    results: dict[str, Result] = {}
    try:
        for result in answer_all(answerer, requests):
            if answerer.ended is None or result.error != answerer.ended[0]:
                results[result.key] = result
    finally:
        answerer.close()
    if answerer.ended is not None:
        raise NotAllGood(
            f"the fallback answered {len(results)} of {len(requests)} labelled rows: {answerer.ended[1]}",
            "run the same command again for the rest",
        )
    return [results[each.key] for each in requests]


def _units(
    task: Task, rows: Sequence[LabelledRow], local: Sequence[Result], remote: Sequence[Result]
) -> Iterator[Unit]:
    """Every field of every row, as the cascade would decide on it."""
    for number, (row, mine, other) in enumerate(zip(rows, local, remote, strict=True)):
        sure = {field.name: mine.confidence.get(field.name, 0.0) for field in task.output_fields}
        # What is wrong in form, or has no answer, goes out at every threshold.
        sure |= dict.fromkeys(fields_below(task, mine.answer, sure, LEAST), ALWAYS)
        here = judge(task, row.document, row.answer, mine.answer)
        # Where the fallback does not answer, the local answer stays.
        there = judge(task, row.document, row.answer, other.answer if other.answer is not None else mine.answer)
        for name, outcome in here.outcomes.items():
            right = there.outcomes[name] is Outcome.CORRECT
            yield Unit(number, sure[name], outcome is Outcome.CORRECT, right)


def _directory(settings: Settings, request: ThresholdRequest) -> Path:
    """Where the curve of exactly these rows is kept."""
    identity = frontier_identity(load_frontier(settings, request.fallback), request.task)
    rows = hashlib.sha256(request.labels_path.read_bytes()).hexdigest()
    key = hashlib.sha256(json_text([identity, rows], ascii_only=True).encode()).hexdigest()[:16]
    directory = settings.home_dir / "thresholds" / key
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"cannot make {directory}: {error.strerror}", "check the free space and the permissions"
        ) from error
    return directory
