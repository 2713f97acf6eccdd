"""Encoder students to ONNX: export, fusion, int8, agreement with the merged weights, calibration."""

import inspect
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from appliance.engines.onnx_encoder import read_labels, read_settings
from appliance.engines.onnx_session import open_session
from appliance.ground.errors import ApplianceError, UsageError
from appliance.models.calibration import softmax, write_calibration
from appliance.quality.abstaining import abstain_threshold
from appliance.quality.calibration import calibrate
from appliance.quality.gate import DEFAULT_REQUIRED
from appliance.quality.label_thresholds import calibrate_labels
from appliance.quality.statistics import wilson
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import value_texts
from export.onnx.graphs import copy_graph, quantize, quiet_exporters, save_graph
from export.parity import ExportDisagrees, refuse_no_numbers

FIRST_TOKEN = "first-normalized-linear"
HEAD_FORMS = ("mean-normalized-linear", FIRST_TOKEN)
MULTI_LABEL = "multi_label_classification"
"""As `problem_type` of a configuration says that each label stands for itself."""
LARGEST_DIFFERENCE = 1e-3
"""Of fp32 logits, as a share of the largest: float32 sums in another order differ by a hundredth of it."""
AGREEMENT_FLOOR = 0.99
"""Share of validation texts on which the exported model must name the merged model's label."""
Logits = NDArray[np.float32]


