"""Is the GGUF file the merged model? The same ids for every text, and the same probabilities within rounding."""

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.engines.llama.model import LlamaContext, LlamaModel, Row
from appliance.engines.tokenizer import model_tokenizer
from appliance.models.architectures import architecture_of
from export.batches import Batch
from export.gguf.token_check import check_tokens
from export.parity import ExportDisagrees
from export.reference import Agreement, Reference, compute_reference, refuse_other_answers
from export.reference import compare as compare_answers
from export.samples import Sample

PROMPTS = 4
PROMPT_TOKENS = 64
PASS_TOKENS = 512
"""Read at a time, at most."""
LARGEST_DIFFERENCE = 0.05
"""Of the log probability of the merged model's first choice, in nats, at 99 of 100 positions; 16 bit products in
another order give 0.01."""
LARGEST_OUTLIER = 0.5
"""The same at any position: where a model hardly prefers any token, rounding alone has given 0.055."""
_SHARE = 0.99
LARGEST_DIVERGENCE = 2e-3
"""Mean KL(merged || F16 file) over all positions, in nats."""
LARGEST_SHARE_OF_SPREAD = 2e-4
"""KL(merged || F16 file) at the median position, as a share of the variance of log probabilities: a model that hardly
prefers any token diverges little even where it computes something else. Tiny models have 1e-6, and 1e-2 with a wrong
rotary base."""


def check_export(
    merged_dir: Path, full_path: Path, final_path: Path, reference: Reference | None = None, scheme: str = ""
) -> dict[str, float | int | str]:
    """Compares the 16 bit file with the merged model, and measures what quantization changed.

    Args:
        reference: What the merged model answers on rows of its task; random tokens are read where it is None.
        scheme: Of the final file, such as `Q4_K_M`; stands in messages.

    Returns:
        `token_texts` that were cut, and how many otherwise for which reason; `logit_positions`; `largest_difference`,
        `divergence` and `same_choice` of the 16 bit file; for a quantized one also `quantized_divergence` and
        `quantized_same_choice`; on rows of a task also how the final file answers, as `Agreement.metrics` names it.

    Raises:
        ExportDisagrees: An ordinary text is cut otherwise, probabilities of the 16 bit file differ by more than
            rounding, or the final file writes other values on rows of the task.
        ModelFileError: llama.cpp cannot load what was written.
    """
    tokenizer = model_tokenizer(merged_dir)
    with _opened(full_path) as model:
        if reference is None:
            reference = random_reference(merged_dir, min(tokenizer.vocab_size, model.vocab_size))
        token_check = check_tokens(model, tokenizer)
        agreement, written = compare_file(model, reference, "the GGUF file")
    expected = log_softmax(reference.logits)
    known = architecture_of(json.loads((merged_dir / "config.json").read_text(encoding="utf-8")))
    refuse_difference(expected, written, has_experts=bool(known and known.experts))
    difference, divergence, same_choice = compare(expected, written)
    metrics: dict[str, float | int | str] = {
        **token_check.metrics(),
        "logit_positions": len(expected),
        "largest_difference": round(difference, 6),
        "divergence": round(divergence, 8),
        "same_choice": round(same_choice, 4),
    }
    if final_path != full_path:
        with _opened(final_path) as model:
            agreement, _ = compare_file(model, reference, "the quantized GGUF file")
        if reference.is_task:
            more_bits = "gguf-f16" if scheme == "Q8_0" else "gguf-q8_0"
            hint = f"export as {more_bits}, or train longer: tokens that are nearly tied flip first"
            refuse_other_answers(agreement, f"the GGUF file in {scheme}", hint)
        metrics |= {
            "quantized_divergence": round(agreement.divergence, 8),
            "quantized_same_choice": round(agreement.token_share, 4),
        }
    return agreement.metrics() | metrics if reference.is_task else metrics


