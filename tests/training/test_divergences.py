"""Divergences of distillation against the same formulas in float64 with scipy, values and gradients."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, rel_entr

from training.distillation_options import Divergence, DivergenceKind
from training.divergences import (
    VocabularyMismatch,
    full_divergence,
    outcomes,
    top_divergence,
    top_tokens,
)
from training.losses import masked_cross_entropy, soft_cross_entropy

Numbers = NDArray[np.float64]
ALL_KINDS: list[tuple[DivergenceKind, float]] = [
    ("forward-kl", 0.5),
    ("reverse-kl", 0.5),
    ("jsd", 0.5),
    ("jsd", 0.1),
    ("jsd", 0.9),
]


def reference(teacher: Numbers, student: Numbers, divergence: Divergence) -> Numbers:
    """From shares of outcomes, (positions, outcomes)."""
    if divergence.kind == "forward-kl":
        each = rel_entr(teacher, student)
    elif divergence.kind == "reverse-kl":
        each = rel_entr(student, teacher)
    else:
        mixture = divergence.beta * teacher + (1 - divergence.beta) * student
        each = divergence.beta * rel_entr(teacher, mixture) + (1 - divergence.beta) * rel_entr(student, mixture)
    return np.asarray(divergence.temperature**2 * each.sum(1))


def full_reference(teacher: Numbers, student: Numbers, divergence: Divergence) -> Numbers:
    shares = [np.exp(log_softmax(logits / divergence.temperature, axis=1)) for logits in (teacher, student)]
    return reference(*shares, divergence)


def top_reference(teacher: Numbers, student: Numbers, k: int, divergence: Divergence) -> Numbers:
    order = np.argsort(-teacher, axis=1)[:, :k]
    shares = []
    for logits in (teacher, student):
        all_shares = np.exp(log_softmax(logits / divergence.temperature, axis=1))
        top = np.take_along_axis(all_shares, order, 1)
        others = all_shares.copy()
        np.put_along_axis(others, order, 0.0, 1)
        shares.append(np.concatenate([top, others.sum(1, keepdims=True)], axis=1))
    return reference(*shares, divergence)


def slopes(value: Callable[[Numbers], float], at: Numbers, step: float = 1e-5) -> Numbers:
    """Central differences of a number by each entry."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        gradient[place] = (value(moved[0]) - value(moved[1])) / (2 * step)
    return gradient


def logits_of(seed: int, scale: float = 3.0) -> tuple[Numbers, Numbers]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, scale, (4, 11)), generator.normal(0, scale, (4, 11))


@pytest.mark.parametrize(("kind", "beta"), ALL_KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_full_divergence_and_its_gradient_are_those_of_float64(
    kind: DivergenceKind, beta: float, temperature: float
) -> None:
    divergence = Divergence(kind, temperature, beta)
    teacher, student = logits_of(1)
    logits = torch.tensor(student, dtype=torch.float32, requires_grad=True)
    values = full_divergence(logits, torch.tensor(teacher, dtype=torch.float32), divergence)
    assert values.detach().numpy() == pytest.approx(full_reference(teacher, student, divergence), abs=1e-5)
    values.sum().backward()
    assert logits.grad is not None
    expected = slopes(lambda moved: float(full_reference(teacher, moved, divergence).sum()), student)
    assert logits.grad.numpy() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("kind", "beta"), ALL_KINDS)
@pytest.mark.parametrize("k", [1, 4, 10])
def test_a_stored_part_keeps_the_missing_mass_as_one_outcome(kind: DivergenceKind, beta: float, k: int) -> None:
    divergence = Divergence(kind, 2.0, beta)
    teacher, student = logits_of(2)
    stored = top_tokens(torch.tensor(teacher), k, 2.0)
    assert torch.allclose(stored.log_probabilities.exp().sum(1) + stored.log_rest.exp(), torch.ones(4))
    logits = torch.tensor(student, dtype=torch.float32, requires_grad=True)
    values = top_divergence(logits, stored, divergence)
    assert values.detach().numpy() == pytest.approx(top_reference(teacher, student, k, divergence), abs=1e-5)
    assert (values <= full_divergence(logits, torch.tensor(teacher), divergence) + 1e-5).all()
    values.sum().backward()
    assert logits.grad is not None
    expected = slopes(lambda moved: float(top_reference(teacher, moved, k, divergence).sum()), student)
    assert logits.grad.numpy() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("kind", "beta"), ALL_KINDS)
