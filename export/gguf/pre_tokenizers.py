"""The name under which llama.cpp cuts text as a byte-level tokenizer does, before any merge.

llama.cpp knows ways of cutting by names of models. A `tokenizer.json` holds the patterns themselves, in many spellings
of one meaning; where a spelling is none of the usual ones, the name is found by trying: a small vocabulary whose merges
reach across everything shows where either program cuts.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gguf import TokenType
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from appliance.engines.llama.model import LlamaModel, ModelFileError
from appliance.ground.json_text import json_text
from export.gguf.vocabulary_file import Vocabulary, write_cutting_model

_DIGITS = ("Digits", True)
_GPT2_CUT = ("ByteLevel", True)
_BYTES_ONLY = ("ByteLevel", False)
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_AFTER_NUMBERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2_CUT = ("Split", _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _AFTER_NUMBERS)
_LLAMA3_CUT = ("Split", _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _AFTER_NUMBERS)

Cut = tuple[tuple[str, object], ...]
USUAL: dict[tuple[Cut, bool], str] = {
    ((_DIGITS, _GPT2_CUT), False): "smollm",
    ((_GPT2_CUT,), False): "gpt-2",
    ((_QWEN2_CUT, _BYTES_ONLY), False): "qwen2",
    ((_LLAMA3_CUT, _BYTES_ONLY), True): "llama-bpe",
    ((_LLAMA3_CUT, _BYTES_ONLY), False): "dbrx",
}
"""How the pre-tokenizer cuts text, and whether a piece that is a token needs no merges -> `tokenizer.ggml.pre`."""
WHOLE_PIECES = ("llama-bpe", "tekken", "minicpm5", "youtu", "glm4", "granite-embed-multi-97m")
"""Names under which a piece that is a token needs no merges."""
BY_MERGES = (
    "gpt-2", "smollm", "qwen2", "dbrx", "qwen35", "gpt-4o", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3",
    "exaone-moe", "bailingmoe", "seed-coder", "spark2_5", "jais-2", "viking", "poro-chat", "tiny_aya", "superbpe",
    "afmoe", "laguna", "ufakzeka", "default",
)  # fmt: skip
"""The others, one of each way of cutting, the most usual first."""

ORDINARY = (
    " Order number 12: one paper, 3.50 each", "  two  blanks   three    four", "tab\there\t\ttwice \t mixed",
    "line\nbreak\r\nand\rreturn\n\n\nthree", "end.\n\n  indented,\n-dash \n next", "end of text ", "end of text  \n",
    " 1 12 123 1234 12345 1234567 x12y345z", "3456789.25 and 1,234,567 or 12'500", "abc123def456", "A", "1",
    "\n", "   ",
    "don't we'll I'VE they're he'd it's 'tis DON'T We'Re can'tis I'mean we'llama", "snake_case kebab-case _a_b__c",
    "$12 + = <b> ~ ^ | ` a+b=c x<y>z", "((a)) [b] {c} .... ---- ==== !!!\n???\r\n", "a/b\\c //x\n/* y */ #z",
    "http://example.com/a?b=c&d=%20 me@example.org", "'quoted' \"double\" word...next,word;word:word!word?",
    "camelCase HTTPServer XMLHttp iPhone ABCdef abcDEF", "Sie haben 3 Tage, d.h. 72 h.",
    " Gr\u00f6\u00dfe na\u00efve caf\u00e9 \u20ac1 \u00a35",
)  # fmt: skip
"""Texts as documents have them, in which ways of cutting differ."""
ODD = (
    "\u0441\u0447\u0451\u0442 \u2116 42 \u0421\u0427\u0401\u0422 \u0410\u0431\u0412\u0433",
    "cafe\u0301 a\u0308b\u0308c", "\u0915\u094d\u0937\u093f \u0e17\u0e35\u0e48\u0e19\u0e35\u0e48",
    "\u8bf7\u6c42\u4e66 \u8acb\u6c42\u66f8123 \u30c6\u30b9\u30c8abc \uccad\uad6c\uc11c",
    "\u3002\u3001\uff0c\uff01\u4f60\u597d\u3002",
    "\u0641\u0627\u062a\u0648\u0631\u0629 \u0661\u0662\u0663\u0664 \u05d7\u05e9\u05d1\u05d5\u05df",
    "\u00bd \u00b2 \u2167 \u2460 \u0967\u0968\u0969\u0967",
    " \u00c5ngstr\u00f6m \u0141\u00f3d\u017a", "\u2018it\u2019s\u2019 \u201cx\u201d", "a\u00a0b\u2009c",
)  # fmt: skip
"""Other scripts, for some of which llama.cpp's own patterns are no more than near."""


