"""A model's tokenizer from `tokenizer.json`: the same ids in training, export checks and every engine."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE

from appliance.ground.errors import ApplianceError
from appliance.tasks.prompt import PLAIN_TEMPLATE, STILLROOM_TEMPLATE, PromptTemplate, template_of

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenizerError(ApplianceError):
    """The tokenizer file cannot be read, or lacks what a prompt needs."""


def artifact_tokenizer(artifact_dir: Path, prompt_form: str) -> "FileTokenizer":
    """The tokenizer of an artifact.

    Args:
        prompt_form: Name of the template that the model was trained with, from the manifest; empty where it says none.

    Raises:
        TokenizerError: It cannot be read, or serves another template: special tokens would be cut as plain text.
    """
    tokenizer = FileTokenizer(artifact_dir / "tokenizer.json")
    name = prompt_form.partition("/")[0]
    if name in (STILLROOM_TEMPLATE.name, PLAIN_TEMPLATE.name) and name != tokenizer.template.name:
        raise TokenizerError(
            f"tokenizer.json of {artifact_dir.name} serves prompts of the form {tokenizer.template.name}, the model was"
            f" trained with {name}",
            "export or copy the model again",
        )
    return tokenizer


def make_plain(tokenizer: Tokenizer) -> None:
    """A text's ids follow from the text alone: nothing is padded, cut, or left to chance, as in training."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if isinstance(tokenizer.model, BPE):
        tokenizer.model.dropout = None


def _byte_of_character() -> dict[str, int]:
    """Byte-level BPE writes every byte as one printable character: itself, or the next free one from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + number): byte for number, byte in enumerate(moved)}


class FileTokenizer:
    """Text to ids and back; special tokens in a text count as such only where the caller says so."""

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise TokenizerError(f"{path} cannot be read: {error}", "export or copy the model again") from error
        make_plain(self._tokenizer)
        self.template: PromptTemplate = template_of(lambda mark: self._tokenizer.token_to_id(mark) is not None)

    @cached_property
    def vocab_size(self) -> int:
        """Ids that a text can have, special ones and holes between them included."""
        return max(self._tokenizer.get_vocab().values(), default=-1) + 1

    def piece(self, token: int) -> str | None:
        """The token as it stands in the vocabulary; None in a hole."""
        piece: str | None = self._tokenizer.id_to_token(token)
        return piece

    def encode(self, text: str, special: bool) -> list[int]:
        """Ids of a text, nothing added; special tokens in it count as such only where it is `special`."""
        self._tokenizer.encode_special_tokens = not special
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        return b"".join(self.token_bytes[token] for token in ids).decode("utf-8", errors="replace")

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of tokens that are no text."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each token stands for; none for special tokens."""
        byte_of = _byte_of_character()
        pieces = [self._tokenizer.id_to_token(number) or "" for number in range(self.vocab_size)]
        byte_level = '"ByteLevel"' in self._tokenizer.to_str()
        return tuple(
            b"" if number in self.special_ids else _piece_bytes(piece, byte_of if byte_level else None)
            for number, piece in enumerate(pieces)
        )


def _piece_bytes(piece: str, byte_of: dict[str, int] | None) -> bytes:
    """Bytes of a vocabulary entry, byte-level where a table is given, else as SentencePiece writes it."""
    if byte_of is not None:
        return b"".join(
            bytes([byte_of[character]]) if character in byte_of else character.encode() for character in piece
        )
    if match := _BYTE_FALLBACK.fullmatch(piece):
        return bytes([int(match.group(1), 16)])
    return piece.replace("\u2581", " ").encode()
