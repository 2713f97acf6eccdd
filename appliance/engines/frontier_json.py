"""JSON from a stranger's server: read so that no number and no key in it does harm, and written again as it stood."""

import json

from appliance.ground.json_text import json_text
from appliance.tasks.answer_json import WrittenNumber

_WHOLE_DIGITS = 18


class _Object(dict[str, object]):
    """An object; a key with values that differ has none, since which of them counts would depend on the reader."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__()
        self.pairs = pairs
        for key, value in pairs:
            self[key] = value if key not in self or self[key] == value else None


def loads(data: bytes | str) -> object:
    """The value that the text writes.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        data, parse_int=_number, parse_float=WrittenNumber, parse_constant=WrittenNumber, object_pairs_hook=_Object
    )


def _number(literal: str) -> int | float:
    """A whole number as such where it is written again as it stood; a longer one with its digits."""
    return int(literal) if len(literal) <= _WHOLE_DIGITS and literal != "-0" else WrittenNumber(literal)


def as_written(value: object) -> str:
    """The JSON that a value from `loads` was written as: each digit of its numbers, and keys that stand there twice."""
    if isinstance(value, _Object):
        return "{" + ", ".join(f"{json_text(key)}: {as_written(each)}" for key, each in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_written, value)) + "]"
    return value.digits if isinstance(value, WrittenNumber) else json_text(value)
