"""A merged decoder as a GGUF file: metadata, vocabulary, and tensors under the names and in the order of llama.cpp."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray

from appliance.ground.errors import UsageError
from appliance.ground.files import part_for_library
from appliance.models.model_config import read_model_config
from appliance.models.safetensors_file import TensorHeader, read_headers, weight_paths
from export.gguf.settings import architecture_of, settings_of, write_settings
from export.gguf.tensor_plan import EMBEDDING, HEAD, PlannedTensor, tensor_plan, text_names
from export.gguf.vocabulary import read_vocabulary
from export.gguf.vocabulary_file import write_vocabulary

if TYPE_CHECKING:
    from torch import Tensor

SCHEMES = ("F16", "Q8_0", "Q4_K_M")
LARGEST_F16 = 65504.0

Metrics = dict[str, float | int | str]
Array = NDArray[Any]


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
        WeightsError: A file of the weights is missing or damaged.
    """
    raw_config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    config = read_model_config(raw_config)
    architecture = architecture_of(config)
    headers = read_headers(weight_paths(model_dir))
    with ExitStack() as stack:
        weights = _Weights(headers, stack)
        is_tied = bool(config.values["tie_word_embeddings"])
        own_head = not is_tied or _has_own_head(weights)
        plan = tensor_plan(config, architecture, {name: header.shape for name, header in headers.items()}, own_head)
        rows = next(tensor.shape[0] for tensor in plan if tensor.name == "token_embd.weight")
        vocabulary = read_vocabulary(model_dir, rows)
        writer = GGUFWriter(str(out_path), architecture.name)
        stack.callback(writer.close)
        write_settings(writer, architecture, settings_of(config, architecture, rows))
        writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        write_vocabulary(writer, vocabulary)
        return _write_tensors(writer, _tensors(weights, plan))


class _Weights:
    """Tensors by name, from one file or many, each read when it is needed."""

    def __init__(self, headers: Mapping[str, TensorHeader], stack: ExitStack) -> None:
        from safetensors import safe_open

        paths = {header.path for header in headers.values()}
        self._files = {path: stack.enter_context(safe_open(str(path), framework="pt")) for path in paths}
        self._headers = headers
        self.names = text_names(headers)

    def tensor(self, name: str) -> "Tensor":
        """The tensor with this name in the files."""
        values: Tensor = self._files[self._headers[name].path].get_tensor(name)
        return values


def _has_own_head(weights: _Weights) -> bool:
    """Whether the output matrix is another than the embedding; a configuration that calls them one may be wrong."""
    import torch

    if HEAD not in weights.names or EMBEDDING not in weights.names:
        return False
    return not torch.equal(weights.tensor(weights.names[HEAD]), weights.tensor(weights.names[EMBEDDING]))


def _tensors(weights: _Weights, plan: Sequence[PlannedTensor]) -> Iterator[tuple[str, Array, GGMLQuantizationType]]:
    """Every tensor: its name in llama.cpp, its values, its type."""
    matrices = _matrix_type(weights, plan)
    for planned in plan:
        built = planned.build([weights.tensor(name) for name in planned.sources])
        values: Array = built.float().contiguous().numpy()
        kind = GGMLQuantizationType.F32 if planned.is_f32 else matrices
        yield planned.name, gguf.quants.quantize(values, kind), kind


def _matrix_type(weights: _Weights, plan: Sequence[PlannedTensor]) -> GGMLQuantizationType:
    """float16, or bfloat16 for all matrices where a weight is too large for float16.

    llama.cpp computes a product in the type of its weights: numbers that large come out of one matrix and go into the
    next.
    """
    sources = {name for planned in plan for name in planned.sources}
    if all(float(weights.tensor(name).abs().max()) <= LARGEST_F16 for name in sources):
        return GGMLQuantizationType.F16
    return GGMLQuantizationType.BF16


def _write_tensors(writer: GGUFWriter, tensors: Iterator[tuple[str, Array, GGMLQuantizationType]]) -> int:
    count = 0
    for name, values, kind in tensors:
        count += values.size if kind is not GGMLQuantizationType.BF16 else values.nbytes // 2
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    return count
