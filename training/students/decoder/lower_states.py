"""What the layers below the first adapter make of each row: computed once, kept from epoch to epoch.

These layers are frozen and a row is read by itself, so its hidden states at the first trained layer never change. A row
is computed alone, whatever it is packed with, so that a resumed run works with the same numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.students.decoder.examples import Batch, TokenExample, pack
from training.students.decoder.forward import value_logits

if TYPE_CHECKING:
    from peft import PeftModel

LARGEST_DIFFERENCE = 1e-2
"""Of a logit with and without the states, as a share of the largest; architectures whose layers share more differ."""


class _Captured(Exception):
    """The states of the first trained layer are there: the rest of the pass is not needed."""

    def __init__(self, states: Tensor) -> None:
        self.states = states


class LowerStates:
    """The kept states of a model's rows."""

    def __init__(self, layers: Sequence[nn.Module], first: int, rows: Iterable[TokenExample], limit_bytes: int) -> None:
        """Keeps nothing yet.

        Args:
            layers: Of the base, the lowest first.
            first: The number of the first layer with an adapter, from zero.
            rows: Those that come again in every epoch; states of others are not kept.
            limit_bytes: Of all states.
        """
        self._lower, self._first = list(layers[:first]), layers[first]
        self._rows = {id(example): example for example in rows}
        self._states: dict[int, Tensor] = {}
        self._room = limit_bytes
        self._is_usable: bool | None = None

    @contextmanager
    def in_place(self, model: "PeftModel", batch: Batch) -> Iterator[None]:
        """Within it, the model's lower layers are not computed for this batch; where they must be, nothing changes."""
        if self._is_usable is None:
            self._is_usable = self._agrees(model, batch)
        if not (self._is_usable and batch.examples):
            yield
            return
        with self._replay(self._batch_states(model, batch)):
            yield

    def _batch_states(self, model: "PeftModel", batch: Batch) -> Tensor:
        """(1, tokens, hidden) of the batch's examples."""
        return torch.cat([self._states_of(model, example, batch) for example in batch.examples], dim=1)

    def _states_of(self, model: "PeftModel", example: TokenExample, batch: Batch) -> Tensor:
        """(1, tokens, hidden) of one example."""
        known = self._states.get(id(example))
        if known is not None:
            return known
        states = self._capture(model, pack([example]).to(batch.input_ids.device))
        size = states.numel() * states.element_size()
        if id(example) in self._rows and size <= self._room:
            self._states[id(example)] = states
            self._room -= size
        return states

    def _capture(self, model: "PeftModel", batch: Batch) -> Tensor:
        def stop(module: nn.Module, arguments: tuple[Any, ...], settings: dict[str, Any]) -> None:
            raise _Captured(arguments[0] if arguments else settings["hidden_states"])

        hook = self._first.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with torch.no_grad(), _without_dropout(model):
                value_logits(model, batch)
        except _Captured as captured:
            with torch.inference_mode(False):  # states that a validation computes may be trained on later
                return captured.states.detach().clone()
        finally:
            hook.remove()
        raise AssertionError("the model does not compute its layers in turn")

    @contextmanager
    def _replay(self, states: Tensor) -> Iterator[None]:
        def put(module: nn.Module, arguments: tuple[Any, ...], settings: dict[str, Any]) -> Any:
            if arguments:
                return (states, *arguments[1:]), settings
            return arguments, {**settings, "hidden_states": states}

        hook = self._first.register_forward_pre_hook(put, with_kwargs=True)
        for layer in self._lower:
            layer.forward = _nothing
        try:
            yield
        finally:
            hook.remove()
            for layer in self._lower:
                del layer.forward

    def _agrees(self, model: "PeftModel", batch: Batch) -> bool:
        """Whether the model says the same from kept states: some architectures pass more from layer to layer."""
        if not batch.examples:
            return False
        part = pack(batch.examples[:1]).to(batch.input_ids.device)
        with torch.no_grad(), _without_dropout(model):
            try:
                expected = value_logits(model, part)
                with self._replay(self._batch_states(model, part)):
                    logits = value_logits(model, part)
            except (AssertionError, RuntimeError, TypeError, AttributeError, IndexError, KeyError):
                return False
        return bool((logits - expected).abs().max() <= LARGEST_DIFFERENCE * expected.abs().max())


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _nothing(hidden_states: Tensor, *arguments: object, **settings: object) -> Tensor:
    """A layer that passes on what it is given: another layer's input is put in its place."""
    return hidden_states
