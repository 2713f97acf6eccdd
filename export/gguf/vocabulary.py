"""`tokenizer.json` as the vocabulary of a GGUF file: pieces, kinds, merges, and the name of the way text is cut.

A chat template is never read: prompts have one form, and it is the program's own.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from appliance.engines.tokenizer_file import is_blank
from appliance.ground.errors import ApplianceError
from appliance.models.manifest import MANIFEST_NAME, read_manifest
from appliance.tasks.prompt import OLDEST_PLAIN_TEMPLATE, read_form

_DIGITS = ("Digits", True)
_GPT2_CUT = ("ByteLevel", True)
_BYTES_ONLY = ("ByteLevel", False)
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_AFTER_NUMBERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2_CUT = ("Split", _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _AFTER_NUMBERS)
_LLAMA3_CUT = ("Split", _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _AFTER_NUMBERS)

PRE_TOKENIZERS: dict[tuple[tuple[str, object], ...], str] = {
    (_DIGITS, _GPT2_CUT): "smollm",
    (_GPT2_CUT,): "gpt-2",
    (_QWEN2_CUT, _BYTES_ONLY): "qwen2",
    (_LLAMA3_CUT, _BYTES_ONLY): "llama-bpe",
}
"""How the pre-tokenizer cuts text -> its name in `tokenizer.ggml.pre`; the token check of the export is the judge."""


class VocabularyError(ApplianceError):
    """The tokenizer is of a kind that the GGUF export does not know."""


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about tokens."""

    model: str
    """`gpt2` for byte-level BPE, `llama` for SentencePiece-like BPE."""
    pre: str
    """How text is cut; only for `gpt2`."""
    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str]
    """Only for `gpt2`."""
    scores: list[float]
    """Only for `llama`: higher merges first."""
    has_space_prefix: bool = False
    """Only for `llama`: whether a blank is put before every text, as models of the oldest prompt form were taught."""
    special_ids: dict[str, int] = field(default_factory=dict)
    """`bos`, `eos`, `unk`, `pad`, as far as the model has them."""


def read_vocabulary(model_dir: Path, vocab_size: int) -> Vocabulary:
    """The vocabulary of a model folder, filled up with unused tokens to the rows of its embedding.

    Raises:
        VocabularyError: The tokenizer is no BPE that llama.cpp can cut in the same way.
    """
    tokenizer = json.loads((model_dir / "tokenizer.json").read_text(encoding="utf-8"))
    bpe = tokenizer["model"]
    if bpe.get("type") != "BPE":
        raise VocabularyError(f"the tokenizer is a {bpe.get('type')}, not BPE", "choose another base model")
    byte_level = not bpe.get("byte_fallback")
    cuts_data = not _has_oldest_form(model_dir)
    tokens, kinds = _tokens(tokenizer, vocab_size, byte_level, cuts_data)
    pairs = [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in bpe["merges"]]
    return Vocabulary(
        model="gpt2" if byte_level else "llama",
        pre=_pre_tokenizer(tokenizer) if byte_level else "",
        tokens=tokens,
        kinds=kinds,
        merges=[f"{left} {right}" for left, right in pairs] if byte_level else [],
        scores=[] if byte_level else _scores(tokens, pairs),
        has_space_prefix=not byte_level and not cuts_data,
        special_ids=_special_ids(model_dir, tokens, bpe.get("unk_token")),
    )


