"""Decoder students on llama.cpp: many documents in step in one context, each in a slot of its own.

The prefix that all documents of the task share stays in every slot. A document's text is computed in passes of its
own; after that all slots advance by one token a pass, forced tokens too, because rows of different lengths would
cost a pass for each length. A slot that becomes free takes the next document at once.

One document's answer does not depend on the others: llama.cpp computes a row in the same way whatever other rows hold,
but in other ways for few rows than for many, so slots are computed in full blocks.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.engines.engine import NO_NUMBER, NO_NUMBER_MESSAGE, Request, Result, reading_context
from appliance.engines.line_decoder import LineDecoder, NoNumber, check_numbers
from appliance.engines.llama.model import LlamaContext, LlamaModel, Logits, ModelFileError, Row
from appliance.engines.tokenizer import artifact_tokenizer
from appliance.models.manifest import read_manifest
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


@dataclass
class _Lane:
    """One document in its slot."""

    key: str
    slot: int
    decoder: LineDecoder
    started: float
    prompt_tokens: int
    room: int
    """Tokens of the answer that fit into the context."""
    pending: list[int] = field(default_factory=list)
    """Tokens that are chosen or forced, and not computed yet."""
    computed: int = 0
    """Tokens of the answer that are in the slot."""
    is_number: bool = True
    """False once the model computed what is no number."""

    @property
    def stopped(self) -> bool:
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
            counts = (self.prompt_tokens, self.computed, 0, time.monotonic() - self.started)
            return Result(self.key, None, {}, decoder.raw(), *counts, NO_NUMBER, NO_NUMBER_MESSAGE)
        return Result(
            self.key,
            decoder.answer() if complete else None,
            decoder.confidence() if complete else {},
            decoder.raw(),
            self.prompt_tokens,
            self.computed + (len(self.pending) if complete else 0),
            seconds=time.monotonic() - self.started,
            error=None if complete else "too_long",
            error_message=""
            if complete
            else f"the answer does not fit into the context of {self.prompt_tokens + self.room} tokens",
            working=decoder.working(),
        )


class LlamaEngine:
    """Holds one GGUF model and one task."""

    def __init__(self, artifact_dir: Path, task: Task, threads: int, slots: int = 8) -> None:
        """Loads the model and reserves the memory of all slots.

        Args:
            threads: Of the computation.
            slots: Documents in flight.

        Raises:
            ApplianceError: The model, its tokenizer or the library is not what it should be.
        """
        manifest = read_manifest(artifact_dir)
        self.identity = manifest.identity
        self._task = task = task.with_working(manifest.working)
        self._tokenizer = artifact_tokenizer(artifact_dir, manifest.prompt_form)
        self._prefix = join_ids(prefix_segments(task.prompt_spec(), self._tokenizer.template), self._tokenizer.encode)
        self._prefix_tokens = [0] * slots
        """Tokens of the prefix in each slot: none before its first document."""
        self._block = BLOCKS.get(manifest.quantization, LARGEST_BLOCK)
        self._model = LlamaModel(artifact_dir / MODEL_FILE, gpu_layers=0 if manifest.target == "cpu" else -1)
        try:
            if self._model.vocab_size < self._tokenizer.vocab_size:
                raise ModelFileError(
                    f"{MODEL_FILE} of {manifest.name} has {self._model.vocab_size} tokens, "
                    f"its tokenizer.json {self._tokenizer.vocab_size}",
                    "export the model again",
                )
            self._refuse_other_tokenizer(manifest.name)
            self.context_length = reading_context(self._model.trained_context)
            self._context = LlamaContext(
                self._model, -(-slots // self._block) * self._block, self.context_length, threads
            )
        except BaseException:
            self._model.close()
            raise

    def _refuse_other_tokenizer(self, name: str) -> None:
        """Refuses a tokenizer.json of another model: each id would stand for another piece of text than was trained."""
        for token in range(self._tokenizer.vocab_size):
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
        free = set(range(len(self._prefix_tokens)))
        lanes: list[_Lane] = []
        while lanes or waiting:
            while free and waiting:
                # Only as many as there is room for: whoever asks may learn from it what is in work.
                request = next(waiting, None)
                if request is None:
                    waiting = None
                    break
                lane = self._begin(request, min(free))
                if isinstance(lane, Result):
                    yield lane
                else:
                    lanes.append(lane)
                    free.discard(lane.slot)
            self._advance([lane for lane in lanes if not lane.stopped])
            stopped = [lane for lane in lanes if lane.stopped]
            lanes = [lane for lane in lanes if not lane.stopped]
            free.update(lane.slot for lane in stopped)
            yield from (lane.result() for lane in stopped)

    def close(self) -> None:
        """Frees the model's memory."""
        self._context.close()
        self._model.close()

    def _begin(self, request: Request, slot: int) -> _Lane | Result:
        """Computes a document's prompt and the first head; a refusal if it does not fit."""
        started = time.monotonic()
        document = join_ids(document_segments(request.text, self._tokenizer.template), self._tokenizer.encode)
        prompt_tokens = len(self._prefix) + len(document)
        refusal = self._refusal(prompt_tokens, len(document))
        if refusal:
            seconds = time.monotonic() - started
            return Result(
                request.key, None, prompt_tokens=prompt_tokens, seconds=seconds, error="too_long", error_message=refusal
            )
        decoder = LineDecoder(self._task, self._tokenizer.template, self._tokenizer, document)
        room = self.context_length - prompt_tokens
        lane = _Lane(request.key, slot, decoder, started, prompt_tokens, room, decoder.start())
        forced = lane.pending[:room]
        self._reset_to_prefix(slot)
        logits = self._compute(slot, len(self._prefix), document + forced)
        lane.took(len(forced))
        lane.take(logits[0])
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

    def _reset_to_prefix(self, slot: int) -> None:
        """The slot holds the prefix and nothing else."""
        self._context.keep(slot, self._prefix_tokens[slot])
        if not self._prefix_tokens[slot]:
            self._compute(slot, 0, self._prefix)
            self._prefix_tokens[slot] = len(self._prefix)

    def _compute(self, slot: int, position: int, ids: Sequence[int]) -> Logits:
        """Computes tokens of one slot; logits of the last one, (1, vocab_size)."""
        step = self._context.batch_tokens
        logits = self._context.feed([])
        for start in range(0, len(ids), step):
            part = ids[start : start + step]
            is_last = start + step >= len(ids)
            logits = self._context.feed([Row(slot, position + start, part, int(is_last))])
        return logits

    def _advance(self, lanes: list[_Lane]) -> None:
        """Computes one pending token of every document, and chooses where none is left."""
        if not lanes:
            return
        by_slot = {lane.slot: lane for lane in lanes}
        rows = [Row(lane.slot, lane.prompt_tokens + lane.computed, lane.pending[:1], 1) for lane in lanes]
        rows += [self._idle_row(slot) for slot in idle_companions(set(by_slot), self._block)]
        rows.sort(key=lambda row: row.slot)
        # Logits of every row, forced ones too, so that the output matrix sees full blocks as well.
        logits = self._context.feed(rows)
        for row, of_row in zip(rows, logits, strict=True):
            if lane := by_slot.get(row.slot):
                lane.took(1)
                lane.take(of_row)

    def _idle_row(self, slot: int) -> Row:
        """A token in a slot that no document has."""
        tokens = self._prefix_tokens[slot] if slot < len(self._prefix_tokens) else 0
        self._context.keep(slot, tokens)
        return Row(slot, tokens, [0], 1)


def idle_companions(slots: set[int], block: int) -> set[int]:
    """Slots to compute beside those in use, so that every block is full."""
    blocks = {slot // block for slot in slots}
    return {first * block + place for first in blocks for place in range(block)} - slots
