"""Answers that a student writes itself while it is trained: drawn from its own distributions, within its grammar.

A student that only reads right answers never learns what to do after a mistake of its own. Here it writes as it would
in production, but draws each token instead of taking the likeliest, and the teacher scores every choice.

Source: Agarwal et al. 2024, "On-policy distillation of language models", algorithm 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from training.students.decoder.examples import TokenExample
from training.students.decoder.generation import Lane, answer_lanes

if TYPE_CHECKING:
    from torch import nn

    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.task import Task


@dataclass(frozen=True)
class Writer:
    """What a student needs to answer by its grammar."""

    task: "Task"
    tokenizer: "FileTokenizer"
    prefix_tokens: int
    """Of each prompt, before the document begins."""
    max_tokens: int
    """Of prompt and answer together."""

    def write(self, model: "nn.Module", examples: Sequence[TokenExample], seed: int) -> list[TokenExample]:
        """Each example's prompt with an answer that the model draws; cut where the context ends.

        Args:
            seed: The same seed, weights and examples give the same answers.

        Returns:
            An example for each prompt in which at least one token was chosen; the tokens that the grammar forced are
            marked as not written.
        """
        from appliance.engines.line_decoder import LineDecoder

        generator = np.random.default_rng(seed)
        lanes = []
        for example in examples:
            prompt = example.input_ids[: example.prompt_tokens]
            decoder = LineDecoder(self.task, self.tokenizer.template, self.tokenizer, prompt[self.prefix_tokens :])
            lanes.append(Lane(decoder, len(prompt), self.max_tokens))
        was_training = model.training
        model.eval()
        with torch.no_grad():
            answer_lanes(
                model, lanes, [example.input_ids[: example.prompt_tokens] for example in examples], _drawing(generator)
            )
        model.train(was_training)
        return [
            TokenExample(
                example.input_ids[: example.prompt_tokens] + lane.written,
                [False] * example.prompt_tokens + lane.is_chosen,
                example.weight,
                example.prompt_tokens,
            )
            for example, lane in zip(examples, lanes, strict=True)
            if any(lane.is_chosen)
        ]


def _drawing(generator: np.random.Generator) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Adds Gumbel noise: the largest of what is allowed is then a draw from the softmax over what is allowed."""

    def noisy(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return (logits + generator.gumbel(size=logits.shape)).astype(np.float32)

    return noisy
