"""Is the GGUF file the merged model? The same ids for every text, and the same probabilities within rounding."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from appliance.engines.llama.model import LlamaContext, LlamaModel, Row
from appliance.engines.tokenizer import FileTokenizer, model_tokenizer
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
_TOKEN_TEXTS = 300
_JOINED_TEXTS = 300

ODD_TEXTS = (
    "",
    " ",
    "  two  blanks   three ",
    "tab\there\t\ttwice",
    "line\nbreak\r\nand\rreturn\n\n\n",
    " 0 12 3456789 1,234.56 -7 1e10 0x1F",
    "don't we'll I'VE they're he'd it's 'tis",
    "ALLCAPS camelCase snake_case kebab-case",
    " Gr\u00f6\u00dfe \u00c5ngstr\u00f6m na\u00efve \u0141\u00f3d\u017a \u0130stanbul \u1e9e",
    "cafe\u0301 versus caf\u00e9",
    " \u0441\u0447\u0451\u0442 \u2116 42",
    "\u8bf7\u6c42\u4e66 \u8acb\u6c42\u66f8 \u3054\u8acb\u6c42\u66f8 \uccad\uad6c\uc11c",
    "\u0641\u0627\u062a\u0648\u0631\u0629 \u0661\u0662\u0663 \u05d7\u05e9\u05d1\u05d5\u05e0\u05d9\u05ea",
    "\u0967\u0968\u0969 \u0e51\u0e52\u0e53 \u0e43\u0e1a\u0e41\u0e08\u0e49\u0e07\u0e2b\u0e19\u0e35\u0e49",
    "\u00bd \u00b2 \u2167 \u2460 \u3289 \u5341\u4e8c",
    "\u20ac1\u00a0234,50 \u00a3 \u00a5 \u20b9 \u20bf",
    "\u201cquoted\u201d \u2018it\u2019s\u2019 \u00abguillemets\u00bb \u2026 \u2013 \u2014",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "\u200bzero\u200cwidth\u200d \ufeffmark \u00adsoft",
    "\u2003em\u2009thin\u3000wide\u2028line\u2029paragraph\u0085next",
    "\x00 \x01 \x1b[31m \x7f",
    "<html> {json: [1, 2]} \\back/slash ~`^|@#$%&*_+=",
    "===== ----- ..... _____ *****",
    "http://example.com/a?b=c&d=%20 me@example.org +49 (0)30 123",
)
"""Where ways of cutting text tend to differ."""


def check_export(merged_dir: Path, full_path: Path, final_path: Path) -> dict[str, float | int | str]:
    """Compares the 16 bit file with the merged model, and measures what quantization changed.

    Returns:
        `token_texts` that were cut alike; `logit_positions`; `largest_difference`, `divergence` and `same_choice` of
        the 16 bit file; for a quantized one also `quantized_divergence` and `quantized_same_choice`.

    Raises:
        ExportDisagrees: A text is cut otherwise, or probabilities differ by more than rounding.
        ModelFileError: llama.cpp cannot load what was written.
    """
    tokenizer = model_tokenizer(merged_dir)
    prompts = token_prompts(tokenizer.vocab_size)
    model = LlamaModel(full_path)
    try:
        texts = check_tokens(model, tokenizer)
        written = file_log_probabilities(model, prompts)
    finally:
        model.close()
    expected = merged_log_probabilities(merged_dir, prompts)
    refuse_no_numbers(expected, "the merged model")
    refuse_no_numbers(written, "the GGUF file")
    refuse_difference(expected, written)
    difference, divergence, same_choice = compare(expected, written)
    metrics: dict[str, float | int | str] = {
        "token_texts": texts,
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


def check_tokens(model: LlamaModel, tokenizer: FileTokenizer) -> int:
    """Cuts several hundred texts with both tokenizers.

    Returns:
        How many texts were cut alike: all of them.

    Raises:
        ExportDisagrees: One was not; shows it.
    """
    count = 0
    for text, special in token_texts(tokenizer):
        count += 1
        expected, actual = tokenizer.encode(text, special), model.tokenize(text, special)
        if expected != actual:
            raise ExportDisagrees(
                f"the GGUF file tokenizes {text[:60]!a} as {actual[:12]}, the tokenizer as {expected[:12]}",
                "choose a base model with one of the known tokenizers, or export to ONNX",
            )
    return count


def token_texts(tokenizer: FileTokenizer) -> Iterator[tuple[str, bool]]:
    """Texts to cut, and whether special tokens in them count: odd, special, single tokens, and tokens side by side."""
    special_tokens = (
        [token for token in tokenizer.template.special_tokens() if token.strip()] if tokenizer.template.end else []
    )
    for text in ODD_TEXTS:
        yield text, False
        yield f" {text.strip()}", False
    for special in special_tokens:
        yield special, True
        yield f" before{special} after 12{special}", True
        yield f" before{special} after", False
    choose = random.Random(0)
    tokens = range(tokenizer.vocab_size)
    for token in choose.sample(tokens, min(_TOKEN_TEXTS, len(tokens))):
        yield tokenizer.decode([token]), False
    for _ in range(_JOINED_TEXTS):
        yield tokenizer.decode(choose.choices(tokens, k=choose.randrange(2, 24))), False


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
