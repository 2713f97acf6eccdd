"""A model's tokenizer from `tokenizer.json`: the same ids in training, export checks and every engine."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from appliance.engines.tokenizer_file import (
    SENTENCEPIECE_BLANK,
    TokenizerError,
    cut_as_segments,
    is_blank,
    is_byte_level,
    leading_ids,
    read_tokenizer,
)
from appliance.models.manifest import MANIFEST_NAME, read_manifest
from appliance.tasks.prompt import (
    OLDEST_PLAIN_TEMPLATE,
    PLAIN_TEMPLATE,
    STILLROOM_TEMPLATE,
    PromptTemplate,
    form_of,
    read_form,
    template_of,
)

_SAMPLE = " Order no. 4711: 1,234.50"
_OTHER_BASE = "choose a base model with another tokenizer"
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def artifact_tokenizer(artifact_dir: Path, prompt_form: str) -> "FileTokenizer":
    """The tokenizer of an artifact.

    Args:
        prompt_form: How the model was trained to be asked, from the manifest; empty where it says none.

    Raises:
        TokenizerError: It cannot be read, or serves another template: special tokens would be cut as plain text.
    """
    return FileTokenizer(artifact_dir / "tokenizer.json", prompt_form)


def model_tokenizer(model_dir: Path) -> "FileTokenizer":
    """The tokenizer of a folder with a model: as its manifest says, or as a base that nothing was trained on yet.

    Raises:
        TokenizerError: It cannot be read, or is not the one that the manifest means.
        ArtifactError: The manifest cannot be read.
    """
    if (model_dir / MANIFEST_NAME).is_file():
        return artifact_tokenizer(model_dir, read_manifest(model_dir).prompt_form)
    return FileTokenizer(model_dir / "tokenizer.json")


def _byte_of_character() -> dict[str, int]:
    """Byte-level BPE writes every byte as one printable character: itself, or the next free one from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + number): byte for number, byte in enumerate(moved)}


