"""What is known of a base by its files: architecture, size, tokenizer, context. Nothing is loaded."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError
from appliance.models.architectures import Architecture, architecture_of, text_config
from appliance.models.model_config import context_of
from appliance.models.safetensors_file import TensorHeader, read_headers, weight_paths
from training.bases.json_object import read_object
from training.preflight import EMBEDDING_ENDS

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


@dataclass(frozen=True)
class BaseFacts:
    """A base in figures."""

    model_type: str
    architecture: Architecture | None
    """None where this program knows nothing of the type."""
    weights: int
    """Numbers in all its tensors."""
    size_bytes: int
    """Of the files of its weights."""
    dtypes: tuple[str, ...]
    """Types that the weights are stored in, the most frequent first."""
    context: int
    """Tokens; 0 where the configuration does not say."""
    rows: int
    """Of the embedding: ids that the model knows; 0 where the weights name no embedding as is usual."""
    text_model_type: str = ""
    """Of the part that reads text, where the model also sees or hears."""

    @property
    def family(self) -> str:
        """`decoder` or `encoder`; empty where nothing is known."""
        return self.architecture.family if self.architecture else ""


def base_facts(directory: Path) -> BaseFacts:
    """The facts of a base folder, from config.json and the heads of its weights.

    Raises:
        UsageError: The configuration cannot be read.
        WeightsError: The weights are not whole.
    """
    settings = read_object(directory / "config.json")
    text = text_config(settings)
    headers = read_headers(weight_paths(directory))
    sizes: dict[str, int] = {}
    for header in headers.values():
        sizes[header.dtype] = sizes.get(header.dtype, 0) + header.numbers
    text_type = str(text.get("model_type") or "") if text is not settings else ""
    return BaseFacts(
        model_type=str(settings.get("model_type") or "?"),
        architecture=architecture_of(settings) or architecture_of(text),
        weights=sum(header.numbers for header in headers.values()),
        size_bytes=sum(path.stat().st_size for path in {header.path for header in headers.values()}),
        dtypes=tuple(sorted(sizes, key=lambda name: -sizes[name])),
        context=_context(text),
        rows=_embedding_rows(headers),
        text_model_type=text_type,
    )


def _context(settings: Mapping[str, object]) -> int:
    with contextlib.suppress(ApplianceError):
        return context_of(settings)
    for key in _CONTEXT_KEYS:
        value = settings.get(key)
        if isinstance(value, int) and value > 0:
            return value
    return 0


def _embedding_rows(headers: Mapping[str, TensorHeader]) -> int:
    for name, header in headers.items():
        if name.endswith(EMBEDDING_ENDS) and len(header.shape) == 2:
            return header.shape[0]
    return 0


@dataclass(frozen=True)
class TokenizerFacts:
    """A tokenizer.json in words."""

    kind: str
    """How it makes tokens of a text."""
    tokens: int
    """Ids that it gives, special ones among them."""
    begin: str
    """The token that its files put before each text; empty where they put none."""


def tokenizer_facts(directory: Path) -> TokenizerFacts:
    """What the tokenizer.json of a base says of itself.

    Raises:
        UsageError: It cannot be read.
    """
    content = read_object(directory / "tokenizer.json")
    model = content.get("model")
    model = model if isinstance(model, dict) else {}
    vocabulary = model.get("vocab")
    tokens = len(vocabulary) if isinstance(vocabulary, (dict, list)) else 0
    added = content.get("added_tokens")
    known = vocabulary if isinstance(vocabulary, dict) else {}
    for token in added if isinstance(added, list) else ():
        tokens += isinstance(token, dict) and token.get("content") not in known
    return TokenizerFacts(_kind(content, model), tokens, _begin_token(content.get("post_processor")))


def _kind(content: Mapping[str, object], model: Mapping[str, object]) -> str:
    name = str(model.get("type") or "?")
    if name == "BPE" and model.get("byte_fallback"):
        return "SentencePiece BPE with byte fallback"
    if name == "BPE":
        steps = content.get("pre_tokenizer")
        return "byte-level BPE" if "ByteLevel" in str(steps) or "ByteLevel" in str(content.get("decoder")) else "BPE"
    return {"Unigram": "SentencePiece unigram", "WordPiece": "WordPiece", "WordLevel": "whole words"}.get(name, name)


def _begin_token(processor: object) -> str:
    """The special token at the beginning of a template of tokenizers' `TemplateProcessing` or `RobertaProcessing`."""
    if not isinstance(processor, dict):
        return ""
    steps = processor.get("processors")
    for step in steps if isinstance(steps, list) else ():
        if token := _begin_token(step):
            return token
    single = processor.get("single")
    if isinstance(single, list) and single and isinstance(single[0], dict):
        special = single[0].get("SpecialToken")
        return str(special.get("id")) if isinstance(special, dict) else ""
    begin = processor.get("cls")
    return str(begin[0]) if isinstance(begin, list) and begin else ""
