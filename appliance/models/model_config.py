"""What a decoder's `config.json` says of its shape, with what it leaves out.

Files of models leave out whatever equals the default of the class that reads them, and older ones write rotary settings
in other places; here every model has the same form. The defaults are those of the configuration classes of
transformers, which is not needed for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.ground.errors import UsageError
from appliance.ground.json_input import parse_json
from appliance.models.architectures import ARCHITECTURES, text_config

Values = Mapping[str, Any]

_COMMON: Values = {
    "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "tie_word_embeddings": False,
}  # fmt: skip
_DEFAULTS: Mapping[str, Values] = {
    "llama": {"max_position_embeddings": 2048},
    "mistral": {"max_position_embeddings": 131072, "num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28},
    "qwen3": {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28, "head_dim": 128},
    "qwen3_moe": {
        "num_key_value_heads": 4, "sliding_window": 4096, "decoder_sparse_step": 1, "moe_intermediate_size": 768,
        "num_experts_per_tok": 8, "num_experts": 128, "norm_topk_prob": False,
    },
    "gemma3_text": {
        "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131072,
        "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True, "query_pre_attn_scalar": 256,
        "sliding_window": 4096, "sliding_window_pattern": 6, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
    },
    "phi3": {"max_position_embeddings": 4096, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
    "smollm3": {
        "num_key_value_heads": 4, "no_rope_layer_interval": 4, "tie_word_embeddings": True, "rope_theta": 2e6,
    },
    "olmo2": {"max_position_embeddings": 2048, "rms_norm_eps": 1e-5},
    "granite": {
        "max_position_embeddings": 2048, "embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0,
        "attention_multiplier": 1.0,
    },
}  # fmt: skip
"""By `model_type`; what stands nowhere must stand in the file."""
_SLIDING, _FULL = "sliding_attention", "full_attention"


class ModelConfigError(UsageError):
    """A `config.json` lacks a number of the model's shape, or has another kind of value in its place."""


@dataclass(frozen=True)
class Rope:
    """How positions turn the heads of one kind of layer."""

    kind: str
    """`default`, `linear`, `llama3`, `longrope`, `yarn` or whatever the file says."""
    theta: float
    rotated: int
    """Dimensions of a head that are turned."""
    values: Values
    """The other settings of its kind, as the file has them."""

    @property
    def original_context(self) -> int | None:
        """Tokens that the unscaled model was trained for, where the file says so."""
        value = self.values.get("original_max_position_embeddings")
        return value if isinstance(value, int) and value > 0 else None


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    trained_context: int
    """Tokens, as the file says."""
    window: int | None
    """Tokens that a layer with a window sees, itself among them; None where no layer has one."""
    windowed: tuple[bool, ...]
    """Of each layer: whether it sees a window only."""
    values: Values
    """Everything in the file, and the defaults of what it leaves out."""

    def rope(self, windowed: bool = False) -> Rope:
        """Rotary settings of the layers with or without a window."""
        return _rope(self, windowed)

    @property
    def context(self) -> int:
        """Tokens of one text that the model reads in the same way in training and in every engine.

        Beyond the original context, `longrope` models are computed with other factors from the first token on. And
        llama.cpp has windows for some architectures only; up to the size of a window there is no difference.
        """
        context, rope = self.trained_context, self.rope()
        if rope.kind == "longrope" and rope.original_context:
            context = min(context, rope.original_context)
        known = ARCHITECTURES.get(self.model_type)
        if self.window and not (known and known.gguf_windows):
            context = min(context, self.window)
        return context


