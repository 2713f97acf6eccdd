"""Whether the head of a GGUF file describes a model that can be computed: keys that fit each other and the tensors.

Only the architectures that the exports write are let through. llama.cpp knows a hundred others, whose loaders end the
process on what they do not expect.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.models.gguf_header import KIND_NAMES, Array, GgufHead, Scalar, TensorEntry, Unsound

ARCHITECTURES = ("llama", "qwen2", "qwen3")
MOST_BLOCKS = 512
"""llama.cpp ends its process beyond it."""
MOST_CONTEXT = 1 << 30
MOST_WIDTH = 1 << 20
_WHOLE_KINDS = frozenset({4, 5, 10, 11})
_UINT32, _FLOAT32, _BOOL, _STRING = 4, 6, 7, 8
_ENTRY_KINDS = {"tokens": (_STRING,), "merges": (_STRING,), "token_type": (5,), "scores": (_FLOAT32,)}
"""Lists of `tokenizer.ggml` and of what they are."""
_TOKENIZERS = ("gpt2", "llama")
_ROPE_SCALINGS = (b"none", b"linear", b"yarn", b"longrope")
_POSITIVE = ("rope.freq_base", "rope.scaling.factor", "rope.scaling.attn_factor")
_ZERO_ONLY = (
    "expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count", "nextn_predict_layers",
    "pooling_type", "expert_shared_count", "attention.sliding_window",
)  # fmt: skip
"""Of models that are built otherwise than those that are exported here."""


@dataclass(frozen=True)
class _Sizes:
    """What the shapes of all tensors follow from."""

    blocks: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    tokens: int


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
    sizes = _sizes(values, _check_vocabulary(head.values))
    _check_settings(values, sizes)
    _check_tensors(head.tensors, sizes, architecture)


def _sizes(values: Mapping[str, Scalar | Array], tokens: int) -> _Sizes:
    heads = _whole(values, "attention.head_count", MOST_WIDTH)
    width = _whole(values, "embedding_length", MOST_WIDTH)
    kv_heads = _whole(values, "attention.head_count_kv", MOST_WIDTH, heads)
    if heads % kv_heads:
        raise Unsound(f"{heads:,} heads cannot share {kv_heads:,} of keys and values")
    if "attention.key_length" not in values and width % heads:
        raise Unsound(f"a width of {width:,} cannot be shared by {heads:,} heads")
    return _Sizes(
        _whole(values, "block_count", MOST_BLOCKS),
        width,
        _whole(values, "feed_forward_length", MOST_WIDTH),
        heads,
        kv_heads,
        _whole(values, "attention.key_length", MOST_WIDTH, width // heads),
        tokens,
    )


def _check_settings(values: Mapping[str, Scalar | Array], sizes: _Sizes) -> None:
    _whole(values, "context_length", MOST_CONTEXT)
    for key in ("attention.value_length", "rope.dimension_count"):
        if (size := _whole(values, key, MOST_WIDTH, sizes.head_size)) != sizes.head_size:
            raise Unsound(f"{key} is {size:,}, the heads have {sizes.head_size:,} dimensions")
    if sizes.head_size % 2:
        raise Unsound(f"heads of {sizes.head_size:,} dimensions cannot be rotated in pairs")
    if (tokens := _whole(values, "vocab_size", MOST_CONTEXT, sizes.tokens)) != sizes.tokens:
        raise Unsound(f"vocab_size is {tokens:,}, the vocabulary has {sizes.tokens:,} tokens")
    epsilon = _number(values, "attention.layer_norm_rms_epsilon")
    if not 0 <= epsilon < 1:
        raise Unsound(f"attention.layer_norm_rms_epsilon is {epsilon}, not between 0 and 1")
    for key in _POSITIVE:
        if key in values and not 0 < _number(values, key) < math.inf:
            raise Unsound(f"{key} is {_number(values, key)}, not a positive number")
    for key in _ZERO_ONLY:
        entry = values.get(key)
        if entry is not None and not (isinstance(entry, Scalar) and entry.kind in _WHOLE_KINDS and entry.value == 0):
            raise Unsound(f"it has {key}: such models are not run here")
    # Without it each token sees those behind it as well, and the answer to a document depends on how it is fed.
    causal = values.get("attention.causal", Scalar(_BOOL, True))
    if not isinstance(causal, Scalar) or causal.kind != _BOOL or not causal.value:
        raise Unsound("attention.causal is not true: such models are not run here")
    scaling = values.get("rope.scaling.type", Scalar(_STRING, b"none"))
    if not isinstance(scaling, Scalar) or scaling.value not in _ROPE_SCALINGS:
        raise Unsound("rope.scaling.type is none that is known")


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


def _check_tensors(tensors: Mapping[str, TensorEntry], sizes: _Sizes, architecture: str) -> None:
    """Every tensor is one that the architecture has, in the shape that the keys give; all that it needs are there."""
    needed, possible = _shapes(sizes, architecture)
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


def _shapes(sizes: _Sizes, architecture: str) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Tensors that a model has and that it can have, with their dimensions, innermost first."""
    width, forward = sizes.width, sizes.feed_forward
    queries, keys = sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size
    needed: dict[str, tuple[int, ...]] = {"token_embd.weight": (width, sizes.tokens), "output_norm.weight": (width,)}
    possible: dict[str, tuple[int, ...]] = {
        "output.weight": (width, sizes.tokens),
        "output.bias": (sizes.tokens,),
        "rope_freqs.weight": (sizes.head_size // 2,),
    }
    matrices = {
        "attn_q": (width, queries), "attn_k": (width, keys), "attn_v": (width, keys), "attn_output": (queries, width),
        "ffn_gate": (width, forward), "ffn_up": (width, forward), "ffn_down": (forward, width),
    }  # fmt: skip
    norms = {"attn_norm": width, "ffn_norm": width}
    if architecture == "qwen3":
        norms |= {"attn_q_norm": sizes.head_size, "attn_k_norm": sizes.head_size}
    for block in range(sizes.blocks):
        for name, shape in matrices.items():
            needed[f"blk.{block}.{name}.weight"] = shape
            possible[f"blk.{block}.{name}.bias"] = shape[1:]
        needed |= {f"blk.{block}.{name}.weight": (size,) for name, size in norms.items()}
    return needed, possible


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


def _whole_value(entry: Scalar | Array, key: str) -> int:
    # llama.cpp takes uint32 and nothing else for these.
    if not isinstance(entry, Scalar) or entry.kind != _UINT32 or not isinstance(entry.value, int):
        raise Unsound(f"{key} is no uint32")
    return entry.value
