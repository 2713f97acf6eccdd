"""A decoder's loss against a teacher: divergence and cross entropy of the written tokens, a few logits at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from training.divergences import TopTokens, full_divergence, top_divergence
from training.local_teacher import LocalTeacher, check_logits
from training.students.decoder.output_head import chunk_positions, head_logits, written_states

if TYPE_CHECKING:
    from training.distillation_options import DistillationOptions
    from training.students.decoder.examples import Batch

DivergenceOf = Callable[[slice, Tensor], Tensor]
"""From some of the written places and the student's logits there to the divergence at each of them."""


@dataclass(frozen=True)
class StoredPlaces:
    """What was stored of a teacher's distributions for the written tokens of a batch."""

    top: TopTokens
    known: Tensor
    """(written,) bool: whether anything was stored of a place; what stands in `top` there is not looked at."""


def live_loss(
    model: nn.Module, batch: "Batch", teacher: LocalTeacher, vocab_size: int, options: "DistillationOptions"
) -> Tensor:
    """The mean loss over the written tokens where the teacher's weights are at hand, () float32.

    Args:
        vocab_size: Of the common tokenizer; either side may compute logits for more, which stand for nothing.
    """
    with torch.no_grad():
        teacher.model.to(batch.input_ids.device)  # type: ignore[arg-type]
        teacher_states = written_states(teacher.model, batch)

    def divergence(places: slice, logits: Tensor) -> Tensor:
        with torch.no_grad():
            teacher_logits = head_logits(teacher.model, teacher_states[places])[:, :vocab_size]
            check_logits(teacher.name, teacher_logits)
        return full_divergence(logits[:, :vocab_size], teacher_logits, options.divergence)

    shares = torch.full_like(batch.weights, 1.0 if batch.sampling_seed is not None else options.teacher_share)
    return _mean_loss(model, batch, shares, divergence)


def stored_loss(
    model: nn.Module, batch: "Batch", stored: StoredPlaces, vocab_size: int, options: "DistillationOptions"
) -> Tensor:
    """The mean loss over the written tokens with stored distributions, () float32; by the label where there is none."""

    def divergence(places: slice, logits: Tensor) -> Tensor:
        top = TopTokens(stored.top.ids[places], stored.top.log_probabilities[places], stored.top.log_rest[places])
        return top_divergence(logits[:, :vocab_size], top, options.divergence)

    return _mean_loss(model, batch, stored.known.float() * options.teacher_share, divergence)


def _mean_loss(model: nn.Module, batch: "Batch", shares: Tensor, divergence: DivergenceOf) -> Tensor:
    """Weighted mean of divergence and cross entropy.

    Hidden states are kept; logits are computed for some places at a time and again on the way back, so that no more of
    them is ever there than one chunk.

    Args:
        shares: (written,) of the divergence in each place's loss.
    """
    states = written_states(model, batch)

    def summed(places: slice, chunk: Tensor) -> Tensor:
        logits = head_logits(model, chunk).float()
        share, weights = shares[places], batch.weights[places]
        losses = share * divergence(places, logits)
        if bool((share < 1).any()):
            by_label = functional.cross_entropy(logits, batch.labels[places], reduction="none")
            losses = losses + (1 - share) * by_label
        return (losses * weights).sum()

    size = chunk_positions(model)
    total = states.new_zeros((), dtype=torch.float32)
    for start in range(0, len(states), size):
        places = slice(start, start + size)
        if len(states) <= size:  # nothing would be saved
            total = total + summed(places, states)
        else:
            total = total + checkpoint(summed, places, states[places], use_reentrant=False)
    return total / batch.weights.sum().clamp(min=1e-8)
