"""A gate's findings as an HTML page: the verdict, each field and label, what confidence is worth, the errors."""

from collections.abc import Sequence
from pathlib import Path

from appliance.engines.engine import Result
from appliance.ground.text import human_count
from appliance.quality.calibration import ReliabilityBin, expected_calibration_error, reliability
from appliance.quality.errors import Evidence, FieldError, confusions, field_errors
from appliance.quality.field_quality import FieldQuality
from appliance.quality.figure import Figure
from appliance.quality.metrics import Counts, Outcome, outcome
from appliance.quality.page import cell, render_page, shown_value
from appliance.quality.plots import Axis, Drawing, Mark, dot_plot, reliability_plot, span
from appliance.quality.report import QualityReport
from appliance.quality.statistics import Interval, wilson
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Task

SHOWN_ERRORS, SHOWN_CONFUSIONS, SHOWN_LABELS = 200, 30, 100
BINS = 10
_FOLDER = Path(__file__).parent


def gate_page(
    task: Task, model: str, report: QualityReport, rows: Sequence[LabelledRow], results: Sequence[Result],
    values: bool = True,
) -> str:  # fmt: skip
    """The page as text.

    Args:
        values: Whether it holds what documents and answers say; without, it names only documents and fields.
    """
    facts = [
        ("Model", model),
        ("Task", task.name),
        ("Documents", f"{report.documents:,}, {report.failed:,} without an answer"),
        ("Fields right", f"{report.field_accuracy.percent()}"),
        ("Documents right", f"{report.document_accuracy.percent()}"),
        ("Labels by", ", ".join(f"{who}: {count:,}" for who, count in sorted(report.labelled_by.items()))),
    ]
    if report.look > 1:
        facts.append(("Look", f"number {report.look} at this model"))
    return render_page(
        _FOLDER, "gate.html.jinja", f"{model}: {report.readiness.verdict}",
        {"facts": facts, "verdict": f"{report.readiness.verdict}: {report.readiness.reason}",
         "advice": report.readiness.advice,
         "unmet": [reason for reason in report.unmet if reason != report.readiness.reason],
         "sections": quality_sections(task, report, rows, results, values)},
    )  # fmt: skip


def quality_sections(
    task: Task, report: QualityReport, rows: Sequence[LabelledRow], results: Sequence[Result], values: bool = True
) -> dict[str, object]:
    """What `quality.html.jinja` shows of one model on labelled documents."""
    bins, ece, n = _reliability(task, rows, results)
    errors = field_errors(task, rows, results)
    return {
        "fields": [_quality_row(name, each) for name, each in report.by_field.items()],
        "recall_plot": _recall_plot(report),
        "labels": [_quality_row(name, each) for name, each in list(report.by_label.items())[:SHOWN_LABELS]],
        "all_labels": len(report.by_label),
        "confusions": confusions(task, rows, results)[:SHOWN_CONFUSIONS],
        "reliability": reliability_plot("Confidence against share right", bins) if bins else None,
        "reliability_note": f"Expected calibration error {100 * ece:.1f} points, {human_count(n, 'value')};"
        " a bar from the diagonal is the distance between what the model says and what is right.",
        "slices": _worst_slices(report),
        "errors": [_error(each, values) for each in errors[:SHOWN_ERRORS]],
        "how_many": f"the surest {SHOWN_ERRORS:,} of {len(errors):,}" if len(errors) > SHOWN_ERRORS else len(errors),
    }


def _share(interval: Interval, n: int) -> dict[str, str]:
    return {"text": interval.percent() if n else "-", "n": f"{n:,}" if n else ""}


def _quality_row(name: str, quality: FieldQuality) -> dict[str, object]:
    return {
        "name": name,
        "recall": _share(quality.recall, quality.present),
        "precision": _share(quality.precision, quality.written),
        "invented": _share(quality.invented_share, quality.absent),
        "f1": f"{100 * quality.f1:.1f} %" if quality.present or quality.written else "-",
    }


def _recall_plot(report: QualityReport) -> Drawing | None:
    figures = [
        (name, Figure.of(each.recall, each.present)) for name, each in report.by_field.items() if each.present
    ]  # fmt: skip
    if len(figures) < 2:
        return None
    marks = [
        Mark(name, figure, f"{100 * figure.value:.1f} %, {figure.n:,} values")
        for name, figure in sorted(figures, key=lambda entry: entry[1].value)
    ]
    axis = Axis(*span([mark.figure for mark in marks], 0.0, 1.0), format_tick=lambda value: f"{100 * value:.3g} %")
    return dot_plot("Values found (recall) of each field", marks, axis)


def _reliability(
    task: Task, rows: Sequence[LabelledRow], results: Sequence[Result]
) -> tuple[list[ReliabilityBin], float, int]:
    sure, right = [], []
    for row, result in zip(rows, results, strict=True):
        for field in task.output_fields:
            share = result.confidence.get(field.name)
            if result.answer is not None and share is not None and field.name not in row.untrusted:
                sure.append(share)
                found = outcome(field, row.answer.get(field.name), result.answer.get(field.name))
                right.append(found is Outcome.CORRECT)
    if not sure:
        return [], 0.0, 0
    return reliability(sure, right, BINS), expected_calibration_error(sure, right), len(sure)


def _worst_slices(report: QualityReport) -> list[dict[str, str]]:
    parts: list[tuple[float, str, Counts]] = [
        (counts.accuracy, f"{name}: {value or 'none'}", counts)
        for name, values in report.slices.items()
        for value, counts in values.items()
        if counts.fields
    ]
    return [
        {"name": name, "accuracy": wilson(counts.correct, counts.fields).percent(), "n": f"{counts.fields:,}"}
        for _, name, counts in sorted(parts, key=lambda part: part[:2])
    ]


def _error(error: FieldError, values: bool) -> dict[str, object]:
    hidden = cell("")
    return {
        "document": error.document,
        "field": error.field or "all",
        "kind": error.kind,
        "right": shown_value(error.right) if values and error.field else hidden,
        "answer": shown_value(error.answer) if values and error.field else hidden,
        "sure": "" if error.confidence is None else f"{error.confidence:.2f}",
        "around": _around(error.right_evidence or error.answer_evidence) if values else "",
    }


def _around(evidence: Evidence | None) -> str:
    return evidence.around if evidence else ""
