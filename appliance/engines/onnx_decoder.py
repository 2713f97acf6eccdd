"""Decoder students as ONNX: documents in step, one token each a pass, with a key-value cache."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from appliance.engines.answer_room import longest_answer_room
from appliance.engines.cut_answers import cut_result
from appliance.engines.engine import NO_NUMBER, NO_NUMBER_MESSAGE, Request, Result, reading_context
from appliance.engines.line_decoder import LineDecoder, NoNumber, check_numbers
from appliance.engines.onnx_session import device_of, open_session, runs_on_gpu
from appliance.engines.tokenizer import artifact_tokenizer
from appliance.ground.errors import ApplianceError
from appliance.models.manifest import read_manifest
from appliance.models.model_config import ModelConfigError, folder_context
from appliance.tasks.prompt import document_segments, join_ids, prefix_segments

if TYPE_CHECKING:
    from appliance.tasks.task import Task

BATCH_DOCUMENTS = 32
"""Documents in one batch."""
BATCH_TOKENS = 16_384
"""Tokens in the first pass of a batch, padding included; bounds its memory."""
PASS_COLUMNS = 512
"""Tokens of each document that one pass reads: attention over a whole long document at once would need its square."""
WINDOW_REQUESTS = 256
"""Requests taken at a time and sorted by length, so that a batch holds documents of like length."""

TOKEN_INPUTS = ("input_ids", "attention_mask", "position_ids", "logits_to_keep")
"""Inputs of a graph beside its cache; `logits_to_keep` names the columns whose logits are computed."""

Ids = NDArray[np.int64]


class DecoderArtifactError(ApplianceError):
    """The artifact folder does not hold a decoder that can be run."""


@dataclass
class Cache:
    """A graph with the keys and values of the tokens that a batch has read."""

    session: onnxruntime.InferenceSession
    inputs: list[str]
    """Names of keys and values as inputs, in the order of the outputs."""
    outputs: list[str]
    """Names of all outputs; the first are the logits."""
    mask: Ids
    """(rows, tokens read): 0 where a row has padding."""
    values: list[onnxruntime.OrtValue]
    """(rows, heads, tokens read, head size) for each of `inputs`, where the session computes."""

    def read(self, input_ids: Ids, mask: Ids) -> NDArray[np.float32]:
        """Reads further tokens of every row and gives the logits after the last one, (rows, vocab_size).

        Args:
            input_ids: (rows, new), padded on the left.
            mask: The same shape: 0 at padding.
        """
        known = self.mask.sum(1, keepdims=True)
        self.mask = np.concatenate([self.mask, mask], axis=1)
        positions, last = np.clip(known + mask.cumsum(1) - 1, 0, None), np.array([input_ids.shape[1] - 1])
        binding, device = self.session.io_binding(), device_of(self.session)
        for name, array in zip(TOKEN_INPUTS, (input_ids, self.mask, positions, last), strict=True):
            binding.bind_ortvalue_input(name, _value(array))
        for name, value in zip(self.inputs, self.values, strict=True):
            binding.bind_ortvalue_input(name, value)
        # The cache stays where it was computed: as arrays, all of it would be copied in every pass.
        for name in self.outputs:
            binding.bind_output(name, "cpu" if name == self.outputs[0] else device)
        self.session.run_with_iobinding(binding)
        logits, *self.values = binding.get_outputs()
        rows: NDArray[np.float32] = logits.numpy()[:, -1]
        return rows

    def read_prompts(self, input_ids: Ids, mask: Ids) -> NDArray[np.float32]:
        """The same of long rows, in passes of bounded memory."""
        columns = input_ids.shape[1]
        # Each row needs a token of its own in the first pass: attention over padding alone is no number.
        first = max(PASS_COLUMNS, columns - int(mask.sum(1).min()) + 1)
        start = 0
        for end in range(first, columns, PASS_COLUMNS):
            self.read(input_ids[:, start:end], mask[:, start:end])
            start = end
        return self.read(input_ids[:, start:], mask[:, start:])

    def repeated(self, rows: int) -> "Cache":
        """The cache of one row for many rows."""
        values = [_value(np.repeat(value.numpy(), rows, axis=0)) for value in self.values]
        return replace(self, mask=np.repeat(self.mask, rows, axis=0), values=values)

    def selected(self, rows: Sequence[int]) -> "Cache":
        """The cache of these rows alone, without columns that are padding in all of them."""
        mask = self.mask[list(rows)]
        columns = np.flatnonzero(mask.any(0))
        values = [_value(value.numpy()[list(rows)][:, :, columns]) for value in self.values]
        return replace(self, mask=np.ascontiguousarray(mask[:, columns]), values=values)


def empty_cache(session: onnxruntime.InferenceSession, rows: int) -> Cache:
    """The cache before the first token.

    Raises:
        DecoderArtifactError: The graph has none, or asks for other inputs than the engine has.
    """
    caches = {_layer(part.name): part for part in session.get_inputs() if "layers." in part.name}
    outputs = [part.name for part in session.get_outputs()]
    known = {*TOKEN_INPUTS, *(part.name for part in caches.values())}
    if not caches or caches.keys() != set(map(_layer, outputs[1:])) or known != _input_names(session):
        raise DecoderArtifactError(
            "the graph is not a decoder with a cache", "export the model again with `stillroom export`"
        )
    parts = [caches[_layer(name)] for name in outputs[1:]]
    values = [_value(np.zeros((rows, part.shape[1], 0, part.shape[3]), np.float32)) for part in parts]
    return Cache(session, [part.name for part in parts], outputs, np.zeros((rows, 0), np.int64), values)


def _value(array: NDArray[np.generic]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _input_names(session: onnxruntime.InferenceSession) -> set[str]:
    return {part.name for part in session.get_inputs()}


def _layer(name: str) -> str:
    """What an input and an output of one layer share in their names: `layers.0.keys`."""
    return name[name.find("layers.") :]


def left_padded(token_ids: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Token ids and attention mask, (rows, longest), with zeros before the shorter rows."""
    longest = max(len(ids) for ids in token_ids)
    input_ids = np.zeros((len(token_ids), longest), dtype=np.int64)
    mask = np.zeros_like(input_ids)
    for row, ids in enumerate(token_ids):
        input_ids[row, longest - len(ids) :] = ids
        mask[row, longest - len(ids) :] = 1
    return input_ids, mask


