"""Whether the head of a GGUF file describes a model that can be computed: keys that fit each other and the tensors.

Only the architectures that the exports write are let through.
"""

import math
from collections.abc import Iterable, Mapping

from appliance.models.gguf_header import KIND_NAMES, Array, GgufHead, Scalar, TensorEntry, Unsound
from appliance.models.gguf_shapes import (
    ARCHITECTURES,
    PARTLY_ROTATED,
    WITH_EXPERTS,
    WITH_WINDOWS,
    Sizes,
    tensor_shapes,
)

MOST_BLOCKS = 512
"""llama.cpp ends its process beyond it."""
MOST_CONTEXT = 1 << 30
MOST_WIDTH = 1 << 20
MOST_EXPERTS = 1024
"""llama.cpp ends its process beyond it."""
_WHOLE_KINDS = frozenset({4, 5, 10, 11})
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING = 4, 5, 6, 7, 8
_ENTRY_KINDS = {"tokens": (_STRING,), "merges": (_STRING,), "token_type": (5,), "scores": (_FLOAT32,)}
"""Lists of `tokenizer.ggml` and of what they are."""
_TOKENIZERS = ("gpt2", "llama")
_ROPE_SCALINGS = (b"none", b"linear", b"yarn", b"longrope")
_POSITIVE = ("rope.freq_base", "rope.freq_base_swa", "rope.scaling.factor", "rope.scaling.attn_factor")
_GRANITE_SCALES = ("attention.scale", "embedding_scale", "residual_scale", "logit_scale")
_HEAD_SIZES = (
    "attention.value_length", "attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa",
)  # fmt: skip
"""Sizes that may differ from the heads' in other models."""
_ZERO_ONLY = (
    "expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count", "nextn_predict_layers",
    "pooling_type", "expert_shared_count", "attention.sliding_window", "deepstack_mapping",
)  # fmt: skip
"""Of models that are built otherwise than those that are exported here."""
_WINDOW = "attention.sliding_window"


def check_model(head: GgufHead) -> None:
    """Compares keys, vocabulary and tensors.

    Raises:
        Unsound: Something is missing, or does not fit the rest.
    """
    architecture = _string(head.values, "general.architecture").decode("ascii", "replace")
    if architecture not in ARCHITECTURES:
        raise Unsound(f"its architecture is {architecture[:40]!r}, this program runs {', '.join(ARCHITECTURES)}")
    values = {
        key.removeprefix(f"{architecture}."): value
        for key, value in head.values.items()
        if key.startswith(f"{architecture}.")
    }
    if any(key.startswith("split.") for key in head.values):
        raise Unsound("it is one of several parts, and each model here is one file")
    sizes = _sizes(values, _check_vocabulary(head.values), architecture)
    _check_settings(values, sizes, architecture)
    _check_own_settings(values, sizes, architecture)
    _check_tensors(head.tensors, sizes, architecture)


