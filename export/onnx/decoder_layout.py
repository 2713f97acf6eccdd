"""What a merged decoder computes, read from its configuration and the names of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from appliance.ground.errors import UsageError
from appliance.models.model_config import folder_context
from export.merged_model import read_config, skeleton
from export.merged_weights import EMBEDDING_ENDING, HEAD_NAME, MergedWeights

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

ACTIVATIONS = ("silu", "gelu_pytorch_tanh")
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3", "olmo2", "granite", "gemma3_text")
"""Values of `model_type` whose layers the graph can express."""
STATIC_ROPES = ("default", "linear", "llama3", "yarn", "longrope")
"""Rotary scalings whose frequencies depend on no length; those of `longrope` do beyond its original context, where no
text is read (`ModelConfig.context`)."""
ALL_LAYERS_SLIDE = ("mistral", "phi3")
"""Architectures whose window counts for every layer."""


@dataclass(frozen=True)
class Rotation:
    """Rotary positions."""

    frequencies: NDArray[np.float32]
    """(rotated / 2,): radians a position."""
    factor: float
    """Sines and cosines are multiplied by it."""


@dataclass(frozen=True)
class Layer:
    """What differs between the layers of one model."""

    window: int | None
    """Tokens that a token sees, itself included; None for all before it."""
    rotation: str
    """Key in `DecoderLayout.rotations`; empty where positions are not rotated."""


@dataclass(frozen=True)
class DecoderLayout:
    """A decoder of the kind that a graph is written for: rotated positions, RMS norms, gated feed-forward layers."""

    prefix: str
    """Of all tensors but the head."""
    heads: int
    kv_heads: int
    head_dim: int
    hidden_size: int
    vocab_size: int
    """Rows of the embedding."""
    context_length: int
    layers: tuple[Layer, ...]
    rotations: Mapping[str, Rotation]
    activation: str
    norm_epsilon: float
    norm_offset: float
    """Added to the weights of all norms."""
    attention_scale: float
    embedding_scale: float
    residual_scale: float
    logits_divisor: float
    has_own_head: bool


def read_layout(weights: MergedWeights) -> DecoderLayout:
    """The layout of a merged folder.

    Raises:
        UsageError: The decoder is of a kind that no graph is written for here; names it.
    """
    config, model_class = read_config(weights.directory)
    _refuse_variants(weights.directory, config)
    embedding = next((name for name in weights.names if name.endswith(EMBEDDING_ENDING)), None)
    if embedding is None:
        raise UsageError(f"{weights.directory.name} has no {EMBEDDING_ENDING}", "merge the run again")
    vocab_size, hidden_size = weights.shape(embedding)
    heads = int(config.num_attention_heads)
    head_dim = int(getattr(config, "head_dim", None) or hidden_size // heads)
    is_gemma, is_granite = config.model_type == "gemma3_text", config.model_type == "granite"
    scale = float(config.query_pre_attn_scalar) ** -0.5 if is_gemma else head_dim**-0.5
    return DecoderLayout(
        prefix=embedding.removesuffix(EMBEDDING_ENDING),
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        head_dim=head_dim,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        context_length=folder_context(weights.directory),
        layers=_layers(config),
        rotations=_rotations(config, model_class),
        activation=str(_activation(config)),
        norm_epsilon=float(config.rms_norm_eps),
        norm_offset=1.0 if is_gemma else 0.0,
        attention_scale=float(config.attention_multiplier) if is_granite else scale,
        embedding_scale=hidden_size**0.5 if is_gemma else float(config.embedding_multiplier) if is_granite else 1.0,
        residual_scale=float(config.residual_multiplier) if is_granite else 1.0,
        logits_divisor=float(config.logits_scaling) if is_granite else 1.0,
        has_own_head=HEAD_NAME in weights and not weights.same(HEAD_NAME, embedding),
    )


def _activation(config: "PreTrainedConfig") -> object:
    return getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", None)


def _refuse_variants(directory: Path, config: "PreTrainedConfig") -> None:
    """Refuses what the graph would compute otherwise."""
    kind = str(config.model_type)
    variant = ""
    if kind not in ARCHITECTURES:
        variant = f"the architecture {kind}"
    elif _activation(config) not in ACTIVATIONS:
        variant = f"the activation {_activation(config)}"
    elif getattr(config, "attn_logit_softcapping", None) or getattr(config, "final_logit_softcapping", None):
        variant = "capped logits"
    elif getattr(config, "use_bidirectional_attention", False):
        variant = "attention to later tokens"
    elif scalings := sorted(set(map(str, _rope_types(config))) - set(STATIC_ROPES)):
        variant = f"{scalings[0]} rotary scaling"
    if variant:
        raise UsageError(
            f"{directory.name} cannot become ONNX: no graph is written here for {variant}",
            "export it as gguf-q8_0, or take another base model",
        )


def _rope_parts(config: "PreTrainedConfig") -> dict[str, dict[str, Any]]:
    """Rotary settings by kind of layer, under an empty name where all layers share one."""
    parameters = dict(config.rope_parameters or {})
    if any(isinstance(part, Mapping) for part in parameters.values()):
        return {kind: dict(part) for kind, part in parameters.items() if part is not None}
    return {"all": parameters}


def _rope_types(config: "PreTrainedConfig") -> list[object]:
    return [part.get("rope_type", "default") for part in _rope_parts(config).values()]


def _layers(config: "PreTrainedConfig") -> tuple[Layer, ...]:
    kinds = getattr(config, "layer_types", None) or []
    window = getattr(config, "sliding_window", None)
    window = int(window) if window and getattr(config, "use_sliding_window", True) else None
    rotated = getattr(config, "no_rope_layers", None) or []
    parts = _rope_parts(config)
    layers = []
    for number in range(int(config.num_hidden_layers)):
        kind = kinds[number] if kinds else ""
        slides = kind == "sliding_attention" or (not kinds and config.model_type in ALL_LAYERS_SLIDE)
        rotation = kind if kind in parts else "all"
        is_rotated = bool(rotated[number]) if rotated else True
        layers.append(Layer(window if slides else None, rotation if is_rotated else ""))
    return tuple(layers)


def _rotations(config: "PreTrainedConfig", model_class: "type[PreTrainedModel]") -> dict[str, Rotation]:
    """Computed by transformers, so that every scaling is its own."""
    rotary = skeleton(config, model_class).model.rotary_emb
    kinds = [kind for kind in _rope_parts(config) if kind != "all"]
    if not kinds:
        return {"all": Rotation(rotary.inv_freq.float().numpy(), float(rotary.attention_scaling))}
    return {
        kind: Rotation(
            getattr(rotary, f"{kind}_inv_freq").float().numpy(), float(getattr(rotary, f"{kind}_attention_scaling"))
        )
        for kind in kinds
    }