def write_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Adds the keys of `tokenizer.ggml`; nothing is put before or after a text by itself."""
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.model == "gpt2":
        writer.add_tokenizer_pre(vocabulary.pre)
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.has_space_prefix)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    adders = {
        "bos": writer.add_bos_token_id,
        "eos": writer.add_eos_token_id,
        "unk": writer.add_unk_token_id,
        "pad": writer.add_pad_token_id,
    }
    for name, token in vocabulary.special_ids.items():
        adders[name](token)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def _has_oldest_form(model_dir: Path) -> bool:
    """Whether each segment of a prompt was cut as a text of its own when this model was trained."""
    if not (model_dir / MANIFEST_NAME).is_file():
        return False
    name, _ = read_form(read_manifest(model_dir).prompt_form)
    return name in ("", OLDEST_PLAIN_TEMPLATE.name)


def _tokens(
    tokenizer: dict[str, Any], vocab_size: int, byte_level: bool, cuts_data: bool
) -> tuple[list[str], list[TokenType]]:
    bpe = tokenizer["model"]
    tokens = [f"[PAD{number}]" for number in range(vocab_size)]
    kinds = [TokenType.UNUSED] * vocab_size
    added = {token["id"]: token for token in tokenizer.get("added_tokens", ())}
    for piece, number in [*bpe["vocab"].items(), *((token["content"], number) for number, token in added.items())]:
        if number >= vocab_size:
            raise VocabularyError(
                f"token {number} is beyond the {vocab_size} rows of the embedding", "use the tokenizer of this model"
            )
        tokens[number], kinds[number] = piece, TokenType.NORMAL
        if not byte_level and len(piece) == 6 and piece.startswith("<0x"):
            kinds[number] = TokenType.BYTE
    for number, token in added.items():
        # What is user-defined, llama.cpp finds in any text; a document is data.
        is_control = token.get("special") or (cuts_data and not is_blank(token["content"]))
        kinds[number] = TokenType.CONTROL if is_control else TokenType.USER_DEFINED
    if not byte_level and (unknown := bpe["vocab"].get(bpe.get("unk_token"))) is not None:
        kinds[unknown] = TokenType.UNKNOWN
    return tokens, kinds


def _pre_tokenizer(tokenizer: dict[str, Any]) -> str:
    normalizer = (tokenizer.get("normalizer") or {}).get("type")
    steps = tokenizer.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    cut = tuple(_step(step) for step in steps)
    # llama.cpp does not normalise: NFC is accepted, because ordinary text has that form already.
    if cut not in PRE_TOKENIZERS or normalizer not in (None, "NFC"):
        names = ", ".join([*filter(None, [normalizer]), *(str(step.get("type")) for step in steps)])
        raise VocabularyError(
            f"the tokenizer splits text by {names or 'nothing'}, which the GGUF export does not support",
            f"supported are the tokenizers of {', '.join(PRE_TOKENIZERS.values())}",
        )
    return PRE_TOKENIZERS[cut]


def _step(step: dict[str, Any]) -> tuple[str, object]:
    kind = str(step.get("type"))
    if kind == "Digits":
        return kind, step.get("individual_digits")
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return kind, step["pattern"].get("Regex")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return kind, step.get("use_regex", True)
    return kind, "unknown"


def _scores(tokens: list[str], pairs: list[tuple[str, ...]]) -> list[float]:
    """SentencePiece merges the pair whose piece scores highest: the rank of the first merge that makes it, negated."""
    first: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        first.setdefault(left + right, rank)
    return [-float(first.get(token, len(pairs))) for token in tokens]


def _special_ids(model_dir: Path, tokens: list[str], unknown: str | None) -> dict[str, int]:
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    settings_path = model_dir / "tokenizer_config.json"
    settings = json.loads(settings_path.read_text(encoding="utf-8")) if settings_path.is_file() else {}
    number_of = {token: number for number, token in enumerate(tokens)}
    special_ids: dict[str, int] = {}
    for name in ("bos", "eos", "pad"):
        token = config.get(f"{name}_token_id")
        token = token[0] if isinstance(token, list) and token else token
        if token is None:
            content = settings.get(f"{name}_token")
            token = number_of.get(str(content.get("content") if isinstance(content, dict) else content))
        if isinstance(token, int) and 0 <= token < len(tokens):
            special_ids[name] = token
    if unknown in number_of and unknown is not None:
        special_ids["unk"] = number_of[unknown]
    if "eos" not in special_ids:
        raise VocabularyError(
            "the model names no end token of its vocabulary", "set eos_token_id in the base model's config.json"
        )
    # llama.cpp takes a token of its own choice where the file names none.
    special_ids.setdefault("bos", special_ids["eos"])
    return special_ids
