"""A GGUF model and a context over it: tokens in, logits out, many sequences side by side."""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.engines.llama.library import library, recent_errors, refusal_reason
from appliance.ground.errors import ApplianceError
from appliance.models.gguf_file import HINT, check_gguf
from appliance.models.slot_plan import PASS_TOKENS, key_value_bytes, whole_blocks

BATCH_TOKENS = 2048
"""Tokens that one call may hold."""

_SETTING_BYTES = 256

Logits = NDArray[np.float32]


class ModelFileError(ApplianceError):
    """The file is no model that llama.cpp can load."""


class DecodingError(ApplianceError):
    """llama.cpp could not compute a batch."""


@dataclass(frozen=True)
class Row:
    """Tokens of one sequence for the next pass."""

    slot: int
    position: int
    """Of the first token; the sequence must hold exactly this many."""
    ids: Sequence[int]
    outputs: int
    """For how many of the last tokens logits are computed."""


class LlamaModel:
    """Weights and vocabulary of one GGUF file."""

    def __init__(self, path: Path, gpu_layers: int = 0) -> None:
        """Loads the file.

        Args:
            gpu_layers: Layers to keep on the GPU; -1 means all.

        Raises:
            GgufError: It is missing, cut, damaged, or no model that is run here.
            ModelFileError: llama.cpp refuses it all the same; says why in its words.
        """
        check_gguf(path)  # before the library, which ends the process on some files
        self._llama = library()
        parameters = self._llama.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.check_tensors = True
        recent_errors.clear()
        self.pointer = self._llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.pointer:
            raise ModelFileError(f"{path} cannot be loaded: {refusal_reason()}", HINT)
        self._vocabulary = self._llama.llama_model_get_vocab(self.pointer)
        self.vocab_size = int(self._llama.llama_vocab_n_tokens(self._vocabulary))
        self.size_bytes = path.stat().st_size
        self.trained_context = int(self._llama.llama_model_n_ctx_train(self.pointer))

    @property
    def key_value_bytes(self) -> int:
        """Memory that the keys and values of one token take."""
        architecture = self._setting("general.architecture")
        return key_value_bytes(lambda key: _whole_number(self._setting(f"{architecture}.{key}")))

    def _setting(self, key: str) -> str:
        """What the file says under a key; nothing where it has none."""
        text = ctypes.create_string_buffer(_SETTING_BYTES)
        length = self._llama.llama_model_meta_val_str(self.pointer, key.encode(), text, _SETTING_BYTES)
        return "" if length < 0 else text.value.decode("utf-8", "replace")

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Ids of a text as llama.cpp cuts it; special tokens count as such only where it is `special`."""
        encoded = text.encode()
        room = len(encoded) + 16
        while True:
            ids = (ctypes.c_int32 * room)()
            count = self._llama.llama_tokenize(self._vocabulary, encoded, len(encoded), ids, room, False, special)
            if count >= 0:
                return list(ids[:count])
            room = -int(count)

    def piece(self, token: int) -> bytes:
        """The token as it stands in the vocabulary."""
        text: bytes = self._llama.llama_vocab_get_text(self._vocabulary, token)
        return text

    def close(self) -> None:
        """Frees the weights; its contexts must be closed before."""
        if self.pointer:
            self._llama.llama_model_free(self.pointer)
            self.pointer = None


class LlamaContext:
    """Key and value memory of `slots` sequences that do not see each other."""

    def __init__(self, model: LlamaModel, slots: int, slot_tokens: int, threads: int, outputs: int = 1) -> None:
        """Reserves the memory.

        Args:
            slot_tokens: Tokens that one sequence can hold.
            outputs: Tokens of one sequence in a call for which logits can be computed.

        Raises:
            DecodingError: There is not enough memory.
        """
        self._llama = library()
        parameters = self._llama.llama_context_default_params()
        parameters.n_seq_max = slots
        parameters.n_ctx = slots * whole_blocks(slot_tokens)
        parameters.kv_unified = False
        parameters.n_batch = BATCH_TOKENS
        parameters.n_ubatch = PASS_TOKENS
        parameters.n_outputs_max = slots * outputs
        parameters.n_outputs_max_per_seq = outputs
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = 1
        recent_errors.clear()
        self._pointer = self._llama.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise DecodingError(
                f"cannot create a context of {slots} x {slot_tokens} tokens: {refusal_reason()}",
                "free memory, or take a model with a shorter context",
            )
        self._memory = self._llama.llama_get_memory(self._pointer)
        self._vocab_size = model.vocab_size
        self.batch_tokens = int(self._llama.llama_n_batch(self._pointer))
        self._batch = _Batch(self._llama, self.batch_tokens)

    def feed(self, rows: Sequence[Row]) -> Logits:
        """Computes the rows.

        Returns:
            Logits of those tokens in the order of rows, (outputs, vocab_size); overwritten by the next call.

        Raises:
            DecodingError: llama.cpp refused.
        """
        outputs = self._batch.fill(rows)
        if not rows:
            return np.empty((0, self._vocab_size), dtype=np.float32)
        recent_errors.clear()
        status = self._llama.llama_decode(self._pointer, self._batch.structure)
        if status != 0:
            raise DecodingError(
                f"llama.cpp cannot compute {sum(len(row.ids) for row in rows)} tokens, status {status}:"
                f" {refusal_reason()}",
                "run again with fewer documents in flight, or report this with the model's manifest",
            )
        if not outputs:
            return np.empty((0, self._vocab_size), dtype=np.float32)
        pointer = self._llama.llama_get_logits(self._pointer)
        return np.ctypeslib.as_array(pointer, (outputs, self._vocab_size))

    def keep(self, slot: int, tokens: int) -> None:
        """Forgets all of a sequence but its first tokens."""
        self._llama.llama_memory_seq_rm(self._memory, slot, tokens, -1)

    def close(self) -> None:
        """Frees the memory."""
        if self._pointer:
            self._llama.llama_free(self._pointer)
            self._pointer = None


class _Batch:
    """A `llama_batch` whose arrays belong to numpy, so that filling it costs no call for each token."""

    def __init__(self, llama: Any, room: int) -> None:
        self._tokens = np.zeros(room, dtype=np.int32)
        self._positions = np.zeros(room, dtype=np.int32)
        self._slots = np.zeros(room, dtype=np.int32)
        self._outputs = np.zeros(room, dtype=np.int8)
        self._one = np.ones(room, dtype=np.int32)
        self._slot_pointers = self._slots.ctypes.data + 4 * np.arange(room, dtype=np.uint64)
        integers, slots = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))
        self.structure = llama.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(integers),
            embd=None,
            pos=self._positions.ctypes.data_as(integers),
            n_seq_id=self._one.ctypes.data_as(integers),
            seq_id=self._slot_pointers.ctypes.data_as(slots),
            logits=self._outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, rows: Sequence[Row]) -> int:
        """Writes the rows one after the other; gives the number of their outputs."""
        end = 0
        for row in rows:
            start, end = end, end + len(row.ids)
            self._tokens[start:end] = row.ids
            self._positions[start:end] = np.arange(row.position, row.position + len(row.ids))
            self._slots[start:end] = row.slot
            self._outputs[start : end - row.outputs] = 0
            self._outputs[end - row.outputs : end] = 1
        self.structure.n_tokens = end
        return sum(row.outputs for row in rows)


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None
