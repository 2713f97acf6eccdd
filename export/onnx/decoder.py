"""Decoder students to ONNX: one graph with a key-value cache for prompts and single tokens, int8, agreement."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from appliance.engines.onnx_session import open_session
from appliance.ground.errors import UsageError
from export.onnx.graphs import (
    Metrics,
    copy_graph,
    graph_files,
    quantize,
    quiet_exporters,
    save_graph,
)
from export.onnx.samples import Sample, padded_batches, read_samples
from export.parity import ExportDisagrees, refuse_no_numbers

if TYPE_CHECKING:
    import onnxruntime
    from onnx import ModelProto
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

AGREEMENT_FLOOR = 0.99
"""Share of the tokens that a student writes on which the exported model must choose the merged model's token."""
LARGEST_DIFFERENCE = 1e-3
"""Of fp32 logits, as a share of the largest logit: float32 sums in another order differ by a hundredth of it."""
CACHE_ENDINGS = (".keys", ".values")

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class DecoderShape:
    """What the cache of a checkpoint looks like."""

    layers: int
    kv_heads: int
    head_dim: int


@dataclass(frozen=True)
class Agreement:
    """How an exported graph answers beside the merged weights."""

    texts: int
    tokens: int
    """Tokens that the student writes in these texts."""
    agreement: float
    """Share of them on which both choose the same."""
    largest_difference: float
    """Between logits, anywhere in the texts."""
    largest_logit: float

    def metrics(self) -> Metrics:
        """As they stand in a manifest."""
        return {
            "texts": self.texts,
            "tokens": self.tokens,
            "agreement": round(self.agreement, 6),
            "largest_logit_difference": round(self.largest_difference, 6),
        }