def name_of_cut(tokenizer: dict[str, Any]) -> str | None:
    """What llama.cpp calls the way in which this `tokenizer.json` cuts text; None where it knows no such way."""
    steps = tokenizer.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    needs_no_merges = bool(tokenizer["model"].get("ignore_merges"))
    cut = tuple(_step(step) for step in steps)
    usual = USUAL.get((cut, needs_no_merges))
    if usual is None and any(step.get("type") == "ByteLevel" for step in steps):
        for names in (WHOLE_PIECES, BY_MERGES) if needs_no_merges else (BY_MERGES, WHOLE_PIECES):
            if fitting := list(_names_that_cut_alike(tokenizer["pre_tokenizer"], names)):
                return max(fitting, key=lambda pair: pair[1])[0]
    return usual


def _step(step: dict[str, Any]) -> tuple[str, object]:
    kind = str(step.get("type"))
    if kind == "Digits":
        return kind, step.get("individual_digits")
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return kind, step["pattern"].get("Regex")
    if kind == "ByteLevel":
        return kind, step.get("use_regex", True)
    return kind, "unknown"


def _names_that_cut_alike(pre_tokenizer: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Those of the names under which all ordinary texts are cut as by the pre-tokenizer, and how many odd ones are."""
    described = _reaching_tokenizer()
    cutting = Tokenizer.from_str(
        json_text({**described, "pre_tokenizer": _without_prefix(pre_tokenizer)}, ascii_only=True)
    )
    tokens = [piece for piece, _ in sorted(described["model"]["vocab"].items(), key=lambda item: item[1])]
    kinds, merges = [TokenType.NORMAL] * len(tokens), [" ".join(pair) for pair in described["model"]["merges"]]
    with TemporaryDirectory(prefix="stillroom-cut-") as directory:
        for name in names:
            path = Path(directory) / f"{name}.gguf"
            write_cutting_model(path, Vocabulary("gpt2", name, tokens, kinds, merges, [], special_ids={"eos": 0}))
            try:
                model = LlamaModel(path)
            except ModelFileError:  # a name that this version of llama.cpp does not know
                continue
            try:
                alike = [model.tokenize(text, False) == cutting.encode(text).ids for text in (*ORDINARY, *ODD)]
            finally:
                model.close()
            if all(alike[: len(ORDINARY)]):
                yield name, sum(alike[len(ORDINARY) :])


def _without_prefix(step: dict[str, Any]) -> dict[str, Any]:
    if "pretokenizers" in step:
        return {**step, "pretokenizers": [_without_prefix(part) for part in step["pretokenizers"]]}
    return {**step, "add_prefix_space": False} if step.get("type") == "ByteLevel" else step


def _reaching_tokenizer() -> dict[str, Any]:
    """A tokenizer.json that makes one token of every text above that nothing cuts."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = BpeTrainer(
        vocab_size=100_000, min_frequency=1, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator((*ORDINARY, *ODD), trainer)
    described: dict[str, Any] = json.loads(tokenizer.to_str())
    described["model"]["merges"] = [tuple(pair) for pair in described["model"]["merges"]]
    return described
