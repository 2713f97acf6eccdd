"""Which tensors a GGUF file has, and from which tensors of the model each is made: known before a weight is read."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from appliance.models.model_config import ModelConfig, Rope
from export.gguf.settings import GEMMA3_WIDE_LAYERS, Architecture, ConversionError, original_context

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
_TEXT_PREFIXES = ("model.language_model.", "language_model.model.", "language_model.")
_OTHER_PARTS = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
"""Of multimodal models: what stands beside the text model."""
_NOT_WEIGHTS = "rotary_emb.inv_freq"

_AROUND_BLOCKS = {EMBEDDING: ("token_embd", "vw"), "model.norm.weight": ("output_norm", "w")}
_QKV = {
    "self_attn.q_proj": ("attn_q", "qw"),
    "self_attn.k_proj": ("attn_k", "kw"),
    "self_attn.v_proj": ("attn_v", "kw"),
}
_OUT = {"self_attn.o_proj": ("attn_output", "wq")}
_MLP = {"mlp.gate_proj": ("ffn_gate", "fw"), "mlp.up_proj": ("ffn_up", "fw"), "mlp.down_proj": ("ffn_down", "wf")}
_NORMS = {"input_layernorm": ("attn_norm", "w"), "post_attention_layernorm": ("ffn_norm", "w")}
_HEAD_NORMS = {"self_attn.q_norm": ("attn_q_norm", "h"), "self_attn.k_norm": ("attn_k_norm", "h")}
_NORMS_AFTER = {
    "post_attention_layernorm": ("post_attention_norm", "w"),
    "post_feedforward_layernorm": ("post_ffw_norm", "w"),
}
_PLAIN = _NORMS | _QKV | _OUT | _MLP
_LAYERS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "llama": _PLAIN,
    "granite": _PLAIN,
    "smollm3": _PLAIN,
    "qwen2": _PLAIN,
    "qwen3": _PLAIN | _HEAD_NORMS,
    "qwen3moe": _NORMS | _QKV | _OUT | _HEAD_NORMS | {"mlp.gate": ("ffn_gate_inp", "ew")},
    "gemma3": {
        "input_layernorm": ("attn_norm", "w"), "pre_feedforward_layernorm": ("ffn_norm", "w"),
        **_NORMS_AFTER, **_QKV, **_OUT, **_MLP, **_HEAD_NORMS,
    },
    "olmo2": {
        **_NORMS_AFTER, **_QKV, **_OUT, **_MLP,
        "self_attn.q_norm": ("attn_q_norm", "q"), "self_attn.k_norm": ("attn_k_norm", "k"),
    },
    "phi3": _NORMS | _OUT | {
        "self_attn.qkv_proj": ("attn_qkv", "aw"),
        "mlp.gate_up_proj": ("ffn_up", "gw"), "mlp.down_proj": ("ffn_down", "wf"),
    },
}  # fmt: skip
"""Architecture -> name within a layer of the model -> name in a block of llama.cpp, and dimensions, outermost first.

