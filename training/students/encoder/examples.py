"""A task's rows as an encoder student sees them: token ids and a distribution over the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from appliance.ground.errors import UsageError
from appliance.tasks.labels import LabelledRow


@dataclass(frozen=True)
class Examples:
    """Rows as the student sees them."""

    token_ids: list[list[int]]
    targets: Tensor
    """(rows, labels) float32 distributions; each row sums to 1, but where a row may have several labels: 1 for each."""

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


def target_labels(row: LabelledRow, labels: Sequence[str]) -> list[float]:
    """1 for each label that a row has, of those it may have; a row may have none.

    Raises:
        UsageError: The row names a label that the task does not have.
    """
    answer = row.answer.get("label") or []
    names = [answer] if isinstance(answer, str) else answer
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise UsageError(
            f"the dataset row of {row.document} names the label {unknown[0]!r}, which the task does not have",
            "run `stillroom curate` on this task again",
        )
    return [float(label in names) for label in labels]


def build_examples(
    rows: Sequence[LabelledRow], tokenizer: Tokenizer, labels: Sequence[str], multi_label: bool = False
) -> Examples:
    """The rows as token ids, cut where the tokenizer cuts, with their targets.

    Args:
        multi_label: Whether a row may have several labels, or none.

    Raises:
        UsageError: A row names a label that the task does not have, or none.
    """
    token_ids = [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])]
    target_of = target_labels if multi_label else target_distribution
    targets = torch.tensor([target_of(row, labels) for row in rows], dtype=torch.float32)
    return Examples(token_ids, targets.reshape(len(rows), len(labels)))


@dataclass(frozen=True)
class Batch:
    """Right-padded texts with their targets."""

    input_ids: Tensor
    """(batch, seq_len) int64."""
    attention_mask: Tensor
    """(batch, seq_len) int64; 0 where there is padding."""
    targets: Tensor
    """(batch, labels) float32 distributions."""
    tokens: int
    """Without padding."""

    @property
    def weight(self) -> float:
        """Texts."""
        return float(len(self.input_ids))

    def to(self, device: torch.device) -> "Batch":
        """The batch where the model is."""
        tensors = (self.input_ids, self.attention_mask, self.targets)
        input_ids, attention_mask, targets = (tensor.to(device) for tensor in tensors)
        return Batch(input_ids, attention_mask, targets, self.tokens)


def pad(token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask as (batch, longest) int64 tensors, padded on the right with zeros."""
    longest = max(len(ids) for ids in token_ids)
    input_ids = torch.zeros(len(token_ids), longest, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(token_ids):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask
