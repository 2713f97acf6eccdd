"""What a decoder answers in torch: greedy, many documents in step, through the decoder that every engine shares."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from appliance.engines.engine import NO_NUMBER, NO_NUMBER_MESSAGE, Result
from appliance.tasks.prompt import document_segments, join_ids, prefix_segments

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from appliance.engines.line_decoder import LineDecoder
    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.task import Task

BATCH_DOCUMENTS = 32


def prompt_of(task: "Task", text: str, tokenizer: "FileTokenizer") -> tuple[list[int], list[int]]:
    """Prompt ids and document ids of a text."""
    template = tokenizer.template
    document = join_ids(document_segments(text, template), tokenizer.encode)
    return join_ids(prefix_segments(task.prompt_spec(), template), tokenizer.encode) + document, document


def generate(
    model: "PreTrainedModel | PeftModel",
    task: "Task",
    tokenizer: "FileTokenizer",
    texts: Sequence[str],
    max_tokens: int,
) -> list[Result]:
    """Answers of all texts, in their order; a text that leaves no room for an answer gets the error `too_long`."""
    return generate_each(model, [task] * len(texts), tokenizer, texts, max_tokens)


def generate_each(
    model: "PreTrainedModel | PeftModel",
    tasks: Sequence["Task"],
    tokenizer: "FileTokenizer",
    texts: Sequence[str],
    max_tokens: int,
) -> list[Result]:
    """Like `generate`, with a task for each text."""
    from appliance.engines.line_decoder import LineDecoder

    prompts = [prompt_of(task, text, tokenizer) for task, text in zip(tasks, texts, strict=True)]
    results: dict[int, Result] = {}
    for number, (ids, _) in enumerate(prompts):
        if len(ids) >= max_tokens:
            message = f"{len(ids)} prompt tokens leave no room in {max_tokens}"
            results[number] = Result(str(number), None, error="too_long", error_message=message, prompt_tokens=len(ids))
    order = sorted((n for n in range(len(texts)) if n not in results), key=lambda n: len(prompts[n][0]))
    model.train(False)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH_DOCUMENTS):
            numbers = order[start : start + BATCH_DOCUMENTS]
            decoders = [LineDecoder(tasks[n], tokenizer.template, tokenizer, prompts[n][1]) for n in numbers]
            batch = _answer_batch(model, decoders, [prompts[n][0] for n in numbers], max_tokens)
            results |= dict(zip(numbers, batch, strict=True))
    return [results[number] for number in range(len(texts))]


class Lane:
    """One document of a batch: its decoder and the tokens that wait to be fed."""

    def __init__(self, decoder: "LineDecoder", prompt_tokens: int, max_tokens: int) -> None:
        self.decoder = decoder
        self.pending = decoder.start()
        self.fed = 0
        self.written = self.pending[: max_tokens - prompt_tokens]
        """Tokens of the answer, as far as the context holds them."""
        self.is_chosen = [False] * len(self.written)
        """Which of them the model chose; all others were forced."""
        self.prompt_tokens = prompt_tokens
        self.room = max_tokens - prompt_tokens
        self.is_number = True

    @property
    def stopped(self) -> bool:
        """Whether the answer is complete, has filled the context, or is none."""
        return not self.is_number or self.decoder.done or self.fed >= self.room

    def next_token(self, pad_id: int) -> int:
        """The token to feed; any will do where the answer is complete."""
        self.fed += bool(self.pending)
        return self.pending.pop(0) if self.pending else pad_id

    def take(self, logits: NDArray[np.float32]) -> None:
        """Chooses a token where nothing is forced any more; logits (vocab_size,) float32."""
        from appliance.engines.line_decoder import NoNumber, check_numbers

        if self.stopped:
            return
        try:
            if self.pending:
                check_numbers(logits)
            else:
                self.pending = [self.decoder.choose(logits), *self.decoder.advance()]
                fitting = self.pending[: self.room - len(self.written)]
                self.written += fitting
                self.is_chosen += [number == 0 for number in range(len(fitting))]
        except NoNumber:
            self.is_number = False

    def result(self, key: str) -> Result:
        """What was written, or why it is no answer."""
        decoder = self.decoder
        result = Result(key, None, raw=decoder.raw(), working=decoder.working())
        result = replace(result, prompt_tokens=self.prompt_tokens, completion_tokens=self.fed)
        if not self.is_number:
            return replace(result, error=NO_NUMBER, error_message=NO_NUMBER_MESSAGE)
        if not decoder.done:
            return replace(result, error="too_long", error_message="the answer leaves the context")
        return replace(result, answer=decoder.answer(), confidence=decoder.confidence())


def _answer_batch(
    model: "PreTrainedModel | PeftModel",
    decoders: Sequence["LineDecoder"],
    prompts: Sequence[list[int]],
    max_tokens: int,
) -> list[Result]:
    """The answers of some documents that are computed together."""
    lanes = [Lane(decoder, len(ids), max_tokens) for decoder, ids in zip(decoders, prompts, strict=True)]
    answer_lanes(model, lanes, prompts)
    return [lane.result(str(number)) for number, lane in enumerate(lanes)]


def answer_lanes(
    model: "PreTrainedModel | PeftModel | nn.Module",
    lanes: Sequence[Lane],
    prompts: Sequence[list[int]],
    change: "Callable[[NDArray[np.float32]], NDArray[np.float32]] | None" = None,
) -> None:
    """All documents advance by one token a pass, forced tokens too; prompts are padded on the left.

    Args:
        change: Of the logits (vocab_size,) that a decoder chooses by; None leaves them as they are.
    """
    from transformers.cache_utils import DynamicCache

    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    input_ids = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache()
    while True:
        logits = model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions,
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        rows = logits.float().cpu().numpy()
        for lane, row in zip(lanes, rows, strict=True):
            lane.take(change(row) if change else row)
        if all(lane.stopped for lane in lanes):
            break
        input_ids = torch.tensor([[lane.next_token(0)] for lane in lanes], device=device)
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(lanes), 1)], dim=1)
