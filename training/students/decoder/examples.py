"""Rows to batches of token ids: rendered by the one prompt template, loss only on what the student writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from appliance.tasks.linecode import Value
from appliance.tasks.prompt import PromptTemplate, render_example
from training.losses import IGNORED

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task

SMALLEST_SHARE = 0.01
"""Labels with less of a teacher's distribution are left out: each costs a whole example."""


@dataclass(frozen=True)
class TokenExample:
    """A row as token ids; `is_value[i]` says whether the student writes token i."""

    input_ids: list[int]
    is_value: list[bool]
    weight: float = 1.0
    """Share of the row that this example stands for; the shares of a label distribution sum to 1."""


@dataclass(frozen=True)
class Batch:
    """Right-padded examples. With a causal mask, padding on the right needs no attention mask."""

    input_ids: Tensor
    """(batch, seq_len) int64."""
    labels: Tensor
    """(batch, seq_len) int64: the token that follows each position; -100 where no loss is taken."""
    weights: Tensor
    """(batch,) float32."""
    tokens: int
    """Without padding."""

    def to(self, device: torch.device) -> "Batch":
        """The batch where the model is."""
        input_ids, labels, weights = (tensor.to(device) for tensor in (self.input_ids, self.labels, self.weights))
        return Batch(input_ids, labels, weights, self.tokens)


def targets_of(task: "Task", row: "LabelledRow") -> list[tuple[list[Value], float]]:
    """What the student should write for a row, with weights: one answer, or each label of a distribution by its share.

    Cross entropy weighted by the shares is, up to a constant, the KL divergence from the teacher's distribution over
    labels to the student's likelihood of the label's tokens; it needs no common vocabulary.
    """
    if row.labels and task.labels:
        least = min(SMALLEST_SHARE, max(row.labels.values()))
        shares = {label: share for label, share in row.labels.items() if share >= least}
        total = sum(shares.values())
        return [([label], share / total) for label, share in sorted(shares.items())]
    return [([row.answer.get(field.name) for field in task.output_fields], 1.0)]


def build_examples(
    task: "Task", rows: Sequence["LabelledRow"], template: PromptTemplate, encode: Callable[[str, bool], list[int]]
) -> list[TokenExample]:
    """Every row's examples, in the order of the rows."""
    prompt = task.prompt_spec()
    examples = []
    for row in rows:
        for values, weight in targets_of(task, row):
            example = render_example(prompt, row.text, values, template, encode)
            examples.append(TokenExample(example.input_ids, example.is_value, weight))
    return examples


def fitting(examples: Sequence[TokenExample], max_tokens: int) -> list[TokenExample]:
    """The examples that the context holds; a cut one would teach answers to text that the student cannot see."""
    return [example for example in examples if len(example.input_ids) <= max_tokens]


def collate(examples: Sequence[TokenExample]) -> Batch:
    """One batch of examples, padded with token 0, which no causal model looks at from the left."""
    longest = max(len(example.input_ids) for example in examples)
    input_ids = torch.zeros(len(examples), longest, dtype=torch.long)
    labels = torch.full((len(examples), longest), IGNORED, dtype=torch.long)
    for number, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[number, : len(ids)] = ids
        is_value = torch.tensor(example.is_value)[1:]
        labels[number, : len(ids) - 1][is_value] = ids[1:][is_value]
    weights = torch.tensor([example.weight for example in examples], dtype=torch.float32)
    return Batch(input_ids, labels, weights, sum(len(example.input_ids) for example in examples))
