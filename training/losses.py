"""Losses of distillation, and the end of a run whose gradient is no number."""

import torch
from torch import Tensor
from torch.nn import functional

from appliance.ground.errors import ApplianceError

IGNORED = -100
"""Marks positions without loss."""
LEAST_REST = 1e-4
"""Less than this is missing to 1 by rounding."""


class Diverged(ApplianceError):
    """A training does not learn: its gradient is no number, or its loss rises whatever the rate."""


def masked_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy per token that the student writes, in nats.

    Args:
        logits: (tokens, vocab_size), any float dtype; computed in float32.
        labels: (tokens,) token ids; -100 marks positions left out.
        weights: (tokens,) weight of each position; equal when None.

    Returns:
        () float32.
    """
    losses = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="none")
    counted = (labels != IGNORED).float()
    if weights is not None:
        counted = counted * weights
    total: Tensor = (losses * counted).sum() / counted.sum().clamp(min=1e-8)
    return total


def label_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross entropy of each label by itself, summed over the labels, in nats.

    Args:
        logits: (batch, labels), any float dtype; computed in float32.
        targets: (batch, labels), 1 where a document has the label and 0 where not.

    Returns:
        () float32.
    """
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    total: Tensor = losses.sum(1).mean()
    return total


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy to label distributions, in nats; with one-hot targets the usual one.

    Args:
        logits: (batch, labels), any float dtype; computed in float32.
        targets: (batch, labels) shares that sum to 1 or less; what is missing is the share of all labels whose own is 0
            together, as where a teacher told the likeliest ones only.

    Returns:
        () float32.
    """
    likelihoods = torch.log_softmax(logits.float(), dim=1)
    told = -(targets * likelihoods).sum(1)
    rest = (1 - targets.sum(1)).clamp(min=0)
    open_rows = (rest > LEAST_REST) & (targets == 0).any(1)
    if open_rows.any():
        others = likelihoods[open_rows].masked_fill(targets[open_rows] > 0, -torch.inf).logsumexp(1)
        told = told.index_add(0, open_rows.nonzero()[:, 0], -rest[open_rows] * others)
    return told.mean()
