"""`tokenizer.json` made to cut a document as data: no token that means something to the model can come out of it.

A tokenizer is made for whole texts; a prompt is joined from segments that are cut alone. What such a file adds to the
start of a text (a blank, in SentencePiece's way) would stand before every segment, and between the value in a document
and the value that is written. What it calls an added token (`</s>`, `<think>`, `<table>`) is matched in any text,
unless it is marked as special.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE

from appliance.ground.errors import ApplianceError
from appliance.ground.json_text import json_text

SENTENCEPIECE_BLANK = "\u2581"


class TokenizerError(ApplianceError):
    """The tokenizer file cannot be read, or lacks what a prompt needs."""


def read_tokenizer(path: Path) -> Tokenizer:
    """The file as it is, but that nothing is padded, cut, or left to chance.

    Raises:
        TokenizerError: It cannot be read.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"{path} cannot be read: {error}", "export or copy the model again") from error
    make_plain(tokenizer)
    return tokenizer


def make_plain(tokenizer: Tokenizer) -> None:
    """A text's ids follow from the text alone: nothing is padded, cut, or left to chance, as in training."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if isinstance(tokenizer.model, BPE):
        tokenizer.model.dropout = None


def cut_as_segments(tokenizer: Tokenizer) -> None:
    """Makes a tokenizer cut each text as a part of a longer one, and match no added token in data but blanks.

    `encode_special_tokens` then says for all of these whether they are matched.
    """
    normalizer, pre_tokenizer = _state(tokenizer.normalizer), _state(tokenizer.pre_tokenizer)
    changed = _without_prepend(normalizer), _without_prefix(pre_tokenizer)
    if changed != (normalizer, pre_tokenizer):
        parts = {"normalizer": changed[0], "pre_tokenizer": changed[1]}
        model = {"type": "BPE", "vocab": {}, "merges": []}
        empty = Tokenizer.from_str(
            json_text({"version": "1.0", "added_tokens": [], "model": model, **parts}, ascii_only=True)
        )
        tokenizer.normalizer, tokenizer.pre_tokenizer = empty.normalizer, empty.pre_tokenizer
    commanding = [
        _as_special(token)
        for token in tokenizer.get_added_tokens_decoder().values()
        if not token.special and not is_blank(token.content)
    ]
    tokenizer.add_special_tokens(commanding)


def is_blank(content: str) -> bool:
    """Whether a token is nothing but blanks and line ends, which mean the same in a document and elsewhere."""
    return not content.replace(SENTENCEPIECE_BLANK, " ").strip()


def leading_ids(path: Path, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that the model was taught to see before every text, as the files beside it say.

    `add_bos_token` in tokenizer_config.json decides; where it says nothing, the post-processor of tokenizer.json does.

    Args:
        path: The tokenizer.json.

    Raises:
        TokenizerError: A file is no JSON, or it asks for a token that nobody names.
    """
    settings = _read_object(path.with_name("tokenizer_config.json"))
    stated = settings.get("add_bos_token")
    if stated is False:
        return ()
    with_marks = tokenizer.encode("a", add_special_tokens=True)
    first = next((at for at, mark in enumerate(with_marks.special_tokens_mask) if not mark), len(with_marks.ids))
    ids = tuple(with_marks.ids[:first])
    if ids or stated is not True:
        return ids
    named = settings.get("bos_token")
    content = named.get("content") if isinstance(named, dict) else named
    token = tokenizer.token_to_id(content) if isinstance(content, str) else None
    if token is None:
        token = _read_object(path.with_name("config.json")).get("bos_token_id")
    if not isinstance(token, int) or tokenizer.id_to_token(token) is None:
        raise TokenizerError(
            f"tokenizer_config.json of {path.parent.name} says add_bos_token, and its bos_token is"
            f" {content!r}, which tokenizer.json does not hold",
            "set bos_token to a token of tokenizer.json, or add_bos_token to false",
        )
    return (token,)


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether pieces are written byte by byte, each byte as one printable character."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder)
    return any(step.get("type") == "ByteLevel" for part in parts for step in _steps(_state(part)))


def _state(part: Any) -> Any:  # the library's parts have no common type; None where there is none
    return None if part is None else json.loads(part.__getstate__())


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """The part, or each part of a sequence."""
    if isinstance(part, dict):
        yield part
        for name in ("normalizers", "pretokenizers", "decoders"):
            for step in part.get(name, ()):
                yield from _steps(step)


def _without_prepend(normalizer: Any) -> Any:
    if not isinstance(normalizer, dict):
        return normalizer
    if normalizer.get("type") == "Prepend":
        return None
    if normalizer.get("type") != "Sequence":
        return normalizer
    steps = [_without_prepend(step) for step in normalizer["normalizers"]]
    return {**normalizer, "normalizers": [step for step in steps if step is not None]}


def _without_prefix(pre_tokenizer: Any) -> Any:
    if not isinstance(pre_tokenizer, dict):
        return pre_tokenizer
    kind = pre_tokenizer.get("type")
    if kind == "Sequence":
        return {**pre_tokenizer, "pretokenizers": [_without_prefix(step) for step in pre_tokenizer["pretokenizers"]]}
    if kind == "Metaspace":
        return {**pre_tokenizer, "prepend_scheme": "never"}
    return {**pre_tokenizer, "add_prefix_space": False} if kind == "ByteLevel" else pre_tokenizer


def _as_special(token: AddedToken) -> AddedToken:
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=True,
    )


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} cannot be read: {error}", "copy the model again") from error
    return value if isinstance(value, dict) else {}
