"""`tokenizer.json` read as the vocabulary of a GGUF file.

A chat template is never read: prompts have one form, and it is the program's own.
"""

import itertools
import json
from pathlib import Path
from typing import Any

from gguf import TokenType

from appliance.engines.tokenizer import model_tokenizer
from appliance.engines.tokenizer_file import is_blank
from appliance.ground.errors import ApplianceError
from appliance.models.architectures import text_config
from appliance.models.manifest import MANIFEST_NAME, read_manifest
from appliance.tasks.prompt import OLDEST_PLAIN_TEMPLATE, read_form
from export.gguf.pre_tokenizers import USUAL, name_of_cut
from export.gguf.vocabulary_file import Vocabulary

_BLANK = "\u2581"
"""How SentencePiece writes a blank."""


class VocabularyError(ApplianceError):
    """The tokenizer is of a kind that the GGUF export does not know."""


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
    pre = _byte_level_cut(tokenizer) if byte_level else _refuse_other_sentencepiece(tokenizer)
    cuts_data = not _has_oldest_form(model_dir)
    tokens, kinds = _tokens(tokenizer, vocab_size, byte_level, cuts_data)
    pairs = [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in bpe["merges"]]
    bos_ids = model_tokenizer(model_dir).bos_ids
    special_ids = _special_ids(model_dir, tokens, bpe.get("unk_token"))
    if len(bos_ids) == 1:
        special_ids["bos"] = bos_ids[0]
    return Vocabulary(
        model="gpt2" if byte_level else "llama",
        pre=pre,
        tokens=tokens,
        kinds=kinds,
        merges=[f"{left} {right}" for left, right in pairs] if byte_level else [],
        scores=[] if byte_level else _scores(tokens, pairs),
        has_space_prefix=not byte_level and not cuts_data and _prepends_blank(tokenizer),
        special_ids=special_ids,
        adds_bos=len(bos_ids) == 1,
    )


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
    tokens, kinds = [""] * vocab_size, [TokenType.UNUSED] * vocab_size
    added = {token["id"]: token for token in tokenizer.get("added_tokens", ())}
    for piece, number in [*bpe["vocab"].items(), *((token["content"], number) for number, token in added.items())]:
        if number >= vocab_size and number in added and added[number].get("special"):
            continue  # Of images in a model for text alone: no text ever holds it.
        if number >= vocab_size:
            raise VocabularyError(
                f"token {number} is beyond the {vocab_size} rows of the embedding", "use the tokenizer of this model"
            )
        tokens[number], kinds[number] = piece, TokenType.NORMAL
        if not byte_level and len(piece) == 6 and piece.startswith("<0x"):
            kinds[number] = TokenType.BYTE
    for number, token in added.items():
        if number < vocab_size:
            # What is user-defined, llama.cpp finds in any text; a document is data.
            is_control = token.get("special") or (cuts_data and not is_blank(token["content"]))
            kinds[number] = TokenType.CONTROL if is_control else TokenType.USER_DEFINED
    unknown = bpe["vocab"].get(bpe.get("unk_token")) if not byte_level else None
    if unknown is not None and unknown < vocab_size:
        kinds[unknown] = TokenType.UNKNOWN
    return _with_names_for_holes(tokens), kinds


def _with_names_for_holes(tokens: list[str]) -> list[str]:
    """The same, with a name of its own for every row that no token has: llama.cpp takes no name twice."""
    number_of: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token and number_of.setdefault(token, number) != number:
            raise VocabularyError(
                f"the tokens {number_of[token]} and {number} are both {token[:40]!a}", "use the tokenizer of this model"
            )
    names = (name for count in itertools.count() if (name := f"[PAD{count}]") not in number_of)
    return [token or next(names) for token in tokens]


