"""Examples that begin with the same tokens, in a row in which these stand once.

All examples of a task begin with its instruction and fields; where documents are short, that is half of what a pass
would compute, again and again. Each example sees the common beginning and itself, and counts its positions from there:
losses and gradients are those of the examples one behind the other, but for rounding.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.students.decoder.attention import NAME, Block, put_blocks

if TYPE_CHECKING:
    from training.students.decoder.examples import Batch

LEAST_SHARED = 16
"""Tokens of a common beginning that is worth the trouble."""


@dataclass(frozen=True)
class SharedRow:
    """A batch as one row: the common beginning, then what is left of each example."""

    input_ids: Tensor
    """(1, tokens) int64."""
    position_ids: Tensor
    """(1, tokens) int64."""
    places: Tensor
    """(written,) int64, in the order of the batch."""
    mask: Tensor
    """(1, 1, tokens, tokens) bool: what each token sees."""


def shares_prefix(model: nn.Module) -> bool:
    """Whether the model's attention does what a mask says in every layer: none has a window or a state of its own."""
    config = getattr(model, "config", None)
    if config is None or getattr(config, "_attn_implementation", "") != NAME:
        return False
    kinds = getattr(config, "layer_types", None) or []
    has_window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return not has_window and all(kind == "full_attention" for kind in kinds)


def shared_row(batch: "Batch") -> SharedRow | None:
    """The batch as one row with its common beginning once; None where it is short, or there is one example."""
    rows = [example.input_ids for example in batch.examples]
    if len(rows) < 2:
        return None
    first, last = min(rows), max(rows)  # what these two have in common, all have
    differing = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    length = next(differing, min(len(first), len(last)))
    length = min(length, *(_first_place(example.is_value) for example in batch.examples))
    if length < LEAST_SHARED:
        return None
    device = batch.input_ids.device
    own = [len(row) - length for row in rows]
    ids = torch.tensor([*rows[0][:length], *(token for row in rows for token in row[length:])])
    positions = torch.cat([torch.arange(length), *(torch.arange(length, length + each) for each in own)])
    # An example's place lies as much further left as beginnings before it are left out.
    example_of = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(row) for row in rows]))
    moved = torch.arange(len(example_of)) - length * example_of
    places = moved.to(device)[batch.places]
    part = torch.cat([torch.zeros(length, dtype=torch.long), torch.repeat_interleave(torch.tensor(own)) + 1])
    order = torch.arange(len(ids))
    seen = (order[:, None] >= order) & ((part[:, None] == part) | (part == 0))
    mask = seen[None, None].to(device)
    blocks = [Block(length, None)]
    blocks += [Block(each, torch.ones(each, length + each, dtype=torch.bool, device=device).tril(length)[None, None])
               for each in own]  # fmt: skip
    put_blocks(mask, blocks, length)
    return SharedRow(ids[None].to(device), positions[None].to(device), places, mask)


def _first_place(is_value: list[bool]) -> int:
    """The position whose next token is the first written one; all of them where none is written."""
    return is_value.index(True) - 1 if True in is_value else len(is_value) - 1
