"""A faster forward pass for LoRA layers in training: one product with the weight that base and adapter form together.

peft computes `x W' + s (x A') B'` with three products and two sums over whole activations. For a small base these sums
and thin products cost as much as the base's own. Here W + s B A is formed once a step (its size does not depend on the
number of tokens), the gradient of x needs one product, and those of A and B follow from thin ones. Only the computation
differs: weights and format stay peft's, and a test compares both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from peft import PeftModel


class FusedLora(torch.autograd.Function):
    """y = x (W + s B A)' with gradients for x, A and B; W is frozen, in float32 or in the 16 bit that it is stored in.

    The sum of both weights is formed again on the way back rather than kept: all of them together would be a second
    copy of the model.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
        """Shapes: x (..., in), weight (out, in), a (r, in), b (out, r)."""
        ctx.save_for_backward(x, weight, a, b)
        ctx.scaling = scaling
        return functional.linear(x, _together(weight, a, b, scaling))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x (..., in), A (r, in) and B (out, r) from that of y (..., out)."""
        x, weight, a, b = ctx.saved_tensors
        flat, y = x.flatten(0, -2), gradients[0].flatten(0, -2)
        grad_x = (y @ _together(weight, a, b, ctx.scaling)).view_as(x) if ctx.needs_input_grad[0] else None
        grad_a = (y @ b).T @ flat * ctx.scaling
        grad_b = y.T @ (flat @ a.T) * ctx.scaling
        return grad_x, None, grad_a, grad_b, None


def _together(weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    return torch.addmm(weight.to(b.dtype), b, a, alpha=scaling)


def _lora_layers(model: "PeftModel") -> list[nn.Module]:
    from peft.tuners.lora import Linear

    layers = [module for module in model.modules() if isinstance(module, Linear)]
    return [
        layer for layer in layers if isinstance(layer.get_base_layer(), nn.Linear)
    ]  # gpt2 has matrices the other way


def _fused(layer: Any) -> Callable[[Tensor], Tensor]:
    adapter = layer.active_adapters[0]
    base, a, b = layer.get_base_layer(), layer.lora_A[adapter], layer.lora_B[adapter]
    scaling = float(layer.scaling[adapter])  # peft's layer holds its parts in untyped dictionaries, hence Any

    def forward(x: Tensor) -> Tensor:
        y: Tensor = FusedLora.apply(x, base.weight, a.weight, b.weight, scaling)  # type: ignore[no-untyped-call]
        return y if base.bias is None else y + base.bias

    return forward


def fuse(model: "PeftModel") -> None:
    """Makes the model's LoRA layers compute as one product; dropout must be 0, and it is for float32 only."""
    for layer in _lora_layers(model):
        layer.forward = _fused(layer)


@contextmanager
def fused(model: "PeftModel") -> Iterator[None]:
    """The same within it alone."""
    fuse(model)
    try:
        yield
    finally:
        for layer in _lora_layers(model):
            del layer.forward
