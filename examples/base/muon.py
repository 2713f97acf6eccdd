"""Muon (Jordan et al., 2024): momentum, made orthogonal by Newton-Schulz steps, for the matrices of a model.

`torch.optim.Muon` does the same one matrix at a time; all matrices of one shape together take half of its time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration."""


def orthogonal(update: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """The nearest matrices with singular values near 1; (matrices, rows, columns), computed in `dtype`."""
    a, b, c = NEWTON_SCHULZ
    tall = update.shape[1] > update.shape[2]
    x = update.transpose(1, 2) if tall else update
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).to(update.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, decoupled weight decay, and updates scaled to the size of AdamW's."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        dtype: torch.dtype,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        steps: int = 4,
    ) -> None:
        self.dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "steps": steps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of all matrices."""
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(tuple(parameter.shape), []).append(parameter)
            for (rows, columns), parameters in shapes.items():
                updates = []
                for parameter in parameters:
                    state = self.state[parameter]
                    buffer = state.setdefault("momentum_buffer", torch.zeros_like(parameter))
                    buffer.lerp_(parameter.grad, 1 - group["momentum"])
                    updates.append(parameter.grad.lerp(buffer, group["momentum"]))
                scale = group["lr"] * 0.2 * max(rows, columns) ** 0.5
                made_orthogonal = orthogonal(torch.stack(updates), group["steps"], self.dtype)
                for parameter, update in zip(parameters, made_orthogonal, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-scale)
