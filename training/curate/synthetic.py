"""Documents that a teacher wrote: they train, within a share, and are never judged by."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from appliance.quality.near_duplicates import near_ones
from appliance.tasks.folder import Split
from training.curate.split import place, sibling_key
from training.synthesis.synthesise import SYNTHETIC

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow

MOST_SHARE = 0.7
"""Of the training rows that may be synthetic, where nobody says otherwise."""

Rejected = tuple["LabelledRow", list[str]]


def is_synthetic(row: "LabelledRow") -> bool:
    """Whether a teacher wrote the document."""
    return SYNTHETIC in row.provenance


def with_synthetic(
    splits: Mapping[Split, Sequence["LabelledRow"]], synthetic: Sequence["LabelledRow"], most_share: float
) -> tuple[list["LabelledRow"], list[Rejected]]:
    """The training rows with the synthetic ones, and those that are left out with the reason.

    Args:
        splits: Of the real rows.
        most_share: Of the training rows that may be synthetic; which stay follows from their texts.
    """
    real = list(splits["train"])
    judged = [row.text for name in ("validation", "test") for row in splits[name]]
    rejected: list[Rejected] = []
    apart = []
    for row, near in zip(synthetic, near_ones([row.text for row in synthetic], judged), strict=True):
        if next(near, None) is None:
            apart.append(row)
        else:
            rejected.append((row, ["contamination: it is nearly a document that the student is judged by"]))
    most = len(apart) if most_share >= 1 else int(most_share / (1 - most_share) * len(real))
    order = sorted(apart, key=lambda row: place(f"synthetic {sibling_key(row)}"))
    kept = {id(row) for row in order[:most]}
    reason = f"cap: more than {most_share:.0%} of the training rows would be synthetic"
    rejected += [(row, [reason]) for row in apart if id(row) not in kept]
    return [*real, *(row for row in apart if id(row) in kept)], rejected
