"""Judges what an artifact answers to labelled rows, and writes the verdict into the artifact."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.engine import Result
from appliance.ground.json_text import json_text
from appliance.models.manifest import JSON, Manifest, Verdict, file_sha256, rewrite_manifest, utc_now
from appliance.quality.metrics import abstention, count, coverages, judge
from appliance.quality.readiness import against_gold, against_teacher, worst
from appliance.quality.report import QualityReport, report
from appliance.tasks.labels import LabelledRow, check_field_names

if TYPE_CHECKING:
    from appliance.tasks.task import Task

DEFAULT_REQUIRED = 0.95
"""Field accuracy that is required where the task names neither a margin nor an accuracy."""


def judge_results(task: "Task", rows: Sequence[LabelledRow], results: Sequence[Result]) -> QualityReport:
    """The report on a student's answers, with the verdict by the task's readiness.

    Raises:
        UsageError: A row names a field that the task does not have.
    """
    check_field_names(task, rows)
    answers = [result.answer for result in results]
    judged = [judge(task, row.document, row.answer, answer) for row, answer in zip(rows, answers, strict=True)]
    teacher = None
    if all(row.teacher_answer is not None for row in rows):
        teacher = [judge(task, row.document, row.answer, row.teacher_answer) for row in rows]
    conditions = []
    margin, required = task.readiness.margin, task.readiness.required
    if teacher is not None and margin is not None:
        conditions.append(against_teacher(judged, teacher, margin))
    if required is not None or not conditions:
        conditions.append(against_gold(judged, DEFAULT_REQUIRED if required is None else required))
    return replace(
        report(task, judged, worst(conditions)),
        coverage=coverages(judged, [result.confidence for result in results]),
        abstention=abstention(task, [row.answer for row in rows], answers),
        labelled_by=dict(Counter(row.source for row in rows)),
        teacher_accuracy=count(teacher).accuracy if teacher else None,
    )


def write_verdict(artifact_dir: Path, manifest: Manifest, quality_report: QualityReport, rows_path: Path) -> Verdict:
    """Writes verdict and metrics into the artifact's manifest."""
    readiness = quality_report.readiness
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
    quality: JSON = json.loads(json_text(quality_report.record()))
    rewrite_manifest(artifact_dir, replace(manifest, verdict=verdict, metrics={**manifest.metrics, "quality": quality}))
    return verdict