@contextmanager
def _opened(path: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(path)
    try:
        yield model
    finally:
        model.close()


def random_reference(merged_dir: Path, vocab_size: int) -> Reference:
    """What the merged model computes for random token ids, the same each time."""
    samples = [Sample(prompt, [False] + [True] * (len(prompt) - 1)) for prompt in token_prompts(vocab_size)]
    return compute_reference(merged_dir, samples, False, None)


def compare_file(model: LlamaModel, reference: Reference, computed_by: str) -> tuple[Agreement, NDArray[np.float64]]:
    """Lets a GGUF file read the rows of the reference; its log probabilities are (choices, vocab_size)."""
    tokens = max(batch.input_ids.shape[1] for batch in reference.batches)
    outputs = max(int(batch.input_ids.shape[1] - batch.columns.min(initial=tokens)) for batch in reference.batches)
    context = LlamaContext(model, 1, tokens, len(os.sched_getaffinity(0)), outputs=min(outputs, PASS_TOKENS))
    parts: list[NDArray[np.float64]] = []

    def run(batch: Batch) -> NDArray[np.float32]:
        logits = np.stack([_row_logits(context, batch, row) for row in range(len(batch.input_ids))])
        parts.append(log_softmax(logits[batch.rows, batch.places]))
        return logits

    try:
        agreement = compare_answers(reference, run, computed_by)
    finally:
        context.close()
    return agreement, np.concatenate(parts)


def _row_logits(context: LlamaContext, batch: Batch, row: int) -> NDArray[np.float32]:
    """Logits of a batch's columns in one row, (columns, vocab_size); zeros where the row has padding."""
    columns = batch.input_ids.shape[1]
    begin = int(columns - batch.mask[row].sum())
    first = max(begin, int(batch.columns.min()))
    ids = batch.input_ids[row].tolist()
    context.keep(0, 0)
    computed: list[NDArray[np.float32]] = []
    for start in range(begin, columns, PASS_TOKENS):
        end = min(start + PASS_TOKENS, columns)
        outputs = max(0, end - max(start, first))
        part = context.feed([Row(0, start - begin, ids[start:end], outputs)])
        computed.append(part[-outputs:].copy() if outputs else part[:0].copy())
    dense = np.concatenate(computed)
    wanted = batch.columns - first
    rows = np.zeros((len(batch.columns), dense.shape[1]), np.float32)
    rows[wanted >= 0] = dense[wanted[wanted >= 0]]
    return rows


def token_prompts(vocab_size: int) -> list[list[int]]:
    """Random token ids, the same each time, `PROMPT_TOKENS` in each prompt."""
    choose = random.Random(1)
    return [[choose.randrange(vocab_size) for _ in range(PROMPT_TOKENS)] for _ in range(PROMPTS)]


def refuse_difference(expected: NDArray[np.float64], written: NDArray[np.float64], has_experts: bool = False) -> None:
    """Refuses a 16 bit file whose log probabilities, (positions, vocab_size), are not those of the merged model.

    Args:
        has_experts: Rounding can choose another expert for a token, which then differs by more than rounding; such a
            file is judged by the median position and the mean alone.

    Raises:
        ExportDisagrees: They differ by more than rounding.
    """
    differences = _first_choice_differences(expected, written)
    usual, largest = float(np.quantile(differences, _SHARE)), float(differences.max())
    divergence = compare(expected, written)[1]
    spread = max(float(expected.var(axis=1).mean()), 1e-12)
    share = float(np.median((np.exp(expected) * (expected - written)).sum(axis=1))) / spread
    if share > LARGEST_SHARE_OF_SPREAD:
        raise ExportDisagrees(
            f"the GGUF file differs from the merged model by {share:.1e} of how far tokens differ, at half of"
            f" {len(expected)} positions or more (at most {LARGEST_SHARE_OF_SPREAD} allowed)",
            "export to ONNX, and report the model's config.json",
        )
    within = has_experts or (usual <= LARGEST_DIFFERENCE and largest <= LARGEST_OUTLIER)
    if not (within and divergence <= LARGEST_DIVERGENCE):
        raise ExportDisagrees(
            f"the GGUF file differs from the merged model by up to {usual:.3f} nats in the first choice at {_SHARE:.0%}"
            f" of {len(expected)} positions (at most {LARGEST_DIFFERENCE} allowed), by {largest:.3f} at one (at most"
            f" {LARGEST_OUTLIER}) and by {divergence:.4f} in the mean (at most {LARGEST_DIVERGENCE})",
            "export to ONNX, and report the model's config.json",
        )


def _first_choice_differences(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the log probability of the expected first choice, in nats, (positions,)."""
    rows, first = np.arange(len(expected)), expected.argmax(axis=1)
    differences: NDArray[np.float64] = np.abs(expected[rows, first] - actual[rows, first])
    return differences


def compare(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> tuple[float, float, float]:
    """How two tables of log probabilities, (positions, vocab_size), differ.

    Returns:
        The largest difference of the first choice's log probability, the mean divergence, both in nats, and the share
        of positions with the same first choice.
    """
    difference = float(_first_choice_differences(expected, actual).max())
    divergence = float((np.exp(expected) * (expected - actual)).sum(axis=1).mean())
    return difference, divergence, float((actual.argmax(axis=1) == expected.argmax(axis=1)).mean())


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log probabilities of logits, (positions, vocab_size), in float64."""
    with np.errstate(invalid="ignore"):  # What is no number stays none, and is refused by name.
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