def load_decoder(merged_dir: Path) -> tuple["PreTrainedModel", DecoderShape]:
    """The merged weights in float32, and their cache's shape under the names that all architectures share.

    Raises:
        UsageError: The checkpoint is no decoder that is known here.
    """
    import transformers
    from optimum.exporters.tasks import TasksManager
    from optimum.utils import NormalizedConfigManager

    settings = json.loads((merged_dir / "config.json").read_text(encoding="utf-8"))
    architecture = str((settings.get("architectures") or ["none"])[0])
    model_class = getattr(transformers, architecture, None)
    try:
        is_decoder = TasksManager.infer_task_from_model(model_class) == "text-generation"
        normalized_class = NormalizedConfigManager.get_normalized_config_class(settings.get("model_type"))
    except (ValueError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{merged_dir.name} cannot be exported to ONNX: its architecture {architecture} is not supported",
            "merge a run of a decoder task whose base model is a llama or qwen",
        ) from error
    if not is_decoder or model_class is None:
        raise UsageError(
            f"{merged_dir.name} holds {architecture}, which is not a text generation model",
            "merge a run of a decoder task",
        )
    with quiet_exporters():
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model: PreTrainedModel = model_class.from_pretrained(
            str(merged_dir), local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    normalized = normalized_class(model.config)
    heads = int(normalized.num_attention_heads)
    head_dim = int(getattr(model.config, "head_dim", None) or normalized.hidden_size // heads)
    model.train(False)
    return model, DecoderShape(int(normalized.num_layers), int(normalized.num_key_value_heads), head_dim)


def trace_inputs(model: "PreTrainedModel") -> "dict[str, torch.Tensor | Cache]":
    """What the graph is traced with: two rows with a past, one of them padded on the left.

    Traced with a mask of ones alone, the mask drops out of the graph, and padded batches are answered wrongly.
    """
    from transformers.cache_utils import DynamicCache

    input_ids = torch.tensor([[5, 6, 7, 8, 9, 10]] * 2)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache()
    with torch.inference_mode(False), torch.no_grad():
        model(input_ids=input_ids, attention_mask=mask, position_ids=positions, cache=cache, use_cache=True)
    return {
        "input_ids": torch.tensor([[11, 12, 13]] * 2),
        "attention_mask": torch.cat([mask, mask.new_ones(2, 3)], dim=1),
        "position_ids": positions[:, -1:] + torch.arange(1, 4),
        "cache": cache,
        "logits_to_keep": torch.tensor([1, 2]),
    }


def write_graph(model: "PreTrainedModel", layers: int, path: Path) -> None:
    """The model as an fp32 graph.

    It is left to onnxruntime to fuse it when it is loaded: fused by the exporter it decodes 15 to 30 % slower on a
    CPU, and its product with a tied head is refused.

    Inputs are `input_ids` and `position_ids` (batch, new), `attention_mask` (batch, past + new), `logits_to_keep`
    (outputs,) with the columns of the new tokens whose logits are computed, and keys and values (batch, heads, past,
    head size).
    """
    import onnx_ir
    from transformers.exporters.configs import OnnxConfig
    from transformers.exporters.exporter_onnx import OnnxExporter

    dynamic = torch.export.Dim.DYNAMIC
    grown = {0: dynamic, 1: dynamic}
    shapes = {
        "input_ids": grown,
        "attention_mask": grown,
        "position_ids": grown,
        "cache": [{0: dynamic, 2: dynamic}] * (2 * layers),
        "logits_to_keep": {0: dynamic},
    }
    with quiet_exporters():
        exporter = OnnxExporter()  # type: ignore[no-untyped-call]
        exported = exporter.export(model, trace_inputs(model), OnnxConfig(dynamic=True, dynamic_shapes=shapes))
        graph = onnx_ir.to_proto(exported.program)
    save_graph(graph, path)


def untie_head(model: "ModelProto") -> list[str]:
    """Gives a transposed matrix of weights a copy of its own, which can be quantized.

    Returns:
        Names of the products with it.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    turned = {
        node.output[0]: node for node in model.graph.node if node.op_type == "Transpose" and node.input[0] in weights
    }
    for name, node in turned.items():
        copy = np.ascontiguousarray(numpy_helper.to_array(weights[node.input[0]]).T)
        model.graph.initializer.append(numpy_helper.from_array(copy, name))
        model.graph.node.remove(node)
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in turned]


def empty_cache(session: "onnxruntime.InferenceSession", rows: int) -> dict[str, Logits]:
    """The cache before the first token by input name, each (rows, heads, 0, head size)."""
    caches = [part for part in session.get_inputs() if part.name.endswith(CACHE_ENDINGS)]
    return {part.name: np.zeros((rows, part.shape[1], 0, part.shape[3]), np.float32) for part in caches}


def onnx_logits(
    session: "onnxruntime.InferenceSession", input_ids: NDArray[np.int64], mask: NDArray[np.int64], cuts: Sequence[int]
) -> Logits:
    """Logits of all columns, (batch, columns, vocab_size), in as many passes as there are cuts and one more.

    Args:
        input_ids: (batch, columns), padded on the left.
        mask: The same shape: 0 at padding.
        cuts: Columns before which a new pass begins.
    """
    positions = np.clip(mask.cumsum(1) - 1, 0, None)
    cache = empty_cache(session, len(input_ids))
    parts: list[Logits] = []
    for start, end in zip([0, *cuts], [*cuts, input_ids.shape[1]], strict=True):
        feed = {
            "input_ids": input_ids[:, start:end],
            "attention_mask": mask[:, :end],
            "position_ids": positions[:, start:end],
            "logits_to_keep": np.arange(end - start),
        }
        logits, *grown = session.run(None, feed | cache)
        cache = dict(zip(cache, grown, strict=True))
        parts.append(logits)
    return np.concatenate(parts, axis=1)


def torch_logits(model: "PreTrainedModel", input_ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Logits:
    """Logits of the merged weights in one pass, (batch, columns, vocab_size), for ids and mask of (batch, columns)."""
    positions = np.clip(mask.cumsum(1) - 1, 0, None)
    with torch.inference_mode():
        output = model(
            input_ids=torch.from_numpy(input_ids),
            attention_mask=torch.from_numpy(mask),
            position_ids=torch.from_numpy(positions),
            use_cache=False,
        )
    logits: Logits = output.logits.numpy()
    return logits


def compare(model: "PreTrainedModel", path: Path, samples: Sequence[Sample]) -> Agreement:
    """Runs graph and merged weights over padded batches, the graph in two passes, the second one with a past."""
    session = open_session(path, 0)
    equal = tokens = 0
    difference = largest = 0.0
    for input_ids, mask, is_value in padded_batches(samples):
        expected = torch_logits(model, input_ids, mask)
        logits = onnx_logits(session, input_ids, mask, [input_ids.shape[1] // 2] if input_ids.shape[1] > 1 else [])
        real = mask.astype(bool)
        refuse_no_numbers(expected[real], "the merged model")
        refuse_no_numbers(logits[real], "the ONNX graph")
        difference = max(difference, float(np.abs(logits - expected)[real].max()))
        largest = max(largest, float(np.abs(expected[real]).max()))
        # The logits of a column choose the token of the next one.
        chosen = is_value[:, 1:]
        equal += int((logits[:, :-1].argmax(2) == expected[:, :-1].argmax(2))[chosen].sum())
        tokens += int(chosen.sum())
    return Agreement(len(samples), tokens, equal / tokens if tokens else 1.0, difference, largest)


def quantized_forms(graph_path: Path) -> Iterator[tuple[str, "ModelProto", list[str], list[str]]]:
    """What can be int8, from all to least: its name, the graph, nodes that stay in fp32, types that are quantized.

    Embedding and head of a small student are a good part of its weights, and the parts that suffer most.
    """
    import onnx

    for name in ("all", "all but embedding", "layers"):
        model = onnx.load(str(graph_path))
        if name == "layers":
            heads = [node.name for node in model.graph.node if node.op_type == "MatMul" and "logits" in node.output]
        else:
            untie_head(model)
            heads = []
        yield name, model, heads, ["MatMul", "Gather"] if name == "all" else ["MatMul"]


def quantize_until_it_agrees(
    model: "PreTrainedModel", graph_path: Path, target: Path, samples: Sequence[Sample], is_task: bool
) -> tuple[str, Agreement]:
    """Quantizes ever less of the graph until it chooses the merged model's tokens.

    Args:
        is_task: Whether the samples are of the task; on others no floor holds, and the most cautious form is taken.

    Raises:
        ExportDisagrees: Even the most cautious form falls short.
    """
    best = 0.0
    for name, graph, fp32_nodes, operators in quantized_forms(graph_path):
        if not is_task and name != "layers":
            continue
        quantize(graph, target, fp32_nodes, operators)
        agreement = compare(model, target, samples)
        if agreement.agreement >= AGREEMENT_FLOOR or not is_task:
            return name, agreement
        best = max(best, agreement.agreement)
    raise ExportDisagrees(
        f"int8 chooses the merged model's token in {best:.1%} of {agreement.tokens} cases, at least"
        f" {AGREEMENT_FLOOR:.0%} is required",
        "export as onnx-fp32 or gguf-q8_0, or train longer: tokens that are nearly tied flip first",
    )


def export_decoder(
    merged_dir: Path, out_dir: Path, quantization: Literal["fp32", "int8"], task_folder: Path, graph_path: Path
) -> Metrics:
    """Writes model.onnx, tokenizer.json and config.json; checks them on the task's validation rows.

    Args:
        graph_path: Where the fp32 graph is, or is written where it is not there: forms of one student share it.

    Returns:
        `agreement` with the merged weights on `tokens` of `texts`, `largest_logit_difference`, `quantized`,
        `size_bytes`.

    Raises:
        ExportDisagrees: The exported model chooses other tokens than the merged one, or one computes no numbers.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    model, shape = load_decoder(merged_dir)
    samples, is_task = read_samples(task_folder, merged_dir, int(model.config.max_position_embeddings))
    if not graph_path.is_file():
        write_graph(model, shape.layers, graph_path)
    check_cache(graph_path, shape)
    path, form = out_dir / "model.onnx", "none"
    if quantization == "int8":
        form, agreement = quantize_until_it_agrees(model, graph_path, path, samples, is_task)
    else:
        copy_graph(graph_path, path)
        agreement = compare(model, path, samples)
        if agreement.largest_difference > LARGEST_DIFFERENCE * max(1.0, agreement.largest_logit):
            raise ExportDisagrees(
                f"fp32 logits differ by up to {agreement.largest_difference:.4f} from the merged weights'",
                "check the locked versions of torch, transformers, onnxscript and onnxruntime",
            )
    for name in ("config.json", "tokenizer.json"):
        (out_dir / name).write_bytes((merged_dir / name).read_bytes())
    size_bytes = sum(part.stat().st_size for part in graph_files(path))
    return {"quantization": quantization, "quantized": form, **agreement.metrics(), "size_bytes": size_bytes}


def check_cache(path: Path, shape: DecoderShape) -> None:
    """Compares the graph's cache with the checkpoint's.

    Raises:
        ExportDisagrees: The graph has another one.
    """
    caches = [part.shape for part in open_session(path, 0).get_inputs() if part.name.endswith(CACHE_ENDINGS)]
    expected = (shape.kv_heads, shape.head_dim)
    if len(caches) != 2 * shape.layers or any((part[1], part[3]) != expected for part in caches):
        raise ExportDisagrees(
            f"the graph has {len(caches)} cache inputs, not {2 * shape.layers} of {expected} heads and dimensions",
            "check the locked versions of torch and transformers",
        )
