"""Tokenizers of every kind that bases come with, trained in a moment on a few lines: the true structure, few pieces."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decoder_fixtures import order

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_AFTER_NUMBERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPLITS = {
    "qwen2": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _AFTER_NUMBERS,
    "llama3": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _AFTER_NUMBERS,
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "tekken": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?|\p{{N}}{{1,3}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
BYTE_LEVEL = ("smollm", "gpt2", *SPLITS)
SENTENCEPIECE = ("llama2", "metaspace", "gemma")
_LINES = [
    "caf\u00e9 cr\u00e8me na\u00efve \u00dcber",
    "it's DON'T we'll",
    "\u8bf7\u6c42\u4e66 \u0441\u0447\u0451\u0442",
    "a  b   c\td",
    "x\n\ny",
]


def _texts() -> list[str]:
    return [line for number in range(120) for line in order(number)[0].splitlines()] + 8 * _LINES


def describe(kind: str, vocab_size: int = 420) -> dict[str, Any]:
    """A tokenizer.json of one of the kinds, with end, beginning, and a token that was added and is not special."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    special = ["<end>", "<begin>"]
    if kind in SENTENCEPIECE:
        model = BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
        tokenizer, special = Tokenizer(model), ["<unk>", *special]
        blank = normalizers.Replace(" ", "\u2581")
        if kind == "llama2":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), blank])
        elif kind == "gemma":
            tokenizer.normalizer, tokenizer.pre_tokenizer = blank, pre_tokenizers.Split(" ", "merged_with_previous")
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = BpeTrainer(vocab_size=vocab_size, special_tokens=[*special, *alphabet], show_progress=False)
        # Words are trained apart, as SentencePiece does, whatever the finished tokenizer cuts.
        words = [f"\u2581{word}" for text in _texts() for word in text.split()]
        training = Tokenizer(model)
        training.train_from_iterator(words, trainer)
        described: dict[str, Any] = json.loads(tokenizer.to_str())
        described["model"] = {**json.loads(training.to_str())["model"], "byte_fallback": True, "unk_token": "<unk>"}
        described["added_tokens"] = [_added(number, content, True) for number, content in enumerate(special)]
    else:
        tokenizer = Tokenizer(BPE())
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind not in SPLITS)
        if kind in SPLITS:
            split = pre_tokenizers.Split(
                _regex(SPLITS[kind]), "removed" if kind == "cl100k" else "isolated", kind == "cl100k"
            )
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
        elif kind == "smollm":
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bytes_only])
        else:
            tokenizer.pre_tokenizer = bytes_only
        if kind == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        trainer = BpeTrainer(
            vocab_size=vocab_size, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator(_texts(), trainer)
        described = json.loads(tokenizer.to_str())
        described["model"]["ignore_merges"] = kind in ("llama3", "tekken")
    described["added_tokens"].append(_added(len(described["model"]["vocab"]), "<think>", False))
    return described


def write_tokenizer(directory: Path, kind: str) -> int:
    """The files of a tokenizer; gives the number of its tokens."""
    described = describe(kind)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(described))
    settings = {"eos_token": "<end>", "bos_token": "<begin>", "add_bos_token": kind == "gemma"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(described["model"]["vocab"]) + 1


def _regex(pattern: str) -> Any:  # a class of the library that has no annotations
    from tokenizers import Regex

    return Regex(pattern)


def _added(number: int, content: str, special: bool) -> dict[str, Any]:
    flags: Sequence[str] = ("single_word", "lstrip", "rstrip", "normalized")
    return {"id": number, "content": content, **dict.fromkeys(flags, False), "special": special}