def read_model_config(config: Values) -> ModelConfig:
    """The shape that a `config.json` describes, of the text model where there are several.

    Raises:
        ModelConfigError: A number is missing, or is none.
    """
    part = dict(text_config(config))
    model_type = str(part.get("model_type") or config.get("model_type"))
    known = ARCHITECTURES.get(model_type)
    if known and known.text_part:
        model_type = known.text_part
    values = {**_COMMON, **_DEFAULTS.get(model_type, {}), **{k: v for k, v in part.items() if v is not None}}
    if "sliding_window" in part and part["sliding_window"] is None:
        values["sliding_window"] = None  # says that there is none, where leaving it out says the default
    if "hidden_activation" in values:
        values["hidden_act"] = values["hidden_activation"]
    if "num_local_experts" in values:
        values["num_experts"] = values["num_local_experts"]
    hidden_size, heads = _count(values, "hidden_size"), _count(values, "num_attention_heads")
    kv_heads = _count(values, "num_key_value_heads", heads)
    if heads % kv_heads:
        raise ModelConfigError(f"{heads} attention heads cannot share {kv_heads} of keys and values", _HINT)
    layers = _count(values, "num_hidden_layers")
    window, windowed = _windows(model_type, values, layers)
    return ModelConfig(
        model_type=model_type,
        hidden_size=hidden_size,
        intermediate_size=_count(values, "intermediate_size"),
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_count(values, "head_dim", hidden_size // heads),
        trained_context=_count(values, "max_position_embeddings"),
        window=window,
        windowed=windowed,
        values=values,
    )


def context_of(config: Values) -> int:
    """Tokens of one text that the model of a `config.json` reads; `ModelConfig.context` has the reasons.

    Raises:
        ModelConfigError: The file does not say it.
    """
    try:
        return read_model_config(config).context
    except ModelConfigError:  # of a kind that is not known here: what the file says is all there is
        values = text_config(config)
        return _count(values, "max_position_embeddings" if "max_position_embeddings" in values else "n_positions")


def folder_context(directory: Path) -> int:
    """The same of a folder with a config.json.

    Raises:
        ModelConfigError: There is none, or it does not say it.
    """
    return context_of(_folder_config(directory))


def embedding_numbers(directory: Path) -> int:
    """Numbers in the embedding of the model in a folder with a config.json.

    Raises:
        ModelConfigError: There is none, or it does not say it.
    """
    values = text_config(_folder_config(directory))
    return _count(values, "vocab_size") * _count(values, "hidden_size")


def _folder_config(directory: Path) -> Values:
    try:
        config = parse_json((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelConfigError(f"config.json of {directory.name} cannot be read: {error}", _HINT) from error
    if not isinstance(config, Mapping):
        raise ModelConfigError(f"config.json of {directory.name} is no object", _HINT)
    return config


_HINT = "compare the model's config.json with the one that its makers publish"


def _count(values: Values, key: str, default: int | None = None) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        state = "lacks" if value is None else f"has {str(value)[:40]!r} as"
        raise ModelConfigError(f"the model's config.json {state} {key}", _HINT)
    return value


def _windows(model_type: str, values: Values, layers: int) -> tuple[int | None, tuple[bool, ...]]:
    """The window, and which layers have it."""
    window = values.get("sliding_window")
    is_optional = model_type in ("qwen2", "qwen3", "qwen3_moe", "smollm3")
    if window is None or (is_optional and not values.get("use_sliding_window")):
        return None, (False,) * layers
    window = _count(values, "sliding_window")
    kinds = values.get("layer_types")
    if isinstance(kinds, list) and model_type not in ("mistral", "phi3", "qwen3_moe"):
        if len(kinds) != layers:
            raise ModelConfigError(f"the model's config.json has {len(kinds)} layer_types for {layers} layers", _HINT)
        windowed = tuple(kind == _SLIDING for kind in kinds)
    elif model_type == "gemma3_text":
        pattern = _count(values, "sliding_window_pattern")
        windowed = tuple((layer + 1) % pattern != 0 for layer in range(layers))
    elif model_type in ("qwen2", "qwen3"):
        first = int(values["max_window_layers"])
        windowed = tuple(layer >= first for layer in range(layers))
    elif model_type == "smollm3":
        windowed = tuple(not turned for turned in rotated_layers(values, layers))
    else:
        windowed = (model_type in ("mistral", "phi3", "qwen3_moe"),) * layers
    return (window, windowed) if any(windowed) else (None, windowed)


def rotated_layers(values: Values, layers: int) -> tuple[bool, ...]:
    """Of each layer of a SmolLM3: whether positions turn its heads."""
    written = values.get("no_rope_layers")  # 1 where they do, in spite of its name
    if isinstance(written, list):
        return tuple(bool(flag) for flag in written)
    interval = _count(values, "no_rope_layer_interval")
    return tuple((layer + 1) % interval != 0 for layer in range(layers))


def _rope(config: ModelConfig, windowed: bool) -> Rope:
    values = config.values
    written = values.get("rope_parameters") or values.get("rope_scaling") or {}
    own = values["rope_local_base_freq"] if windowed and "rope_local_base_freq" in values else None
    theta = values.get("rope_theta", 1e4) if own is None else own
    if isinstance(written, Mapping) and (_FULL in written or _SLIDING in written):
        written = written.get(_SLIDING if windowed else _FULL) or {}
    elif own is not None:
        written = {}  # scaling is of the layers that see everything
    if not isinstance(written, Mapping):
        raise ModelConfigError("the model's config.json has rotary settings of an unknown form", _HINT)
    settings = dict(written)
    # transformers reads the older `type` of every model but this one.
    older = None if config.model_type == "gemma3_text" else settings.get("type")
    kind = str(settings.get("rope_type") or older or "default")
    if config.model_type == "phi3" and kind in ("su", "yarn"):
        kind = "longrope"  # older names
    if (original := values.get("original_max_position_embeddings")) is not None:
        settings["original_max_position_embeddings"] = original
    share = settings.get("partial_rotary_factor", values.get("partial_rotary_factor", 1.0))
    try:
        theta, rotated = (
            float(settings.get("rope_theta") or theta),
            int(config.head_dim * float(1.0 if share is None else share)),
        )
    except (TypeError, ValueError) as error:
        raise ModelConfigError(
            f"the model's config.json has a rotary setting that is no number: {error}", _HINT
        ) from error
    if not (0 < theta < math.inf and 0 < rotated <= config.head_dim):
        raise ModelConfigError(f"the model's config.json has the rotary base {theta} and share {share}", _HINT)
    return Rope(kind, theta, rotated, settings)
