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
from appliance.models.manifest import MANIFEST_VERSION, Manifest, file_sha256, rewrite_manifest, utc_now
from appliance.models.manifest_json import JSON
from appliance.models.verdict import Verdict, sealed
from appliance.quality.carry_over import recorded_answers
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


def write_verdict(
    artifact_dir: Path,
    manifest: Manifest,
    quality_report: QualityReport,
    rows_path: Path,
    answered: Sequence[tuple[LabelledRow, Result]],
) -> Manifest:
    """Writes verdict and metrics into the artifact's manifest; gives the manifest as written.

    Args:
        manifest: Of the artifact as it was verified before it answered.
        answered: The judged rows with what it answered.
    """
    readiness, labelled_sha256 = quality_report.readiness, file_sha256(rows_path)
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
