"""Runs an engine over labelled rows and judges what it answers."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from appliance.engines.engine import Engine, Request, Result
from appliance.ground.errors import UsageError
from appliance.ground.spelling import nearest
from appliance.models.manifest import JSON, Manifest, Verdict, file_sha256, rewrite_manifest, utc_now
from appliance.quality.metrics import abstention, count, coverages, judge
from appliance.quality.readiness import against_gold, against_teacher, worst
from appliance.quality.report import QualityReport, report
from appliance.tasks.linecode import Answer

if TYPE_CHECKING:
    from appliance.tasks.task import Task

DEFAULT_REQUIRED = 0.95
"""Field accuracy that is asked for where the task names neither a margin nor an accuracy."""


@dataclass(frozen=True)
class LabelledRow:
    """A document with what is right, and perhaps with what the teacher said."""

    document: str
    text: str
    gold: Answer
    teacher: Answer | None = None
    source: str = "person"
    """Who says what is right: `person`, or `teacher` where nobody has looked at the teacher's answer."""


def read_labelled(path: Path) -> list[LabelledRow]:
    """Rows with `text` and `answer`, perhaps `document` and `teacher_answer`.

    Raises:
        UsageError: The file cannot be read, or a line is something else; named by file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(
            f"cannot read the labelled rows {path}: {error.strerror}",
            "name a file with --rows, or let `stillroom curate` keep a share of the rows back with --test",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not in UTF-8: {error.reason}", "save it as UTF-8") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UsageError(
                f"{path.name}:{number}: not JSON: {error}", "write one JSON object on each line"
            ) from error
        rows.append(_labelled(record, f"{path.name}:{number}", str(number)))
    if not rows:
        raise UsageError(f"{path.name} has no rows", "give JSON Lines with text and answer")
    return rows


def _labelled(record: object, where: str, name: str) -> LabelledRow:
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("text"), str)
        or not isinstance(record.get("answer"), dict)
    ):
        raise UsageError(f"{where}: a row needs text and answer", 'write {"text": "...", "answer": {...}} on each line')
    teacher = record.get("teacher_answer")
    if not isinstance(teacher, dict | None):
        raise UsageError(f"{where}: teacher_answer is not an object", 'write {"field": "value", ...} or leave it out')
    try:
        json.dumps([record["text"], record["answer"]], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{where}: it holds half of a surrogate pair, which is no character", "leave it out"
        ) from error
    gold = _answer(record["answer"], f"{where}: answer")
    source = str(record.get("source") or "person")
    named = str(record.get("document") or name)
    return LabelledRow(
        named, record["text"], gold, None if teacher is None else _answer(teacher, f"{where}: teacher_answer"), source
    )


def _answer(values: dict[str, object], where: str) -> Answer:
    """An answer as a task's is: numbers as they are written.

    Raises:
        UsageError: A value is no text, no number, no list of texts and not null.
    """
    answer: Answer = {}
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            answer[name] = json.dumps(value)
        elif isinstance(value, str | None) or _is_list_of_texts(value):
            answer[name] = value
        else:
            raise UsageError(f"{where}: {name} is neither text nor null", 'write "...", a list of them, or null')
    return answer


def without_taught(rows: Sequence[LabelledRow], train_path: Path) -> list[LabelledRow]:
    """The rows whose text, blanks and case aside, is no training row's: a student knows those by heart.

    Raises:
        UsageError: None is left.
    """
    lines = train_path.read_text(encoding="utf-8", errors="surrogatepass").split("\n") if train_path.is_file() else []
    taught = {_words(str(json.loads(line).get("text"))) for line in lines if line.strip()}
    kept = [row for row in rows if _words(row.text) not in taught]
    if not kept:
        raise UsageError(
            f"all {len(rows)} labelled rows are training rows of {train_path}",
            "judge on documents that the student was not trained on, such as dataset/test.jsonl",
        )
    return kept


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_list_of_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def check_names(task: "Task", rows: Sequence[LabelledRow]) -> None:
    """Refuses rows that name a field which the task does not have: it would count as one that the document lacks.

    Raises:
        UsageError: With the nearest field.
    """
    known = [field.name for field in task.output_fields]
    for row in rows:
        for name in (*row.gold, *(row.teacher or ())):
            if name not in known:
                meant = nearest(name, known)
                raise UsageError(
                    f"the labelled row of {row.document} names the field {name}, which the task {task.name} lacks",
                    f"{f'did you mean {meant}? ' if meant else ''}known fields: {', '.join(known)}",
                )


def answer_all(engine: Engine, rows: Sequence[LabelledRow], told: Callable[[int], None]) -> list[Result]:
    """The engine's results in the order of the rows.

    Args:
        told: Called with the number of answered rows after each.
    """
    requests = (Request(str(number), row.text) for number, row in enumerate(rows))
    found: dict[str, Result] = {}
    for result in engine.answer(requests):
        found[result.key] = result
        told(len(found))
    lost = Result("", None, error="no_answer", error_message="the engine gave no result")
    return [found.get(str(number), lost) for number in range(len(rows))]


def judge_results(task: "Task", rows: Sequence[LabelledRow], results: Sequence[Result]) -> QualityReport:
    """The report on a student's answers, with the verdict that the task's readiness asks for.

    Raises:
        UsageError: A row names a field that the task does not have.
    """
    check_names(task, rows)
    answers = [result.answer for result in results]
    judged = [judge(task, row.document, row.gold, answer) for row, answer in zip(rows, answers, strict=True)]
    taught = [judge(task, row.document, row.gold, row.teacher) for row in rows if row.teacher is not None]
    teacher = taught if len(taught) == len(rows) else None
    found = []
    margin, required = task.readiness.margin, task.readiness.required
    if teacher is not None and margin is not None:
        found.append(against_teacher(judged, teacher, margin))
    if required is not None or not found:
        found.append(against_gold(judged, DEFAULT_REQUIRED if required is None else required))
    return replace(
        report(task, judged, worst(found)),
        coverage=coverages(judged, [result.confidence for result in results]),
        abstention=abstention(task, [row.gold for row in rows], answers),
        labelled_by=dict(Counter(row.source for row in rows)),
        teacher_accuracy=count(teacher).accuracy if teacher else None,
    )


def write_verdict(artifact_dir: Path, manifest: Manifest, found: QualityReport, rows_path: Path) -> Verdict:
    """Writes verdict and metrics into the artifact's manifest."""
    readiness = found.readiness
    verdict = Verdict(
        readiness.verdict,
        readiness.basis,
        readiness.estimate,
        readiness.low,
        readiness.threshold,
        readiness.documents,
        readiness.fields,
        file_sha256(rows_path),
        utc_now(),
    )
    quality: JSON = json.loads(json.dumps(found.record()))
    rewrite_manifest(artifact_dir, replace(manifest, verdict=verdict, metrics={**manifest.metrics, "quality": quality}))
    return verdict
