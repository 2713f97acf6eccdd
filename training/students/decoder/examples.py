"""Rows to batches of token ids: rendered by the one prompt template, loss only on what the student writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from appliance.tasks.linecode import Value
from appliance.tasks.prompt import ExampleAnswer, PromptTemplate, render_example

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
    prompt_tokens: int = 0
    """Tokens before the answer, and before the working that leads to it."""
    working_tokens: int = 0
    """Tokens of the working, the forced ones too."""


@dataclass(frozen=True)
class Batch:
    """Examples one behind the other in a single row, without padding; each counts its positions from zero.

    A causal model reads them as it reads them alone: where positions begin anew, attention does too.
    """

    input_ids: Tensor
    """(1, tokens) int64."""
    position_ids: Tensor
    """(1, tokens) int64."""
    places: Tensor
    """(written,) int64: the positions whose next token the student writes, in their order."""
    labels: Tensor
    """(written,) int64: the token that follows each place."""
    weights: Tensor
    """(written,) float32: the weight of the example that a place is of."""
    values: Tensor
    """(written,) int64: the number of the value that a place is of, counted over the batch from zero; -1 in working."""
    examples: tuple[TokenExample, ...] = ()
    """What is packed."""
    sampling_seed: int | None = None
    """Of the answers that the student writes itself in this step; None where the batch holds what is to be learnt."""

    @property
    def tokens(self) -> int:
        """Of all examples."""
        return self.input_ids.shape[1]

    @property
    def weight(self) -> float:
        """Of all written tokens."""
        return float(self.weights.sum())

    def to(self, device: torch.device) -> "Batch":
        """The batch where the model is."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        moved: dict[str, Any] = {name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **moved)


def targets_of(task: "Task", row: "LabelledRow") -> list[tuple[list[Value], float]]:
    """What the student should write for a row, with weights: one answer, or each label of a distribution by its share.

    Cross entropy weighted by the shares is, up to a constant, the KL divergence from the teacher's distribution over
    labels to the student's likelihood of the label's tokens; it needs no common vocabulary.
    """
    if row.labels and task.labels:
        least = min(SMALLEST_SHARE, max(row.labels.values()))
        shares = {label: share for label, share in row.labels.items() if share >= least}
        # What is missing to 1 is the probability of anything else, which no text stands for.
        total = max(1.0, sum(shares.values()))
        return [([label], share / total) for label, share in sorted(shares.items())]
    return [([row.answer.get(field.name) for field in task.output_fields], 1.0)]


def build_examples(
    task: "Task", rows: Sequence["LabelledRow"], template: PromptTemplate, encode: Callable[[str, bool], list[int]]
) -> list[TokenExample]:
    """Every row's examples, in the order of the rows."""
    prompt = task.prompt_spec()
    examples = []
    for row in rows:
        untrusted = {at for at, field in enumerate(task.output_fields) if field.name in row.untrusted}
        for values, weight in targets_of(task, row):
            rendered = render_example(
                prompt, row.text, ExampleAnswer(values, row.working, untrusted), template, encode
            )  # fmt: skip
            counts = (rendered.prompt_tokens, rendered.working_tokens)
            examples.append(TokenExample(rendered.input_ids, rendered.is_value, weight, *counts))
    return examples


def pack(examples: Sequence[TokenExample], sampling_seed: int | None = None) -> Batch:
    """One batch of examples, in their order."""
    input_ids: list[int] = []
    positions: list[int] = []
    is_written, weights, starts_value, in_working = [], [], [], []
    for example in examples:
        writes_next = [*example.is_value[1:], False]  # what is written first in an example has nothing before it
        input_ids += example.input_ids
        positions += range(len(example.input_ids))
        is_written += writes_next
        weights += [example.weight] * len(writes_next)
        answer_start = example.prompt_tokens + example.working_tokens - 1 if example.working_tokens else 0
        in_working += [place < answer_start for place in range(len(writes_next))]
        starts_value += [
            now and not before and place >= answer_start
            for place, (before, now) in enumerate(pairwise([False, *writes_next]))
        ]
    places = torch.tensor(is_written, dtype=torch.bool).nonzero()[:, 0]
    ids = torch.tensor(input_ids)
    return Batch(
        ids[None],
        torch.tensor(positions)[None],
        places,
        ids[places + 1],
        torch.tensor(weights, dtype=torch.float32)[places],
        (torch.tensor(starts_value).cumsum(0) - 1).masked_fill(torch.tensor(in_working), -1)[places],
        tuple(examples),
        sampling_seed,
    )
