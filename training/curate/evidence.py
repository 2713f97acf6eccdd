"""Is what the teacher says in the document? A literal value that is not printed there was invented or altered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.curate.answer_checks import Findings

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


def not_in_text(task: "Task", rows: Sequence["LabelledRow"]) -> Findings:
    """Rows with a value of a literal field that the text does not hold."""
    from appliance.tasks.values import find, printed_texts

    literal = [field for field in task.output_fields if field.evidence == "literal"]
    findings: Findings = {}
    for number, row in enumerate(rows):
        reasons = []
        for field in literal:
            printed = printed_texts(field, row.answer.get(field.name))
            if any(find(text, row.text) is None for text in printed):
                reasons.append(f"evidence: {field.name} is not in the text")
        if reasons:
            findings[number] = reasons
    return findings
