"""What is looked at before anything is trained: whether a base is whole and sound, and of a kind that can be trained.

Hours of training end in a student, or are not begun: what would be refused while the base is loaded, in the first
step, in the merge or in an export, and can be known from the base's files, is refused here, by name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.engines.tokenizer_file import TokenizerError, leading_ids
from appliance.ground.errors import UsageError
from appliance.ground.text import human_count, printable
from appliance.models.architectures import text_config
from appliance.models.safetensors_file import (
    FULL_FLOATS,
    TensorHeader,
    read_headers,
    tensors_not_finite,
    weight_paths,
)
from training.base_tokenizer import special_beyond

POOLING_FILE = "1_Pooling/config.json"
"""Of encoders: which vectors of its tokens make the one of a text."""
SETTINGS_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    POOLING_FILE,
)  # fmt: skip
"""What a base is, beside its weights; each is a JSON object."""
AGAIN = "fetch or copy the base again, or choose another one"
COMPUTED_BUFFERS = ("inv_freq", "masked_bias", "attn.bias", "position_ids", "token_type_ids", "attention.bias")
"""Ends of names that some writers store and no model reads: they are computed, and a mask is full of infinities."""
_PACKED = (
    "qweight",
    "qzeros",
    "weight_packed",
    "weight.absmax",
    "weight.quant_map",
    "weight_scale_inv",
    "weight_scale",
)
"""Ends of names in which quantized checkpoints keep what stands for a matrix."""
EMBEDDING_ENDS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
"""Ends of names of the matrix that gives each token its vector."""
LEAST_COVERED = 0.9
"""Share of an embedding's rows that a tokenizer must know; padding and reserved rows are a tenth at most."""
_SPARE_ROWS = 1024
_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_hidden_groups", "inner_group_num")
_USUAL_LAYERS = 128
"""So many may share the tensors of a few."""


Mismatch = tuple[str, Sequence[int], Sequence[int]]
"""A tensor's name, its shape in the files, and the one that the model has."""


class UnfitBase(UsageError):
    """A base model cannot be trained as it lies there."""


def check_base(directory: Path) -> None:
    """Refuses a base that is not whole, not sound, or of a kind that is not trained; loads nothing.

    The weights are read once, a few megabytes at a time, for numbers that are none.

    Raises:
        UnfitBase: Says what is wrong, on which tensor, token or setting.
        WeightsError: The files are not whole.
    """
    refuse_not_finite(directory, check_base_files(directory))


def check_base_files(directory: Path) -> dict[str, TensorHeader]:
    """The part of `check_base` that reads no weights; gives the heads of the tensors.

    Raises:
        UnfitBase: Says what is wrong, on which tensor, token or setting.
        WeightsError: The files are not whole.
    """
    settings = read_settings(directory)
    for name in SETTINGS_FILES:
        if (directory / name).is_file():
            _read_object(directory / name)
    refuse_quantized(directory, settings)
    headers = read_headers(weight_paths(directory))
    refuse_odd_tensors(directory, headers)
    refuse_deep(directory, text_config(settings), headers)
    check_tokenizer(directory, text_config(settings), headers)
    return headers


