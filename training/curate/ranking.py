"""Which answers a person should look at first: those that are likely wrong, and some drawn at random beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.review.queue import Kind, QueueEntry, in_turn
from appliance.tasks.labels import LabelledRow
from training.curate.split import place, sibling_key

AUDIT_SHARE, LEAST_AUDIT = 0.1, 30
"""Of the answers that are drawn at random, and how many at least."""
MOST_RANKED = 2000
"""Longer queues are looked at by nobody."""


def review_queue(
    kept: Sequence[LabelledRow],
    rejected: Sequence[tuple[LabelledRow, Sequence[str]]],
    scores: Mapping[str, float],
) -> list[QueueEntry]:
    """The queue, the likeliest mistakes first.

    A doubt counts as one value that is wrong; beside it counts what the models that judge the truth expect. Copies of
    other rows, and what people gave, are not in it.

    Args:
        scores: Text -> values of its answer that are expected to be wrong.
    """
    entries = []
    for row in kept:
        if row.source == "teacher":
            entries.append(QueueEntry(row, len(row.untrusted) + scores.get(row.text, 0.0), doubts=dict(row.untrusted)))
    for row, reasons in rejected:
        if row.source == "teacher" and not reasons[0].startswith(("duplicate:", "review:", "cap:")):
            doubts = {**row.untrusted, "": "; ".join(reasons)}
            entries.append(QueueEntry(row, 1.0 + scores.get(row.text, 0.0), doubts=doubts))
    share = max(AUDIT_SHARE, LEAST_AUDIT / max(1, len(entries)))
    audited = [entry for entry in entries if place(f"audit {sibling_key(entry.row)}") < share]
    keys = {entry.key for entry in audited}
    ranked = sorted(
        (entry for entry in entries if entry.key not in keys),
        key=lambda entry: (-entry.score, place(entry.key)),
    )  # fmt: skip
    # In an order of their own: whoever looks at some of them has looked at a random part.
    audited.sort(key=lambda entry: place(f"order {entry.key}"))
    return in_turn(ranked[:MOST_RANKED], [replace(entry, kind=Kind.AUDIT) for entry in audited])
