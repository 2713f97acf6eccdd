"""Attention over packed examples, document by document: what lies in another document is not even multiplied.

Transformers masks a packed row as a whole, so that its attention costs the square of the row. The mask is made as it
always is; where it parts the row into blocks that do not see one another, each block is computed for itself, or behind
a first block that all of them see.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "stillroom_by_document"


class Block(NamedTuple):
    """Tokens of a packed row that see one another, what all blocks see, and nothing else."""

    tokens: int
    mask: Tensor | None
    """(1, 1, tokens, shared + tokens) bool; None where each token sees all before it."""


class Blocks(NamedTuple):
    """The blocks of a row."""

    blocks: list[Block]
    shared: int = 0
    """Tokens of the first block where all others see it; else 0."""


_blocks: "WeakIdKeyDictionary" = WeakIdKeyDictionary()
"""Of the masks that are in use: all layers of a model share one or two."""


def use_attention_by_document(model: "PreTrainedModel") -> None:
    """Makes a model with torch's fused attention compute it document by document; others stay as they are."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def put_blocks(mask: Tensor, blocks: list[Block], shared: int) -> None:
    """Says what the blocks of a mask are, the first of which all others see; it has that many tokens."""
    _blocks[mask] = Blocks(blocks, shared)


def blocks_of(mask: Tensor) -> Blocks:
    """The blocks of the mask of a packed row.

    Args:
        mask: (1, 1, tokens, tokens) bool, True where a token sees another, itself or one before it.
    """
    known: Blocks | None = _blocks.get(mask)  # type: ignore[no-untyped-call]
    if known is not None:
        return known
    seen = mask[0, 0]
    tokens = len(seen)
    starts = [0, *((~seen.diagonal(-1)).nonzero()[:, 0] + 1).tolist(), tokens]
    blocks = []
    for start, end in pairwise(starts):
        part = seen[start:end, start:end]
        is_causal = bool(part.sum() == (end - start) * (end - start + 1) // 2)
        blocks.append(Block(end - start, None if is_causal else part[None, None]))
    _blocks[mask] = found = Blocks(blocks)
    return found


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Transformers' interface of an attention; query, key and value are (batch, heads, tokens, head_dim)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    is_packed = len(query) == 1 and query.shape[2] == key.shape[2]
    if attention_mask is None or not is_packed or attention_mask.dtype != torch.bool or len(attention_mask) != 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    blocks, shared = blocks_of(attention_mask)
    lengths = [block.tokens for block in blocks]
    queries, keys, values = (list(torch.split(states, lengths, dim=2)) for states in (query, key, value))
    if shared:
        keys, values = _behind_first(keys), _behind_first(values)
    outputs = [
        sdpa_attention_forward(module, q, k, v, block.mask, **settings)[0]
        for block, q, k, v in zip(blocks, queries, keys, values, strict=True)
    ]
    return torch.cat(outputs, dim=1), None


def _behind_first(parts: list[Tensor]) -> list[Tensor]:
    """Each part behind the first one, and that alone."""
    first, *others = parts
    return [first, *(torch.cat([first, part], dim=2) for part in others)]
