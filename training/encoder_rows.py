"""A task's rows as an encoder student sees them: token ids and a distribution over the labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from appliance.ground.errors import UsageError
from appliance.tasks.labels import LabelledRow, read_dataset

BUCKET_BATCHES = 8
"""Batches are cut from this many batches' worth of shuffled rows sorted by length: little padding, still random."""


@dataclass(frozen=True)
class Examples:
    """Rows as the student sees them."""

    token_ids: list[list[int]]
    targets: Tensor
    """(rows, labels) float32 distributions; each row sums to 1."""

    def __len__(self) -> int:
        return len(self.token_ids)


def class_labels(labels: Sequence[str], abstain: str | None) -> list[str]:
    """What the head tells apart: the task's labels, and the one that means none of these."""
    return [*labels, *([abstain] if abstain and abstain not in labels else [])]


def target_distribution(row: LabelledRow, labels: Sequence[str]) -> list[float]:
    """The distribution that a row teaches: its shares where it has them, else all on its answer.

    Raises:
        UsageError: The row names a label that the task does not have, or none.
    """
    answer = row.answer.get("label")
    shares = row.labels if row.labels is not None else {str(answer): 1.0} if answer is not None else {}
    unknown = [label for label in shares if label not in labels]
    total = sum(shares.values())
    if unknown or total <= 0 or min(shares.values()) < 0:
        what = f"names the label {unknown[0]!r}, which the task does not have" if unknown else "has no label"
        raise UsageError(f"the dataset row of {row.document} {what}", "run `stillroom curate` on this task again")
    return [shares.get(label, 0.0) / total for label in labels]


def read_examples(path: Path, tokenizer: Tokenizer, labels: Sequence[str]) -> Examples:
    """The rows of a dataset file.

    Raises:
        UsageError: The file is missing or no dataset of this task.
    """
    rows = read_dataset(path)
    token_ids = [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])]
    targets = torch.tensor([target_distribution(row, labels) for row in rows], dtype=torch.float32)
    return Examples(token_ids, targets.reshape(len(rows), len(labels)))


def batches(examples: Examples, batch_rows: int, generator: np.random.Generator) -> Iterator[list[int]]:
    """One epoch of row numbers, random, rows of similar length together."""
    order = generator.permutation(len(examples))
    cut: list[list[int]] = []
    for start in range(0, len(order), batch_rows * BUCKET_BATCHES):
        bucket = sorted(
            order[start : start + batch_rows * BUCKET_BATCHES], key=lambda row: len(examples.token_ids[row])
        )
        cut += [bucket[at : at + batch_rows] for at in range(0, len(bucket), batch_rows)]
    for number in generator.permutation(len(cut)):
        yield [int(row) for row in cut[number]]
