"""`config.json` of the model in a GGUF file: its keys under the names of transformers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.models.gguf_header import Unsound
from training.base_sources.gguf_keys import GgufKeys

Factors = Mapping[str, NDArray[np.float32]]
"""Tensors of rotary factors by name."""
MOST_BLOCKS = 512
GEMMA3_WIDE_BLOCKS = 62
"""llama.cpp scales the attention of a Gemma 3 of this depth by its width per head, any other by the size of a head."""
_SPECIAL = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}


@dataclass(frozen=True)
class Reading:
    """How the model of one architecture of llama.cpp is called in transformers."""

    model_type: str
    model_class: str
    more: Callable[[GgufKeys, Factors, dict[str, object]], dict[str, object]] = lambda keys, factors, settings: {}
    """Settings beyond the common ones."""


def config_of(keys: GgufKeys, factors: Factors, rows: int, own_head: bool, dtype: str) -> dict[str, object]:
    """The configuration of the model.

    Args:
        rows: Of the embedding.
        own_head: Whether the output matrix stands in the file.

    Raises:
        Unsound: A key is missing or cannot be, or the model computes in a way that transformers cannot.
    """
    reading = READINGS[keys.architecture]
    heads, width = keys.whole("attention.head_count"), keys.whole("embedding_length")
    kv_heads = keys.whole("attention.head_count_kv", heads)
    head_size = keys.whole("attention.key_length", width // heads)
    if (blocks := keys.whole("block_count")) > MOST_BLOCKS:
        raise Unsound(f"block_count is {blocks:,}, at most {MOST_BLOCKS} is possible")
    if heads % kv_heads or keys.whole("attention.value_length", head_size) != head_size:
        raise Unsound(f"{heads} heads cannot share {kv_heads} of keys and values of their size")
    settings: dict[str, object] = {
        "architectures": [reading.model_class],
        "model_type": reading.model_type,
        "dtype": dtype,
        "vocab_size": rows,
        "hidden_size": width,
        "intermediate_size": keys.whole("feed_forward_length"),
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_size,
        "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": keys.whole("context_length"),
        "tie_word_embeddings": not own_head,
        "rope_parameters": _rope(keys, factors, head_size),
    }
    settings |= {f"{name}_token_id": keys.token_id(key) for name, key in _SPECIAL.items()}
    return settings | reading.more(keys, factors, settings)


def _rope(keys: GgufKeys, factors: Factors, head_size: int) -> dict[str, object]:
    theta = keys.number("rope.freq_base", 10000.0)
    kind = keys.text("rope.scaling.type", "none")
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 0.0))
    rope: dict[str, object] = {"rope_type": "default", "rope_theta": theta}
    if (rotated := keys.whole("rope.dimension_count", head_size)) != head_size:
        if keys.architecture != "phi3":
            raise Unsound(
                f"it rotates {rotated:,} of the {head_size:,} dimensions of its heads, which is not read here"
            )
        rope["partial_rotary_factor"] = rotated / head_size
    if "rope_freqs.weight" in factors:
        return rope | _llama3(factors["rope_freqs.weight"], theta, head_size)
    if kind in ("linear", "none") and factor > 1.0:
        return rope | {"rope_type": "linear", "factor": factor}
    if kind == "yarn" and factor > 1.0:
        original = keys.whole("rope.scaling.original_context_length", 0)
        if not original:
            raise Unsound("its rotary scaling yarn does not say the context before it was scaled")
        return rope | {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original}
    if kind not in ("none", "linear", "yarn", "longrope"):
        raise Unsound(f"its rotary scaling is {kind[:40]!r}, which is not read here")
    return rope


def _llama3(factors: NDArray[np.float32], theta: float, head_size: int) -> dict[str, object]:
    """The settings of the `llama3` scaling that give these factors.

    A file has the factors alone. Every released model has low 1 and high 4 and one of a few contexts.

    Raises:
        Unsound: None of them gives these factors.
    """
    if factors.shape != (head_size // 2,):
        raise Unsound(f"rope_freqs.weight has {factors.size} factors for heads of {head_size}")
    largest = float(factors.max())
    if largest == 1.0 and float(factors.min()) == 1.0:
        return {}
    wave = 2 * math.pi * theta ** (np.arange(0, head_size, 2, dtype=np.float64) / head_size)
    for original in (8192, 4096, 2048, 16384, 32768, 1024, 512, 65536, 131072, 256, 128, 64):
        smooth = np.clip((original / wave - 1.0) / 3.0, 0.0, 1.0)
        if np.allclose(1.0 / ((1 - smooth) / largest + smooth), factors, rtol=1e-3):
            return {
                "rope_type": "llama3", "factor": largest, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": original,
            }  # fmt: skip
    raise Unsound("its rotary factors (rope_freqs.weight) are of no scaling that is known here")


def _gemma3(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    blocks, heads, width = (
        int(str(settings[name])) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size")
    )
    full = settings["rope_parameters"]
    scale = width // heads if blocks == GEMMA3_WIDE_BLOCKS else int(str(settings["head_dim"]))
    window = keys.whole("attention.sliding_window", 0)
    windowed = keys.numbers("attention.sliding_window_pattern")
    if windowed is None:
        pattern = keys.whole("attention.sliding_window_pattern", 6)
        windowed = np.arange(1, blocks + 1) % pattern != 0
    kinds = ["sliding_attention" if window and windowed[block] else "full_attention" for block in range(blocks)]
    local = {"rope_type": "default", "rope_theta": keys.number("rope.freq_base_swa", 10000.0)}
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": scale,
        "sliding_window": window or int(str(settings["max_position_embeddings"])),
        "layer_types": kinds,
        "final_logit_softcapping": keys.number("final_logit_softcapping", 0.0) or None,
        "attn_logit_softcapping": keys.number("attn_logit_softcapping", 0.0) or None,
        "rope_parameters": {"full_attention": full, "sliding_attention": local},
    }


def _phi3(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    context = int(str(settings["max_position_embeddings"]))
    window = keys.whole("attention.sliding_window", 0)
    more: dict[str, object] = {"sliding_window": window or None, "original_max_position_embeddings": context}
    if "rope_factors_long.weight" not in factors:
        return more
    original = keys.whole("rope.scaling.original_context_length", context)
    rope = settings["rope_parameters"]
    long, short = (factors.get(f"rope_factors_{name}.weight") for name in ("long", "short"))
    if not isinstance(rope, dict) or long is None or short is None:
        raise Unsound("it has rotary factors for long texts and none for short ones")
    scaled = {
        "rope_type": "longrope", "long_factor": long.tolist(), "short_factor": short.tolist(),
        "original_max_position_embeddings": original, "factor": context / original,
    }  # fmt: skip
    if attention := keys.number("rope.scaling.attn_factor", 0.0):
        scaled["attention_factor"] = attention
    return more | {"original_max_position_embeddings": original, "rope_parameters": rope | scaled}


def _granite(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    head_size = int(str(settings["head_dim"]))
    return {
        "attention_multiplier": keys.number("attention.scale", head_size**-0.5),
        "embedding_multiplier": keys.number("embedding_scale", 1.0),
        "residual_multiplier": keys.number("residual_scale", 1.0),
        "logits_scaling": keys.number("logit_scale", 1.0),
    }


def _experts(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    return {
        "num_experts": keys.whole("expert_count"),
        "num_experts_per_tok": keys.whole("expert_used_count"),
        "moe_intermediate_size": keys.whole("expert_feed_forward_length"),
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }


def _smollm3(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    blocks = int(str(settings["num_hidden_layers"]))
    return {"no_rope_layer_interval": 4, "no_rope_layers": [int((layer + 1) % 4 != 0) for layer in range(blocks)]}


def _biases(keys: GgufKeys, factors: Factors, settings: dict[str, object]) -> dict[str, object]:
    """What of a Llama has a bias follows from its tensors."""
    tensors = keys.head.tensors
    return {
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }


READINGS: Mapping[str, Reading] = {
    "llama": Reading("llama", "LlamaForCausalLM", _biases),
    "qwen2": Reading("qwen2", "Qwen2ForCausalLM"),
    "qwen3": Reading("qwen3", "Qwen3ForCausalLM"),
    "qwen3moe": Reading("qwen3_moe", "Qwen3MoeForCausalLM", _experts),
    "gemma3": Reading("gemma3_text", "Gemma3ForCausalLM", _gemma3),
    "phi3": Reading("phi3", "Phi3ForCausalLM", _phi3),
    "smollm3": Reading("smollm3", "SmolLM3ForCausalLM", _smollm3),
    "olmo2": Reading("olmo2", "Olmo2ForCausalLM"),
    "granite": Reading("granite", "GraniteForCausalLM", lambda *of: _granite(*of) | _biases(*of)),
}
"""By `general.architecture`."""