@dataclass
class Lane:
    """One document of a batch."""

    request: Request
    decoder: LineDecoder
    document_ids: list[int]
    pending: list[int]
    """Tokens that wait to be fed: forced ones and the last choice."""
    prompt_tokens: int
    room: int
    """Tokens that the context holds after the prompt."""
    fed: int = 0
    seconds: float = 0.0
    is_number: bool = True
    """False once the model computed what is no number."""

    @property
    def stopped(self) -> bool:
        """Whether the answer is complete, has filled the context, or is none."""
        return not self.is_number or self.decoder.done or self.fed >= self.room

    def opening(self) -> list[int]:
        """The document and the forced opening of its answer: they are read in one pass."""
        opening, self.fed, self.pending = [*self.document_ids, *self.pending], len(self.pending), []
        return opening

    def take(self, logits: NDArray[np.float32]) -> None:
        """Chooses a token where nothing is forced any more; logits (vocab_size,) float32."""
        if self.stopped:
            return
        try:
            if self.pending:
                check_numbers(logits)
            else:
                self.pending = [self.decoder.choose(logits), *self.decoder.advance()]
        except NoNumber:
            self.is_number = False

    def next_token(self) -> int:
        """The token to feed; any will do where the answer is complete."""
        self.fed += bool(self.pending)
        return self.pending.pop(0) if self.pending else 0

    def result(self) -> Result:
        """What was written, or that it did not fit."""
        decoder, key = self.decoder, self.request.key
        if not self.is_number:
            counts = (self.prompt_tokens, self.fed, 0, self.seconds)
            return Result(key, None, {}, decoder.raw(), *counts, NO_NUMBER, NO_NUMBER_MESSAGE)
        if decoder.done:
            written = self.fed + len(self.pending)  # the last line end need not be fed
            counts = (self.prompt_tokens, written, 0, self.seconds)
            answer, confidence = decoder.answer(), decoder.confidence()
            return Result(key, answer, confidence, decoder.raw(), *counts, working=decoder.working())
        counts = (self.prompt_tokens, self.fed, 0, self.seconds)
        return cut_result(key, decoder, counts, self.prompt_tokens + self.room)


