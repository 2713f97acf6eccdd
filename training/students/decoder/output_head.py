"""The head of a decoder apart from its layers: logits of a few positions at a time, with the model's own scaling.

A vocabulary of 262,144 tokens makes a megabyte of logits a position. Hidden states are computed once for all written
tokens, logits for some of them at a time. What an architecture does to its logits (granite's scale, gemma's cap) is in
its own forward pass, so that is what computes them here: once with the head taken out, once with the layers taken out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from training.students.decoder.examples import Batch

CHUNK_LOGITS = 1 << 23
"""Logits of a chunk at most: 32 MB in float32, of which a divergence needs about six copies."""
LEAST_CHUNK = 16
"""Positions; fewer would leave matrix products idle."""


def causal_model(model: nn.Module) -> Any:  # any architecture's; their common class does not declare its parts
    """The causal language model within an adapter, or itself."""
    return model.get_base_model() if hasattr(model, "peft_config") else model  # type: ignore[operator]


class _LayersOutput:
    """What layers give to a head: hidden states, and nothing of all else that an architecture may ask for."""

    def __init__(self, last_hidden_state: Tensor) -> None:
        self.last_hidden_state = last_hidden_state

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, place: int) -> Tensor:
        return (self.last_hidden_state,)[place]


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Within it, the module computes this instead."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def written_states(model: nn.Module, batch: "Batch") -> Tensor:
    """What the head would be given for each written token: (written, hidden), in the order of `batch.labels`.

    Args:
        model: A causal language model of transformers, with an adapter or without.
    """
    states: list[Tensor] = []

    def keep(hidden: Tensor) -> Tensor:
        states.append(hidden)
        return hidden[..., :1]

    with _replaced(causal_model(model).get_output_embeddings(), keep):
        model(input_ids=batch.input_ids, position_ids=batch.position_ids, logits_to_keep=batch.places, use_cache=False)
    return states[0][0]


def head_logits(model: nn.Module, states: Tensor) -> Tensor:
    """Logits of these hidden states, (positions, vocab_size), as the model's own forward pass forms them."""
    causal = causal_model(model)

    def layers(*_: object, **__: object) -> _LayersOutput:
        return _LayersOutput(states[None])

    places = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
    with _replaced(getattr(causal, causal.base_model_prefix), layers):
        logits: Tensor = causal(input_ids=places, use_cache=False).logits[0]
    return logits


def chunk_positions(model: nn.Module) -> int:
    """Positions whose logits are computed together."""
    return max(LEAST_CHUNK, CHUNK_LOGITS // len(causal_model(model).get_output_embeddings().weight))