One letter a dimension: width, queries, keys, all three (a), feed-forward, gate and up (g), head, experts, vocabulary.
"""
_EXPERTS = {
    "gate_proj": ("ffn_gate_exps", "xw"),
    "up_proj": ("ffn_up_exps", "xw"),
    "down_proj": ("ffn_down_exps", "wx"),
}
"""The same of each expert's feed-forward network, whose width is x."""
_IN_F32 = ("ffn_gate_inp",)
"""Matrices that llama.cpp keeps in 32 bit: whether an expert is chosen hangs on a small difference."""


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the file."""

    name: str
    shape: Shape
    """Outermost dimension first."""
    sources: tuple[str, ...]
    """Tensors of the model, by their names in its files, that `build` takes in this order; none for constants."""
    build: "Callable[[Sequence[Tensor]], Tensor]"
    """Makes the values from the sources; keeps their number type."""

    @property
    def is_f32(self) -> bool:
        """Whether it is written in 32 bit, whatever the others are."""
        return len(self.shape) == 1 or self.name.split(".")[-2] in _IN_F32


def tensor_plan(
    config: ModelConfig, architecture: Architecture, shapes: Mapping[str, Shape], own_head: bool
) -> list[PlannedTensor]:
    """All tensors of the file, in the order of the blocks.

    Args:
        shapes: The model's tensors by their names in its files.
        own_head: Whether the output matrix is another than the embedding.

    Raises:
        ConversionError: A tensor is missing, has another shape than the configuration gives it, or has no place in
            llama.cpp.
    """
    names = text_names(shapes)
    sizes = _sizes(config, names, shapes)
    plan: list[PlannedTensor] = [*_constants(config, architecture)]
    used: set[str] = set()

    def add(target: str, own: Sequence[str], shape: Shape, build: "Callable[[Sequence[Tensor]], Tensor]") -> None:
        used.update(own)
        plan.append(PlannedTensor(target, shape, tuple(names[name] for name in own), build))

    def plain(own: str, target: str, letters: str, build: "Callable[[Sequence[Tensor]], Tensor]") -> None:
        shape = tuple(sizes[letter] for letter in letters)
        _check(own, shape, names, shapes)
        add(target, [own], shape, build)

    for own, (target, letters) in _AROUND_BLOCKS.items():
        plain(own, f"{target}.weight", letters, _value(architecture, own))
    if own_head and HEAD in names:
        plain(HEAD, "output.weight", "vw", _first)
    elif architecture.needs_head:
        plain(EMBEDDING, "output.weight", "vw", _first)
    for layer in range(config.layers):
        for own, (target, letters) in _LAYERS[architecture.name].items():
            build = _row_order(config, architecture, own) or _value(architecture, own, config)
            plain(f"model.layers.{layer}.{own}.weight", f"blk.{layer}.{target}.weight", letters, build)
            bias = f"model.layers.{layer}.{own}.bias"
            if bias in names and target in architecture.biases:
                plain(bias, f"blk.{layer}.{target}.bias", letters[:1], build)
        if architecture.name == "qwen3moe":
            for target, own_names, shape, build in _experts(config, layer, sizes, names, shapes):
                add(target, own_names, shape, build)
    surplus = [name for name in names if name not in used and name != HEAD]
    if "lm_head.bias" in surplus and architecture.name == "qwen2":
        surplus.remove("lm_head.bias")
        plain("lm_head.bias", "output.bias", "v", _first)
    if surplus:
        raise ConversionError(f"llama.cpp has no tensor for {names[surplus[0]]}", "use another base model")
    return plan


def text_names(names: Mapping[str, object]) -> dict[str, str]:
    """Names that the text model has alone -> names in the files; other parts of a multimodal model are left out."""
    known = {}
    for name in names:
        if name.endswith(_NOT_WEIGHTS) or name.startswith(_OTHER_PARTS):
            continue
        prefix = next((prefix for prefix in _TEXT_PREFIXES if name.startswith(prefix)), None)
        rest = name.removeprefix(prefix or "")
        is_head = rest.startswith("lm_head.") or rest.startswith("model.")
        known[rest if prefix is None or is_head else f"model.{rest}"] = name
    return known


def _sizes(config: ModelConfig, names: Mapping[str, str], shapes: Mapping[str, Shape]) -> dict[str, int]:
    if EMBEDDING not in names:
        raise ConversionError("the weights have no embed_tokens.weight", "merge the run again")
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "v": shapes[names[EMBEDDING]][0],
        "w": config.hidden_size,
        "q": queries,
        "k": keys,
        "a": queries + 2 * keys,
        "f": config.intermediate_size,
        "g": 2 * config.intermediate_size,
        "h": config.head_dim,
        "e": int(config.values.get("num_experts") or 0),
        "x": int(config.values.get("moe_intermediate_size") or 0),
    }


def _check(name: str, shape: Shape, names: Mapping[str, str], shapes: Mapping[str, Shape]) -> None:
    if name not in names:
        raise ConversionError(f"the weights lack {name}", "merge the run again, or fetch the base model again")
    if (actual := tuple(shapes[names[name]])) != shape:
        raise ConversionError(
            f"{names[name]} has the dimensions {list(actual)}, config.json makes them {list(shape)}",
            "fetch the base model again: its weights and its config.json are of different models",
        )


def _experts(
    config: ModelConfig, layer: int, sizes: Mapping[str, int], names: Mapping[str, str], shapes: Mapping[str, Shape]
) -> "list[tuple[str, list[str], Shape, Callable[[Sequence[Tensor]], Tensor]]]":
    """A layer's experts, which lie one by one in the files, or stacked with gate and up in one."""
    before, count, width = f"model.layers.{layer}.mlp.experts", sizes["e"], sizes["x"]
    planned = []
    for own, (target, letters) in _EXPERTS.items():
        shape = tuple(sizes[letter] for letter in letters)
        if f"{before}.down_proj" in names:
            stacked = f"{before}.{'down_proj' if own == 'down_proj' else 'gate_up_proj'}"
            whole = shape if own == "down_proj" else (2 * width, *shape[1:])
            _check(stacked, (count, *whole), names, shapes)
            part = slice(None) if own == "down_proj" else slice(0, width) if own == "gate_proj" else slice(width, None)
            sources, build = [stacked], _part(part)
        else:
            sources, build = [f"{before}.{expert}.{own}.weight" for expert in range(count)], _stack
            for source in sources:
                _check(source, shape, names, shapes)
        planned.append((f"blk.{layer}.{target}.weight", sources, (count, *shape), build))
    return planned


