"""What the head of a GGUF file says of a model: its architecture and the numbers that llama.cpp computes with."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gguf import GGUFValueType, GGUFWriter

from appliance.ground.errors import ApplianceError
from appliance.models.architectures import ARCHITECTURES as KNOWN
from appliance.models.model_config import ModelConfig, Rope, rotated_layers

Setting = bool | int | float | str | list[bool]
Settings = dict[str, Setting]

_TYPES: tuple[tuple[type, GGUFValueType], ...] = (
    (bool, GGUFValueType.BOOL),
    (int, GGUFValueType.UINT32),
    (float, GGUFValueType.FLOAT32),
    (str, GGUFValueType.STRING),
    (list, GGUFValueType.ARRAY),
)
SMOLLM3_INTERVAL = 4
"""llama.cpp turns all layers of a SmolLM3 but every fourth, whatever the file says."""
GEMMA3_WIDE_LAYERS = 62
"""A Gemma 3 with so many layers is scaled in attention by its width per head, any other by the size of its heads."""


class ConversionError(ApplianceError):
    """The model is of a kind that the GGUF export does not know."""


@dataclass(frozen=True)
class Architecture:
    """How llama.cpp computes one architecture, as far as the file must fit it."""

    name: str
    """`general.architecture`."""
    pairs_rows: bool = False
    """Rotary pairs are neighbours in llama.cpp and half a head apart in transformers: rows of q and k are reordered."""
    norm_offset: float = 0.0
    """What the model adds to the weights of its norms, and llama.cpp does not."""
    biases: frozenset[str] = frozenset({"attn_q", "attn_k", "attn_v"})
    """Products that may have a bias."""
    ropes: frozenset[str] = frozenset({"default", "linear"})
    """Kinds of rotary settings that its graph computes."""
    needs_head: bool = False
    """The output matrix must stand in the file even where it is the embedding."""
    activation: str = "silu"
    refusal: Callable[[ModelConfig], str | None] = lambda config: None
    """What of this model llama.cpp would compute otherwise, as `X` in `a llama model with X`."""


def _gemma3_refusal(config: ModelConfig) -> str | None:
    if config.values.get("attn_logit_softcapping"):
        return "a cap on its attention"
    return "attention in both directions" if config.values.get("use_bidirectional_attention") else None


def _smollm3_refusal(config: ModelConfig) -> str | None:
    expected = tuple((layer + 1) % SMOLLM3_INTERVAL != 0 for layer in range(config.layers))
    if rotated_layers(config.values, config.layers) != expected:
        return f"rotary positions in other layers than all but every {SMOLLM3_INTERVAL}th"
    return None


def _phi3_refusal(config: ModelConfig) -> str | None:
    width = config.heads * config.head_dim
    return f"heads of {width} dimensions for a width of {config.hidden_size}" if width != config.hidden_size else None


def _experts_refusal(config: ModelConfig) -> str | None:
    if int(config.values["decoder_sparse_step"]) != 1 or config.values.get("mlp_only_layers"):
        return "experts in some of its layers only"
    return None if config.values["norm_topk_prob"] else "experts whose shares do not sum to one"


_ALL_BIASES = frozenset({"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
_WITH_FACTORS = frozenset({"default", "linear", "llama3"})
_LLAMA = Architecture("llama", pairs_rows=True, biases=_ALL_BIASES, ropes=_WITH_FACTORS)
ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "qwen3_moe": Architecture("qwen3moe", refusal=_experts_refusal),
    "gemma3_text": Architecture("gemma3", norm_offset=1.0, activation="gelu_pytorch_tanh", refusal=_gemma3_refusal),
    "phi3": Architecture("phi3", biases=frozenset(), ropes=frozenset({"default", "longrope"}), refusal=_phi3_refusal),
    "smollm3": Architecture("smollm3", pairs_rows=True, refusal=_smollm3_refusal),
    "olmo2": Architecture("olmo2", needs_head=True),
    "granite": Architecture("granite", pairs_rows=True, biases=_ALL_BIASES, ropes=_WITH_FACTORS),
}
"""By `model_type` of the text model."""


def architecture_of(config: ModelConfig) -> Architecture:
    """How llama.cpp computes a model.

    Raises:
        ConversionError: It does not, or not in the same way.
    """
    kind = config.model_type
    if kind not in ARCHITECTURES:
        known = KNOWN.get(kind)
        why = f": {known.why_no_gguf}" if known and known.why_no_gguf else ""
        raise ConversionError(
            f"a {kind} model cannot be converted to GGUF{why}",
            f"use a base model of the type {', '.join(ARCHITECTURES)}, or export to ONNX",
        )
    architecture = ARCHITECTURES[kind]
    ropes = {config.rope().kind, *({config.rope(windowed=True).kind} if config.window else ())}
    variant = None
    if config.values["hidden_act"] != architecture.activation:
        variant = f"the activation {config.values['hidden_act']}"
    elif unknown := ropes - architecture.ropes:
        variant = f"{min(unknown)} rotary scaling"
    elif config.rope().rotated != config.head_dim and kind != "phi3":
        variant = f"{config.rope().rotated} of {config.head_dim} dimensions of a head rotated"
    else:
        variant = architecture.refusal(config)
    if variant:
        raise ConversionError(f"a {kind} model with {variant} cannot be converted to GGUF", "use another base model")
    return architecture


def settings_of(config: ModelConfig, architecture: Architecture, vocab_size: int) -> Settings:
    """The keys of the architecture, without its name before them.

    Args:
        vocab_size: Rows of the embedding.
    """
    rope = config.rope()
    settings: Settings = {
        "context_length": config.context,
        "embedding_length": config.hidden_size,
        "block_count": config.layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": float(config.values["rms_norm_eps"]),
        "rope.freq_base": rope.theta,
        "rope.dimension_count": rope.rotated,
        "vocab_size": vocab_size,
    }
    if rope.kind == "linear":
        settings |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope.values["factor"])}
    elif rope.kind == "longrope":
        settings |= {
            "rope.scaling.original_context_length": original_context(config, rope),
            "rope.scaling.attn_factor": longrope_attention(config, rope),
        }
    values = config.values
    if architecture.name == "gemma3":
        if config.window:
            settings |= {
                "attention.sliding_window": config.window,
                "attention.sliding_window_pattern": list(config.windowed),
                "rope.freq_base_swa": config.rope(windowed=True).theta,
            }
        if cap := values.get("final_logit_softcapping"):
            settings["final_logit_softcapping"] = float(cap)
    elif architecture.name == "granite":
        settings |= {
            "attention.scale": float(values["attention_multiplier"]),
            "embedding_scale": float(values["embedding_multiplier"]),
            "residual_scale": float(values["residual_multiplier"]),
            "logit_scale": float(values["logits_scaling"]),
        }
    elif architecture.name == "qwen3moe":
        settings |= {
            "expert_count": int(values["num_experts"]),
            "expert_used_count": int(values["num_experts_per_tok"]),
            "expert_feed_forward_length": int(values["moe_intermediate_size"]),
        }
    return settings


def write_settings(writer: GGUFWriter, architecture: Architecture, settings: Settings) -> None:
    """Adds the keys, each in the type that llama.cpp reads."""
    for key, value in settings.items():
        kind = next(kind for python_type, kind in _TYPES if isinstance(value, python_type))
        of_entries = GGUFValueType.BOOL if kind is GGUFValueType.ARRAY else None
        writer.add_key_value(f"{architecture.name}.{key}", value, kind, sub_type=of_entries)


def original_context(config: ModelConfig, rope: Rope) -> int:
    """Tokens that a scaled model was trained for before it was scaled."""
    return rope.original_context or config.trained_context


def longrope_attention(config: ModelConfig, rope: Rope) -> float:
    """What `longrope` multiplies sines and cosines with.

    Source: `_compute_longrope_parameters` of transformers, `modeling_rope_utils.py`.
    """
    written: Any = rope.values.get("attention_factor")
    if written is not None:
        return float(written)
    original = original_context(config, rope)
    factor = float(rope.values.get("factor") or config.trained_context / original)
    return math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
