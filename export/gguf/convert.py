"""A merged decoder as a GGUF file: metadata, vocabulary, and tensors under the names and in the order of llama.cpp."""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray

from appliance.ground.errors import UsageError
from appliance.ground.files import part_for_library
from appliance.models.model_config import read_model_config
from export.gguf.settings import architecture_of, settings_of, write_settings
from export.gguf.tensor_plan import EMBEDDING, HEAD, PlannedTensor, tensor_plan, text_names
from export.gguf.vocabulary import read_vocabulary
from export.gguf.vocabulary_file import write_vocabulary
from export.merged_weights import MergedWeights

if TYPE_CHECKING:
    from export.reference import Reference

SCHEMES = ("F16", "Q8_0", "Q4_K_M")
LARGEST_F16 = 65504.0

Metrics = dict[str, float | int | str]
Array = NDArray[Any]


def export_gguf(
    merged_dir: Path,
    out_path: Path,
    scheme: str,
    reference: "Reference | None" = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Metrics:
    """Writes the merged decoder as one GGUF file, whole or not at all, and checks what was written.

    Args:
        merged_dir: config.json, model.safetensors, tokenizer.json.
        scheme: `F16`, `Q8_0` or `Q4_K_M`.
        reference: What the merged decoder answers on rows of its task; random tokens are read where it is None.
        on_stage: Called with what is done next.

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
            on_stage("converting")
            parameters = convert(merged_dir, full_path)
            full_bytes = full_path.stat().st_size
            if scheme == "F16":
                full_path.replace(quantized_path)
                on_stage("comparing")
                checks = check_export(merged_dir, quantized_path, quantized_path, reference, scheme)
            else:
                on_stage("quantizing")
                quantize(full_path, quantized_path, scheme)
                on_stage("comparing")
                checks = check_export(merged_dir, full_path, quantized_path, reference, scheme)
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
        WeightsError: A file of the weights is missing or damaged.
    """
    config = read_model_config(json.loads((model_dir / "config.json").read_text(encoding="utf-8")))
    architecture = architecture_of(config)
    weights = MergedWeights(model_dir)
    names = text_names(weights.shapes)
    is_tied = bool(config.values["tie_word_embeddings"])
    # A configuration that calls output matrix and embedding one may be wrong.
    has_both = HEAD in names and EMBEDDING in names
    own_head = not is_tied or (has_both and not weights.same(names[HEAD], names[EMBEDDING]))
    plan = tensor_plan(config, architecture, weights.shapes, own_head)
    rows = next(tensor.shape[0] for tensor in plan if tensor.name == "token_embd.weight")
    vocabulary = read_vocabulary(model_dir, rows)
    writer = GGUFWriter(str(out_path), architecture.name)
    try:
        write_settings(writer, architecture, settings_of(config, architecture, rows))
        writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        write_vocabulary(writer, vocabulary)
        return _write_tensors(writer, weights, plan)
    finally:
        writer.close()


def _write_tensors(writer: GGUFWriter, weights: MergedWeights, plan: Sequence[PlannedTensor]) -> int:
    """Writes the heads of all tensors, and then one tensor after the other; no two are in memory at once.

    Returns:
        The number of weights.
    """
    import torch

    matrices = _matrix_type(weights, plan)
    kinds = [GGMLQuantizationType.F32 if planned.is_f32 else matrices for planned in plan]
    for planned, kind in zip(plan, kinds, strict=True):
        size_bytes = math.prod(planned.shape) * (4 if kind is GGMLQuantizationType.F32 else 2)
        dtype = np.dtype(np.float32 if kind is GGMLQuantizationType.F32 else np.float16)
        writer.add_tensor_info(planned.name, planned.shape, dtype, size_bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for planned, kind in zip(plan, kinds, strict=True):
        built = planned.build([torch.from_numpy(weights.read(name)) for name in planned.sources])
        values: Array = built.float().contiguous().numpy()
        writer.write_tensor_data(gguf.quants.quantize(values, kind))
    return sum(math.prod(planned.shape) for planned in plan)


def _matrix_type(weights: MergedWeights, plan: Sequence[PlannedTensor]) -> GGMLQuantizationType:
    """float16, or bfloat16 for all matrices where a weight is too large for float16.

    llama.cpp computes a product in the type of its weights: numbers that large come out of one matrix and go into the
    next. Whatever is stored in float16 fits it.
    """
    wider = {name for planned in plan for name in planned.sources if weights.dtype(name) != "F16"}
    if all(float(np.abs(weights.read(name)).max(initial=0.0)) <= LARGEST_F16 for name in wider):
        return GGMLQuantizationType.F16
    return GGMLQuantizationType.BF16
