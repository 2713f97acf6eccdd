"""What an engine takes of the machine's memory, by the files of an artifact: weights, keys and values, buffers, code.

Measured as the peak of the engine's process, with llama-cpp-python 0.3.36 and onnxruntime on x86-64; docs/design.md
says how, and a test compares a run with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.text import human_size
from appliance.models.engine_program import program_bytes
from appliance.models.model_config import ModelConfigError, embedding_numbers
from appliance.models.slot_plan import LONGEST_CONTEXT, PASS_TOKENS, key_value_bytes, longest_document, plan_slots

if TYPE_CHECKING:
    from appliance.models.gguf_header import GgufHead
    from appliance.models.manifest import Manifest
    from appliance.tasks.task import Task

_FIRST_DOCUMENT_BYTES = 6_000_000
"""What the program grows by while it answers."""
_TOKENIZER_COPIES = 10
"""How often its file a tokenizer takes."""
_REPACKED_KINDS = frozenset({"Q4_0", "Q4_K", "Q2_K", "IQ4_NL"})
"""Weights of which llama.cpp keeps a second copy, in the order in which it computes."""
_WEIGHT_COPIES = {"onnx": 2.0}
"""ONNX Runtime packs its own copy while it loads."""
_WORKING_BYTES = 93_000_000
"""What other engines need beside their weights."""


@dataclass(frozen=True)
class EngineMemory:
    """Parts of the peak of an engine's process, in bytes."""

    weights: int
    keys_and_values: int
    buffers: int
    libraries: int
    """With the tokenizer."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.keys_and_values + self.buffers + self.libraries

    @property
    def description(self) -> str:
        """The parts as one reads them."""
        parts = {"weights": self.weights, "keys and values": self.keys_and_values, "buffers": self.buffers}
        sizes = [f"{name} {human_size(size)}" for name, size in parts.items() if size]
        return ", ".join([*sizes, f"program {human_size(self.libraries)}"])


def engine_memory(directory: Path, manifest: "Manifest", task: "Task | None" = None) -> EngineMemory:
    """What the artifact's engine takes.

    Args:
        task: Bounds the documents; without it they are as long as the model reads.

    Raises:
        Unsound: A GGUF file is none.
    """
    tokenizer = manifest.files.get("tokenizer.json")
    program = program_bytes(manifest.format) + _FIRST_DOCUMENT_BYTES
    libraries = program + _TOKENIZER_COPIES * (tokenizer.size_bytes if tokenizer else 0)
    weights = sum(entry.size_bytes for name, entry in manifest.files.items() if name.endswith((".gguf", ".onnx")))
    weights += sum(entry.size_bytes for name, entry in manifest.files.items() if name.endswith(".onnx.data"))
    if (manifest.family, manifest.format) == ("decoder", "onnx"):
        return EngineMemory(weights + _graph_bytes(directory, manifest), 0, 0, libraries)
    if manifest.format != "gguf":
        copies = _WEIGHT_COPIES.get(manifest.format, 1.0)
        return EngineMemory(int(weights * copies), 0, _WORKING_BYTES, libraries)
    from appliance.models.gguf_header import read_head

    path = directory / "model.gguf"
    with path.open("rb") as file:
        head = read_head(file, path.stat().st_size)
    number = _numbers(head)
    context = min(number("context_length") or LONGEST_CONTEXT, LONGEST_CONTEXT)
    plan = plan_slots(longest_document(task, context) if task else context, key_value_bytes(number), weights)
    return EngineMemory(weights + _repacked_bytes(head), plan.size_bytes, _pass_bytes(head, number), libraries)


def _graph_bytes(directory: Path, manifest: "Manifest") -> int:
    """What ONNX Runtime takes beside the file while it opens a decoder: more than it then computes with.

    It turns the matrix of the embedding once more for the logits; of a matrix that lies in the file in 16 bit it keeps
    every step to float32 until it has arranged it. Documents that fill a batch of thousands of tokens take more.
    """
    try:
        numbers = embedding_numbers(directory)
    except ModelConfigError:
        return 0
    export = manifest.metrics.get("export")
    wide = export.get("fp32_groups", "none") if isinstance(export, dict) else "none"
    if manifest.quantization != "int8":
        return 4 * numbers
    return 2 * numbers if wide == "none" else 16 * numbers


def _numbers(head: "GgufHead") -> Callable[[str], int | None]:
    """The whole numbers of the head, by their keys without the architecture."""
    from appliance.models.gguf_header import Scalar

    named = head.values.get("general.architecture")
    architecture = named.value.decode() if isinstance(named, Scalar) and isinstance(named.value, bytes) else ""

    def number(key: str) -> int | None:
        entry = head.values.get(f"{architecture}.{key}")
        return entry.value if isinstance(entry, Scalar) and isinstance(entry.value, int) else None

    return number


def _repacked_bytes(head: "GgufHead") -> int:
    return sum(
        tensor.size_bytes
        for tensor in head.tensors.values()
        if tensor.kind_name in _REPACKED_KINDS and tensor.name != "token_embd.weight"
    )


def _pass_bytes(head: "GgufHead", number: Callable[[str], int | None]) -> int:
    """Scratch memory of one pass: what a block computes of its tokens, and the logits of all slots."""
    width, forward = number("embedding_length") or 0, number("feed_forward_length") or 0
    embedding = head.tensors.get("token_embd.weight")
    tokens = max(embedding.shape) if embedding else 0
    return 4 * (PASS_TOKENS * (2 * forward + 8 * width) + 3 * 8 * tokens)
