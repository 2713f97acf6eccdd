"""Measurements of a manifest as lines for a person: every share with its interval and its sample size."""

from collections.abc import Container, Iterator, Mapping
from typing import TypeGuard

from appliance.ground.text import human_count, percent_interval
from appliance.models.manifest import Manifest
from appliance.models.manifest_json import JSON
from appliance.models.verdict import Verdict

_SAMPLES = (
    ("field_accuracy", "fields", "field"),
    ("document_accuracy", "documents", "document"),
)
"""Share of the gate's report -> its sample size there, and the noun of one."""
_SHARES = ("estimate", "low", "high")
_MOST_LISTED = 8
_OF_VERDICT = ("verdict", "basis", "estimate", "low", "threshold", "documents", "fields")
"""What a verdict repeats of the gate's report."""


def measured_lines(manifest: Manifest) -> list[tuple[str, str]]:
    """Names and values; what the gate measured first, then what the export and other steps measured.

    Figures of a gate that has written no verdict about these files say nothing about them, and are left out.
    """
    quality = manifest.metrics.get("quality")
    others = {name: value for name, value in manifest.metrics.items() if name != "quality"}
    if quality is not None and not _is_of(quality, manifest.verdict):
        return [("gate", "its figures are left out: they are not those of a verdict on these files"), *_flat(others)]
    return [*_gate_lines(quality), *_flat(others)]


def _is_of(quality: JSON, verdict: Verdict | None) -> bool:
    """Whether these are the measurements from which the verdict follows."""
    readiness = quality.get("readiness") if isinstance(quality, dict) else None
    return (
        verdict is not None
        and isinstance(readiness, dict)
        and all(readiness.get(name) == getattr(verdict, name) for name in _OF_VERDICT)
    )


def _gate_lines(quality: JSON) -> Iterator[tuple[str, str]]:
    if not isinstance(quality, dict):
        return
    for name, size_name, noun in _SAMPLES:
        share, size = quality.get(name), quality.get(size_name)
        if _is_interval(share) and _is_count(size):
            yield name.replace("_", " "), f"{_share(share)}, {human_count(size, noun)}"
    counts, invented = quality.get("counts"), quality.get("invented")
    if isinstance(counts, dict):
        parts = [f"{counts.get(kind, 0)} {kind}" for kind in ("omitted", "substituted", "invented")]
        yield "mistakes", ", ".join(parts)
        absent = counts.get("absent")
        if _is_interval(invented) and _is_count(absent) and absent:
            yield "invented values", f"{_share(invented)}, {human_count(absent, 'absent field')}"
    failed, documents = quality.get("failed"), quality.get("documents")
    if failed:
        yield "without an answer", f"{failed} of {documents} documents"
    yield from _coverage_lines(quality.get("coverage"))
    teacher = quality.get("teacher_accuracy")
    if isinstance(teacher, float):
        yield "teacher accuracy", f"{100 * teacher:.1f} %, {quality.get('fields')} fields"
    yield from _field_lines(quality.get("fields_worst_first"))


def _coverage_lines(coverage: JSON) -> Iterator[tuple[str, str]]:
    for part in coverage if isinstance(coverage, list) else []:
        if isinstance(part, dict) and _is_interval(part.get("accuracy")) and isinstance(part.get("share"), float):
            name = f"most confident {100 * part['share']:.0f} %"  # type: ignore[operator]
            yield name, f"{_share(part['accuracy'])}, {part.get('fields')} fields"  # type: ignore[arg-type]


def _field_lines(by_field: JSON) -> Iterator[tuple[str, str]]:
    """Fields with their own sample; the interval needs no clusters, as a document has each field once."""
    from appliance.quality.statistics import wilson

    names = by_field if isinstance(by_field, dict) else {}
    for name, counts in names.items():
        if isinstance(counts, dict) and _is_count(counts.get("fields")) and _is_count(counts.get("correct")):
            correct, fields = int(counts["correct"]), int(counts["fields"])  # type: ignore[arg-type]
            if _is_column(name, names):
                # A document has a column as often as records: an interval would need to know which cells are whose.
                yield f"column {name}", f"{100 * correct / max(1, fields):.1f} % of {human_count(fields, 'cell')}"
                continue
            yield f"field {name}", f"{wilson(correct, fields).percent()}, {human_count(fields, 'document')}"


def _is_column(name: str, names: Container[str]) -> bool:
    """Whether the name is that of a column of records, `field.column`, whose field is there too."""
    return name.rpartition(".")[0] in names


def _is_count(value: JSON) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_interval(value: JSON) -> TypeGuard[dict[str, float]]:
    return isinstance(value, dict) and all(isinstance(value.get(part), int | float) for part in _SHARES)


def _share(interval: Mapping[str, float]) -> str:
    return percent_interval(interval["estimate"], interval["low"], interval["high"])


def _flat(values: Mapping[str, JSON], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested measurements as lines; long lists only by their length."""
    for name, value in values.items():
        path = f"{before}{name}"
        if _is_interval(value):
            yield path, _share(value)
        elif isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and len(value) > _MOST_LISTED:
            yield path, human_count(len(value), "value")
        else:
            yield path, f"{value:.4f}" if isinstance(value, float) else str(value)
