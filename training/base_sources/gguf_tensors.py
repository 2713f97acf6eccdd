"""The weights of a GGUF file as safetensors: computed back from their blocks, renamed and reordered, piece by piece."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from appliance.models.gguf_header import BLOCKS, TensorEntry, Unsound
from training.base_sources.gguf_keys import GgufKeys
from training.base_sources.tensor_shards import PlannedTensor, ShardWriter, pieces

Values = NDArray[np.float32]
LARGEST_F16 = 6e4
"""Weights beyond it do not fit into float16; the merge has the same bound."""
CONSTANTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Rotary factors, which the configuration has."""
_BLOCK = re.compile(r"blk\.(\d+)\.([a-z_]+)\.(weight|bias)")
_AROUND = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_PLAIN = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_NORMS_AFTER = {"post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
_NAMES: Mapping[str, Mapping[str, str]] = {
    "gemma3": {**_PLAIN, **_NORMS_AFTER, "ffn_norm": "pre_feedforward_layernorm"},
    "olmo2": {**_PLAIN, **_NORMS_AFTER},
    "phi3": {**_PLAIN, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
    "qwen3moe": {**_PLAIN, "ffn_gate_inp": "mlp.gate"},
}
"""Architecture -> name in a block of llama.cpp -> name in a layer of the model; others have the plain names."""
_EXPERTS = {"ffn_gate_exps": "gate_proj", "ffn_up_exps": "up_proj", "ffn_down_exps": "down_proj"}
_PAIRED = ("llama", "smollm3", "granite")
"""Architectures whose files have the rows of q and k so that the two halves of a rotary pair are neighbours."""
_OFFSET_NORMS = ("gemma3",)
"""Architectures whose files have one added to the weights of norms."""


@dataclass(frozen=True)
class Source:
    """A tensor of the model, and the part of the file that it is computed from."""

    name: str
    entry: TensorEntry
    shape: tuple[int, ...]
    """Outermost dimension first."""
    start: int
    """Offset of its first block in the file."""
    pairs: int = 0
    """Heads whose rows are put back in order; 0 where they stay."""
    offset: float = 0.0
    """What is taken from each weight."""


def sources_of(keys: GgufKeys) -> list[Source]:
    """All tensors of the model, in the order of the file.

    Raises:
        Unsound: A tensor is none of this architecture, or of a type that is not read.
    """
    sources = [source for entry in keys.head.tensors.values() for source in _sources(keys, entry)]
    if not any(source.name == "model.embed_tokens.weight" for source in sources):
        raise Unsound("the tensor token_embd.weight is missing")
    return sources


def _sources(keys: GgufKeys, entry: TensorEntry) -> Iterator[Source]:
    architecture, shape = keys.architecture, tuple(reversed(entry.shape))
    if entry.name in CONSTANTS:
        return
    stem, _, kind = entry.name.rpartition(".")
    offset = 1.0 if architecture in _OFFSET_NORMS and stem.endswith("norm") else 0.0
    if stem in _AROUND and kind == "weight":
        yield Source(f"{_AROUND[stem]}.weight", entry, shape, entry.start, offset=offset)
        return
    match = _BLOCK.fullmatch(entry.name)
    if match is None:
        raise Unsound(f"the tensor {entry.name} is none of a {architecture} model")
    layer, part, kind = match.groups()
    if part in _EXPERTS and architecture == "qwen3moe" and len(shape) == 3:
        for number in range(shape[0]):
            name = f"model.layers.{layer}.mlp.experts.{number}.{_EXPERTS[part]}.{kind}"
            yield Source(name, entry, shape[1:], entry.start + number * (entry.size_bytes // shape[0]))
        return
    names = _NAMES.get(architecture, _PLAIN)
    if part not in names:
        raise Unsound(f"the tensor {entry.name} is none of a {architecture} model")
    pairs = 0
    if architecture in _PAIRED and part in ("attn_q", "attn_k"):
        heads = keys.whole("attention.head_count")
        pairs = heads if part == "attn_q" else keys.whole("attention.head_count_kv", heads)
        if shape[0] % (2 * pairs):
            raise Unsound(f"{entry.name} has {shape[0]:,} rows, which {pairs:,} heads cannot share in pairs")
    yield Source(f"model.layers.{layer}.{names[part]}.{kind}", entry, shape, entry.start, pairs, offset)


def write_weights(path: Path, sources: Sequence[Source], directory: Path, on_bytes: Callable[[int], None]) -> str:
    """Writes the weights into a folder, in 16 bit, or in 32 where the file has its matrices so.

    Args:
        on_bytes: Called with the bytes of the file that were read.

    Returns:
        `float32`, `float16` or `bfloat16`.

    Raises:
        Unsound: A weight is not finite, or a type cannot be computed back.
    """
    dtype = _dtype(path, sources)
    plan = [PlannedTensor(source.name, source.shape, dtype) for source in sources]
    with ShardWriter(directory, plan) as writer:
        for source in sources:
            for values in numbers_of(path, source):
                if not np.isfinite(values).all():
                    raise Unsound(f"{source.entry.name} holds what is not a number (NaN or infinity)")
                writer.write(source.name, values)
            on_bytes(source.entry.size_bytes // (source.entry.numbers // _count(source.shape)))
        writer.finish()
    return {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype]


def _count(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _dtype(path: Path, sources: Sequence[Source]) -> str:
    """The type that keeps what the file has: float16 has more digits than blocks of a few bits, bfloat16 more range."""
    kinds = {source.entry.kind_name for source in sources if len(source.shape) > 1}
    if "F32" in kinds and kinds == {"F32"}:
        return "F32"
    if "BF16" in kinds:
        return "BF16"
    for source in sources:
        for values in numbers_of(path, source):
            if float(np.abs(values).max(initial=0.0)) > LARGEST_F16:
                return "BF16"
    return "F16"


def numbers_of(path: Path, source: Source) -> Iterator[Values]:
    """The numbers of a tensor in pieces of whole rows, (rows, row size), in the order of the model.

    Raises:
        Unsound: Its type cannot be computed back.
    """
    kind, block, block_bytes = BLOCKS[source.entry.kind]
    row = source.entry.shape[0]
    rows = _count(source.shape) // row
    row_bytes = row // block * block_bytes
    whole = rows * row * 4 if source.pairs else 64 << 20
    with path.open("rb") as file:
        for first, last in pieces(rows, row * 4, whole):
            file.seek(source.start + first * row_bytes)
            data = np.frombuffer(file.read((last - first) * row_bytes), np.uint8)
            if data.size != (last - first) * row_bytes:
                raise Unsound(f"the file ends in {source.entry.name}")
            try:
                values: Values = dequantize(
                    data.reshape(last - first, row_bytes), GGMLQuantizationType(source.entry.kind)
                )
            except (NotImplementedError, KeyError) as error:
                raise Unsound(f"{source.entry.name} has the type {kind}, which cannot be computed back") from error
            values = values.reshape(last - first, row).astype(np.float32, copy=False)
            if source.pairs:
                values = unpaired_rows(values.reshape(source.shape), source.pairs)
            yield values - np.float32(source.offset) if source.offset else values


def unpaired_rows(values: Values, heads: int) -> Values:
    """Rows of a q or k projection so that the two halves of a rotary pair are half a head apart, as in transformers.

    Args:
        values: (heads * head_size, hidden_size) or (heads * head_size,).
    """
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def constants_of(keys: GgufKeys) -> dict[str, Values]:
    """The rotary factors of the file by name, one dimension each."""
    factors = {}
    for name in CONSTANTS:
        if (entry := keys.head.tensors.get(name)) is not None:
            source = Source(name, entry, tuple(reversed(entry.shape)), entry.start)
            factors[name] = np.concatenate([values.reshape(-1) for values in numbers_of(keys.path, source)])
    return factors