def read_settings(directory: Path) -> dict[str, Any]:
    """What the config.json of a base says.

    Raises:
        UnfitBase: It is missing, no JSON object, or names no architecture.
    """
    path = directory / "config.json"
    settings = _read_object(path)
    if not isinstance(settings.get("model_type"), str):
        if settings.get("peft_type") or (directory / "adapter_config.json").is_file():
            raise UnfitBase(f"{directory.name} is an adapter, not a base model", "merge it into its base first")
        raise UnfitBase(f"{path} names no model_type", AGAIN)
    return settings


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnfitBase(f"cannot read {path}: {error.strerror}", AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise UnfitBase(f"{path} is no JSON: {error}", AGAIN) from error
    if not isinstance(content, dict):
        raise UnfitBase(f"{path} holds no settings", AGAIN)
    return content


def refuse_quantized(directory: Path, settings: Mapping[str, Any]) -> None:
    """Refuses a checkpoint whose settings say that it is quantized: its weights cannot be merged or exported.

    Raises:
        UnfitBase: It is.
    """
    described = settings.get("quantization_config") or text_config(settings).get("quantization_config")
    if described:
        method = described.get("quant_method") or "a method of its own" if isinstance(described, Mapping) else described
        raise _quantized(directory, f"quantized ({printable(str(method))})")


def _quantized(directory: Path, how: str) -> UnfitBase:
    return UnfitBase(
        f"the base {directory.name} is {how}; an adapter cannot be merged into such weights",
        "take the same base in bfloat16 or float16; --load-in-4bit quantizes it for the training alone",
    )


def refuse_odd_tensors(directory: Path, headers: Mapping[str, TensorHeader]) -> None:
    """Refuses tensors without a number, and matrices that are stored in a type of quantized checkpoints.

    Raises:
        UnfitBase: Names the first of them.
    """
    weights = {name: header for name, header in headers.items() if not name.endswith(COMPUTED_BUFFERS)}
    if not weights:
        raise UnfitBase(f"the weights of {directory.name} hold no tensor", AGAIN)
    for name, header in weights.items():
        packed = name.endswith(_PACKED) or (len(header.shape) > 1 and header.dtype not in FULL_FLOATS)
        if packed:
            raise _quantized(directory, f"quantized: its tensor {printable(name)} is stored as {header.dtype}")
        if not header.numbers:
            raise UnfitBase(
                f"the tensor {printable(name)} of {directory.name} is empty ({_shape(header.shape)})", AGAIN
            )


def refuse_deep(directory: Path, settings: Mapping[str, Any], headers: Mapping[str, TensorHeader]) -> None:
    """Refuses a configuration of far more layers than the weights can be of: to build them alone could take for ever.

    Raises:
        UnfitBase: It has more than there are tensors.
    """
    for key in _DEPTHS:
        layers = settings.get(key)
        if isinstance(layers, int) and layers > max(len(headers), _USUAL_LAYERS):
            raise UnfitBase(
                f"config.json of {directory.name} has {layers:,} as {key}, its weights hold"
                f" {human_count(len(headers), 'tensor')}",
                "use the config.json that belongs to these weights",
            )


def refuse_not_finite(directory: Path, headers: Mapping[str, TensorHeader]) -> None:
    """Refuses weights that are no numbers: every loss would be none, too.

    Raises:
        UnfitBase: Names the first tensor with one.
    """
    weights = {name: header for name, header in headers.items() if not name.endswith(COMPUTED_BUFFERS)}
    for name, count in tensors_not_finite(weights):
        raise UnfitBase(
            f"{human_count(count, 'weight')} of {headers[name].numbers:,} in the tensor {printable(name)} of"
            f" {directory.name} are not finite (NaN or infinity)",
            AGAIN,
        )


def check_tokenizer(directory: Path, settings: Mapping[str, Any], headers: Mapping[str, TensorHeader]) -> None:
    """Refuses a tokenizer that cannot be the one of these weights.

    Raises:
        UnfitBase: It has ids beyond the embedding, leaves most of it unused, or has words of text where the
            configuration has the special tokens of begin and end.
    """
    tokens = read_tokens(directory / "tokenizer.json")
    around = ids_around_texts(directory / "tokenizer.json")
    rows = embedding_rows(headers)
    if rows is not None and max(tokens) >= rows:
        # A special token there stands for what no text holds, such as an image.
        harmless = special_beyond(_read_object(directory / "tokenizer.json"), rows) - around
        tokens = {number: token for number, token in tokens.items() if number not in harmless}
    last = max(tokens)
    if rows is not None and last >= rows:
        beyond = sum(number >= rows for number in tokens)
        raise UnfitBase(
            f"the tokenizer of {directory.name} has {human_count(beyond, 'token')} beyond the {rows:,} rows of the"
            f" embedding, the last is {printable(tokens[last])!r} with the id {last:,}",
            "use the tokenizer.json that belongs to these weights",
        )
    if rows is not None and rows - len(tokens) > _SPARE_ROWS and len(tokens) < LEAST_COVERED * rows:
        raise UnfitBase(
            f"the tokenizer of {directory.name} knows {len(tokens):,} tokens, its embedding has {rows:,} rows: it is"
            " that of another model",
            "use the tokenizer.json that belongs to these weights",
        )
    _check_special_tokens(directory, settings, tokens)


def ids_around_texts(path: Path) -> set[int]:
    """Ids of the tokens that a tokenizer.json and the files beside it put before and after each text.

    Raises:
        UnfitBase: The library that cuts text does not take the file; with what it says.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
        marked = tokenizer.encode("a")
    except Exception as error:  # the library raises nothing narrower
        raise UnfitBase(f"{path} is no tokenizer: {printable(str(error))}", AGAIN) from error
    ids = {number for number, mark in zip(marked.ids, marked.special_tokens_mask, strict=True) if mark}
    with suppress(TokenizerError):  # says so where the prompt is made
        ids.update(leading_ids(path, tokenizer))
    return ids


def read_tokens(path: Path) -> dict[int, str]:
    """All tokens of a tokenizer.json by their ids.

    Raises:
        UnfitBase: The file is missing, or lists no tokens.
    """
    content = _read_object(path)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    tokens: dict[int, str] = {}
    try:
        if isinstance(vocabulary, dict):
            tokens = {int(number): piece for piece, number in vocabulary.items()}
        elif isinstance(vocabulary, list):  # of Unigram: pieces with their scores
            tokens = {number: str(entry[0]) for number, entry in enumerate(vocabulary)}
        tokens |= {int(token["id"]): str(token["content"]) for token in content.get("added_tokens") or ()}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnfitBase(f"{path} lists its tokens in a way that cannot be read: {error!r}", AGAIN) from error
    if not tokens:
        raise UnfitBase(f"{path} lists no tokens", AGAIN)
    return tokens


def embedding_rows(headers: Mapping[str, TensorHeader]) -> int | None:
    """Rows of the embedding of tokens; None where the weights name none as the models do that are known here."""
    for name, header in headers.items():
        if name.endswith(EMBEDDING_ENDS) and len(header.shape) == 2:
            return header.shape[0]
    return None


def _check_special_tokens(directory: Path, settings: Mapping[str, Any], tokens: Mapping[int, str]) -> None:
    """Compares the ids of begin and end with the tokens: a word of text there shows a tokenizer of another model."""
    for name in ("bos", "eos"):
        value = settings.get(f"{name}_token_id")
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                continue
            token = tokens.get(number)
            if token is None or not looks_special(token):
                what = "does not have" if token is None else f"has as {printable(token)!r}, a piece of text"
                raise UnfitBase(
                    f"config.json of {directory.name} names {number:,} as {name}_token_id, which its tokenizer {what}:"
                    " one of the two is that of another model",
                    "use the config.json and the tokenizer.json that belong to these weights",
                )


def looks_special(token: str) -> bool:
    """Whether a token is spelled as no text is: in brackets of any kind, or with a bar."""
    return len(token) > 2 and (token[0] in "<[{\uff5c|" or token[-1] in ">]}\uff5c|")


def check_loaded(name: str, missing: Iterable[str], mismatched: Iterable[Mismatch], unexpected: Iterable[str]) -> None:
    """Refuses a model of which the weights did not fill every tensor, or hold a part of it that has no place.

    Args:
        name: Of the base, for the message.
        mismatched: Of each its name, and its shapes in the file and in the model.

    Raises:
        UnfitBase: Names them.
    """
    if absent := sorted(missing):
        raise UnfitBase(
            f"the weights of {name} lack {human_count(len(absent), 'tensor')} of the model: {_listing(absent)}", AGAIN
        )
    if others := sorted(mismatched):
        described = [
            f"{key} ({_shape(stored)} in the weights, {_shape(built)} by config.json)" for key, stored, built in others
        ]
        raise UnfitBase(
            f"config.json of {name} gives another shape to {human_count(len(others), 'tensor')}: {_listing(described)}",
            "use the config.json that belongs to these weights",
        )
    lost = sorted(key for key in unexpected if ".layers." in key or ".h." in key or ".layer." in key)
    lost = [key for key in lost if not key.endswith(COMPUTED_BUFFERS) and not _is_other_part(key)]
    if lost:
        raise UnfitBase(
            f"the model that config.json of {name} describes has no place for {human_count(len(lost), 'tensor')} of the"
            f" weights: {_listing(lost)}",
            "use the config.json that belongs to these weights",
        )


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _is_other_part(key: str) -> bool:
    """Whether a tensor belongs to what sees, hears or drafts, and not to what reads and writes text."""
    return any(
        part in key for part in ("vision", "visual", "audio", "image", "projector", "connector", "mtp", "pooler")
    )


def _listing(names: list[str], most: int = 3) -> str:
    shown = ", ".join(printable(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
