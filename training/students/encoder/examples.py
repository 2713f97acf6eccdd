"""A task's rows as an encoder student sees them: token ids and a distribution over the labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from appliance.engines.windows import MOST_WINDOWS, framed_pieces
from appliance.ground.errors import UsageError
from appliance.tasks.labels import LabelledRow


@dataclass(frozen=True)
class Examples:
    """Rows as the student sees them."""

    token_ids: list[list[int]]
    targets: Tensor
    """(rows, labels) float32 distributions; each row sums to 1, or less where a teacher did not tell the shares of all,
    but where a row may have several labels: 1 for each."""
    row_numbers: Sequence[int] = ()
    """The row that each piece is of; empty where every row is one piece."""
    cut: int = 0
    """Rows of which only the first tokens are seen."""
    unread: int = 0
    """Rows left out, as they have more pieces than a document may have."""

    @property
    def rows(self) -> int:
        """Rows that are seen."""
        return len(set(self.row_numbers)) if self.row_numbers else len(self.token_ids)

    @property
    def pieces_of_documents(self) -> list[int]:
        """How many pieces each row of more than one has."""
        return [count for count in Counter(self.row_numbers).values() if count > 1]

    def first(self, examples: int) -> "Examples":
        """So many of the pieces."""
        return replace(
            self,
            token_ids=self.token_ids[:examples],
            targets=self.targets[:examples],
            row_numbers=self.row_numbers[:examples],
        )

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
    # What is missing to 1 is the probability of anything else, and no label's.
    return [shares.get(label, 0.0) / max(1.0, total) for label in labels]


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
    rows: Sequence[LabelledRow],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    multi_label: bool = False,
    in_pieces: bool = False,
) -> Examples:
    """The rows as token ids with their targets, cut where the tokenizer cuts, or in the pieces that `run` reads.

    Args:
        multi_label: Whether a row may have several labels, or none.
        in_pieces: Whether what lies behind the cut is an example of its own, with the label of the whole.

    Raises:
        UsageError: A row names a label that the task does not have, or none.
    """
    target_of = target_labels if multi_label else target_distribution
    targets = torch.tensor([target_of(row, labels) for row in rows], dtype=torch.float32)
    targets = targets.reshape(len(rows), len(labels))
    encodings = tokenizer.encode_batch([row.text for row in rows])
    if not in_pieces:
        cut = sum(bool(encoding.overflowing) for encoding in encodings)
        return Examples([encoding.ids for encoding in encodings], targets, cut=cut)
    untruncated = Tokenizer.from_str(tokenizer.to_str())
    untruncated.no_truncation()
    frame = untruncated.encode("").ids
    before, after = frame[: len(frame) // 2], frame[len(frame) // 2 :]
    limit: dict[str, Any] = tokenizer.truncation or {}
    token_ids: list[list[int]] = []
    row_numbers: list[int] = []
    unread = 0
    for number, encoding in enumerate(untruncated.encode_batch([row.text for row in rows], add_special_tokens=False)):
        pieces = framed_pieces(encoding.ids, before, after, int(limit["max_length"]))
        if len(pieces) > MOST_WINDOWS:
            unread += 1
            continue
        token_ids += pieces
        row_numbers += [number] * len(pieces)
    return Examples(token_ids, targets[row_numbers], row_numbers, unread=unread)


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
