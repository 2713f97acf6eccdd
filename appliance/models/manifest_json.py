"""Reads `manifest.json` as the text of a stranger: bounded, plain, and with one meaning only."""

import json
import math
import os
import stat
from collections import Counter
from dataclasses import fields
from pathlib import Path

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
_MOST_BYTES = 16_000_000
_DEEPEST = 40
_MOST_NUMBER = 1 << 53
"""Whole numbers below it are the same in every program that reads JSON."""
_LONGEST_TEXT = 1000
"""Characters of one value; instructions and labels stand in the task file, not here."""


def read_json_file(path: Path) -> JSON:
    """The value in a plain file of moderate size: on a medium of others there may be anything under this name.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no plain file, too large, no JSON, nested too deeply, names a key twice, or holds what cannot
            be kept: numbers without end, or half pairs of surrogates.
    """
    try:
        value: JSON = json.loads(_read_bounded(path), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check(value)
    return value


def _read_bounded(path: Path) -> str:
    if path.is_symlink():
        raise ValueError("it is a link and no plain file")
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is not a plain file")
        if facts.st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        return file.read(_MOST_BYTES).decode("utf-8")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    """An object; which of two values of one key counts would depend on the program that reads it."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = min(name for name, count in counts.items() if count > 1)
        raise ValueError(f"it names {twice[:100]!r} twice")
    return values


def _no_number(_name: str) -> None:
    """`NaN` and `Infinity`, which measurements of earlier versions may hold, are null, as they are written now."""


def _check(value: JSON) -> None:
    """Refuses what cannot be written again as it was read; no recursion, as the nesting is a stranger's."""
    waiting: list[tuple[JSON, int]] = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        if isinstance(part, dict):
            waiting += [(each, depth + 1) for pair in part.items() for each in pair]
        elif isinstance(part, list):
            waiting += [(each, depth + 1) for each in part]
        elif isinstance(part, str):
            if len(part) > _LONGEST_TEXT:
                raise ValueError(f"it holds a text of {len(part):,} characters")
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise ValueError("it holds half a pair of surrogates") from error
        elif (isinstance(part, int) and abs(part) > _MOST_NUMBER) or (isinstance(part, float) and math.isinf(part)):
            raise ValueError("it holds a number that is too large")


def typed_values(kind: type, values: dict[str, JSON]) -> dict[str, JSON]:
    """The values, once those that the dataclass declares as text or number are.

    Raises:
        TypeError: One is not, or is not among the dataclass's fields.
    """
    allowed: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}
    declared = {described.name: described.type for described in fields(kind)}
    for name, value in values.items():
        if name not in declared:
            raise TypeError(f"the unknown key {name[:100]!r}")
        types = allowed.get(declared[name])
        if types and (not isinstance(value, types) or isinstance(value, bool)):
            raise TypeError(f"{name} is {value!r:.40}, which has the wrong type")
    return values


def object_of(values: dict[str, JSON], key: str) -> dict[str, JSON]:
    """The object of this key; an empty one where the key is missing.

    Raises:
        TypeError: There is something else.
    """
    value = values.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} is not an object")
    return value
