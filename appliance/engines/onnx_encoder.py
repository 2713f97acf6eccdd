"""Encoder students: a classifier as ONNX, one text in a pass, with calibrated confidence.

A graph in int8 scales its activations by all that is in the pass. With other texts beside it, a document's confidence
would depend on them, and with it on every kill, resume and shard; alone it always gets the same row. Passes of one
text on one thread, many at once, keep the processors as busy as large ones do.
"""

import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from appliance.engines.engine import NO_NUMBER, NO_NUMBER_MESSAGE, Request, Result
from appliance.engines.onnx_session import open_session, runs_on_gpu
from appliance.engines.tokenizer_file import make_plain
from appliance.engines.windows import MOST_WINDOWS, framed_pieces
from appliance.ground.errors import ApplianceError
from appliance.ground.text import human_count
from appliance.models.calibration import read_calibration, sigmoid, softmax
from appliance.models.manifest import read_manifest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from appliance.tasks.task import Task


class EncoderArtifactError(ApplianceError):
    """The artifact folder does not hold an encoder that can be run."""


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer without padding or cutting; special tokens spelled in a document stay plain text.

    Raises:
        EncoderArtifactError: The file is missing or broken.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower, not even where the file is missing
        raise EncoderArtifactError(f"{path.name} cannot be read: {error}", "export the model again") from error
    make_plain(tokenizer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def read_settings(artifact_dir: Path) -> dict[str, object]:
    """What config.json says.

    Raises:
        EncoderArtifactError: It is missing or broken.
    """
    try:
        settings = json.loads((artifact_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderArtifactError(f"config.json cannot be read: {error}", "export the model again") from error
    if not isinstance(settings, dict):
        raise EncoderArtifactError("config.json holds no settings", "export the model again")
    return settings


def read_lengths(settings: dict[str, object]) -> tuple[int, int]:
    """Tokens that the model can take, and those of a piece as it was trained.

    Raises:
        EncoderArtifactError: They are missing, or too small.
    """
    longest = settings.get("stillroom_context", settings.get("max_position_embeddings"))
    trained = settings.get("stillroom_max_tokens", longest)
    if not (isinstance(longest, int) and isinstance(trained, int) and min(longest, trained) >= 8):
        raise EncoderArtifactError("config.json of the encoder states no maximum length", "export the model again")
    return longest, min(longest, trained)


def read_labels(settings: dict[str, object]) -> list[str]:
    """The labels in the order of the logits, from config.json.

    Raises:
        EncoderArtifactError: There are none, or one is missing.
    """
    names = settings.get("id2label")
    if not isinstance(names, dict) or not names:
        raise EncoderArtifactError("config.json of the encoder lists no labels", "export the model again")
    try:
        return [str(names[str(index)]) for index in range(len(names))]
    except KeyError as error:
        raise EncoderArtifactError(
            f"config.json of the encoder lacks label {error}", "export the model again"
        ) from None


def check_graph(session: "InferenceSession", labels: int) -> None:
    """Refuses a graph that takes or gives something else than an encoder with so many labels.

    Raises:
        EncoderArtifactError: It does.
    """
    outputs = {output.name: output.shape for output in session.get_outputs()}
    inputs = {entry.name for entry in session.get_inputs()}
    *_, classes = outputs.get("logits", [0]) or [None]
    if inputs != {"input_ids", "attention_mask"} or classes not in (labels, None):
        raise EncoderArtifactError(
            f"model.onnx is not an encoder with {human_count(labels, 'label')}", "export the model again"
        )


class OnnxEncoderEngine:
    """Answers documents with one label each, or with all that fit where the task takes several."""

    def __init__(self, artifact_dir: Path, task: "Task", threads: int = 0) -> None:
        settings = read_settings(artifact_dir)
        self.labels = read_labels(settings)
        manifest = read_manifest(artifact_dir)
        self.identity = manifest.identity
        self.context_length, self._window = read_lengths(settings)
        self.answer_tokens = 0
        self._task = task
        self._calibration = read_calibration(artifact_dir)
        self._temperature = self._calibration.temperature
        self._tokenizer = load_tokenizer(artifact_dir / "tokenizer.json")
        self._cls, self._sep = self._frame()
        self._session: InferenceSession | None = open_session(artifact_dir / "model.onnx", 1, runs_on_gpu(manifest))
        check_graph(self._session, len(self.labels))
        self._refuse_other_labels()
        self._refuse_other_form()
        self._logits([*self._cls, *self._sep] or [0])
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads, "encoder")

    def _refuse_other_labels(self) -> None:
        """Refuses a config.json of another model: its answers would be none of the task's."""
        unknown = [label for label in self.labels if label not in self._task.output_fields[0].values]
        if unknown or len(set(self.labels)) < len(self.labels):
            what = f"label {unknown[0]!r:.80}, which the task does not have" if unknown else "a label twice"
            raise EncoderArtifactError(f"config.json of the encoder lists {what}", "export the model again")

    def _refuse_other_form(self) -> None:
        """Refuses an encoder that gives one label where the task takes several, or the other way round."""
        if self._task.multi_label != (len(self._calibration.thresholds) == len(self.labels)):
            gives, takes = ("one label", "several") if self._task.multi_label else ("several labels", "one")
            raise EncoderArtifactError(
                f"the encoder gives a document {gives}, the task {self._task.name} {takes}",
                "train and export for this task file",
            )

    def _frame(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and after a text."""
        framed = self._tokenizer.encode("a")
        ids, marks = framed.ids, framed.special_tokens_mask
        own = [place for place, is_mark in enumerate(marks) if not is_mark] or [len(ids) // 2]
        return ids[: own[0]], ids[own[-1] + 1 :]

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, in order, two for each thread in work."""
        in_work: deque[Future[Result]] = deque()
        for request in requests:
            in_work.append(self._pool.submit(self._answer_one, request))
            if len(in_work) >= 2 * self._threads:
                yield in_work.popleft().result()
        while in_work:
            yield in_work.popleft().result()

    def _answer_one(self, request: Request) -> Result:
        """The mean over the text's pieces, each weighed by its length; of several labels the most in any piece."""
        began = time.perf_counter()
        ids = self._tokenizer.encode(request.text, add_special_tokens=False).ids
        pieces = self._pieces(ids)
        if not pieces:
            return self._too_long(request, len(ids))
        mean, tokens = np.zeros(len(self.labels)), max(1, sum(map(len, pieces)))
        for piece in pieces:
            logits = self._logits(piece)
            # The mean of the pieces is checked too: a quotient of two numbers can leave their range.
            if self._task.multi_label:
                mean = np.maximum(mean, sigmoid(logits, self._temperature)[0])
            else:
                mean += softmax(logits, self._temperature)[0] * (len(piece) / tokens)
            if not (np.isfinite(logits).all() and np.isfinite(mean).all()):
                seconds = time.perf_counter() - began
                return Result(request.key, None, {}, "", tokens, 0, 0, seconds, NO_NUMBER, NO_NUMBER_MESSAGE)
        return self._result(request, mean, tokens, time.perf_counter() - began)

    def _pieces(self, ids: list[int]) -> list[list[int]]:
        """The text as framed pieces that fit the model; none where it is too long."""
        is_whole = self._task.input.long == "refuse"
        pieces = framed_pieces(ids, self._cls, self._sep, self._limit() if is_whole else self._window)
        return [] if len(pieces) > (1 if is_whole else MOST_WINDOWS) else pieces

    def _limit(self) -> int:
        """Tokens of the longest text that the task takes in one piece."""
        return min(self._task.input.max_tokens or self.context_length, self.context_length)

    def _logits(self, token_ids: list[int]) -> NDArray[np.float32]:
        """Logits of one piece, (1, labels).

        Raises:
            EncoderArtifactError: The graph gives something else.
        """
        session = self._session
        if session is None:
            raise EncoderArtifactError("the encoder was closed")
        input_ids = np.array([token_ids], dtype=np.int64)
        feed = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        logits: NDArray[np.float32] = np.asarray(session.run(["logits"], feed)[0])
        if logits.shape != (1, len(self.labels)) or logits.dtype.kind != "f":
            raise EncoderArtifactError(
                f"model.onnx gives {logits.dtype} of the shape {list(logits.shape)} as logits of"
                f" {human_count(len(self.labels), 'label')}",
                "export the model again",
            )
        return logits

    def _result(self, request: Request, probabilities: NDArray[np.float64], tokens: int, seconds: float) -> Result:
        if self._task.multi_label:
            given = probabilities >= np.array(self._calibration.thresholds)
            labels = [label for label, is_given in zip(self.labels, given, strict=True) if is_given]
            # As sure as of the least sure label: that it is there, or that it is not.
            least = float(np.where(given, probabilities, 1 - probabilities).min())
            text = "; ".join(labels)
            return Result(request.key, {"label": labels or None}, {"label": least}, text, tokens, 0, 0, seconds)
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        label, abstain = self.labels[best], self._task.abstain
        if abstain and label != abstain and confidence < self._calibration.abstain_below:
            # As sure of being unsure as it is unlikely that the label is right.
            label, confidence = abstain, 1 - confidence
        return Result(request.key, {"label": label}, {"label": confidence}, label, tokens, 0, 0, seconds)

    def _too_long(self, request: Request, tokens: int) -> Result:
        most = self._limit() if self._task.input.long == "refuse" else MOST_WINDOWS * self._window
        message = f"the document has {tokens} tokens, the task takes {most}"
        return Result(request.key, None, prompt_tokens=tokens, error="too_long", error_message=message)

    def close(self) -> None:
        """Frees the session's memory."""
        self._pool.shutdown()
        self._session = None
