"""How far a student's distributions are from a teacher's: forward and reverse KL, generalised Jensen-Shannon.

A teacher's distribution is whole (its logits) or a stored part of it: the likeliest tokens, and what all others have
together as one more outcome. Renormalising the likeliest ones instead would teach a student that nothing else exists.

Source: Hinton et al. 2015, section 2 (temperature and its square); Agarwal et al. 2024, "On-policy distillation of
language models", section 2 (the generalised Jensen-Shannon divergence).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from appliance.ground.errors import UsageError
from training.distillation_options import Divergence

LEAST_LOG_PROBABILITY = -100.0
"""Stands for the logarithm of a mass that is zero in float32: no term of a sum becomes infinite or no number."""


class VocabularyMismatch(UsageError):
    """Teacher and student do not write with the same tokens."""


@dataclass(frozen=True)
class TopTokens:
    """The likeliest tokens of a teacher's distributions, at the temperature that they were computed at."""

    ids: Tensor
    """(positions, k) int64, no token twice in a row."""
    log_probabilities: Tensor
    """(positions, k) float32, of the whole vocabulary: their shares sum to less than 1."""
    log_rest: Tensor
    """(positions,) float32: logarithm of the mass of all other tokens."""


def full_divergence(student_logits: Tensor, teacher_logits: Tensor, divergence: Divergence) -> Tensor:
    """The divergence at each position, in nats.

    Args:
        student_logits: (positions, vocab_size), any float dtype; computed in float32.
        teacher_logits: The same shape and order of tokens; no gradient flows into it.

    Returns:
        (positions,) float32.

    Raises:
        VocabularyMismatch: The two vocabularies differ in size.
    """
    if student_logits.shape != teacher_logits.shape:
        raise VocabularyMismatch(
            f"the teacher's logits are {list(teacher_logits.shape)} numbers, the student's"
            f" {list(student_logits.shape)}",
            "name a teacher that has the student's tokenizer",
        )
    teacher = log_probabilities(teacher_logits.detach(), divergence.temperature)
    student = log_probabilities(student_logits, divergence.temperature)
    return divergence.temperature**2 * _between(teacher, student, divergence)


def top_divergence(student_logits: Tensor, teacher: TopTokens, divergence: Divergence) -> Tensor:
    """The divergence at each position between what is known of the teacher and the same outcomes of the student.

    The outcomes are the teacher's likeliest tokens, and any other token as one. It is never more than the full
    divergence; its least value, zero, is where the student gives each outcome the teacher's mass.

    Args:
        student_logits: (positions, vocab_size), any float dtype; computed in float32.
        teacher: Of the same positions, at the divergence's temperature.

    Returns:
        (positions,) float32.
    """
    student = outcomes(student_logits, teacher.ids, divergence.temperature)
    known = torch.cat([teacher.log_probabilities, teacher.log_rest[:, None]], dim=1).float()
    return divergence.temperature**2 * _between(known.clamp(min=LEAST_LOG_PROBABILITY), student, divergence)


def log_probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Logarithms of the softmax of logits / temperature over the last dimension, float32."""
    return torch.log_softmax(logits.float() / temperature, dim=-1)


def outcomes(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Log probabilities of these tokens and, last, of all others together.

    Args:
        logits: (positions, vocab_size).
        ids: (positions, k), fewer than the vocabulary has.

    Returns:
        (positions, k + 1) float32. The rest is summed over the others rather than taken as what is left of 1, of which
        float32 keeps no digit where little is left.
    """
    scaled = logits.float() / temperature
    total = torch.logsumexp(scaled, dim=1, keepdim=True)
    others = scaled.scatter(1, ids, -math.inf)
    rest = torch.logsumexp(others, dim=1, keepdim=True) - total
    return torch.cat([scaled.gather(1, ids) - total, rest], dim=1).clamp(min=LEAST_LOG_PROBABILITY)


def top_tokens(teacher_logits: Tensor, k: int, temperature: float) -> TopTokens:
    """The k likeliest tokens of each position with the mass that the others have.

    Args:
        teacher_logits: (positions, vocab_size).
        k: At least 1 and below the vocabulary's size.
    """
    ids = teacher_logits.float().topk(k, dim=1).indices
    log_shares = outcomes(teacher_logits, ids, temperature)
    return TopTokens(ids, log_shares[:, :k], log_shares[:, k])


def _between(teacher: Tensor, student: Tensor, divergence: Divergence) -> Tensor:
    """The divergence of two distributions given as finite log probabilities, (positions, outcomes) to (positions,)."""
    if divergence.kind == "forward-kl":
        return (teacher.exp() * (teacher - student)).sum(1)
    if divergence.kind == "reverse-kl":
        return (student.exp() * (student - teacher)).sum(1)
    beta = divergence.beta
    mixture = torch.logaddexp(teacher + math.log(beta), student + math.log1p(-beta))
    of_teacher = (teacher.exp() * (teacher - mixture)).sum(1)
    of_student = (student.exp() * (student - mixture)).sum(1)
    return beta * of_teacher + (1 - beta) * of_student
