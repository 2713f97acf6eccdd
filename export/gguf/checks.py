"""Is the GGUF file the merged model? The same ids for every text, and the same probabilities within rounding."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from appliance.engines.llama.model import LlamaContext, LlamaModel, Row
from appliance.engines.tokenizer import model_tokenizer
from export.gguf.token_check import check_tokens
from export.parity import ExportDisagrees, refuse_no_numbers

if TYPE_CHECKING:
    from transformers import AutoModelForCausalLM, PreTrainedModel
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

PROMPTS = 4
PROMPT_TOKENS = 64
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


def check_export(merged_dir: Path, full_path: Path, final_path: Path) -> dict[str, float | int | str]:
    """Compares the 16 bit file with the merged model, and measures what quantization changed.

    Returns:
        `token_texts` that were cut, and how many otherwise for which reason; `logit_positions`; `largest_difference`,
        `divergence` and `same_choice` of the 16 bit file; for a quantized one also `quantized_divergence` and
        `quantized_same_choice`.

    Raises:
        ExportDisagrees: An ordinary text is cut otherwise, or probabilities differ by more than rounding.
        ModelFileError: llama.cpp cannot load what was written.
    """
    tokenizer = model_tokenizer(merged_dir)
    prompts = token_prompts(tokenizer.vocab_size)
    model = LlamaModel(full_path)
    try:
        token_check = check_tokens(model, tokenizer)
        written = file_log_probabilities(model, prompts)
    finally:
        model.close()
    expected = merged_log_probabilities(merged_dir, prompts)
    refuse_no_numbers(expected, "the merged model")
    refuse_no_numbers(written, "the GGUF file")
    refuse_difference(expected, written)
    difference, divergence, same_choice = compare(expected, written)
    metrics: dict[str, float | int | str] = {
        **token_check.metrics(),
        "logit_positions": len(expected),
        "largest_difference": round(difference, 6),
        "divergence": round(divergence, 8),
        "same_choice": round(same_choice, 4),
    }
    if final_path != full_path:
        model = LlamaModel(final_path)
        try:
            quantized = file_log_probabilities(model, prompts)
            refuse_no_numbers(quantized, "the quantized GGUF file")
            _, divergence, same_choice = compare(expected, quantized)
        finally:
            model.close()
        metrics |= {"quantized_divergence": round(divergence, 8), "quantized_same_choice": round(same_choice, 4)}
    return metrics


def token_prompts(vocab_size: int) -> list[list[int]]:
    """Random token ids, the same each time, `PROMPT_TOKENS` in each prompt."""
    choose = random.Random(1)
    return [[choose.randrange(vocab_size) for _ in range(PROMPT_TOKENS)] for _ in range(PROMPTS)]


def file_log_probabilities(model: LlamaModel, prompts: list[list[int]]) -> NDArray[np.float64]:
    """Log probabilities of a GGUF file, (positions of all prompts, vocab_size), float64."""
    context = LlamaContext(model, 1, PROMPT_TOKENS, 1, outputs=PROMPT_TOKENS)
    try:
        parts = []
        for prompt in prompts:
            context.keep(0, 0)
            parts.append(_log_softmax(context.feed([Row(0, 0, prompt, len(prompt))])))
    finally:
        context.close()
    return np.concatenate(parts)


def merged_log_probabilities(merged_dir: Path, prompts: list[list[int]]) -> NDArray[np.float64]:
    """Log probabilities of the merged model in float32, (positions of all prompts, vocab_size), float64."""
    import torch

    model = _load(merged_dir)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(prompts)).logits
    return _log_softmax(logits.float().reshape(-1, logits.shape[-1]).numpy())


def _load(merged_dir: Path) -> "PreTrainedModel":
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model: PreTrainedModel = _model_class(merged_dir).from_pretrained(
        str(merged_dir), dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    model.train(False)
    return model


def _model_class(merged_dir: Path) -> "type[LlamaForCausalLM] | type[AutoModelForCausalLM]":
    if json.loads((merged_dir / "config.json").read_text(encoding="utf-8")).get("model_type") == "llama":
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        return LlamaForCausalLM
    # The Auto classes import every architecture's table, which costs a second.
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM


def refuse_difference(expected: NDArray[np.float64], written: NDArray[np.float64]) -> None:
    """Refuses a 16 bit file whose log probabilities, (positions, vocab_size), are not those of the merged model.

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
    if not (usual <= LARGEST_DIFFERENCE and largest <= LARGEST_OUTLIER and divergence <= LARGEST_DIVERGENCE):
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


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # What is no number stays none, and is refused by name.
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
