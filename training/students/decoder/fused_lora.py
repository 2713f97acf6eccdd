"""A faster forward pass for LoRA layers in training: what layers of one input have in common is computed once.

peft computes `x W' + s (x A') B'` with three products and two sums over whole activations, each layer for itself, and
autograd does as much on the way back. Here the thin products go straight into the large ones, x A' is kept for the
gradient of B, and layers that read the same input (query, key and value; gate and up) share one product with their
stacked A's, and one sum of gradients. A gated feed-forward part keeps two of the four wide activations that autograd
would keep, and forms the others again. Only the computation differs: weights and format stay peft's, and tests compare
both.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from peft import PeftModel

SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Names of layers beside one another that read the same; whether they do is seen in each pass."""
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")


class LoraWeights(NamedTuple):
    """One layer: y = x W' + c + s (x A') B'; W and c are frozen, W may be held in fewer bits than it computes in."""

    weight: Tensor
    """(out, in)."""
    bias: Tensor | None
    """(out,)."""
    a: Tensor
    """(rank, in)."""
    b: Tensor
    """(out, rank)."""
    scaling: float

    @classmethod
    def of(cls, layer: nn.Module, dtype: torch.dtype) -> "LoraWeights":
        """Those of peft's layer, A and B as they are computed with."""
        adapter, base = _adapter_name(layer), _untyped(layer).get_base_layer()
        a, b = (weight.detach().to(dtype) for weight in _adapters(layer))
        return cls(base.weight, base.bias, a, b, float(_untyped(layer).scaling[adapter]))


def _untyped(layer: nn.Module) -> Any:
    """Peft's layer, which holds its parts in untyped dictionaries."""
    return layer


def _adapter_name(layer: nn.Module) -> str:
    return str(_untyped(layer).active_adapters[0])


def _adapters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """A and B as the optimizer holds them, in float32."""
    adapter = _adapter_name(layer)
    return _untyped(layer).lora_A[adapter].weight, _untyped(layer).lora_B[adapter].weight


Gradients = tuple[Tensor | None, list[Tensor | None]]
"""Of the input, and of A and B of each layer in turn."""


