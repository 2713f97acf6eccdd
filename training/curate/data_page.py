"""What became of a teacher's answers as an HTML page: what is kept, what is not and why, its variety and cost."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.text import human_count
from appliance.quality.figure import Figure
from appliance.quality.near_duplicates import clusters
from appliance.quality.page import render_page, shown_value
from appliance.quality.plots import Axis, Drawing, Mark, dot_plot, stacked_bar
from appliance.quality.statistics import wilson
from appliance.tasks.folder import SPLITS
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import display_value
from appliance.tasks.values import value_texts
from training.answers_file import provenance_number
from training.curate.slices import slice_names

if TYPE_CHECKING:
    from appliance.tasks.task import Task
    from training.curate.pipeline import Curated

SHOWN_ROWS, SHOWN_REASONS, SHOWN_SLICES = 20, 30, 30
_TEXT_LETTERS = 600
_FOLDER = Path(__file__).parent
_LINEAGE = ("teacher", "served", "fingerprint", "date", "licence", "reviewer")


def data_page(task: "Task", curated: "Curated", values: bool = True) -> str:
    """The page as text.

    Args:
        values: Whether it holds what documents and answers say; without, it names only documents and fields.
    """
    report, kept = curated.report, [row for split in SPLITS for row in curated.splits[split]]
    facts = [
        ("Task", task.name),
        ("Answers", f"{report.rows:,}"),
        ("Kept", f"{len(kept):,}: {report.train:,} train, {report.validation:,} validation, {report.test:,} test"),
        ("Rejected", f"{report.rejected:,}"),
        ("Values not learnt from", f"{report.masked:,} in rows that are kept"),
        ("A person's answers", f"{report.people:,}"),
        ("Written by a teacher", f"{report.synthetic:,}"),
        ("To be looked at", f"{report.queue:,}"),
        ("Training rows", report.data_hash),
    ]
    shown = random.Random(0).sample(kept, min(SHOWN_ROWS, len(kept)))
    return render_page(
        _FOLDER, "data.html.jinja", f"{task.name}: the data that the student learns from",
        {
            "facts": facts, "bar": _bar(curated, kept), "yield_plot": _yield_plot(task, curated, kept),
            "reasons": _reasons(curated, values), "variety": _variety(task, curated.before, kept),
            "lineage": _lineage(curated.before), "cost": _cost(curated.before),
            "rows": [_row(task, row, values) for row in shown],
            "slices": [
                {"name": each.name, "counts": [each.train, each.validation, each.test], "low": each.below_floor}
                for each in report.slices[:SHOWN_SLICES]
            ],
        },
    )  # fmt: skip


def _bar(curated: "Curated", kept: Sequence[LabelledRow]) -> Drawing:
    whole = sum(not row.untrusted for row in kept)
    return stacked_bar(
        "Answers",
        [("kept whole", whole, "a"), ("kept without some values", len(kept) - whole, "c"),
         ("rejected", len(curated.rejected), "b")],
    )  # fmt: skip


def _yield_plot(task: "Task", curated: "Curated", kept: Sequence[LabelledRow]) -> Drawing | None:
    """Share of the rows of each slice that is kept; of the whole where a task has no slices."""
    before, after = Counter[str](), Counter[str]()
    for row in (*kept, *(row for row, _ in curated.rejected)):
        before.update(["all", *slice_names(task, row)])
    for row in kept:
        after.update(["all", *slice_names(task, row)])
    marks = []
    for name, count in before.most_common(SHOWN_SLICES):
        interval = wilson(after[name], count)
        marks.append(Mark(name, Figure.of(interval, count), f"{100 * interval.estimate:.1f} % of {count:,}"))
    if not marks:
        return None
    return dot_plot("Share of the answers that is kept", marks, Axis(0.0, 1.0, lambda value: f"{100 * value:.3g} %"))


def _reasons(curated: "Curated", values: bool) -> list[dict[str, object]]:
    """Filter, field, rows and examples, the most frequent first."""
    table = [
        {"filter": each.name, "field": name or "whole row", "rows": reason.rows,
         "examples": [text.replace(f": {each.name}: ", ": ", 1) for text in reason.examples] if values
         else [text.partition(": ")[0] for text in reason.examples]}
        for each in curated.report.filters
        for name, reason in each.reasons.items()
    ]  # fmt: skip
    others: defaultdict[str, list[str]] = defaultdict(list)
    for row, reasons in curated.rejected:
        code = reasons[0].partition(":")[0]
        if code in ("review", "cap"):
            others[code].append(f"{row.document}: {reasons[0]}" if values else row.document)
    table += [
        {"filter": code, "field": "whole row", "rows": len(examples), "examples": examples[:3]}
        for code, examples in others.items()
    ]
    return sorted(table, key=lambda each: -int(str(each["rows"])))[:SHOWN_REASONS]


def _variety(task: "Task", before: Sequence[LabelledRow], after: Sequence[LabelledRow]) -> list[dict[str, str]]:
    """How many different documents and values there were, and are left."""

    def families(rows: Sequence[LabelledRow]) -> str:
        return f"{len(set(clusters([row.text for row in rows]))):,} of {len(rows):,}"

    def lengths(rows: Sequence[LabelledRow]) -> str:
        words = sorted(len(row.text.split()) for row in rows)
        if not words:
            return "-"
        low, middle, high = (words[round(share * (len(words) - 1))] for share in (0.05, 0.5, 0.95))
        return f"{low:,} / {middle:,} / {high:,}"

    def values_of(rows: Iterable[LabelledRow], name: str) -> str:
        texts = [text for row in rows for text in _texts(row, name)]
        return f"{len(set(texts)):,} of {len(texts):,}"

    table = [
        {"what": "documents that are no near duplicates", "before": families(before), "after": families(after)},
        {"what": "words of a document: 5 %, half, 95 %", "before": lengths(before), "after": lengths(after)},
    ]
    table += [
        {"what": f"different values of {field.name}", "before": values_of(before, field.name),
         "after": values_of(after, field.name)}
        for field in task.output_fields
    ]  # fmt: skip
    return table


def _texts(row: LabelledRow, name: str) -> list[str]:
    value = row.answer.get(name)
    return [text.lower() for text in value_texts(value)]


def _lineage(rows: Sequence[LabelledRow]) -> list[dict[str, str]]:
    """Whose answers they are: teachers with what they said of themselves, and people."""
    counts = Counter(
        tuple({"teacher": row.teacher or "unknown", **row.provenance}.get(key, "") for key in _LINEAGE) for row in rows
    )
    return [
        {**dict(zip(_LINEAGE, names, strict=True)), "rows": f"{count:,}"} for names, count in counts.most_common(20)
    ]  # fmt: skip


def _cost(rows: Sequence[LabelledRow]) -> list[tuple[str, str]]:
    """What the answers took, as far as they say it."""
    sums: defaultdict[str, float] = defaultdict(float)
    told = 0
    for row in rows:
        told += "money" in row.provenance
        for key in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "money"):
            sums[key] += provenance_number(row, key)
    if not any(sums.values()):
        return []
    currency = next((row.provenance["currency"] for row in rows if row.provenance.get("currency")), "")
    return [
        ("Tokens", f"{sums['prompt_tokens']:,.0f} in, {sums['completion_tokens']:,.0f} out,"
         f" {sums['reasoning_tokens']:,.0f} reasoning"),
        ("Money", f"{sums['money']:.4g} {currency} for {human_count(told, 'answer')}"),
    ]  # fmt: skip


def _row(task: "Task", row: LabelledRow, values: bool) -> dict[str, object]:
    text = row.text if len(row.text) <= _TEXT_LETTERS else row.text[:_TEXT_LETTERS] + " ..."
    fields = [
        {"name": field.name, "value": shown_value(row.answer.get(field.name)),
         "doubt": row.untrusted.get(field.name, ""), "teacher": _other(row, field.name)}
        for field in task.output_fields
    ]  # fmt: skip
    return {"document": row.document, "lines": text.splitlines() if values else [],
            "fields": fields if values else [], "source": row.source}  # fmt: skip


def _other(row: LabelledRow, name: str) -> str:
    """What the teacher said where it is not what is taught."""
    if row.teacher_answer is None or row.teacher_answer.get(name) == row.answer.get(name):
        return ""
    return display_value(row.teacher_answer.get(name)) or "no value"
