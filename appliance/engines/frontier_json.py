"""JSON from a stranger's server: read so that no number and no key in it does harm, and written again as it stood."""

import json

from appliance.ground.json_text import json_text

_WHOLE_DIGITS = 18


class _Whole(int):
    """A whole number that knows how it was written."""

    literal: str

    def __new__(cls, literal: str) -> "_Whole":
        number = super().__new__(cls, literal)
        number.literal = literal
        return number


class _Fraction(float):
    """Any other number, or what stands in the place of one: `NaN`, or a number that no program can hold."""

    literal: str

    def __new__(cls, literal: str) -> "_Fraction":
        number = super().__new__(cls, literal)
        number.literal = literal
        return number


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
        data, parse_int=_number, parse_float=_Fraction, parse_constant=_Fraction, object_pairs_hook=_Object
    )


def _number(literal: str) -> int | float:
    return _Whole(literal) if len(literal) <= _WHOLE_DIGITS else _Fraction(literal)


def as_written(value: object) -> str:
    """The JSON that a value from `loads` was written as: each digit of its numbers, and keys that stand there twice."""
    if isinstance(value, _Object):
        return "{" + ", ".join(f"{json_text(key)}: {as_written(each)}" for key, each in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_written, value)) + "]"
    return value.literal if isinstance(value, _Whole | _Fraction) else json_text(value)