def outputs_of(layers: Sequence[LoraWeights], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The outputs of layers of one input, and what their A's together make of it.

    Args:
        x: (tokens, in).
    """
    thin = x @ torch.cat([layer.a for layer in layers]).T
    outputs = [
        functional.linear(x, layer.weight.to(x.dtype), layer.bias).addmm_(thin[:, part], layer.b.T, alpha=layer.scaling)
        for layer, part in zip(layers, _columns(layers), strict=True)
    ]
    return outputs, thin


def gradients_of(
    layers: Sequence[LoraWeights], x: Tensor, thin: Tensor, ys: Sequence[Tensor | None], *, of_input: bool
) -> Gradients:
    """Gradients from those of the outputs; None stands for an output that nothing was made of.

    Args:
        x: (tokens, in).
        thin: Of `outputs_of`.
        ys: (tokens, out) of each layer.
        of_input: Whether the input needs one.
    """
    of_thin = torch.zeros_like(thin)
    grad_b: list[Tensor | None] = []
    columns = _columns(layers)
    for layer, part, y in zip(layers, columns, ys, strict=True):
        if y is not None:
            of_thin[:, part] = (y @ layer.b).mul_(layer.scaling)
        grad_b.append(None if y is None else (y.T @ thin[:, part]).mul_(layer.scaling))
    grad_a = of_thin.T @ x
    grad_x = of_thin @ torch.cat([layer.a for layer in layers]) if of_input else None
    for layer, y in zip(layers, ys, strict=True):
        if grad_x is not None and y is not None:
            grad_x.addmm_(y, layer.weight.to(x.dtype))
    of_adapters = [each for part, of_b in zip(columns, grad_b, strict=True) for each in (grad_a[part], of_b)]
    return grad_x, [None if each is None else each.float() for each in of_adapters]


def _columns(layers: Sequence[LoraWeights]) -> list[slice]:
    """Where each layer's rank lies in the stacked A's."""
    return [slice(start, end) for start, end in pairwise(accumulate((len(layer.a) for layer in layers), initial=0))]


def _rows(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.flatten(0, -2)


class FusedLora(torch.autograd.Function):
    """The outputs of one or more layers of the same x, with gradients for x and every A and B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[LoraWeights], *adapters: Tensor) -> tuple[Tensor, ...]:
        """Shapes: x (..., in); `adapters` are A and B of the layers in turn, so that autograd knows of them."""
        outputs, thin = outputs_of(layers, x.flatten(0, -2))
        ctx.save_for_backward(x, thin)
        ctx.layers = layers
        ctx.set_materialize_grads(False)
        return tuple(y.view(*x.shape[:-1], -1) for y in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """From the gradients of the outputs (..., out)."""
        x, thin = ctx.saved_tensors
        ys = [_rows(gradient) for gradient in gradients]
        grad_x, of_adapters = gradients_of(ctx.layers, x.flatten(0, -2), thin, ys, of_input=ctx.needs_input_grad[0])
        return None if grad_x is None else grad_x.view_as(x), None, *of_adapters


class FusedFeedForward(torch.autograd.Function):
    """down(silu(gate(x)) * up(x)) of three LoRA layers, of which only the outputs of gate and up are kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[LoraWeights], *adapters: Tensor) -> Tensor:
        """Shapes: x (..., hidden); `layers` are gate, up and down, `adapters` their A and B in turn."""
        (gate, up), thin = outputs_of(layers[:2], x.flatten(0, -2))
        (y,), thin_down = outputs_of(layers[2:], functional.silu(gate).mul_(up))
        ctx.save_for_backward(x, thin, gate, up, thin_down)
        ctx.layers = layers
        return y.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """From the gradient of the output (..., hidden)."""
        x, thin, gate, up, thin_down = ctx.saved_tensors
        opened = functional.silu(gate)
        of_inner, of_down = gradients_of(ctx.layers[2:], opened * up, thin_down, [_rows(gradients[0])], of_input=True)
        assert of_inner is not None
        of_up = opened.mul_(of_inner)
        of_gate = torch.ops.aten.silu_backward(of_inner.mul_(up), gate)
        grad_x, of_both = gradients_of(
            ctx.layers[:2], x.flatten(0, -2), thin, [of_gate, of_up], of_input=ctx.needs_input_grad[0]
        )
        return None if grad_x is None else grad_x.view_as(x), None, *of_both, *of_down


class _Siblings:
    """LoRA layers that are expected to read the same input: the first that is called computes all.

    What the others are called with is compared: where it is another tensor, they compute for themselves.
    """

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self._layers, self._dtype = layers, dtype
        self._input: Tensor | None = None
        self._outputs: dict[int, Tensor] = {}

    def forward_of(self, number: int) -> Callable[[Tensor], Tensor]:
        """The forward pass of one of the layers."""

        def forward(x: Tensor) -> Tensor:
            if x is not self._input or number not in self._outputs:
                outputs = FusedLora.apply(*_inputs(self._layers, x, self._dtype))  # type: ignore[no-untyped-call]
                self._input, self._outputs = x, dict(enumerate(outputs))
            y = self._outputs.pop(number)
            if not self._outputs:
                self._input = None
            return y

        return forward


def _inputs(layers: Sequence[nn.Module], x: Tensor, dtype: torch.dtype) -> tuple[Any, ...]:
    """What both functions take."""
    weights = [LoraWeights.of(layer, dtype) for layer in layers]
    return x.to(dtype), weights, *(each for layer in layers for each in _adapters(layer))


def _lora_layers(model: "PeftModel") -> list[nn.Module]:
    from peft.tuners.lora import Linear as LoraLinear

    layers = [module for module in model.modules() if isinstance(module, LoraLinear)]
    return [
        layer for layer in layers if isinstance(layer.get_base_layer(), nn.Linear)
    ]  # gpt2 has matrices the other way


def _families(model: "PeftModel") -> list[list[nn.Module]]:
    """The model's LoRA layers, those together that are expected to read the same."""
    single = {id(layer): layer for layer in _lora_layers(model)}
    families = []
    for module in model.modules():
        for names in SAME_INPUT:
            members = [getattr(module, name, None) for name in names]
            if all(id(member) in single for member in members):
                families.append([single.pop(id(member)) for member in members])
    return families + [[layer] for layer in single.values()]


def _feed_forward(module: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    layers = [getattr(module, name) for name in FEED_FORWARD]

    def forward(x: Tensor) -> Tensor:
        y: Tensor = FusedFeedForward.apply(*_inputs(layers, x, dtype))  # type: ignore[no-untyped-call]
        return y

    return forward


def _feed_forwards(model: "PeftModel", dtype: torch.dtype) -> list[nn.Module]:
    """The feed-forward parts that compute what `FusedFeedForward` does: the first of each class is asked on numbers."""
    lora, agrees = set(map(id, _lora_layers(model))), dict[type[nn.Module], bool]()
    modules = []
    for module in model.modules():
        if not all(id(getattr(module, name, None)) in lora for name in FEED_FORWARD):
            continue
        if type(module) not in agrees:
            agrees[type(module)] = _computes_so(module, dtype)
        if agrees[type(module)]:
            modules.append(module)
    return modules


def _computes_so(module: nn.Module, dtype: torch.dtype) -> bool:
    down: Any = module.down_proj
    x = torch.linspace(-2, 2, 3 * down.out_features, device=_adapters(down)[0].device, dtype=dtype).view(1, 3, -1)
    with torch.no_grad():
        own, fused_ones = module(x), _feed_forward(module, dtype)(x)
    if not isinstance(own, Tensor):
        return False
    largest, rounding = float(own.abs().max()), torch.finfo(dtype).eps
    return torch.allclose(own, fused_ones, rtol=max(1e-3, 4 * rounding), atol=max(1e-4, 4 * rounding) * largest)


def fuse(model: "PeftModel", dtype: torch.dtype) -> None:
    """Makes the model's LoRA layers compute so; dropout must be 0.

    Args:
        dtype: Of all products: float32, or the bfloat16 in which the base is held.
    """
    feed_forwards = _feed_forwards(model, dtype)
    for members in _families(model):
        siblings = _Siblings(members, dtype)
        for number, layer in enumerate(members):
            layer.forward = siblings.forward_of(number)
    for module in feed_forwards:
        module.forward = _feed_forward(module, dtype)
