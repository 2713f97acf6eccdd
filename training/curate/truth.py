"""Is what a teacher says likely right? What models that never saw a row, and the teacher itself, make of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.tasks.task import FieldType, TaskKind
from training.curate.doubts import Doubt
from training.curate.value_truth import judge_values, usual_shares, value_doubts, values_not_in_text

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


@dataclass(frozen=True)
class Truth:
    """What speaks against the values of teachers."""

    doubts: dict[int, list[Doubt]]
    """Number of a row -> its doubts."""
    scores: dict[str, float]
    """Text of a row -> values of its answer that are expected to be wrong."""


def judge_truth(task: "Task", rows: Sequence["LabelledRow"]) -> Truth:
    """What models that never saw a row, and a teacher that was asked several times, make of its values.

    Raises:
        ResourceError: A library that is needed is missing.
    """
    if task.kind is TaskKind.CLASSIFY:
        return _judge_classification(task, rows)
    judgements = judge_values(task, rows)
    scores = {row.text: 0.0 for row in rows}
    usual = usual_shares(judgements, rows)
    for (number, name), judgement in judgements.items():
        if name in usual:
            odds = judgement.log_odds(usual[name], bool(rows[number].answer.get(name)))
            scores[rows[number].text] += 1 / (1 + math.exp(-odds))
    for row in rows:
        scores[row.text] += sum(1 - share for share in row.agreement.values())
    doubts = _together(
        values_not_in_text(task, rows),
        value_doubts(judgements, rows),
        _choices(task, rows, scores),
        disagreements(rows),
    )
    return Truth(doubts, scores)


def _choices(task: "Task", rows: Sequence["LabelledRow"], scores: dict[str, float]) -> dict[int, list[Doubt]]:
    """The doubted values of fields with a fixed set; adds how likely they are wrong to the rows' scores."""
    from training.curate.label_truth import judge_labels, label_doubts

    doubts: dict[int, list[Doubt]] = {}
    for field in task.output_fields:
        if not field.is_choice or field.type is FieldType.LIST:
            continue
        some = [number for number, row in enumerate(rows) if field.name not in row.untrusted]
        judged = [rows[number] for number in some]
        judgements = judge_labels(
            [str(row.answer.get(field.name) or "") for row in judged], [row.text for row in judged]
        )
        for row, each in zip(judged, judgements, strict=False):
            scores[row.text] += 1 - each.share
        found = label_doubts(judged, judgements, field.name)
        doubts = _together(doubts, {some[number]: of for number, of in found.items()})
    return doubts


def _judge_classification(task: "Task", rows: Sequence["LabelledRow"]) -> Truth:
    if task.multi_label:
        return Truth({}, {})
    from training.curate.label_truth import judge_labels, label_doubts
    from training.curate.text_vectors import text_vectors

    labels = [str(row.answer.get("label") or "") for row in rows]
    judgements = judge_labels(labels, [row.text for row in rows], text_vectors(task, [row.text for row in rows]))
    scores = {row.text: 1 - each.share for row, each in zip(rows, judgements, strict=False)}
    for row in rows:
        # A teacher that was asked several times, or that told its probabilities, may have doubted it itself.
        shares = row.labels or {}
        own = shares.get(str(row.answer.get("label")), 1.0 if not shares else 0.0)
        scores[row.text] = scores.get(row.text, 0.0) + 1 - own
    return Truth(label_doubts(rows, judgements), scores)


MOST_DISAGREEMENT = 0.5
"""Share of a teacher's answers to one document that say the same of a field, up to which it is doubted."""


def disagreements(rows: Sequence["LabelledRow"]) -> dict[int, list[Doubt]]:
    """The values on which a teacher that was asked several times did not agree with itself."""
    doubts: dict[int, list[Doubt]] = {}
    for number, row in enumerate(rows):
        some = [
            Doubt(name, f"agreement: {share:.0%} of the teacher's answers say the same of {name}")
            for name, share in row.agreement.items()
            if share <= MOST_DISAGREEMENT and row.source == "teacher"
        ]
        if some:
            doubts[number] = some
    return doubts


def _together(*parts: dict[int, list[Doubt]]) -> dict[int, list[Doubt]]:
    return {
        number: [doubt for part in parts for doubt in part.get(number, [])]
        for number in sorted({number for part in parts for number in part})
    }
