"""Encoder students: a classifier as ONNX, many texts in one pass, with calibrated confidence."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from appliance.engines.engine import Request, Result
from appliance.engines.onnx_session import open_session
from appliance.errors import ApplianceError
from appliance.quality.calibration import read_calibration, softmax

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from appliance.tasks.task import Task

BATCH_CHUNKS = 32
"""Texts in one pass; more gained nothing on a CPU."""
WINDOW_REQUESTS = 512
"""Requests taken at a time and sorted by length, so that a pass holds texts of like length."""


class EncoderArtifactError(ApplianceError):
    """The artifact folder does not hold an encoder that can be run."""


@dataclass(frozen=True)
class Chunk:
    """A piece of one request that fits the model."""

    request: int
    token_ids: list[int]


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer without padding or cutting; marks spelled in a document stay plain text."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def read_labels(settings: dict[str, object]) -> list[str]:
    """The labels in the order of the logits, from config.json."""
    names = settings.get("id2label")
    if not isinstance(names, dict) or not names:
        raise EncoderArtifactError("config.json of the encoder names no labels", "export the model again")
    return [str(names[str(index)]) for index in range(len(names))]


class OnnxEncoderEngine:
    """Answers documents with one label each."""

    def __init__(self, artifact_dir: Path, task: "Task", threads: int = 0) -> None:
        settings = json.loads((artifact_dir / "config.json").read_text(encoding="utf-8"))
        self.labels = read_labels(settings)
        self.identity = read_identity(artifact_dir)
        self.context_length = int(settings["max_position_embeddings"])
        self._window = min(int(settings.get("stillroom_max_tokens", self.context_length)), self.context_length)
        self._task = task
        self._temperature = read_calibration(artifact_dir / "calibration.json").temperature
        self._tokenizer = load_tokenizer(artifact_dir / "tokenizer.json")
        self._cls, self._sep = self._frame()
        self._session: InferenceSession | None = open_session(artifact_dir / "model.onnx", threads)

    def _frame(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and after a text."""
        framed: list[int] = self._tokenizer.encode("").ids
        middle = len(framed) // 2
        return framed[:middle], framed[middle:]

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, a window of requests at a time, shortest texts first."""
        source = iter(requests)
        while window := list(islice(source, WINDOW_REQUESTS)):
            yield from self._answer_window(window)

    def _answer_window(self, window: Sequence[Request]) -> Iterator[Result]:
        encodings = self._tokenizer.encode_batch([request.text for request in window], add_special_tokens=False)
        chunks: list[Chunk] = []
        missing: dict[int, int] = {}
        for number, encoding in enumerate(encodings):
            pieces = self._pieces(encoding.ids)
            missing[number] = len(pieces)
            chunks += [Chunk(number, piece) for piece in pieces]
            if not pieces:
                yield self._too_long(window[number], len(encoding.ids))
        chunks.sort(key=lambda chunk: len(chunk.token_ids))
        sums: dict[int, NDArray[np.float64]] = {}
        tokens: dict[int, int] = {}
        seconds: dict[int, float] = {}
        for start in range(0, len(chunks), BATCH_CHUNKS):
            batch = chunks[start : start + BATCH_CHUNKS]
            began = time.perf_counter()
            probabilities = softmax(self._logits([chunk.token_ids for chunk in batch]), self._temperature)
            share = (time.perf_counter() - began) / len(batch)
            for chunk, row in zip(batch, probabilities, strict=True):
                number, length = chunk.request, len(chunk.token_ids)
                sums[number] = sums.get(number, 0.0) + row * length
                tokens[number] = tokens.get(number, 0) + length
                seconds[number] = seconds.get(number, 0.0) + share
                missing[number] -= 1
                if not missing[number]:
                    mean = sums.pop(number) / tokens[number]
                    yield self._result(window[number], mean, tokens.pop(number), seconds.pop(number))

    def _pieces(self, ids: list[int]) -> list[list[int]]:
        """The text as framed pieces that fit the model; none where the task refuses long documents."""
        room = self._window - len(self._cls) - len(self._sep)
        limit = min(self._task.input.max_tokens or self.context_length, self.context_length)
        if self._task.input.long == "refuse":
            room = limit - len(self._cls) - len(self._sep)
            if len(ids) > room:
                return []
        cut = [ids[start : start + room] for start in range(0, len(ids), room)] or [[]]
        return [[*self._cls, *piece, *self._sep] for piece in cut]

    def _logits(self, token_ids: Sequence[list[int]]) -> NDArray[np.float32]:
        """Logits of one batch, (batch, labels)."""
        if self._session is None:
            raise EncoderArtifactError("the encoder was closed")
        longest = max(len(ids) for ids in token_ids)
        input_ids = np.zeros((len(token_ids), longest), dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(token_ids):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        logits: NDArray[np.float32] = self._session.run(["logits"], feed)[0]
        return logits

    def _result(self, request: Request, probabilities: NDArray[np.float64], tokens: int, seconds: float) -> Result:
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        label = self.labels[best]
        return Result(request.key, {"label": label}, {"label": confidence}, label, tokens, 0, 0, seconds)

    def _too_long(self, request: Request, tokens: int) -> Result:
        limit = min(self._task.input.max_tokens or self.context_length, self.context_length)
        message = f"the document has {tokens} tokens, the task takes {limit}"
        return Result(request.key, None, prompt_tokens=tokens, error="too_long", error_message=message)

    def close(self) -> None:
        """Frees the session's memory."""
        self._session = None


def read_identity(artifact_dir: Path) -> str:
    """The model identity in the artifact's manifest."""
    path = artifact_dir / "manifest.json"
    try:
        identity = json.loads(path.read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise EncoderArtifactError(
            f"{artifact_dir.name} has no readable manifest.json", "export the model again"
        ) from error
    return str(identity)
