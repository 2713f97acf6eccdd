"""How much memory a base needs in training, merge and each export, from its configuration and tensor headers alone.

Nothing is loaded, so the answer comes before the first byte of weights is read, for bases that this machine could not
hold, too. The shares per weight and per activation were measured (`docs/results.md` has the table); a test compares
them with what a small model takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from appliance.ground.errors import UsageError
from appliance.models.architectures import text_config
from appliance.models.safetensors_file import TensorHeader, read_headers, weight_paths
from training.preflight import read_settings

PROCESS_BYTES = 480_000_000
"""Of a process with torch, transformers and peft, before it has a model."""
NF4_BYTES = 0.53
"""Of a weight in four bits, with the doubly quantized scales of its block."""
TRAINED_BYTES = 24
"""Of an adapter's weight: itself, its gradient, two moments, the best epoch's copy, and what a checkpoint copies."""
HIDDEN_COPIES, INNER_COPIES = 12, 5
"""What a layer keeps of each token for the way back: vectors of the hidden size, and of the feed-forward part."""
COMPUTED_AGAIN = 3
"""Layers' worth of that at once with checkpointing: one computed again, its gradients, and what the allocator keeps."""
LOGIT_COPIES = 3
"""Of each written token: logits, their softmax, their gradient."""
ENCODER_BYTES = {"merge": 9.0, "onnx-fp32": 20.0, "onnx-int8": 28.0}
"""Of each weight of an encoder, which is small and built in memory."""
ENCODER_EXPORT_BYTES = 60_000_000
"""Of onnx and onnxruntime, beside what every process of a training has."""
TENSOR_BYTES = 12
"""Of each number of the largest tensor: merge and exports of decoders hold one at a time, in float32 and 16 bit."""
READ_BYTES = 1 << 30
"""Of the merged decoder in float32 while it reads rows to compare with; a larger one is read module by module."""
COMPARED_BYTES = 400_000_000
"""Of what llama.cpp computes with, beside the file that it maps, and of the logits that are compared."""
GRAPH_BYTES = {"onnx-fp32": 8, "onnx-int8": 10}
"""Of each weight: the graph's weights as they lie in the file and as onnxruntime arranges them."""
GGUF_TARGETS = ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m")

_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embedding.weight",
    "tok_embeddings.weight",
)
_HEADS = ("lm_head.weight", "output.weight")
_OTHER_PARTS = ("vision", "visual", "audio", "multi_modal", "mm_projector", "connector", "image_newline", "mtp.")


@dataclass(frozen=True)
class ModelShape:
    """What the need for memory follows from."""

    weights: int
    """Numbers in all tensors of the text part."""
    embedding_weights: int
    """Of them, those of the embedding and of a head of its own."""
    matrix_weights: int
    """Of them, those of the linear layers that get an adapter."""
    matrix_edges: int
    """Sum of the rows and columns of these layers: an adapter has rank times as many weights."""
    largest_weights: int
    """Numbers in the largest tensor."""
    stored_bytes: int
    largest_file_bytes: int
    layers: int
    hidden_size: int
    inner_size: int
    """Of the feed-forward part that one token goes through."""
    vocab_size: int