class ExportedEncoder(nn.Module):
    """What a merged encoder folder describes: the encoder, a vector of the text, length one, linear head."""

    def __init__(self, merged_dir: Path) -> None:
        super().__init__()
        settings = json.loads((merged_dir / "config.json").read_text(encoding="utf-8"))
        if settings.get("stillroom_head") not in HEAD_FORMS:
            raise UsageError(
                f"{merged_dir.name} is not a merged encoder student: its config.json has no head of the form"
                f" {' or '.join(HEAD_FORMS)}",
                "merge a run of an encoder task first",
            )
        self.first_token = settings["stillroom_head"] == FIRST_TOKEN
        weights = load_file(str(merged_dir / "model.safetensors"))
        head = {
            name.removeprefix("classifier."): weights.pop(name).float()
            for name in list(weights)
            if name.startswith("classifier.")
        }
        config = AutoConfig.for_model(**settings)
        self.pad_id = int(config.pad_token_id or 0)
        self.bert = _empty_encoder(config)
        self.bert.load_state_dict({name: value.float() for name, value in weights.items()})
        self.classifier = nn.Linear(config.hidden_size, len(head["bias"]))
        self.classifier.load_state_dict(head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, (batch, labels)."""
        if self.pad_id:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.pad_id)
        hidden_states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.first_token:
            pooled = hidden_states[:, 0]
        else:
            weights = attention_mask.unsqueeze(-1).to(hidden_states.dtype)
            pooled = (hidden_states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        logits: Tensor = self.classifier(nn.functional.normalize(pooled, dim=1))
        return logits


def _empty_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """The encoder of a configuration with random weights, without a pooler where it can be left out."""
    model_class: type[PreTrainedModel] = MODEL_MAPPING[type(config)]  # type: ignore[assignment]
    config._attn_implementation = "sdpa" if model_class._supports_sdpa else "eager"
    config.reference_compile = False  # ModernBERT would compile itself at its first call
    without_pooler = "add_pooling_layer" in inspect.signature(model_class).parameters
    encoder: PreTrainedModel = model_class(config, **({"add_pooling_layer": False} if without_pooler else {}))
    return encoder


def write_graph(model: ExportedEncoder, path: Path) -> None:
    """The model as an fp32 graph, with attention and normalisation fused for the CPU provider where that is right.

    The fusions are made for the shapes of BERT; of another architecture they may compute something else, and then the
    graph stays as it was traced.

    Raises:
        ExportDisagrees: The graph computes otherwise than the model.
    """
    rows = [[5, 6, 7, 8], [5, 6], [5, 6, 7, 8, 9, 10, 11, 12, 13, 5, 6]]
    label_count = model.classifier.out_features
    expected = torch_logits(model, rows, label_count)
    difference = math.inf
    for fused in (True, False):
        _trace(model, path, fused)
        try:
            logits = onnx_logits(path, rows, label_count)
        except ApplianceError:
            continue
        difference = float(np.abs(logits - expected).max())
        if difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
            return
    raise ExportDisagrees(
        f"the ONNX graph computes logits that differ by up to {difference:.3g} from the merged model's",
        "check the locked versions of torch, onnxscript and onnxruntime",
    )


def _trace(model: ExportedEncoder, path: Path, fused: bool) -> None:
    import onnx_ir
    from transformers.exporters.onnxruntime_fusions import fuse_for_onnxruntime

    # Two rows, one padded: traced with a mask of ones alone, the mask drops out of the graph.
    input_ids = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]])
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    batch, length = torch.export.Dim.DYNAMIC, torch.export.Dim.DYNAMIC
    with quiet_exporters():
        program = torch.onnx.export(
            model.eval(),
            (input_ids, attention_mask),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": {0: batch, 1: length}, "attention_mask": {0: batch, 1: length}},
            dynamo=True,
            verbose=False,
        )
        if program is None:
            raise ExportDisagrees("torch gave no ONNX graph", "check the locked versions of torch and onnxscript")
        if fused:
            fuse_for_onnxruntime(program.model, "cpu")
        graph = onnx_ir.to_proto(program.model)
    save_graph(graph, path)


def nodes_by_caution(path: Path) -> list[list[str]]:
    """Nodes that stay in fp32, from none to more: the products that leave the feed-forward parts, those that enter too.

    Measured on a MiniLM of 6 layers and 440 texts, mean |logit difference| to fp32: nothing kept 0.074, head,
    embeddings, last and first layer 0.057, the 6 products that leave the feed-forward parts 0.050; their inputs have
    the widest range.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    turned = {node.output[0]: shapes.get(node.input[0], ())[::-1] for node in graph.node if node.op_type == "Transpose"}
    into: list[str] = []
    out_of: list[str] = []
    for node in [node for node in graph.node if node.op_type in {"MatMul", "Gemm"}][:-1]:  # the last one is the head
        rows, columns = (shapes.get(node.input[1]) or turned.get(node.input[1]) or (0, 0))[-2:]
        if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
            rows, columns = columns, rows
        if rows != columns:
            (into if rows < columns else out_of).append(node.name)
    return [[], out_of, out_of + into]


def padded_batches(
    token_ids: Sequence[Sequence[int]], rows: int = 32
) -> Iterator[tuple[list[int], NDArray[np.int64], NDArray[np.int64]]]:
    """Row numbers, their ids and their masks, (batch, longest), padded on the right; texts of like length together."""
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        input_ids = np.zeros((len(chosen), max(len(token_ids[row]) for row in chosen)), dtype=np.int64)
        mask = np.zeros_like(input_ids)
        for line, row in enumerate(chosen):
            input_ids[line, : len(token_ids[row])], mask[line, : len(token_ids[row])] = token_ids[row], 1
        yield chosen, input_ids, mask


def torch_logits(model: ExportedEncoder, token_ids: Sequence[Sequence[int]], label_count: int) -> Logits:
    """Logits of the merged weights, (texts, labels)."""
    logits = np.zeros((len(token_ids), label_count), dtype=np.float32)
    with torch.inference_mode():
        for rows, input_ids, mask in padded_batches(token_ids):
            logits[rows] = model.eval()(torch.from_numpy(input_ids), torch.from_numpy(mask)).numpy()
    return logits


def onnx_logits(path: Path, token_ids: Sequence[Sequence[int]], label_count: int) -> Logits:
    """Logits of the exported graph, (texts, labels), each text alone as the engine runs it."""
    session = open_session(path, 0)
    logits = np.zeros((len(token_ids), label_count), dtype=np.float32)
    for row, ids in enumerate(token_ids):
        input_ids = np.array([ids], dtype=np.int64)
        logits[row] = session.run(["logits"], {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)})[0][0]
    return logits


