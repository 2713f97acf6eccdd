"""Whether the files of a tokenizer are of one tokenizer: where one was exchanged, ids mean other words."""

from collections.abc import Mapping
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.text import printable
from training.bases.json_object import read_object

_HINT = "use the tokenizer.json and the tokenizer_config.json that belong to these weights"
_NAMES = ("bos_token", "eos_token")


def check_tokenizer_files(directory: Path) -> None:
    """Compares tokenizer_config.json and special_tokens_map.json, where they are, with tokenizer.json.

    Raises:
        UsageError: They name a token that it does not have, or give an id to another token.
    """
    from training.preflight import read_tokens

    tokens = read_tokens(directory / "tokenizer.json")
    pieces = set(tokens.values())
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if not (directory / name).is_file():
            continue
        settings = read_object(directory / name)
        for key in _NAMES:
            token = _content(settings.get(key))
            if token and token not in pieces:
                raise UsageError(
                    f"{name} of {directory.name} names {printable(token)!r} as {key}, which its tokenizer.json does not"
                    " have: one of the two is that of another model",
                    _HINT,
                )
        described = settings.get("added_tokens_decoder")
        if isinstance(described, Mapping):
            _compare(directory, name, {str(key): _content(value) for key, value in described.items()}, tokens)


def _compare(directory: Path, name: str, described: Mapping[str, str], tokens: Mapping[int, str]) -> None:
    for number, token in described.items():
        actual = tokens.get(int(number)) if number.isdecimal() and len(number) < 10 else None
        if actual is not None and token and actual != token:
            raise UsageError(
                f"{name} of {directory.name} has {printable(token)!r} as token {number}, its tokenizer.json has"
                f" {printable(actual)!r}: one of the two is that of another model",
                _HINT,
            )


def _content(value: object) -> str:
    content = value.get("content") if isinstance(value, Mapping) else value
    return content if isinstance(content, str) else ""
