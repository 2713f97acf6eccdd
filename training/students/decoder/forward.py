"""The forward pass of a decoder in training: the model's own, over packed examples, with logits where it writes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.students.decoder.adapted import layers_of
from training.students.decoder.shared_prefix import shared_row, shares_prefix

if TYPE_CHECKING:
    from peft import PeftModel

    from training.options import TrainingOptions
    from training.students.decoder.examples import Batch


def value_logits(model: nn.Module, batch: "Batch", may_share: bool = True) -> Tensor:
    """What the model's own forward pass says of each written token; its head works nowhere else.

    The head over a whole document would cost as much as two layers of a small base. Scales and caps that an
    architecture has for its logits are in its forward pass.

    Args:
        model: A causal language model of transformers, with an adapter or without.
        may_share: Whether what all examples begin with may be computed once.

    Returns:
        (written, vocab_size), in the order of `batch.labels`.
    """
    row = shared_row(batch) if may_share and shares_prefix(model) else None
    inputs = batch if row is None else row
    mask = {} if row is None else {"attention_mask": row.mask}
    with _last_layer_at(model, inputs.places):
        output = model(
            input_ids=inputs.input_ids,
            position_ids=inputs.position_ids,
            logits_to_keep=inputs.places,
            use_cache=False,
            **mask,
        )
    logits: Tensor = output.logits[0]
    return logits


@contextlib.contextmanager
def _last_layer_at(model: nn.Module, places: Tensor) -> Iterator[None]:
    """What the last layer does for each token by itself is done for the written ones alone; nothing reads the others.

    Args:
        places: (written,) int64 of the tokens of a batch of one row.
    """
    layer = layers_of(model)[-1]
    attention = getattr(layer, "self_attn", None)
    modules = [getattr(layer, "mlp", None), getattr(attention, "o_proj", None)]
    if getattr(layer, "gradient_checkpointing", False):  # computed again on the way back, when this is over
        modules = []
    own = {module: module.__dict__.get("forward") for module in modules if isinstance(module, nn.Module)}
    for module in own:
        module.forward = _at(places, module.forward)
    try:
        yield
    finally:
        for module, forward in own.items():
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _at(places: Tensor, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def forward_at(x: Tensor) -> Tensor:
        y = forward(x[:, places])
        return y.new_zeros(*x.shape[:-1], y.shape[-1]).index_copy(1, places, y)

    return forward_at


def whole_values(values: Tensor, token_right: Tensor) -> tuple[int, int]:
    """How many values are right as a whole, and how many there are.

    Args:
        values: (written,) int64, the number of the value that each token is of, from zero; -1 for tokens of none.
        token_right: (written,) bool.
    """
    token_right, values = token_right[values >= 0], values[values >= 0]
    wrong = torch.zeros(int(values.max()) + 1 if len(values) else 0, dtype=torch.bool, device=values.device)
    wrong[values[~token_right]] = True
    return len(wrong) - int(wrong.sum()), len(wrong)


def forward_context(
    model: "PeftModel", batch: "Batch", options: "TrainingOptions"
) -> contextlib.AbstractContextManager[object]:
    """How the forward pass computes: in bfloat16, or in float32."""
    if options.adapter.precision == "bfloat16":
        return torch.autocast(batch.input_ids.device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