def read_validation(task_folder: Path, merged_dir: Path) -> tuple[list[list[int]], NDArray[np.float64]]:
    """Token ids of the task's validation rows, and their targets, (texts, labels): shares, or 1 for each label."""
    settings = json.loads((merged_dir / "config.json").read_text(encoding="utf-8"))
    index = {label: int(number) for number, label in settings["id2label"].items()}
    tokenizer = Tokenizer.from_file(str(merged_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(settings["stillroom_max_tokens"]))
    tokenizer.encode_special_tokens = True
    path = TaskFolder(task_folder).split_path("validation")
    rows = read_dataset(path) if path.is_file() else []
    targets = np.zeros((len(rows), len(index)))
    for number, row in enumerate(rows):
        answer = row.answer.get("label")
        if isinstance(answer, str):
            shares = row.labels or {answer: 1.0}
            for label, share in shares.items():
                targets[number, index[label]] += share / sum(shares.values())
        for label in value_texts(answer) if isinstance(answer, list) else ():
            targets[number, index[label]] = 1.0
    return [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])], targets


def is_multi_label(merged_dir: Path) -> bool:
    """Whether each label of a merged encoder stands for itself."""
    settings = json.loads((merged_dir / "config.json").read_text(encoding="utf-8"))
    return bool(settings.get("problem_type") == MULTI_LABEL and len(settings["id2label"]))


def agreement_of(a: Logits, b: Logits, multi_label: bool = False) -> float:
    """Share of rows with the same most likely label, or of labels that both give or neither does; 1 for no rows.

    Args:
        a: Logits, (texts, labels), and so is `b`.
    """
    if not len(a):
        return 1.0
    return float(((a > 0) == (b > 0)).mean() if multi_label else (a.argmax(1) == b.argmax(1)).mean())


def quantize_until_it_agrees(
    full: Path, target: Path, token_ids: Sequence[Sequence[int]], expected: Logits, multi_label: bool = False
) -> tuple[Logits, int]:
    """Quantizes with ever more left in fp32 until the graph agrees with the merged weights.

    Few texts cannot show a floor: of 38, one that flips is 2.6 %. Where no form reaches it, the best one is taken if
    the 95 % interval of its agreement holds the floor.

    Returns:
        The int8 graph's logits, and how many matrix products stayed in fp32.

    Raises:
        ExportDisagrees: Even the most cautious form falls short.
    """
    import onnx

    attempts: list[tuple[float, list[str]]] = []
    refusal = ""
    for fp32_nodes in nodes_by_caution(full):
        quantize(onnx.load(str(full)), target, fp32_nodes)
        try:
            logits = onnx_logits(target, token_ids, expected.shape[1])
        except ApplianceError as error:  # onnxruntime knows no int8 form of this graph
            refusal = error.message
            continue
        attempts.append((agreement_of(expected, logits, multi_label), fp32_nodes))
        if attempts[-1][0] >= AGREEMENT_FLOOR:
            return logits, len(fp32_nodes)
    if not attempts:
        raise ExportDisagrees(f"the encoder has no int8 form that runs: {refusal}", "export as onnx-fp32")
    best, fp32_nodes = max(attempts, key=lambda attempt: attempt[0])
    interval = wilson(best * len(expected), len(expected))
    if interval.high < AGREEMENT_FLOOR:
        raise ExportDisagrees(
            f"int8 gives the merged model's label for {best:.1%} of {len(expected)} texts,"
            f" at least {AGREEMENT_FLOOR:.0%} is required",
            "export as onnx-fp32, or train longer: labels that are nearly tied flip first",
        )
    quantize(onnx.load(str(full)), target, fp32_nodes)
    return onnx_logits(target, token_ids, expected.shape[1]), len(fp32_nodes)


