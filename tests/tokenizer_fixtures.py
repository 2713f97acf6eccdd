"""Small tokenizers of the kinds that real bases have, trained on a few lines and written as their files are."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

BLANK = "\u2581"
MARKS = ("<unk>", "<s>", "</s>")
LINES = (
    " ACME Ltd", " Order no: 4711", " Ship to: 12 High Street", " Total: EUR 1,234.50", " Read the order number",
    " Document: Answer: total: order number: due date", " Größe café résumé naïve", " table think unused h1 im end s",
)  # fmt: skip


def added(content: str, number: int, **flags: bool) -> dict[str, Any]:
    """An added token as tokenizer.json lists it."""
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **plain, **flags}


def add_image_token(directory: Path) -> str:
    """Adds a special token to a tokenizer.json, one beyond all others; gives its content."""
    path = directory / "tokenizer.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    ids = [*described["model"]["vocab"].values(), *(token["id"] for token in described["added_tokens"])]
    described["added_tokens"].append(added("<image_soft_token>", max(ids) + 1, special=True))
    path.write_text(json.dumps(described), encoding="utf-8")
    return "<image_soft_token>"


def sentencepiece(prepend: str, added_tokens: Mapping[str, Mapping[str, bool]] | None = None) -> dict[str, Any]:
    """A BPE with bytes to fall back on, as converters write SentencePiece models.

    Args:
        prepend: How the blank comes before a text: `normalizer` (Llama 2, Phi-3), `metaspace` (newer files), or `none`
            (Gemma).
        added_tokens: Content -> flags; those that are no piece get ids of their own.
    """
    learning = Tokenizer(models.BPE())
    learning.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    learning.train_from_iterator(list(LINES) * 3, trainers.BpeTrainer(vocab_size=260, show_progress=False))
    learnt = json.loads(learning.to_str())["model"]
    pieces = [*MARKS, *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [piece for piece in sorted(learnt["vocab"], key=learnt["vocab"].get) if piece not in pieces]
    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": " "}, "content": BLANK}]
    if prepend == "normalizer":
        steps.insert(0, {"type": "Prepend", "prepend": BLANK})
    first = {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "first", "split": False}
    return {
        "version": "1.0",
        "added_tokens": _added(pieces, {"<unk>": {"special": True}, "<s>": {"special": True}, **(added_tokens or {})}),
        "normalizer": None if prepend == "metaspace" else {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": first if prepend == "metaspace" else None,
        "post_processor": begins_with("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
            "vocab": {piece: number for number, piece in enumerate(pieces)}, "merges": learnt["merges"],
        },
    }  # fmt: skip


def byte_level(
    added_tokens: Mapping[str, Mapping[str, bool]] | None = None,
    normalizer: str | None = None,
    add_prefix_space: bool = False,
    lines: Iterable[str] = LINES,
) -> dict[str, Any]:
    """A byte-level BPE as GPT-2, Qwen and Llama 3 have it.

    Args:
        normalizer: `NFC` or `NFD`.
    """
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = getattr(normalizers, normalizer)()
    cut = pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"), "isolated")
    steps = [cut, pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*lines, ".\n", "!\n\n"] * 3, trainer)
    whole: dict[str, Any] = json.loads(tokenizer.to_str())
    pieces = sorted(whole["model"]["vocab"], key=whole["model"]["vocab"].get)
    whole["added_tokens"] = _added(pieces, {"<|end|>": {"special": True}, **(added_tokens or {})})
    return whole


def begins_with(content: str, number: int) -> dict[str, Any]:
    """A post-processor that puts a token before every text."""
    mark = {"SpecialToken": {"id": content, "type_id": 0}}
    sequences = [{"Sequence": {"id": name, "type_id": type_id}} for type_id, name in enumerate("AB")]
    return {
        "type": "TemplateProcessing", "single": [mark, sequences[0]], "pair": [mark, *sequences],
        "special_tokens": {content: {"id": content, "ids": [number], "tokens": [content]}},
    }  # fmt: skip


def write_tokenizer(directory: Path, whole: Mapping[str, Any], **settings: object) -> Path:
    """tokenizer.json in a folder, and tokenizer_config.json where there are settings."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    if settings:
        (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory / "tokenizer.json"


def _added(pieces: Sequence[str], tokens: Mapping[str, Mapping[str, bool]]) -> list[dict[str, Any]]:
    entries, following = [], len(pieces)
    for content, flags in tokens.items():
        number = pieces.index(content) if content in pieces else following
        following += content not in pieces
        entries.append(added(content, number, **flags))
    return entries
