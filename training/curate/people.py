"""What people said of the teacher's answers, in place of these."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.review.decisions import Action, Decision
from appliance.tasks.labels import LabelledRow, text_hash


def with_decisions(
    rows: Sequence[LabelledRow], decisions: Mapping[str, Decision]
) -> tuple[list[LabelledRow], list[tuple[LabelledRow, list[str]]]]:
    """The rows as people left them, and those that they rejected with the reason.

    Rows that a person gave in another way stay as they are.
    """
    kept: list[LabelledRow] = []
    rejected: list[tuple[LabelledRow, list[str]]] = []
    for row in rows:
        decision = decisions.get(text_hash(row.text)) if row.source == "teacher" else None
        if decision is None or decision.action is Action.SKIP:
            kept.append(row)
        elif decision.action is Action.REJECT:
            rejected.append((row, [f"review: {decision.user} rejected it"]))
        else:
            who = {"reviewer": decision.user, "reviewed": _day(decision.time)}
            kept.append(
                replace(
                    row, answer=decision.answer, labels=None, source="person",
                    teacher_answer=row.teacher_answer or row.answer, provenance={**row.provenance, **who},
                )
            )  # fmt: skip
    return kept, rejected


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
