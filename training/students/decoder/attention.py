"""Attention over packed examples, document by document: what lies in another document is not even multiplied.

Transformers masks a packed row as a whole, so that its attention costs the square of the row. The mask is made as it
always is; where it parts the row into blocks that do not see one another, each block is computed for itself.
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
    """Tokens of a packed row that see one another and nothing else."""

    tokens: int
    mask: Tensor | None
    """(1, 1, tokens, tokens) bool; None where each token sees all before it."""


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


def blocks_of(mask: Tensor) -> list[Block]:
    """The blocks of the mask of a packed row.

    Args:
        mask: (1, 1, tokens, tokens) bool, True where a token sees another, itself or one before it.
    """
    known: list[Block] | None = _blocks.get(mask)  # type: ignore[no-untyped-call]
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
    _blocks[mask] = blocks
    return blocks


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Transformers' interface of an attention; query, key and value are (batch, heads, tokens, head_dim)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    is_packed = len(query) == 1 and query.shape[2] == key.shape[2]
    if attention_mask is None or not is_packed or attention_mask.dtype != torch.bool or len(attention_mask) != 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    blocks = blocks_of(attention_mask)
    lengths = [block.tokens for block in blocks]
    parts = zip(*(torch.split(states, lengths, dim=2) for states in (query, key, value)), strict=True)
    outputs = [
        sdpa_attention_forward(module, q, k, v, block.mask, **settings)[0]
        for block, (q, k, v) in zip(blocks, parts, strict=True)
    ]
    return torch.cat(outputs, dim=1), None
