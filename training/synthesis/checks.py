"""May a document that a teacher wrote be learnt from? It says what was planned, and nothing else could be meant."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from appliance.quality.near_duplicates import SHARE, Pairs, near_ones, word_pairs
from appliance.tasks.alignment import anchored
from appliance.tasks.canonical_text import canonical
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.task import Field, Task, TaskKind
from appliance.tasks.values import same
from training.synthesis.plans import DocumentPlan

if TYPE_CHECKING:
    from appliance.tasks.linecode import Answer

LEAST_WORDS = 5


def written_problem(
    task: Task, plan: DocumentPlan, text: str, seeds: Sequence[str], others: Collection[Pairs]
) -> str:  # fmt: skip
    """Why a document is not taken; empty where it is. Begins with a code.

    Args:
        seeds: Texts of all seeds.
        others: Word pairs of the texts that were taken before.
    """
    if len(text.split()) < LEAST_WORDS:
        return "short: it has hardly any words"
    if any(next(near, None) is not None for near in near_ones([text], list(seeds))):
        return "copy: it is nearly one of the seeds"
    for field in task.output_fields:
        value = plan.answer.get(field.name)
        if field.evidence == "derived" or not value:
            continue
        for each, part in _parts(field, value):
            if anchored(each, part, text) is None:
                return f"missing: {part[:40]!r} of {field.name} does not stand in it"
    if task.kind is TaskKind.CLASSIFY and _names_label(task, plan, text):
        return "tells: it names its label"
    mine = word_pairs(text)
    if any(len(mine & pairs) >= SHARE * len(mine | pairs) for pairs in others):
        return "duplicate: it is nearly one that was written before"
    return ""


def _names_label(task: Task, plan: DocumentPlan, text: str) -> bool:
    """Whether a label of several words stands in the text as it is spelt; one common word says nothing."""
    (field,) = task.output_fields
    value = plan.answer.get(field.name)
    labels = [value] if isinstance(value, str) else map(str, value or [])
    return any("_" in label and canonical(label) in canonical(text) for label in labels)


def _parts(field: Field, value: Value) -> list[tuple[Field, str]]:
    """The texts of a value that must stand in the document, each with the field that says how it is compared."""
    if is_records(value):
        columns = [column for column in field.columns if column.evidence == "literal"]
        return [(column, cell) for record in value for column in columns if (cell := record.get(column.name))]
    return [(field, text) for text in ([value] if isinstance(value, str) else map(str, value or []))]


def read_otherwise(task: Task, plan: DocumentPlan, answer: "Answer") -> str:
    """Which field a teacher who reads the document finds another value for; empty where none.

    A value that was planned to be missing and is found, or a second one that could be meant, shows here.
    """
    for field in task.output_fields:
        planned, read = plan.answer.get(field.name) or None, answer.get(field.name) or None
        if (planned is None) != (read is None) or (planned is not None and not same(field, planned, read)):
            return f"ambiguous: {field.name} is read as another value than was planned"
    return ""