def test_a_student_that_equals_its_teacher_has_no_loss_and_no_gradient(kind: DivergenceKind, beta: float) -> None:
    teacher = torch.tensor(logits_of(3)[0], dtype=torch.float32)
    logits = teacher.clone().requires_grad_()
    divergence = Divergence(kind, 1.5, beta)
    loss = full_divergence(logits, teacher, divergence) + top_divergence(
        logits, top_tokens(teacher, 3, 1.5), divergence
    )
    loss.sum().backward()
    assert loss.detach().numpy() == pytest.approx(0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad.numpy() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", ["forward-kl", "reverse-kl", "jsd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_sure_distributions_give_finite_losses_and_gradients(kind: DivergenceKind, dtype: torch.dtype) -> None:
    # One token has everything on either side, and it is not the same one.
    teacher, student = torch.full((2, 9), -3e4), torch.full((2, 9), -3e4)
    teacher[:, 0], student[:, 1] = 3e4, 3e4
    logits = student.to(dtype).requires_grad_()
    divergence = Divergence(kind, 1.0)
    full = full_divergence(logits, teacher.to(dtype), divergence)
    stored = top_divergence(logits, top_tokens(teacher.to(dtype), 3, 1.0), divergence)
    (full + stored).sum().backward()
    assert torch.isfinite(full).all()
    assert torch.isfinite(stored).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_high_temperature_keeps_the_size_of_gradients() -> None:
    teacher, student = (torch.tensor(logits, dtype=torch.float32) for logits in logits_of(4, 0.5))
    sizes = []
    for temperature in (10.0, 40.0):
        logits = student.clone().requires_grad_()
        full_divergence(logits, teacher, Divergence("forward-kl", temperature)).sum().backward()
        assert logits.grad is not None
        sizes.append(float(logits.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_the_rest_is_exact_where_almost_nothing_is_left() -> None:
    logits = np.zeros((1, 50))
    logits[0, :3] = [40.0, 39.0, 38.0]
    rest = outcomes(torch.tensor(logits, dtype=torch.float32), torch.tensor([[0, 1, 2]]), 1.0)[0, -1]
    assert float(rest) == pytest.approx(logsumexp(logits[0, 3:]) - logsumexp(logits[0]), rel=1e-5)


def test_logits_of_another_size_are_refused() -> None:
    with pytest.raises(VocabularyMismatch, match=r"\[2, 8\].*\[2, 7\]"):
        full_divergence(torch.zeros(2, 7), torch.zeros(2, 8), Divergence())


def test_hard_and_soft_labels_cost_what_float64_says_with_its_gradient() -> None:
    generator = np.random.default_rng(5)
    student, targets = generator.normal(0, 3, (4, 6)), generator.dirichlet(np.ones(6), 4)
    targets[0] = np.eye(6)[2]  # one hard label among the soft ones
    weights, labels = np.array([1.0, 0.5, 0.0, 2.0]), np.array([5, 0, 3, 2])

    def soft(logits: Numbers) -> float:
        return float(-(targets * log_softmax(logits, axis=1)).sum(1).mean())

    def hard(logits: Numbers) -> float:
        each = -log_softmax(logits, axis=1)[np.arange(4), labels]
        return float((weights * each).sum() / weights.sum())

    for expected in (soft, hard):
        logits = torch.tensor(student, dtype=torch.float32, requires_grad=True)
        if expected is soft:
            loss = soft_cross_entropy(logits, torch.tensor(targets, dtype=torch.float32))
        else:
            loss = masked_cross_entropy(logits, torch.tensor(labels), torch.tensor(weights, dtype=torch.float32))
        loss.backward()
        assert loss.item() == pytest.approx(expected(student), abs=1e-5)
        assert logits.grad is not None
        assert logits.grad.numpy() == pytest.approx(slopes(expected, student), abs=1e-5)