def _sizes(values: Mapping[str, Scalar | Array], tokens: int, architecture: str) -> Sizes:
    heads = _whole(values, "attention.head_count", MOST_WIDTH)
    width = _whole(values, "embedding_length", MOST_WIDTH)
    kv_heads = _whole(values, "attention.head_count_kv", MOST_WIDTH, heads)
    if heads % kv_heads:
        raise Unsound(f"{heads:,} heads cannot share {kv_heads:,} of keys and values")
    if "attention.key_length" not in values and width % heads:
        raise Unsound(f"a width of {width:,} cannot be shared by {heads:,} heads")
    head_size = _whole(values, "attention.key_length", MOST_WIDTH, width // heads)
    has_experts = architecture in WITH_EXPERTS
    return Sizes(
        blocks=_whole(values, "block_count", MOST_BLOCKS),
        width=width,
        feed_forward=_whole(values, "feed_forward_length", MOST_WIDTH),
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        rotated=_whole(values, "rope.dimension_count", MOST_WIDTH, head_size),
        tokens=tokens,
        experts=_whole(values, "expert_count", MOST_EXPERTS) if has_experts else 0,
        expert_forward=_whole(values, "expert_feed_forward_length", MOST_WIDTH) if has_experts else 0,
    )


def _check_settings(values: Mapping[str, Scalar | Array], sizes: Sizes, architecture: str) -> None:
    _whole(values, "context_length", MOST_CONTEXT)
    for key in _HEAD_SIZES:
        if (size := _whole(values, key, MOST_WIDTH, sizes.head_size)) != sizes.head_size:
            raise Unsound(f"{key} is {size:,}, the heads have {sizes.head_size:,} dimensions")
    is_partly = architecture in PARTLY_ROTATED and sizes.rotated < sizes.head_size
    if sizes.rotated != sizes.head_size and not is_partly:
        raise Unsound(f"rope.dimension_count is {sizes.rotated:,}, the heads have {sizes.head_size:,} dimensions")
    if sizes.rotated % 2:
        raise Unsound(f"heads of {sizes.rotated:,} dimensions cannot be rotated in pairs")
    if (tokens := _whole(values, "vocab_size", MOST_CONTEXT, sizes.tokens)) != sizes.tokens:
        raise Unsound(f"vocab_size is {tokens:,}, the vocabulary has {sizes.tokens:,} tokens")
    _whole(values, "rope.scaling.original_context_length", MOST_CONTEXT, 1)
    epsilon = _number(values, "attention.layer_norm_rms_epsilon")
    if not 0 <= epsilon < 1:
        raise Unsound(f"attention.layer_norm_rms_epsilon is {epsilon}, not between 0 and 1")
    for key in _POSITIVE:
        if key in values and not 0 < _number(values, key) < math.inf:
            raise Unsound(f"{key} is {_number(values, key)}, not a positive number")
    allowed: tuple[str, ...] = ("expert_count", "expert_used_count") if architecture in WITH_EXPERTS else ()
    if architecture in WITH_WINDOWS or architecture == "phi3":  # llama.cpp has none for phi3, whatever the file says
        allowed = (_WINDOW,)
    for key in _ZERO_ONLY:
        entry = values.get(key) if key not in allowed else None
        if entry is not None and not (isinstance(entry, Scalar) and entry.kind in _WHOLE_KINDS and entry.value == 0):
            raise Unsound(f"it has {key}: such models are not run here")
    # Without it each token sees those behind it as well, and the answer to a document depends on how it is fed.
    causal = values.get("attention.causal", Scalar(_BOOL, True))
    if not isinstance(causal, Scalar) or causal.kind != _BOOL or not causal.value:
        raise Unsound("attention.causal is not true: such models are not run here")
    scaling = values.get("rope.scaling.type", Scalar(_STRING, b"none"))
    if not isinstance(scaling, Scalar) or scaling.value not in _ROPE_SCALINGS:
        raise Unsound("rope.scaling.type is none that is known")


def _check_own_settings(values: Mapping[str, Scalar | Array], sizes: Sizes, architecture: str) -> None:
    """What only this architecture reads."""
    if architecture == "granite":
        for key in _GRANITE_SCALES:
            if (key in values or key == "logit_scale") and not 0 < _number(values, key) < math.inf:
                raise Unsound(f"{key} is {_number(values, key)}, not a positive number")
    if architecture in WITH_EXPERTS:
        _whole(values, "expert_used_count", sizes.experts)
    if architecture not in WITH_WINDOWS:
        return
    if _WINDOW in values and _whole_value(values[_WINDOW], _WINDOW) > MOST_CONTEXT:
        raise Unsound(f"{_WINDOW} is more than {MOST_CONTEXT:,}")
    pattern = values.get(f"{_WINDOW}_pattern")
    flags = (_UINT32, _INT32, _BOOL)
    if isinstance(pattern, Array) and (pattern.kind not in flags or pattern.count != sizes.blocks):
        raise Unsound(f"{_WINDOW}_pattern is no list of one flag for each of {sizes.blocks:,} blocks")
    # A window that no block has, and llama.cpp ends its process.
    has_window = _WINDOW in values and _whole_value(values[_WINDOW], _WINDOW) > 0
    is_nowhere = pattern.is_zero if isinstance(pattern, Array) else _whole_or(pattern, 0) == 1
    if has_window and is_nowhere:
        raise Unsound(f"{_WINDOW} is of no block")
    if "final_logit_softcapping" in values and not 0 <= _number(values, "final_logit_softcapping") < math.inf:
        raise Unsound("final_logit_softcapping is not a number of at least 0")


def _check_vocabulary(values: Mapping[str, Scalar | Array]) -> int:
    """Gives the number of tokens."""
    kind = _string(values, "tokenizer.ggml.model").decode("ascii", "replace")
    if kind not in _TOKENIZERS:
        raise Unsound(f"its tokenizer is {kind[:40]!r}, this program runs {' and '.join(_TOKENIZERS)}")
    lists: dict[str, Array] = {}
    for name, kinds in _ENTRY_KINDS.items():
        entry = values.get(f"tokenizer.ggml.{name}")
        if entry is None:
            continue
        if not isinstance(entry, Array) or entry.kind not in kinds:
            raise Unsound(f"tokenizer.ggml.{name} is no list of {KIND_NAMES[kinds[0]]}")
        lists[name] = entry
    needed = ("tokens", "merges") if kind == "gpt2" else ("tokens", "scores", "token_type")
    for name in needed:
        if name not in lists:
            raise Unsound(f"tokenizer.ggml.{name} is missing")
    tokens = lists["tokens"]
    if not tokens.count:
        raise Unsound("its vocabulary is empty")
    # Twice the same token, and llama.cpp ends its process; an empty one gets a name of its own there.
    names = {text or b"[EMPTY_%d]" % number for number, text in enumerate(tokens.strings)}
    if len(names) < tokens.count:
        raise Unsound(f"{tokens.count - len(names):,} of {tokens.count:,} tokens stand in its vocabulary twice")
    for name in ("token_type", "scores"):
        if name in lists and lists[name].count != tokens.count:
            raise Unsound(f"tokenizer.ggml.{name} has {lists[name].count:,} entries for {tokens.count:,} tokens")
    for key, entry in values.items():
        if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
            number = _whole_value(entry, key)
            if number >= tokens.count:
                raise Unsound(f"{key} is {number:,}, the vocabulary has {tokens.count:,} tokens")
    return tokens.count


def _check_tensors(tensors: Mapping[str, TensorEntry], sizes: Sizes, architecture: str) -> None:
    """Every tensor is one that the architecture has, in the shape that the keys give; all that it needs are there."""
    needed, possible = tensor_shapes(sizes, architecture)
    for name, tensor in tensors.items():
        shape = needed.get(name, possible.get(name))
        if shape is None:
            raise Unsound(f"the tensor {name} is none of a {architecture} model with {sizes.blocks:,} blocks")
        # A last dimension of 1 may be written or left out.
        if _without_ones(tensor.shape) != _without_ones(shape):
            raise Unsound(f"{name} has the dimensions {list(tensor.shape)}, the keys make them {list(shape)}")
        if len(shape) == 1 and tensor.kind_name != "F32":
            raise Unsound(f"{name} is written as {tensor.kind_name}, llama.cpp computes with it in F32")
    for name in needed:
        if name not in tensors:
            raise Unsound(f"the tensor {name} is missing")


def _without_ones(shape: Iterable[int]) -> tuple[int, ...]:
    sizes = list(shape)
    while len(sizes) > 1 and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)


