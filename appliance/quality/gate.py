"""Judges what an artifact answers to labelled rows, and writes the verdict into the artifact."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.engine import Result
from appliance.ground.json_text import json_text
from appliance.models.compute_class import compute_class
from appliance.models.manifest import MANIFEST_VERSION, Manifest, read_unchanged, rewrite_manifest, utc_now
from appliance.models.manifest_json import JSON
from appliance.models.verdict import Verdict, sealed, verdict_problem
from appliance.quality.carry_over import recorded_answers
from appliance.quality.confidence_conditions import confidence_conditions
from appliance.quality.field_quality import by_field_quality, by_label_quality, field_conditions, slices_of
from appliance.quality.metrics import Judged, Outcome, abstention, count, coverages, judge
from appliance.quality.readiness import Readiness, against_gold, against_teacher, worst
from appliance.quality.report import Findings, QualityReport, report
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.labels import LabelledRow, check_rows
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.task import TaskKind
from appliance.tasks.values import normalise, value_texts

if TYPE_CHECKING:
    from appliance.tasks.task import Task

DEFAULT_REQUIRED = 0.95
"""Field accuracy that is required where the task names neither a margin nor an accuracy."""


def judge_results(
    task: "Task",
    rows: Sequence[LabelledRow],
    results: Sequence[Result],
    clusters: Sequence[int] = (),
    copies: int = 0,
    look: int = 1,
) -> QualityReport:
    """The report on a student's answers, with the verdict by the task's readiness.

    Where some rows have no value in any field, the verdict must hold without them, too: a student that writes nothing
    is right about all of those. So it must without the most frequent label, where always answering it would do. And
    each field, label and slice by itself must not show that its values are not found, nor the confidence that it says
    more than is right.

    Args:
        clusters: Number of the group of near duplicates of each row; empty where every row counts for itself.
        copies: Rows that were left out before, as their texts are those of others.
        look: Number of this look at the student; later ones must show more, as each is another chance.

    Raises:
        UsageError: A row names a field that the task does not have.
    """
    check_rows(task, rows)
    answers = [result.answer for result in results]
    numbers: Sequence[int | None] = clusters or [None] * len(rows)
    judged = [
        replace(_judged(task, row, row.answer, answer), cluster=cluster)
        for row, answer, cluster in zip(rows, answers, numbers, strict=True)
    ]
    # Whoever compares a student with labels that are the teacher's own finds the teacher without a mistake.
    compared = [n for n, row in enumerate(rows) if row.source == "person" and row.teacher_answer is not None]
    teacher = {n: _judged(task, rows[n], rows[n].answer, rows[n].teacher_answer) for n in compared}
    unseen = _fields_without_gold(task, rows)
    judged, teacher = _without(unseen, judged, teacher)
    valued = [number for number, row in enumerate(rows) if any(row.answer.values())]
    labels = _labels(task, rows)
    seen = {label for row in rows for label in row.answer.get("label") or ()} if task.multi_label else set(labels)
    leading = _leading_label(task, labels)
    others = [number for number, label in enumerate(labels) if label != leading]
    conditions = _conditions(task, judged, teacher, range(len(rows)), look)
    for part in (valued, others):
        if 0 < len(part) < len(rows):
            conditions += _conditions(task, judged, teacher, part, look)
    conditions += field_conditions(task, rows, answers, judged, look)
    conditions += confidence_conditions(task, judged, [result.confidence for result in results], look)
    slices = slices_of(task, rows)
    return replace(
        report(task, judged, worst(conditions)),
        failures=dict(Counter(result.error or "no answer" for result in results if result.answer is None)),
        findings=_findings(task, answers, judged),
        copies=copies,
        empty=len(rows) - len(valued),
        leading_label=leading or "",
        not_judged=tuple(unseen) or tuple(f"label {label}" for label in task.labels if label not in seen),
        slices={
            name: {value: count(judged[number] for number in numbers) for value, numbers in values.items()}
            for name, values in slices.items()
        },
        coverage=coverages(judged, [result.confidence for result in results]),
        abstention=abstention(task, [row.answer for row in rows], answers),
        labelled_by=dict(Counter(row.source for row in rows)),
        teacher_accuracy=count(teacher.values()).accuracy if teacher else None,
        teacher_rows=len(teacher),
        margin=task.readiness.margin,
        look=look,
        by_field=by_field_quality(task, judged),
        by_label=by_label_quality(task, rows, answers, judged),
        untrusted=sum(len(row.untrusted) for row in rows),
        unmet=tuple(sorted({condition.reason for condition in conditions if not condition.ready})),
    )


def _judged(task: "Task", row: LabelledRow, gold: Answer, answer: Answer | None) -> Judged:
    """A document without the fields whose right values nobody trusts."""
    document = judge(task, row.document, gold, answer)
    if not row.untrusted:
        return document
    outcomes = {name: each for name, each in document.outcomes.items() if name not in row.untrusted}
    cells = {name: each for name, each in document.cells.items() if name.partition(".")[0] not in row.untrusted}
    return replace(document, outcomes=outcomes, absent=document.absent - set(row.untrusted), cells=cells)


def _findings(task: "Task", answers: Sequence[Answer | None], judged: Sequence[Judged]) -> dict[str, Findings]:
    """What is wrong with answers in themselves, the most frequent first."""
    answered, wrong = Counter[str](), Counter[str]()
    for answer, document in zip(answers, judged, strict=True):
        reasons = {finding.reason for finding in answer_findings(task, answer)} if answer is not None else set()
        answered.update(reasons)
        wrong.update(reasons if not document.whole else ())
    ordered = sorted(answered.items(), key=lambda entry: (-entry[1], entry[0]))
    return {reason: Findings(number, wrong[reason]) for reason, number in ordered}


def _conditions(
    task: "Task", judged: Sequence[Judged], teacher: Mapping[int, Judged], part: Sequence[int], look: int
) -> list[Readiness]:
    """What the task asks of a student, on these documents."""
    conditions = []
    margin, required = task.readiness.margin, task.readiness.required
    both = [number for number in part if number in teacher]
    if margin is not None and any(_has_value_right(teacher[number]) for number in both):
        mine, other = [judged[number] for number in both], [teacher[number] for number in both]
        conditions.append(against_teacher(mine, other, margin, look))
    if required is not None or not conditions:
        some = [judged[number] for number in part]
        conditions.append(against_gold(some, DEFAULT_REQUIRED if required is None else required, look))
    return conditions


def _has_value_right(document: Judged) -> bool:
    """Whether any value is right; who writes nothing is right where there is none, and no measure for a student."""
    return any(each is Outcome.CORRECT and name not in document.absent for name, each in document.outcomes.items())


def _labels(task: "Task", rows: Sequence[LabelledRow]) -> list[Value]:
    """The right label of each row as the task writes it, of several all of them; nothing where the task has none."""
    if task.kind is not TaskKind.CLASSIFY:
        return []
    described = task.output_fields[0]
    if task.multi_label:
        return ["; ".join(sorted(value_texts(row.answer.get(described.name)))) for row in rows]
    return [normalise(described, row.answer.get(described.name)) for row in rows]


def _leading_label(task: "Task", labels: Sequence[Value]) -> str | None:
    """The label that is right for so many rows that always answering it would do."""
    counts = Counter(label for label in labels if isinstance(label, str))
    label, times = next(iter(counts.most_common(1)), ("", 0))
    required = DEFAULT_REQUIRED if task.readiness.required is None else task.readiness.required
    return label if times > required * len(labels) else None


def _fields_without_gold(task: "Task", rows: Sequence[LabelledRow]) -> list[str]:
    return [field.name for field in task.output_fields if not any(row.answer.get(field.name) for row in rows)]


def _without(
    names: Sequence[str], judged: list[Judged], teacher: dict[int, Judged]
) -> tuple[list[Judged], dict[int, Judged]]:
    """The documents without fields that are never right but by being empty; one that is invented somewhere stays."""
    silent = {
        name
        for name in names
        if all(document.outcomes.get(name) in (Outcome.CORRECT, None) for document in (*judged, *teacher.values()))
    }
    if not silent or len(silent) == len(judged[0].outcomes):
        return judged, teacher

    def rest(document: Judged) -> Judged:
        outcomes = {name: each for name, each in document.outcomes.items() if name not in silent}
        return replace(document, outcomes=outcomes, absent=document.absent - silent)

    return list(map(rest, judged)), {number: rest(document) for number, document in teacher.items()}


def look_number(manifest: Manifest, labelled_sha256: str) -> int:
    """Which look at this model the labelled rows of a file are; the same file again is no other look."""
    verdict = manifest.verdict
    if verdict is None or verdict_problem(verdict, manifest.identity):
        return 1
    return verdict.look + (verdict.labelled_sha256 != labelled_sha256)


def write_verdict(
    artifact_dir: Path,
    manifest: Manifest,
    quality_report: QualityReport,
    labelled_sha256: str,
    answered: Sequence[tuple[LabelledRow, Result]],
) -> Manifest:
    """Writes verdict and metrics into the artifact's manifest; gives the manifest as written.

    Args:
        manifest: Of the artifact as it was verified before it answered.
        labelled_sha256: Of the file with the labelled rows, as it was when they were read.
        answered: The judged rows with what it answered.

    Raises:
        ArtifactError: There is another model in this place now.
    """
    readiness, manifest = quality_report.readiness, read_unchanged(artifact_dir, manifest)
    verdict = Verdict(
        readiness.verdict,
        readiness.basis,
        readiness.estimate,
        readiness.low,
        readiness.threshold,
        readiness.documents,
        readiness.fields,
        labelled_sha256,
        utc_now(),
        manifest.identity,
        compute_class(manifest),
        look=quality_report.look,
        answers=recorded_answers(labelled_sha256, [row for row, _ in answered], [result for _, result in answered]),
    )
    # Labels may be many hundred, and every reader of the manifest reads them.
    quality: JSON = json.loads(json_text(replace(quality_report, by_label={}).record()))
    judged = replace(
        manifest,
        version=MANIFEST_VERSION,
        verdict=sealed(verdict),
        metrics={**manifest.metrics, "quality": quality},
    )  # fmt: skip
    rewrite_manifest(artifact_dir, judged)
    return judged
