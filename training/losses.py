"""Losses of distillation."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from appliance.ground.errors import ApplianceError

IGNORED = -100
"""Marks positions without loss."""


class Diverged(ApplianceError):
    """A training step has no gradient that can be followed."""


def check_finite(gradient_norm: float, steps: int) -> None:
    """Ends a run before a gradient that is no number reaches the weights: nothing brings them back.

    Args:
        steps: Steps done before this one.

    Raises:
        Diverged: The norm is infinite or no number, as it is wherever the loss is.
    """
    if not math.isfinite(gradient_norm):
        raise Diverged(
            f"the gradient of step {steps + 1} is not finite", "train again with a lower --rate, or with another base"
        )


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