class FileTokenizer:
    """Text to ids and back; tokens that mean something count as such only where the caller says so."""

    def __init__(self, path: Path, prompt_form: str | None = None, rows: int | None = None) -> None:
        """Reads the file.

        Args:
            prompt_form: How the model was trained to be asked; empty for a model from before this was written down;
                None for a base: the newest form that serves it, as the files beside tokenizer.json say.
            rows: Of the model's embedding, where they are known: special tokens beyond them, such as that of an image,
                are none of its vocabulary.

        Raises:
            TokenizerError: It cannot be read, or serves another form.
        """
        self._tokenizer, self._rows = read_tokenizer(path), rows
        newest = template_of(lambda mark: self._tokenizer.token_to_id(mark) is not None)
        if prompt_form is None:
            is_plain = newest is PLAIN_TEMPLATE
            self.template: PromptTemplate = self._with_bos(leading_ids(path, self._tokenizer)) if is_plain else newest
        else:
            self.template = self._stated_template(path.parent.name, prompt_form, newest)
        self._cuts_data = self.template.name != OLDEST_PLAIN_TEMPLATE.name
        if self._cuts_data:
            cut_as_segments(self._tokenizer)
        if prompt_form is None:
            self._refuse_unwritable(path.parent.name)

    def _refuse_unwritable(self, model: str) -> None:
        """Refuses a base in whose tokens no answer can be written, before anything is trained on it."""
        if not self.encode(self.template.line, True):
            raise TokenizerError(f"the tokenizer of {model} cannot write a line end", _OTHER_BASE)
        for text, is_mark, name in (("\n", True, "a line end"), (_SAMPLE, False, _SAMPLE.strip())):
            if is_mark and self.template.field_format:
                continue  # it has a token of its own
            back = b"".join(self._bytes_of(token) for token in self.encode(text, is_mark)).decode("utf-8", "replace")
            if back.strip(" ").lower() != text.strip(" ").lower():
                raise TokenizerError(
                    f"the tokenizer of {model} cannot write {name}: what comes back is {back[:40]!r}", _OTHER_BASE
                )

    def _stated_template(self, model: str, prompt_form: str, newest: PromptTemplate) -> PromptTemplate:
        oldest = STILLROOM_TEMPLATE if newest is STILLROOM_TEMPLATE else OLDEST_PLAIN_TEMPLATE
        try:
            name, bos_ids = read_form(prompt_form) if prompt_form else (oldest.name, ())
        except ValueError as error:
            raise TokenizerError(
                f"the prompt form {prompt_form[:60]!r} of {model} is none", "export or copy the model again"
            ) from error
        if (name == STILLROOM_TEMPLATE.name) != (newest is STILLROOM_TEMPLATE):
            raise TokenizerError(
                f"tokenizer.json of {model} serves prompts of the form {newest.name}, the model was trained with"
                f" {name}",
                "export or copy the model again",
            )
        if name in (oldest.name, newest.name):
            return self._with_bos(bos_ids, newest if name == newest.name else oldest)
        raise TokenizerError(
            f"{model} was trained with prompts of the form {name}, which this version of Stillroom does not know",
            "use the version of Stillroom that made it, or a newer one",
        )

    def _with_bos(self, ids: Sequence[int], template: PromptTemplate = PLAIN_TEMPLATE) -> PromptTemplate:
        pieces = [self.piece(token) for token in ids]
        if None in pieces:
            raise TokenizerError(
                f"a prompt begins with token {ids[pieces.index(None)]}, which tokenizer.json does not hold",
                "export or copy the model again",
            )
        return template.with_bos([piece for piece in pieces if piece is not None])

    @property
    def bos_ids(self) -> tuple[int, ...]:
        """What stands at the start of every prompt, and of every document in a packed row; often nothing."""
        ids = (self._tokenizer.token_to_id(piece) for piece in self.template.bos)
        return tuple(token for token in ids if token is not None)

    @property
    def prompt_form(self) -> str:
        """How a model of this tokenizer is asked, for the manifest: template and what stands at the start."""
        return form_of(self.template.name, self.bos_ids)

    @cached_property
    def vocab_size(self) -> int:
        """Ids that a text can have, special ones and holes between them included."""
        ids = set(self._tokenizer.get_vocab().values())
        if self._rows is not None and max(ids, default=-1) >= self._rows:
            added = self._tokenizer.get_added_tokens_decoder()
            ids -= {number for number, token in added.items() if token.special and number >= self._rows}
        return max(ids, default=-1) + 1

    def piece(self, token: int) -> str | None:
        """The token as it stands in the vocabulary; None in a hole."""
        piece: str | None = self._tokenizer.id_to_token(token)
        return piece

    def encode(self, text: str, special: bool) -> list[int]:
        """Ids of a text, nothing added; tokens that mean something count as such only where it is `special`."""
        if special and text in self.template.bos:
            return list(self.bos_ids[self.template.bos.index(text) :][:1])
        self._tokenizer.encode_special_tokens = not special
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids = list(encoding.ids)
        if special or not self._cuts_data or self._meaning_ids.isdisjoint(ids):
            return ids
        return self._without_meaning(text, ids, encoding.offsets)

    def _without_meaning(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
        """The text cut within what a merge makes to such a token, as often as it takes."""
        for token, (start, end) in zip(ids, offsets, strict=True):
            if token in self._meaning_ids and end - start > 1:
                middle = (start + end) // 2
                return self.encode(text[:middle], False) + self.encode(text[middle:], False)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        return b"".join(self.token_bytes[token] for token in ids).decode("utf-8", errors="replace")

    @cached_property
    def _meaning_ids(self) -> frozenset[int]:
        """Added tokens but blanks, and but those of one character, which are data wherever they stand."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(
            number for number, token in added.items() if len(token.content) > 1 and not is_blank(token.content)
        )

    @cached_property
    def meaning_pieces(self) -> tuple[str, ...]:
        """Contents of the added tokens that never come out of a document."""
        added = self._tokenizer.get_added_tokens_decoder()
        return tuple(added[number].content for number in sorted(self._meaning_ids))

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of tokens that are no text: a document never holds them, and no value does."""
        added = self._tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        if not self._cuts_data:
            return frozenset(special)
        return frozenset(
            number
            for number in special | self._meaning_ids
            if number in self._meaning_ids or self.encode(added[number].content, False) != [number]
        )

    def _bytes_of(self, token: int) -> bytes:
        """The bytes of a token, special or not."""
        piece, is_added = self.piece(token) or "", token in self._tokenizer.get_added_tokens_decoder()
        return _piece_bytes(piece, None if self._cuts_data and is_added else self._byte_of)

    @cached_property
    def _byte_of(self) -> dict[str, int] | None:
        return _byte_of_character() if is_byte_level(self._tokenizer) else None

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each token stands for; none for special tokens."""
        byte_of = self._byte_of
        added = self._tokenizer.get_added_tokens_decoder()
        pieces = [self._tokenizer.id_to_token(number) or "" for number in range(self.vocab_size)]
        return tuple(
            b""
            if number in self.special_ids
            else _piece_bytes(piece, None if self._cuts_data and number in added else byte_of)
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
    return piece.replace(SENTENCEPIECE_BLANK, " ").encode()