class OnnxDecoderEngine:
    """Answers documents with the fields of a task.

    Int8 graphs scale each row of what they compute by its own largest number. Those of earlier exports take the largest
    number of a whole pass, so that a document's answer may differ in the last digits of its confidence with the
    documents beside it.
    """

    def __init__(self, artifact_dir: Path, task: "Task", threads: int = 0) -> None:
        manifest = read_manifest(artifact_dir)
        self.identity = manifest.identity
        self.context_length = _context_length(artifact_dir)
        self._task = task = task.with_working(manifest.working)
        self._tokenizer = artifact_tokenizer(artifact_dir, manifest.prompt_form)
        self.answer_tokens = longest_answer_room(task, self._tokenizer, self.context_length)
        self._session: onnxruntime.InferenceSession | None = open_session(
            artifact_dir / "model.onnx", threads, runs_on_gpu(manifest)
        )
        self._prefix_ids = join_ids(
            prefix_segments(task.prompt_spec(), self._tokenizer.template), self._tokenizer.encode
        )
        self._prefix = self._read_prefix()

    def _read_prefix(self) -> Cache:
        """The part of the prompt that all documents share, read once."""
        prefix = empty_cache(self._open(), 1)
        logits = prefix.read_prompts(*left_padded([self._prefix_ids]))
        is_for_one = logits.ndim == 2 and logits.shape[0] == 1 and logits.dtype.kind == "f"
        beyond = set(range(logits.shape[-1], self._tokenizer.vocab_size))
        if not is_for_one or beyond - self._tokenizer.special_ids:  # special ones, which no text holds, may be lacking
            raise DecoderArtifactError(
                f"the graph gives {logits.dtype} of the shape {list(logits.shape)} as logits, its tokenizer.json has"
                f" {self._tokenizer.vocab_size:,} tokens",
                "export the model again with `stillroom export`",
            )
        return prefix

    def _open(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise DecoderArtifactError("the decoder was closed")
        return self._session

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, a window of requests at a time, shortest documents first."""
        source = iter(requests)
        while window := list(islice(source, WINDOW_REQUESTS)):
            lanes = []
            for request in window:
                lane = self._lane(request)
                if isinstance(lane, Result):
                    yield lane
                else:
                    lanes.append(lane)
            lanes.sort(key=lambda lane: lane.prompt_tokens)
            for batch in batches(lanes):
                yield from self._answer_batch(batch)

    def _lane(self, request: Request) -> Lane | Result:
        """The document ready to be read, or why it cannot be."""
        tokenizer = self._tokenizer
        document_ids = join_ids(document_segments(request.text, tokenizer.template), tokenizer.encode)
        prompt_tokens, limit = len(self._prefix_ids) + len(document_ids), self._task.input.max_tokens
        decoder = LineDecoder(self._task, tokenizer.template, tokenizer, document_ids)
        opening = decoder.start()
        message = ""
        if limit and len(document_ids) > limit:
            message = f"the document has {len(document_ids)} tokens, the task takes {limit}"
        elif prompt_tokens + len(opening) + (working := self._task.student.working) >= self.context_length:
            beside = f", the working up to {working}" if working else ""
            message = (
                f"the document has {len(document_ids)} tokens, the question {len(self._prefix_ids)}{beside}, and the"
                f" model's context of {self.context_length} leaves no room for an answer"
            )
        if message:
            return Result(request.key, None, prompt_tokens=prompt_tokens, error="too_long", error_message=message)
        return Lane(request, decoder, document_ids, opening, prompt_tokens, self.context_length - prompt_tokens)

    def _answer_batch(self, lanes: list[Lane]) -> Iterator[Result]:
        """All documents advance by one token a pass, forced ones too; each result comes when it is complete."""
        self._open()
        began = time.perf_counter()
        cache = self._prefix.repeated(len(lanes))
        logits = cache.read_prompts(*left_padded([lane.opening() for lane in lanes]))
        done: set[str] = set()
        while True:
            for lane, row in zip(lanes, logits, strict=True):
                lane.take(row)
            share = (time.perf_counter() - began) / (len(lanes) - len(done))
            for lane in lanes:
                if lane.request.key not in done:
                    lane.seconds += share
                    if lane.stopped:
                        done.add(lane.request.key)
                        yield lane.result()
            unfinished = [row for row, lane in enumerate(lanes) if not lane.stopped]
            if not unfinished:
                return
            began = time.perf_counter()
            if len(unfinished) <= len(lanes) // 2:
                cache, lanes, done = cache.selected(unfinished), [lanes[row] for row in unfinished], set()
            logits = cache.read(
                np.array([[lane.next_token()] for lane in lanes]), np.ones((len(lanes), 1), dtype=np.int64)
            )

    def close(self) -> None:
        """Frees the model's memory."""
        self._session = None
        del self._prefix


def batches(lanes: Sequence[Lane]) -> Iterator[list[Lane]]:
    """Lanes sorted by length, cut where a batch would hold too many documents or tokens."""
    start = 0
    for end in range(1, len(lanes) + 1):
        full = end - start >= BATCH_DOCUMENTS
        if end == len(lanes) or full or (end - start + 1) * lanes[end].prompt_tokens > BATCH_TOKENS:
            yield list(lanes[start:end])
            start = end


def _context_length(artifact_dir: Path) -> int:
    """Tokens of prompt and answer together, from config.json."""
    try:
        context_length = folder_context(artifact_dir)
    except ModelConfigError as error:
        raise DecoderArtifactError(
            f"config.json of {artifact_dir.name} states no context length", "export the model again"
        ) from error
    return reading_context(context_length)
