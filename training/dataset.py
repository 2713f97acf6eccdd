"""Rows to batches of token ids: rendered by the one prompt form, loss only on what the student writes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from appliance.tasks.linecode import Value
from appliance.tasks.prompt import PromptTemplate, render_example

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


def targets_of(task: "Task", row: "LabelledRow") -> list[tuple[list[Value], float]]:
    """What the student should write for a row, with weights: one answer, or each label of a distribution by its share.

    Cross entropy weighted by the shares is, up to a constant, the KL divergence from the teacher's distribution over
    labels to the student's likelihood of the label's tokens; it needs no common vocabulary.
    """
    if row.labels and task.labels:
        least = min(SMALLEST_SHARE, max(row.labels.values()))
        kept = {label: share for label, share in row.labels.items() if share >= least}
        total = sum(kept.values())
        return [([label], share / total) for label, share in sorted(kept.items())]
    return [([row.answer.get(field.name) for field in task.output_fields], 1.0)]


def build_examples(
    task: "Task", rows: Sequence["LabelledRow"], form: PromptTemplate, encode: Callable[[str, bool], list[int]]
) -> list[TokenExample]:
    """Every row's examples, in the order of the rows."""
    question = task.question()
    examples = []
    for row in rows:
        for values, weight in targets_of(task, row):
            example = render_example(question, row.text, values, form, encode)
            examples.append(TokenExample(example.input_ids, example.is_value, weight))
    return examples


def fitting(examples: Sequence[TokenExample], max_tokens: int) -> list[TokenExample]:
    """The examples that the context holds; a cut one would teach answers to text that the student cannot see."""
    return [example for example in examples if len(example.input_ids) <= max_tokens]


def collate(examples: Sequence[TokenExample], pad_id: int = 0) -> Batch:
    """One batch of examples."""
    longest = max(len(example.input_ids) for example in examples)
    input_ids = torch.full((len(examples), longest), pad_id, dtype=torch.long)
    labels = torch.full((len(examples), longest), -100, dtype=torch.long)
    for number, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[number, : len(ids)] = ids
        written = torch.tensor(example.is_value)[1:]
        labels[number, : len(ids) - 1][written] = ids[1:][written]
    weights = torch.tensor([example.weight for example in examples], dtype=torch.float32)
    return Batch(input_ids, labels, weights, sum(len(example.input_ids) for example in examples))


def batch_plan(lengths: Sequence[int], batch_tokens: int, generator: np.random.Generator | None) -> list[list[int]]:
    """Example numbers of each batch: similar lengths together, at most `batch_tokens` with padding, batches shuffled.

    Lengths are jittered by a tenth so that examples meet different neighbours in each epoch.
    """
    jitter = np.ones(len(lengths)) if generator is None else generator.uniform(0.9, 1.1, len(lengths))
    order = np.argsort(np.asarray(lengths) * jitter, kind="stable")
    plan: list[list[int]] = []
    longest = 0
    for number in order:
        longest = max(longest, lengths[number])
        if not plan or longest * (len(plan[-1]) + 1) > batch_tokens:
            plan.append([])
            longest = lengths[number]
        plan[-1].append(int(number))
    if generator is not None:
        plan = [plan[number] for number in generator.permutation(len(plan))]
    return plan


def batches(
    examples: Sequence[TokenExample], batch_tokens: int, generator: np.random.Generator | None = None
) -> Iterator[Batch]:
    """One pass over the examples; in order of length where no generator shuffles."""
    for numbers in batch_plan([len(example.input_ids) for example in examples], batch_tokens, generator):
        yield collate([examples[number] for number in numbers])


def batch_count(examples: Sequence[TokenExample], batch_tokens: int) -> int:
    """About how many batches one pass has; exact up to the jitter of `batch_plan`."""
    return math.ceil(len(batch_plan([len(example.input_ids) for example in examples], batch_tokens, None)))
