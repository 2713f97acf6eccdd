"""Judges what an artifact answers to labelled rows, and writes the verdict into the artifact."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.engine import Result
from appliance.ground.json_text import json_text
from appliance.models.compute_class import compute_class
from appliance.models.manifest import MANIFEST_VERSION, Manifest, read_unchanged, rewrite_manifest, utc_now
from appliance.models.manifest_json import JSON
from appliance.models.verdict import Verdict, sealed
from appliance.quality.carry_over import recorded_answers
from appliance.quality.metrics import Counts, Judged, Outcome, abstention, count, coverages, judge
from appliance.quality.readiness import Readiness, against_gold, against_teacher, worst
from appliance.quality.report import Findings, QualityReport, report
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.labels import LabelledRow, check_rows
from appliance.tasks.linecode import Answer, Value, display_value
from appliance.tasks.task import TaskKind
from appliance.tasks.values import normalise, value_texts

if TYPE_CHECKING:
    from appliance.tasks.task import Task

DEFAULT_REQUIRED = 0.95
"""Field accuracy that is required where the task names neither a margin nor an accuracy."""
MOST_SLICES = 12
"""Values of a field that a report breaks quality down by."""


def judge_results(
    task: "Task", rows: Sequence[LabelledRow], results: Sequence[Result], clusters: Sequence[int] = (), copies: int = 0
) -> QualityReport:
    """The report on a student's answers, with the verdict by the task's readiness.

    Where some rows have no value in any field, the verdict must hold without them, too: a student that writes nothing
    is right about all of those. So it must without the most frequent label, where always answering it would do.

    Args:
        clusters: Number of the group of near duplicates of each row; empty where every row counts for itself.
        copies: Rows that were left out before, as their texts are those of others.

    Raises:
        UsageError: A row names a field that the task does not have.
    """
    check_rows(task, rows)
    answers = [result.answer for result in results]
    numbers: Sequence[int | None] = clusters or [None] * len(rows)
    judged = [
        replace(judge(task, row.document, row.answer, answer), cluster=cluster)
        for row, answer, cluster in zip(rows, answers, numbers, strict=True)
    ]
    teacher = None
    if all(row.teacher_answer is not None for row in rows):
        teacher = [judge(task, row.document, row.answer, row.teacher_answer) for row in rows]
    unseen = _fields_without_gold(task, rows)
    judged, teacher = _without(unseen, judged, teacher)
    conditions = _conditions(task, judged, teacher)
    valued = [number for number, row in enumerate(rows) if any(row.answer.values())]
    labels = _labels(task, rows)
    seen = {label for row in rows for label in row.answer.get("label") or ()} if task.multi_label else set(labels)
    leading = _leading_label(task, labels)
    others = [number for number, label in enumerate(labels) if label != leading]
    for part in (valued, others):
        if 0 < len(part) < len(rows):
            conditions += _conditions(
                task, [judged[number] for number in part], teacher and [teacher[number] for number in part]
            )
    return replace(
        report(task, judged, worst(conditions)),
        failures=dict(Counter(result.error or "no answer" for result in results if result.answer is None)),
        findings=_findings(task, answers, judged),
        copies=copies,
        empty=len(rows) - len(valued),
        leading_label=leading or "",
        not_judged=tuple(unseen) or tuple(f"label {label}" for label in task.labels if label not in seen),
        slices={name: _slice(name, rows, judged) for name in task.slices},
        coverage=coverages(judged, [result.confidence for result in results]),
        abstention=abstention(task, [row.answer for row in rows], answers),
        labelled_by=dict(Counter(row.source for row in rows)),
        teacher_accuracy=count(teacher).accuracy if teacher else None,
    )


def _findings(task: "Task", answers: Sequence[Answer | None], judged: Sequence[Judged]) -> dict[str, Findings]:
    """What is wrong with answers in themselves, the most frequent first."""
    answered, wrong = Counter[str](), Counter[str]()
    for answer, document in zip(answers, judged, strict=True):
        reasons = {finding.reason for finding in answer_findings(task, answer)} if answer is not None else set()
        answered.update(reasons)
        wrong.update(reasons if not document.whole else ())
    ordered = sorted(answered.items(), key=lambda entry: (-entry[1], entry[0]))
    return {reason: Findings(number, wrong[reason]) for reason, number in ordered}


def _conditions(task: "Task", judged: Sequence[Judged], teacher: Sequence[Judged] | None) -> list[Readiness]:
    """What the task asks of a student, on these documents."""
    conditions = []
    margin, required = task.readiness.margin, task.readiness.required
    if teacher is not None and margin is not None and any(map(_has_value_right, teacher)):
        conditions.append(against_teacher(judged, teacher, margin))
    if required is not None or not conditions:
        conditions.append(against_gold(judged, DEFAULT_REQUIRED if required is None else required))
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
    names: Sequence[str], judged: list[Judged], teacher: list[Judged] | None
) -> tuple[list[Judged], list[Judged] | None]:
    """The documents without fields that are never right but by being empty; one that is invented somewhere stays."""
    silent = {
        name
        for name in names
        if all(document.outcomes[name] is Outcome.CORRECT for document in (*judged, *(teacher or ())))
    }
    if not silent or len(silent) == len(judged[0].outcomes):
        return judged, teacher

    def rest(documents: Sequence[Judged]) -> list[Judged]:
        return [
            replace(
                document,
                outcomes={name: each for name, each in document.outcomes.items() if name not in silent},
                absent=document.absent - silent,
            )
            for document in documents
        ]

    return rest(judged), None if teacher is None else rest(teacher)


def _slice(name: str, rows: Sequence[LabelledRow], judged: Sequence[Judged]) -> dict[str, Counts]:
    """Counts of all fields of the documents, by the right value of one field; the most frequent values first."""
    documents: dict[str, list[Judged]] = {}
    for row, document in zip(rows, judged, strict=True):
        value = row.answer.get(name)
        documents.setdefault(display_value(value), []).append(document)
    frequent = sorted(documents.items(), key=lambda entry: (-len(entry[1]), entry[0]))[:MOST_SLICES]
    return {value: count(group) for value, group in frequent}


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
        answers=recorded_answers(labelled_sha256, [row for row, _ in answered], [result for _, result in answered]),
    )
    quality: JSON = json.loads(json_text(quality_report.record()))
    judged = replace(
        manifest,
        version=MANIFEST_VERSION,
        verdict=sealed(verdict),
        metrics={**manifest.metrics, "quality": quality},
    )  # fmt: skip
    rewrite_manifest(artifact_dir, judged)
    return judged