def _steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A normalizer or pre-tokenizer as its steps; none where there is none."""
    if not part:
        return []
    for name in ("normalizers", "pretokenizers"):
        if name in part:
            return [step for inner in part[name] for step in _steps(inner)]
    return [part]


def _byte_level_cut(tokenizer: dict[str, Any]) -> str:
    """What llama.cpp calls the way in which the tokenizer cuts text.

    Raises:
        VocabularyError: It knows no such way, or the tokenizer changes texts before.
    """
    changes = [str(step.get("type")) for step in _steps(tokenizer.get("normalizer"))]
    steps = [str(step.get("type")) for step in _steps(tokenizer.get("pre_tokenizer"))]
    # llama.cpp does not normalise: NFC is accepted, because ordinary text has that form already.
    name = name_of_cut(tokenizer) if set(changes) <= {"NFC"} else None
    if name is None:
        raise VocabularyError(
            f"the tokenizer splits text by {', '.join([*changes, *steps]) or 'nothing'}, which the GGUF export does not"
            " support",
            f"supported are the tokenizers of {', '.join(USUAL.values())} and those that cut text in the same way",
        )
    return name


def _refuse_other_sentencepiece(tokenizer: dict[str, Any]) -> str:
    """Raises where the tokenizer does more than to write blanks as SentencePiece does; else gives no name of a cut.

    Raises:
        VocabularyError: It changes texts, or cuts them elsewhere than at blanks.
    """
    for step in _steps(tokenizer.get("normalizer")):
        is_blank_mark = step.get("type") == "Replace" and step.get("content") == _BLANK
        if not is_blank_mark and step.get("type") not in ("Prepend", "NFC"):
            raise VocabularyError(
                f"the tokenizer changes text by {step.get('type')}, which the GGUF export does not support",
                "choose another base model, or export to ONNX",
            )
    for step in _steps(tokenizer.get("pre_tokenizer")):
        cuts_at_blanks = step.get("type") == "Split" and step.get("pattern") == {"String": " "}
        if step.get("type") != "Metaspace" and not cuts_at_blanks:
            raise VocabularyError(
                f"the tokenizer splits text by {step.get('type')}, which the GGUF export does not support",
                "choose another base model, or export to ONNX",
            )
    return ""


def _prepends_blank(tokenizer: dict[str, Any]) -> bool:
    """Whether a whole text gets a blank before it."""
    if any(step.get("type") == "Prepend" for step in _steps(tokenizer.get("normalizer"))):
        return True
    metaspaces = [step for step in _steps(tokenizer.get("pre_tokenizer")) if step.get("type") == "Metaspace"]
    return any(step.get("prepend_scheme", "always") != "never" for step in metaspaces)


def _scores(tokens: list[str], pairs: list[tuple[str, ...]]) -> list[float]:
    """SentencePiece merges the pair whose piece scores highest: the rank of the first merge that makes it, negated."""
    first: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        first.setdefault(left + right, rank)
    return [-float(first.get(token, len(pairs))) for token in tokens]


def _special_ids(model_dir: Path, tokens: list[str], unknown: str | None) -> dict[str, int]:
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    values = {**config, **{key: value for key, value in text_config(config).items() if value is not None}}
    settings_path = model_dir / "tokenizer_config.json"
    settings = json.loads(settings_path.read_text(encoding="utf-8")) if settings_path.is_file() else {}
    number_of = {token: number for number, token in enumerate(tokens)}
    special_ids: dict[str, int] = {}
    for name in ("bos", "eos", "pad"):
        written = values.get(f"{name}_token_id")
        if written is None:
            content = settings.get(f"{name}_token")
            content = content.get("content") if isinstance(content, dict) else content
            written = number_of.get(content) if isinstance(content, str) else None
        known = [number for number in (written if isinstance(written, list) else [written]) if isinstance(number, int)]
        known = [number for number in known if 0 <= number < len(tokens)]
        if known:
            special_ids[name] = known[0]
        if name == "eos" and len(known) > 1:
            special_ids["eot"] = known[1]  # llama.cpp finds further ones by their text
    if unknown in number_of and unknown is not None:
        special_ids["unk"] = number_of[unknown]
    if "eos" not in special_ids:
        raise VocabularyError(
            "the model names no end token of its vocabulary", "set eos_token_id in the base model's config.json"
        )
    # llama.cpp takes a token of its own choice where the file names none.
    special_ids.setdefault("bos", special_ids["eos"])
    return special_ids