def _row_order(
    config: ModelConfig, architecture: Architecture, own: str
) -> "Callable[[Sequence[Tensor]], Tensor] | None":
    if not architecture.pairs_rows or own not in ("self_attn.q_proj", "self_attn.k_proj"):
        return None
    heads = config.heads if own == "self_attn.q_proj" else config.kv_heads
    return lambda tensors: pair_rows(tensors[0], heads)


def _value(
    architecture: Architecture, own: str, config: ModelConfig | None = None
) -> "Callable[[Sequence[Tensor]], Tensor]":
    if not architecture.norm_offset or "norm" not in own:
        return _first
    scale = gemma3_query_scale(config) if config and own == "self_attn.q_norm" else 1.0
    return lambda tensors: (tensors[0].float() + architecture.norm_offset) * scale


def gemma3_query_scale(config: ModelConfig) -> float:
    """What the queries of a Gemma 3 are multiplied with, so that llama.cpp's own scale becomes the model's."""
    is_wide = config.layers == GEMMA3_WIDE_LAYERS
    own_scale = config.hidden_size // config.heads if is_wide else config.head_dim
    return math.sqrt(own_scale / float(config.values["query_pre_attn_scalar"]))


def _first(tensors: "Sequence[Tensor]") -> "Tensor":
    return tensors[0]


def _stack(tensors: "Sequence[Tensor]") -> "Tensor":
    import torch

    return torch.stack(list(tensors))


def _part(part: slice) -> "Callable[[Sequence[Tensor]], Tensor]":
    return lambda tensors: tensors[0][:, part]


def pair_rows(tensor: "Tensor", heads: int) -> "Tensor":
    """Rows of a q or k projection so that the two halves of a rotary pair become neighbours.

    Args:
        tensor: (heads * head_size, hidden_size) or (heads * head_size,).
    """
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _constants(config: ModelConfig, architecture: Architecture) -> list[PlannedTensor]:
    """Factors of rotary frequencies, (rotated dimensions / 2,) each."""
    rope = config.rope()
    if rope.kind == "llama3":
        return [_constant("rope_freqs.weight", llama3_factors(rope, original_context(config, rope)))]
    if rope.kind != "longrope":
        return []
    factors = np.asarray(rope.values.get("short_factor") or (), dtype=np.float32)
    if factors.shape != (rope.rotated // 2,):
        raise ConversionError(
            f"config.json has {factors.size} rotary short factors, the heads need {rope.rotated // 2}",
            "fetch the base model again",
        )
    # llama.cpp takes the long ones by the room that is reserved, not by the text; a student learns with these alone.
    return [_constant(f"rope_factors_{name}.weight", factors) for name in ("long", "short")]


def _constant(name: str, values: NDArray[np.float32]) -> PlannedTensor:
    def build(tensors: "Sequence[Tensor]") -> "Tensor":
        import torch

        return torch.from_numpy(values)

    return PlannedTensor(name, values.shape, (), build)


def llama3_factors(rope: Rope, original: int) -> NDArray[np.float32]:
    """What each rotary frequency is divided by, (rotated / 2,): long waves by `factor`, short ones by one.

    Args:
        original: Tokens that the model was trained for before it was scaled.

    Source: the `llama3` rope type of transformers, `modeling_rope_utils.py`.
    """
    low, high = float(rope.values["low_freq_factor"]), float(rope.values["high_freq_factor"])
    wave = 2 * math.pi * rope.theta ** (np.arange(0, rope.rotated, 2, dtype=np.float64) / rope.rotated)
    smooth = np.clip((original / wave - low) / (high - low), 0.0, 1.0)
    factors: NDArray[np.float32] = (1.0 / ((1 - smooth) / float(rope.values["factor"]) + smooth)).astype(np.float32)
    return factors