def _abstain_below(
    task: Task, merged_dir: Path, logits: NDArray[np.float32], targets: NDArray[np.floating[Any]]
) -> float:  # fmt: skip
    """The confidence below which the student abstains, for as many errors as the task allows of what is answered."""
    if not task.abstain or task.multi_label or not len(logits):
        return 0.0
    labels = read_labels(read_settings(merged_dir))
    temperature = calibrate(logits, targets).temperature
    shares = softmax(logits, temperature)
    best, wanted = shares.argmax(1), np.asarray(targets).argmax(1)
    answered = [number for number, label in enumerate(best) if labels[label] != task.abstain]
    risk = 1 - (DEFAULT_REQUIRED if task.readiness.required is None else task.readiness.required)
    right = [bool(best[number] == wanted[number]) for number in answered]
    return abstain_threshold([float(shares[number, best[number]]) for number in answered], right, risk)


def export_encoder(
    merged_dir: Path, out_dir: Path, quantization: Literal["fp32", "int8"], task_folder: Path, graph_path: Path
) -> dict[str, float | int | str]:
    """Writes model.onnx, tokenizer.json, config.json and calibration.json; checks them on the validation texts.

    Args:
        graph_path: Where the fp32 graph is, or is written where it is not there: forms of one student share it.

    Returns:
        `agreement` with the merged weights on `texts` validation texts, `largest_logit_difference`, `fp32_products`,
        `temperature`, `ece_before`, `ece_after`, `size_bytes`.

    Raises:
        ExportDisagrees: The exported model names other labels than the merged one, or one computes no numbers.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    model = ExportedEncoder(merged_dir).eval()
    token_ids, targets = read_validation(task_folder, merged_dir)
    multi_label = is_multi_label(merged_dir)
    expected = torch_logits(model, token_ids, targets.shape[1])
    refuse_no_numbers(expected, "the merged model")
    path = out_dir / "model.onnx"
    if not graph_path.is_file():
        write_graph(model, graph_path)
    fp32_products = 0
    if quantization == "int8":
        logits, fp32_products = quantize_until_it_agrees(graph_path, path, token_ids, expected, multi_label)
    else:
        copy_graph(graph_path, path)
        logits = onnx_logits(path, token_ids, targets.shape[1])
        agreement = agreement_of(expected, logits, multi_label)
        if agreement < AGREEMENT_FLOOR:
            raise ExportDisagrees(
                f"fp32 gives the merged model's label for {agreement:.1%} of {len(expected)} texts,"
                f" at least {AGREEMENT_FLOOR:.0%} is required",
                "check the locked versions of torch, onnxscript and onnxruntime",
            )
    refuse_no_numbers(logits, "the ONNX graph")
    calibration = calibrate_labels(logits, targets) if multi_label else calibrate(logits, targets)
    abstain_below = _abstain_below(load_task(task_folder), merged_dir, logits, targets)
    calibration = replace(calibration, abstain_below=abstain_below)
    write_calibration(calibration, out_dir)
    for name in ("config.json", "tokenizer.json"):
        (out_dir / name).write_bytes((merged_dir / name).read_bytes())
    return {
        "quantization": quantization,
        "texts": len(token_ids),
        "agreement": round(agreement_of(expected, logits, multi_label), 6),
        "largest_logit_difference": round(float(np.abs(expected - logits).max()) if len(logits) else 0.0, 6),
        "fp32_products": fp32_products,
        "temperature": round(calibration.temperature, 4),
        "ece_before": round(calibration.ece_before, 4),
        "ece_after": round(calibration.ece_after, 4),
        "abstain_below": round(calibration.abstain_below, 4),
        "size_bytes": path.stat().st_size,
    }
