"""Decoder students on llama.cpp: many documents in step in one context, each in a slot of its own.

The prefix that all documents of the task share stays in every slot. A document's text is computed in passes of its
own; after that all slots advance by one token a pass, forced tokens too, because rows of different lengths would
cost a pass for each length. A slot that becomes free takes the next document at once.

How many slots there are follows the documents (`slots.py`); one document's answer depends neither on that nor on the
other documents.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.engines.answer_room import answer_room, longest_answer_room
from appliance.engines.cut_answers import cut_result
from appliance.engines.engine import NO_NUMBER, NO_NUMBER_MESSAGE, Request, Result, reading_context
from appliance.engines.line_decoder import LineDecoder, NoNumber, check_numbers
from appliance.engines.llama.model import LlamaModel, Logits, ModelFileError
from appliance.engines.llama.slots import NextToken, Slots
from appliance.engines.tokenizer import artifact_tokenizer
from appliance.models.manifest import read_manifest
from appliance.models.slot_plan import MOST_SLOTS, longest_document, plan_slots
from appliance.tasks.prompt import document_segments, join_ids, prefix_segments
from appliance.tasks.task import Task

MODEL_FILE = "model.gguf"
BLOCKS = {"Q8_0": 1, "F16": 2}
"""Rows that must be in a pass for its sums to be those of any larger pass, by quantization scheme; measured with
llama-cpp-python 0.3.36 on x86 with AVX-512, one and two threads."""
_PROBE = " Order number 12: one paper, 3.50 each"
"""A text that every known tokenizer cuts by its merges."""
LARGEST_BLOCK = 8
"""For other schemes: the kernels for 4 bit weights change between 4 and 8 rows."""


@dataclass(frozen=True)
class _Prompt:
    """A document that can be answered."""

    key: str
    document_ids: list[int]
    tokens: int
    """Of the prompt."""
    needed_tokens: int
    """Of a slot that the document may have."""
    started: float


@dataclass
class _Lane:
    """One document in its slot."""

    prompt: _Prompt
    slot: int
    decoder: LineDecoder
    room: int
    """Tokens of the answer that fit into the slot."""
    pending: list[int] = field(default_factory=list)
    """Tokens that are chosen or forced, and not computed yet."""
    computed: int = 0
    """Tokens of the answer that are in the slot."""
    is_number: bool = True
    """False once the model computed what is no number."""

    @property
    def stopped(self) -> bool:
        """Whether the answer is whole, is none, or has filled the slot."""
        return not self.is_number or self.decoder.done or self.computed >= self.room

    def took(self, tokens: int) -> None:
        """The first pending tokens are computed."""
        self.computed += tokens
        del self.pending[:tokens]

    def take(self, logits: Logits) -> None:
        """Chooses the next token, and takes what it forces, unless one is forced already or the answer has ended."""
        try:
            if self.pending or self.stopped:
                check_numbers(logits)
            else:
                self.pending = [self.decoder.choose(logits), *self.decoder.advance()]
        except NoNumber:
            self.is_number = False

    def result(self) -> Result:
        decoder, complete = self.decoder, self.decoder.done
        if not self.is_number:
            counts = (self.prompt.tokens, self.computed, 0, time.monotonic() - self.prompt.started)
            return Result(self.prompt.key, None, {}, decoder.raw(), *counts, NO_NUMBER, NO_NUMBER_MESSAGE)
        if not complete:
            counts = (self.prompt.tokens, self.computed, 0, time.monotonic() - self.prompt.started)
            return cut_result(self.prompt.key, decoder, counts, self.prompt.tokens + self.room)
        return Result(
            self.prompt.key,
            decoder.answer(),
            decoder.confidence(),
            decoder.raw(),
            self.prompt.tokens,
            self.computed + len(self.pending),
            seconds=time.monotonic() - self.prompt.started,
            working=decoder.working(),
        )


class LlamaEngine:
    """Holds one GGUF model and one task."""

    def __init__(self, artifact_dir: Path, task: Task, threads: int, slots: int = MOST_SLOTS) -> None:
        """Loads the model and reserves the memory of all slots.

        Args:
            threads: Of the computation.
            slots: Documents in flight at most.

        Raises:
            ApplianceError: The model, its tokenizer or the library is not what it should be.
        """
        manifest = read_manifest(artifact_dir)
        self.identity = manifest.identity
        self._task = task = task.with_working(manifest.working)
        self._tokenizer = artifact_tokenizer(artifact_dir, manifest.prompt_form)
        self._prefix = join_ids(prefix_segments(task.prompt_spec(), self._tokenizer.template), self._tokenizer.encode)
        self._model = LlamaModel(artifact_dir / MODEL_FILE, gpu_layers=0 if manifest.target == "cpu" else -1)
        try:
            beyond = set(range(self._model.vocab_size, self._tokenizer.vocab_size))
            if beyond - self._tokenizer.special_ids:  # of special ones, which no text holds, a file may have fewer
                raise ModelFileError(
                    f"{MODEL_FILE} of {manifest.name} has {self._model.vocab_size} tokens, "
                    f"its tokenizer.json {self._tokenizer.vocab_size}",
                    "export the model again",
                )
            self._refuse_other_tokenizer(manifest.name)
            self.context_length = reading_context(self._model.trained_context)
            self.answer_tokens = longest_answer_room(task, self._tokenizer, self.context_length)
            longest = longest_document(task, self.context_length)
            plan = plan_slots(longest, self._model.key_value_bytes, self._model.size_bytes, slots)
            block = BLOCKS.get(manifest.quantization, LARGEST_BLOCK)
            self._slots = Slots(self._model, plan, self._prefix, block, threads)
        except BaseException:
            self._model.close()
            raise

    def _refuse_other_tokenizer(self, name: str) -> None:
        """Refuses a tokenizer.json of another model: each id would stand for another piece of text than was trained."""
        for token in range(min(self._tokenizer.vocab_size, self._model.vocab_size)):
            piece, text = self._tokenizer.piece(token), self._model.piece(token)
            if piece and piece.encode() != text:
                raise ModelFileError(
                    f"token {token} is {text.decode('utf-8', 'replace')[:40]!r} in {MODEL_FILE} of {name},"
                    f" {piece[:40]!r} in its tokenizer.json",
                    "export the model again",
                )
        # Where the file puts a blank before every text, it is the probe's own that it has to put there.
        cuts = [self._model.tokenize(text, False) for text in (_PROBE, _PROBE.lstrip(" "))]
        if self._tokenizer.encode(_PROBE, False) not in cuts:
            raise ModelFileError(
                f"{MODEL_FILE} of {name} cuts texts otherwise than its tokenizer.json", "export the model again"
            )

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, in the order in which they are finished."""
        waiting: Iterator[Request] | None = iter(requests)
        prompts: deque[_Prompt] = deque()
        """What was taken and needs other slots than those that are in use; one at most, but for those to write anew."""
        lanes: list[_Lane] = []
        while lanes or waiting or prompts:
            while len(lanes) < self._slots.count and (waiting or prompts):
                # Only as many as there is room for: whoever asks may learn from it what is in work.
                if not prompts:
                    request = next(waiting, None) if waiting else None
                    if request is None:
                        waiting = None
                        break
                    prompt = self._read(request)
                    if isinstance(prompt, Result):
                        yield prompt
                        continue
                    prompts.append(prompt)
                if not self._slots.fits(prompts[0].needed_tokens):
                    if lanes:
                        break  # until they have ended: their slots are made anew
                    self._slots.arrange(prompts[0].needed_tokens)
                lanes.append(self._begin(prompts.popleft(), {lane.slot for lane in lanes}))
            self._advance([lane for lane in lanes if not lane.stopped])
            stopped = [lane for lane in lanes if lane.stopped]
            lanes = [lane for lane in lanes if not lane.stopped]
            for lane in stopped:
                if lane.decoder.done or not lane.is_number or self._slots.tokens >= self.context_length:
                    yield lane.result()
                else:  # its answer is longer than most, and there are longer slots
                    needed = min(self.context_length, 2 * self._slots.tokens)
                    prompts.append(replace(lane.prompt, needed_tokens=needed))

    def close(self) -> None:
        """Frees the model's memory."""
        self._slots.close()
        self._model.close()

    def _read(self, request: Request) -> _Prompt | Result:
        """The document in tokens; a refusal if it does not fit."""
        started = time.monotonic()
        document = join_ids(document_segments(request.text, self._tokenizer.template), self._tokenizer.encode)
        tokens = len(self._prefix) + len(document)
        refusal = self._refusal(tokens, len(document))
        if refusal:
            seconds = time.monotonic() - started
            return Result(
                request.key, None, prompt_tokens=tokens, seconds=seconds, error="too_long", error_message=refusal
            )
        room = answer_room(self._task, self._tokenizer, len(document))
        needed = min(self.context_length, tokens + room)
        return _Prompt(request.key, document, tokens, needed, started)

    def _begin(self, prompt: _Prompt, taken: set[int]) -> _Lane:
        """Computes a document's prompt and the first head."""
        slot = min(set(range(self._slots.count)) - taken)
        decoder = LineDecoder(self._task, self._tokenizer.template, self._tokenizer, prompt.document_ids)
        room = min(self._slots.tokens, self.context_length) - prompt.tokens
        lane = _Lane(prompt, slot, decoder, room, decoder.start())
        forced = lane.pending[:room]
        logits = self._slots.begin(slot, prompt.document_ids + forced)
        lane.took(len(forced))
        lane.take(logits)
        return lane

    def _refusal(self, prompt_tokens: int, document_tokens: int) -> str | None:
        working = self._task.student.working
        if prompt_tokens + working >= self.context_length:
            beside = f" and {working} of working" if working else ""
            return (
                f"{prompt_tokens} prompt tokens{beside} leave no room for an answer in the context of"
                f" {self.context_length}"
            )
        most = self._task.input.max_tokens
        if most and document_tokens > most:
            return f"the document has {document_tokens} tokens, the task allows {most}"
        return None

    def _advance(self, lanes: list[_Lane]) -> None:
        """Computes one pending token of every document, and chooses where none is left."""
        if not lanes:
            return
        tokens = [NextToken(lane.slot, lane.prompt.tokens + lane.computed, lane.pending[0]) for lane in lanes]
        for lane, logits in zip(lanes, self._slots.advance(tokens), strict=True):
            lane.took(1)
            lane.take(logits)