@dataclass(frozen=True)
class TrainingPlan:
    """How a training would run."""

    family: Literal["decoder", "encoder"] = "decoder"
    precision: Literal["float32", "bfloat16"] = "float32"
    rank: int = 16
    pass_tokens: int = 512
    """Tokens that go through the model at once; a step of more is summed over several passes."""
    longest_tokens: int = 0
    """Of the longest example; one that is longer than a pass is a pass of its own."""
    most_rows: int = 0
    """Of a pass; 0 for no such limit."""
    written_share: float = 0.15
    """Of a batch's tokens, those that the student writes."""
    checkpointing: bool = False
    load_in_4bit: bool = False
    teacher_bytes: int = 0
    """Of a local teacher that is held beside the student."""

    @property
    def most_tokens(self) -> int:
        """Tokens of the largest pass."""
        by_rows = self.most_rows * self.longest_tokens or self.pass_tokens
        return max(min(self.pass_tokens, by_rows), self.longest_tokens)


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that each phase takes at its peak, the process included."""

    training: int
    merge: int
    exports: dict[str, int] = field(default_factory=dict)
    """By target."""


def model_shape(directory: Path) -> ModelShape:
    """The shape of a base in a folder; reads config.json and the heads of its files.

    Raises:
        UsageError: The configuration is missing, or no configuration of a language model.
        WeightsError: The weights are not whole.
    """
    return shape_of(text_config(read_settings(directory)), read_headers(weight_paths(directory)))


def shape_of(settings: Mapping[str, Any], headers: Mapping[str, TensorHeader]) -> ModelShape:
    """The shape that settings and headers describe.

    Raises:
        UsageError: The settings do not say how large a layer is.
    """
    text = {name: header for name, header in headers.items() if not any(part in name for part in _OTHER_PARTS)}
    hidden = _size(settings, "hidden_size", "n_embd", "d_model", "dim")
    experts = _size(settings, "num_experts_per_tok", default=0)
    inner = _size(settings, "intermediate_size", "n_inner", "ffn_dim", "hidden_dim", default=4 * hidden)
    if experts:
        inner = experts * _size(settings, "moe_intermediate_size", default=inner)
    matrices = [
        header.shape
        for name, header in text.items()
        if len(header.shape) == 2 and not name.endswith((*_EMBEDDINGS, *_HEADS)) and ".experts." not in name
    ]
    ends = [header for name, header in text.items() if name.endswith((*_EMBEDDINGS, *_HEADS))]
    by_file: dict[Path, int] = {}
    for header in text.values():
        by_file[header.path] = by_file.get(header.path, 0) + header.size_bytes
    return ModelShape(
        weights=sum(header.numbers for header in text.values()),
        embedding_weights=sum(header.numbers for header in ends),
        matrix_weights=sum(rows * columns for rows, columns in matrices),
        matrix_edges=sum(rows + columns for rows, columns in matrices),
        largest_weights=max((header.numbers for header in text.values()), default=0),
        stored_bytes=sum(by_file.values()),
        largest_file_bytes=max(by_file.values(), default=0),
        layers=_size(settings, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        hidden_size=hidden,
        inner_size=inner,
        vocab_size=_size(settings, "vocab_size"),
    )


def _size(settings: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        value = settings.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    if default is None:
        raise UsageError(f"config.json of the base does not say {names[0]}", "name a base model of a language model")
    return default


def training_bytes(shape: ModelShape, plan: TrainingPlan) -> int:
    """Bytes at the peak: of the largest pass, or of the loading, where float32 weights stand whole for a moment."""
    each = 2 if plan.precision == "bfloat16" else 4
    others = shape.weights - shape.matrix_weights
    stored = min(4, round(shape.stored_bytes / max(1, shape.weights)))
    weights = shape.weights * 2 if each == 2 else shape.matrix_weights * stored + others * 4
    if plan.load_in_4bit:
        weights = round(shape.matrix_weights * NF4_BYTES) + others * 4
    adapter = shape.matrix_edges * plan.rank * TRAINED_BYTES
    layer = (HIDDEN_COPIES * shape.hidden_size + INNER_COPIES * shape.inner_size) * each
    kept = layer * shape.layers
    if plan.checkpointing:
        kept = min(kept, COMPUTED_AGAIN * layer + shape.layers * shape.hidden_size * each)
    written = plan.most_tokens * plan.written_share if plan.family == "decoder" else 0
    logits = round(written * shape.vocab_size * 4 * LOGIT_COPIES)
    loading = 0 if plan.load_in_4bit else shape.weights * each
    return PROCESS_BYTES + plan.teacher_bytes + max(loading, weights + adapter + plan.most_tokens * kept + logits)


def memory_need(shape: ModelShape, plan: TrainingPlan) -> MemoryNeed:
    """Bytes of each phase."""
    merge, exports = _encoder_later(shape) if plan.family == "encoder" else _decoder_later(shape)
    return MemoryNeed(training_bytes(shape, plan), merge, exports)


def _encoder_later(shape: ModelShape) -> tuple[int, dict[str, int]]:
    """Bytes of the merge and of each export of an encoder."""
    need = {name: PROCESS_BYTES + round(shape.weights * each) for name, each in ENCODER_BYTES.items()}
    return need.pop("merge"), {name: size + ENCODER_EXPORT_BYTES for name, size in need.items()}


def _decoder_later(shape: ModelShape) -> tuple[int, dict[str, int]]:
    """Bytes of the merge and of each export of a decoder: both go through its files tensor by tensor."""
    tensor = PROCESS_BYTES + TENSOR_BYTES * shape.largest_weights
    compared = max(tensor, PROCESS_BYTES + min(4 * shape.weights, READ_BYTES)) + COMPARED_BYTES
    exports = dict.fromkeys(GGUF_TARGETS, compared)
    exports |= {name: compared + each * shape.weights for name, each in GRAPH_BYTES.items()}
    return tensor, exports