def _string(values: Mapping[str, Scalar | Array], key: str) -> bytes:
    entry = values.get(key)
    if not isinstance(entry, Scalar) or not isinstance(entry.value, bytes):
        raise Unsound(f"{key} is missing" if entry is None else f"{key} is no text")
    return entry.value


def _number(values: Mapping[str, Scalar | Array], key: str) -> float:
    entry = values.get(key)
    if not isinstance(entry, Scalar) or entry.kind != _FLOAT32 or not isinstance(entry.value, float):
        raise Unsound(f"{key} is missing" if entry is None else f"{key} is no float32")
    return entry.value


def _whole(values: Mapping[str, Scalar | Array], key: str, most: int, default: int | None = None) -> int:
    """A count of at least 1."""
    entry = values.get(key)
    if entry is None:
        if default is None:
            raise Unsound(f"{key} is missing")
        return default
    number = _whole_value(entry, key)
    if not 1 <= number <= most:
        raise Unsound(f"{key} is {number:,}, which is not between 1 and {most:,}")
    return number


def _whole_or(entry: Scalar | Array | None, default: int) -> int:
    return default if entry is None else _whole_value(entry, f"{_WINDOW}_pattern")


def _whole_value(entry: Scalar | Array, key: str) -> int:
    # llama.cpp takes uint32 and nothing else for these.
    if not isinstance(entry, Scalar) or entry.kind != _UINT32 or not isinstance(entry.value, int):
        raise Unsound(f"{key} is no uint32")
    return entry.value
