"""A threshold chosen on labelled documents: both models answer them, and a rule that was fixed beforehand decides.

The frontier's answers are kept as they come, so that neither a kill nor a second run pays for them again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.engines.engine import Result
from appliance.engines.frontier import FrontierRequest
from appliance.ground.errors import NotAllGood, ResourceError, UsageError
from appliance.ground.files import write_file
from appliance.ground.settings import Settings
from appliance.models.manifest import verify_artifact
from appliance.models.selection import choose_model
from appliance.quality.gate import answer_all
from appliance.quality.metrics import Outcome, judge
from appliance.routing.cascade import fields_below
from appliance.routing.egress import EgressOptions, open_frontier
from appliance.routing.thresholds import ALWAYS, LEAST, Curve, Point, Unit, choose, make_curve
from appliance.tasks.labels import LabelledRow, check_field_names, read_labels
from appliance.tasks.task import Task

_ANSWERS_NAME = "answers.jsonl"
_CURVE_NAME = "curve.json"
LEAST_ROWS = 50
"""Fewer labelled documents cannot tell one threshold from another."""


@dataclass(frozen=True)
class AutoRequest:
    """What a threshold is chosen for."""

    task: Task
    labelled_path: Path
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
            text.append("rows that hold the teacher's answer as it is: right means agreement with the teacher")
        return text


def choose_threshold(settings: Settings, request: AutoRequest, told: Callable[[int], None]) -> Chosen:
    """Lets both models answer the labelled documents and applies the rule.

    Args:
        told: Called with the number of documents that the local model has answered.

    Raises:
        UsageError: The rows, the model or the frontier are not as they must be, or the policy does not allow it.
        NotAllGood: A cap was reached before the frontier had answered all rows.
    """
    rows = read_labels(request.labelled_path)
    if len(rows) < LEAST_ROWS:
        raise UsageError(
            f"{len(rows)} labelled rows cannot tell one threshold from another",
            f"label at least {LEAST_ROWS} documents, or give `--threshold` a number",
        )
    check_field_names(request.task, rows)
    local = _local_answers(settings, request, rows, told)
    asked = [
        # The local answer knows values of fields that the policy masks, as in a run.
        FrontierRequest(str(number), row.text, known=mine.answer or {})
        for number, (row, mine) in enumerate(zip(rows, local, strict=True))
    ]
    remote, currency = _remote_answers(settings, request, asked)
    units = list(_units(request.task, rows, local, remote))
    curve = make_curve(units, [result.money or 0.0 for result in remote], currency)
    chosen = Chosen(choose(curve, request.most_money_per_1000), curve, tuple(sorted({row.source for row in rows})))
    directory = _directory(settings, request)
    record = {"version": 1, "threshold": chosen.point.threshold, "labelled_by": chosen.labelled_by, **curve.record()}
    write_file(directory / _CURVE_NAME, (json.dumps(record, indent=2) + "\n").encode())
    return chosen


def _local_answers(
    settings: Settings, request: AutoRequest, rows: Sequence[LabelledRow], told: Callable[[int], None]
) -> list[Result]:
    from appliance.engines.open import open_engine

    artifact_dir, _ = choose_model(settings, request.task, request.model)
    verify_artifact(artifact_dir)
    engine = open_engine(artifact_dir, request.task, settings.threads)
    try:
        return answer_all(engine, rows, told)
    finally:
        engine.close()


def _remote_answers(
    settings: Settings, request: AutoRequest, asked: Sequence[FrontierRequest]
) -> tuple[list[Result], str]:
    """The frontier's results in the order of the requests, and the currency of its prices."""
    from appliance.engines.frontier_config import load_frontier

    directory = _directory(settings, request)
    engine = open_frontier(settings, request.task, request.fallback, request.options)
    found = dict(_kept(directory / _ANSWERS_NAME))
    missing = [wanted for wanted in asked if wanted.key not in found]
    try:
        with open(directory / _ANSWERS_NAME, "a", encoding="utf-8") as kept:
            # A kill may have cut the last line short: it must not run into the next one.
            kept.write("\n" if kept.tell() else "")
            for result in engine.answer(missing):
                if engine.ended is not None and result.error == engine.ended[0]:
                    continue
                found[result.key] = result
                kept.write(json.dumps({**vars(result), "confidence": {}, "raw": ""}) + "\n")
                kept.flush()
                os.fsync(kept.fileno())
    except OSError as error:
        raise ResourceError(f"cannot write in {directory}: {error.strerror}", "check the free space") from error
    finally:
        engine.close()
    if engine.ended is not None:
        raise NotAllGood(
            f"the fallback answered {len(found)} of {len(asked)} labelled rows: {engine.ended[1]}",
            "the same command asks for the rest",
        )
    currency = load_frontier(settings, request.fallback).prices.currency
    return [found[wanted.key] for wanted in asked], currency


def _kept(path: Path) -> Iterator[tuple[str, Result]]:
    """Results of an earlier run; a last line that a kill cut short is asked again."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue
        yield result.key, result


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


def _directory(settings: Settings, request: AutoRequest) -> Path:
    """Where the frontier's answers to exactly these rows are kept."""
    from appliance.engines.frontier import frontier_identity
    from appliance.engines.frontier_config import load_frontier

    identity = frontier_identity(load_frontier(settings, request.fallback), request.task)
    rows = hashlib.sha256(request.labelled_path.read_bytes()).hexdigest()
    key = hashlib.sha256(json.dumps([identity, rows]).encode()).hexdigest()[:16]
    directory = settings.home_dir / "thresholds" / key
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot make {directory}: {error.strerror}", "check the free space and rights") from error
    return directory


def allowed(request: AutoRequest, run: str) -> AutoRequest:
    """The request with the flag of the command that lets its labelled rows leave."""
    return replace(request, options=replace(request.options, allowed=True, run=run))
