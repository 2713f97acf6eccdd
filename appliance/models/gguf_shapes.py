"""Which tensors a GGUF model has, and in which dimensions: what the loaders of llama.cpp take for each architecture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "phi3", "smollm3", "olmo2", "granite", "qwen3moe")
"""Those that the exports write. llama.cpp knows a hundred others, whose loaders end the process on what they do not
expect."""
WITH_WINDOWS = ("gemma3",)
"""Those whose layers see a window only, where the file says so."""
WITH_EXPERTS = ("qwen3moe",)
PARTLY_ROTATED = ("phi3",)
"""Those that may turn a part of each head."""


@dataclass(frozen=True)
class Sizes:
    """What the shapes of all tensors follow from."""

    blocks: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    rotated: int
    """Dimensions of a head that positions turn."""
    tokens: int
    experts: int
    """None of them: 0."""
    expert_forward: int


_QKV = {"attn_q": "wq", "attn_k": "wk", "attn_v": "wk"}
_MLP = {"ffn_gate": "wf", "ffn_up": "wf", "ffn_down": "fw"}
_USUAL = _QKV | {"attn_output": "qw"} | _MLP
_NORMS = {"attn_norm": "w", "ffn_norm": "w"}
_HEAD_NORMS = {"attn_q_norm": "h", "attn_k_norm": "h"}
_NORMS_AFTER = {"post_attention_norm": "w", "post_ffw_norm": "w"}
_EXPERTS = {"ffn_gate_inp": "we", "ffn_gate_exps": "wxe", "ffn_up_exps": "wxe", "ffn_down_exps": "xwe"}
_BLOCKS: Mapping[str, Mapping[str, str]] = {
    "llama": _USUAL | _NORMS,
    "granite": _USUAL | _NORMS,
    "smollm3": _USUAL | _NORMS,
    "qwen2": _USUAL | _NORMS,
    "qwen3": _USUAL | _NORMS | _HEAD_NORMS,
    "gemma3": _USUAL | _NORMS | _HEAD_NORMS | _NORMS_AFTER,
    "olmo2": _USUAL | _NORMS_AFTER | {"attn_q_norm": "q", "attn_k_norm": "k"},
    "phi3": {"attn_qkv": "wa", "attn_output": "qw", "ffn_up": "wg", "ffn_down": "fw"} | _NORMS,
    "qwen3moe": _QKV | {"attn_output": "qw"} | _NORMS | _HEAD_NORMS | _EXPERTS,
}
"""Matrices and norms of a block with their dimensions, innermost first; one letter each, as in `_letters`."""
_BIASES: Mapping[str, Iterable[str]] = {
    "llama": _USUAL, "granite": _USUAL, "qwen2": _USUAL, "qwen3": _USUAL, "smollm3": _QKV, "gemma3": _QKV,
    "olmo2": _QKV, "phi3": (), "qwen3moe": _QKV,
}  # fmt: skip
_FREQUENCIES = ("llama", "qwen2", "qwen3", "granite")
"""Those with divisors of rotary frequencies in one tensor."""


def tensor_shapes(sizes: Sizes, architecture: str) -> tuple[Shapes, Shapes]:
    """Tensors that a model has and that it can have, with their dimensions, innermost first."""
    letters = _letters(sizes)
    needed: Shapes = {"token_embd.weight": (sizes.width, sizes.tokens), "output_norm.weight": (sizes.width,)}
    possible: Shapes = {"output.weight": (sizes.width, sizes.tokens)}
    if architecture == "olmo2":
        needed |= possible
    if architecture in ("llama", "qwen2", "qwen3"):
        possible["output.bias"] = (sizes.tokens,)
    if architecture in _FREQUENCIES:
        possible["rope_freqs.weight"] = (sizes.rotated // 2,)
    elif architecture == "phi3":
        possible |= {f"rope_factors_{length}.weight": (sizes.rotated // 2,) for length in ("long", "short")}
    for block in range(sizes.blocks):
        for name, dimensions in _BLOCKS[architecture].items():
            shape = tuple(letters[letter] for letter in dimensions)
            needed[f"blk.{block}.{name}.weight"] = shape
            if name in _BIASES[architecture]:
                possible[f"blk.{block}.{name}.bias"] = shape[1:]
    return needed, possible


def _letters(sizes: Sizes) -> Mapping[str, int]:
    """Width, queries, keys, all three (a), feed-forward, gate and up in one (g), head, experts, their width (x)."""
    queries, keys = sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size
    return {
        "w": sizes.width, "q": queries, "k": keys, "a": queries + 2 * keys, "f": sizes.feed_forward,
        "g": 2 * sizes.feed_forward, "h": sizes.head_size, "e": sizes.experts, "x": sizes.expert_forward,
    }  # fmt: skip
