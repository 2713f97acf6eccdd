"""A merged decoder as a GGUF file: metadata, vocabulary, and tensors under the names and in the order of llama.cpp."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import part_for_library
from export.gguf.vocabulary import read_vocabulary, write_vocabulary

if TYPE_CHECKING:
    from torch import Tensor

SCHEMES = ("F16", "Q8_0", "Q4_K_M")
LARGEST_F16 = 65504.0
HEAD = "lm_head.weight"

Metrics = dict[str, float | int | str]
Array = NDArray[Any]


@dataclass(frozen=True)
class Architecture:
    """What differs between the families that can be converted."""

    arch: gguf.MODEL_ARCH
    pairs_rows: bool
    """Rotary pairs are neighbours in llama.cpp and half a head apart in transformers: rows of q and k are reordered."""
    rope_dimensions: bool
    """The file says how many dimensions of a head are rotated."""


ARCHITECTURES = {
    "llama": Architecture(gguf.MODEL_ARCH.LLAMA, True, True),
    "qwen2": Architecture(gguf.MODEL_ARCH.QWEN2, False, False),
    "qwen3": Architecture(gguf.MODEL_ARCH.QWEN3, False, False),
}
"""By `model_type` of the model's configuration."""


class ConversionError(ApplianceError):
    """The merged model is of a kind that the GGUF export does not know."""


def export_gguf(merged_dir: Path, out_path: Path, scheme: str) -> Metrics:
    """Writes the merged decoder as one GGUF file, whole or not at all, and checks what was written.

    Args:
        merged_dir: config.json, model.safetensors, tokenizer.json.
        scheme: `F16`, `Q8_0` or `Q4_K_M`.

    Returns:
        `quantization`, sizes in bytes, `parameters`, and what the checks found; `export.gguf.checks` has their names.

    Raises:
        UsageError: No such scheme.
        ConversionError, VocabularyError: The model is of a kind that cannot be converted.
        ExportDisagrees: The file cuts text or computes otherwise than the merged model.
    """
    from export.gguf.checks import check_export
    from export.gguf.quantize import quantize

    if scheme not in SCHEMES:
        raise UsageError(f"the GGUF export has no scheme {scheme}", f"use one of {', '.join(SCHEMES)}")
    started = time.monotonic()
    out_path.parent.mkdir(parents=True, exist_ok=True)
    full_path = out_path.with_name(out_path.name + ".f16.part")
    try:
        with part_for_library(out_path) as quantized_path:
            parameters = convert(merged_dir, full_path)
            full_bytes = full_path.stat().st_size
            if scheme == "F16":
                full_path.replace(quantized_path)
                checks = check_export(merged_dir, quantized_path, quantized_path)
            else:
                quantize(full_path, quantized_path, scheme)
                checks = check_export(merged_dir, full_path, quantized_path)
    finally:
        full_path.unlink(missing_ok=True)
    return {
        "quantization": scheme,
        "size_bytes": out_path.stat().st_size,
        "f16_size_bytes": full_bytes,
        "parameters": parameters,
        **checks,
        "seconds": round(time.monotonic() - started, 2),
    }


def convert(model_dir: Path, out_path: Path) -> int:
    """Writes the model in 16 bit; norms and biases in 32.

    Returns:
        The number of weights.

    Raises:
        ConversionError, VocabularyError: The model is of a kind that cannot be converted.
    """
    from safetensors import safe_open

    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    architecture = architecture_of(config)
    weights_path = model_dir / "model.safetensors"
    if not weights_path.is_file():
        raise ConversionError(f"{model_dir} has no model.safetensors", "merge the run again")
    with safe_open(str(weights_path), framework="pt") as weights:
        names = [name for name in weights.keys() if not name.endswith("rotary_emb.inv_freq")]  # noqa: SIM118
        if config.get("tie_word_embeddings") and not _has_own_head(weights, names):
            names = [name for name in names if name != HEAD]
        embedding = next((name for name in names if name.endswith("embed_tokens.weight")), None)
        if embedding is None:
            raise ConversionError(f"{weights_path} has no embed_tokens.weight", "merge the run again")
        rows = int(weights.get_slice(embedding).get_shape()[0])
        vocabulary = read_vocabulary(model_dir, rows)
        writer = GGUFWriter(str(out_path), gguf.MODEL_ARCH_NAMES[architecture.arch])
        try:
            _write_settings(writer, config, architecture, rows)
            write_vocabulary(writer, vocabulary)
            return _write_tensors(writer, _tensors(weights, names, config, architecture))
        finally:
            writer.close()


