"""Losses of distillation."""

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""Marks positions without loss."""


def masked_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy per token that the student writes, in nats.

    Args:
        logits: (tokens, vocab_size), any float dtype; computed in float32.
        labels: (tokens,) token ids; -100 marks positions left out.
        weights: (tokens,) weight of each position; equal when None.
    """
    losses = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="none")
    counted = (labels != IGNORED).float()
    if weights is not None:
        counted = counted * weights
    total: Tensor = (losses * counted).sum() / counted.sum().clamp(min=1e-8)
    return total


def soft_label_kl(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean KL(teacher || student) over label distributions, in nats, scaled by the squared temperature.

    Args:
        logits: (batch, labels), the student's; computed in float32.
        teacher: (batch, labels) probabilities that sum to 1; a label of share 0 adds nothing.

    Source: Hinton et al. 2015, section 2.
    """
    log_student = torch.log_softmax(logits.float() / temperature, dim=-1)
    teacher = teacher.float()
    divergence: Tensor = (torch.special.xlogy(teacher, teacher) - teacher * log_student).sum(-1)
    return divergence.mean() * temperature**2