def architecture_of(config: dict[str, Any]) -> Architecture:
    """The architecture of a model's configuration.

    Raises:
        ConversionError: It is none of those that can be converted, or uses a variant that cannot.
    """
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise ConversionError(
            f"a {kind} model cannot be converted to GGUF",
            f"use a base model of the type {', '.join(ARCHITECTURES)}, or export to ONNX",
        )
    variant = None
    if config.get("hidden_act", "silu") != "silu":
        variant = f"the activation {config['hidden_act']}"
    elif config.get("use_sliding_window"):
        variant = "a sliding window"
    elif _rope(config)["type"] not in ("default", "llama3"):
        variant = f"{_rope(config)['type']} rotary scaling"
    if variant:
        raise ConversionError(f"a {kind} model with {variant} cannot be converted to GGUF", "use another base model")
    return ARCHITECTURES[kind]


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings, where transformers 5 writes them or where older versions did."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = scaling.get("rope_theta") or config.get("rope_theta") or 10000.0
    return {**scaling, "theta": float(theta), "type": scaling.get("rope_type") or scaling.get("type") or "default"}


def _head_size(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _has_own_head(weights: Any, names: list[str]) -> bool:
    """Whether the output matrix is another than the embedding; a configuration that calls them one may be wrong."""
    import torch

    embedding = next((name for name in names if name.endswith("embed_tokens.weight")), None)
    if HEAD not in names or embedding is None:
        return False
    return not torch.equal(weights.get_tensor(HEAD), weights.get_tensor(embedding))


def _write_settings(writer: GGUFWriter, config: dict[str, Any], architecture: Architecture, rows: int) -> None:
    heads = int(config["num_attention_heads"])
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(_head_size(config))
    writer.add_value_length(_head_size(config))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_freq_base(_rope(config)["theta"])
    if architecture.rope_dimensions:
        writer.add_rope_dimension_count(_head_size(config))
    writer.add_vocab_size(rows)
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _tensors(
    weights: Any, names: list[str], config: dict[str, Any], architecture: Architecture
) -> Iterator[tuple[str, Array, GGMLQuantizationType]]:
    """Every tensor: its name in llama.cpp, its values, its type."""
    name_map = gguf.get_tensor_name_map(architecture.arch, int(config["num_hidden_layers"]))
    rope = _rope(config)
    if rope["type"] == "llama3":
        yield "rope_freqs.weight", llama3_factors(rope, _head_size(config)), GGMLQuantizationType.F32
    matrices = _matrix_type(weights, names)
    for name in names:
        target = name_map.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ConversionError(f"llama.cpp has no tensor for {name}", "use another base model")
        tensor = _reordered(name, weights.get_tensor(name), config, architecture)
        values: Array = tensor.float().contiguous().numpy()
        kind = GGMLQuantizationType.F32 if values.ndim == 1 else matrices
        yield target, gguf.quants.quantize(values, kind), kind


def _matrix_type(weights: Any, names: list[str]) -> GGMLQuantizationType:
    """float16, or bfloat16 for all matrices where a weight is too large for float16.

    llama.cpp computes a product in the type of its weights: numbers that large come out of one matrix and go into the
    next.
    """
    if all(float(weights.get_tensor(name).abs().max()) <= LARGEST_F16 for name in names):
        return GGMLQuantizationType.F16
    return GGMLQuantizationType.BF16


def _reordered(name: str, tensor: "Tensor", config: dict[str, Any], architecture: Architecture) -> "Tensor":
    heads = int(config["num_attention_heads"])
    if architecture.pairs_rows and ".q_proj." in name:
        return pair_rows(tensor, heads)
    if architecture.pairs_rows and ".k_proj." in name:
        return pair_rows(tensor, int(config.get("num_key_value_heads") or heads))
    return tensor


def pair_rows(tensor: "Tensor", heads: int) -> "Tensor":
    """Rows of a q or k projection so that the two halves of a rotary pair become neighbours.

    Args:
        tensor: (heads * head_size, hidden_size) or (heads * head_size,).
    """
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def llama3_factors(rope: dict[str, Any], head_size: int) -> NDArray[np.float32]:
    """What each rotary frequency is divided by, (head_size / 2,): long waves by `factor`, short ones by one.

    Source: the `llama3` rope type of transformers, `modeling_rope_utils.py`.
    """
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    context, factor = float(rope["original_max_position_embeddings"]), float(rope["factor"])
    wave = 2 * math.pi * rope["theta"] ** (np.arange(0, head_size, 2, dtype=np.float64) / head_size)
    smooth = np.clip((context / wave - low) / (high - low), 0.0, 1.0)
    factors: NDArray[np.float32] = (1.0 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    return factors


def _write_tensors(writer: GGUFWriter, tensors: Iterator[tuple[str, Array, GGMLQuantizationType]]) -> int:
    count = 0
    for name, values, kind in tensors:
        count += values.size if kind is not GGMLQuantizationType.BF16 else values.nbytes // 2
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    return count
