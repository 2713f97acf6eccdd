"""JSON that a person or another program hands in: parsed within bounds, and with one meaning only."""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

DEEPEST = 200
"""Levels of objects and lists in one another; what this program writes has five."""
_MOST_DIGITS = 300
"""Of a whole number; a longer one is no number that any program computes with."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)


class NotJson(ValueError):
    """The text is no JSON at all."""


class RefusedJson(ValueError):
    """The text is JSON, or nearly, and holds what has no one meaning or no bounds."""


def parse_json(text: str, parse_float: Callable[[str], float] = float) -> object:
    """The value that the text writes.

    Raises:
        NotJson: It is no JSON.
        RefusedJson: It is nested too deeply, names a key twice, or holds NaN, Infinity or a number beyond all bounds.
    """
    _check_depth(text)

    def finite(digits: str) -> float:
        number = parse_float(digits)
        if abs(number) == float("inf"):
            raise RefusedJson(f"the number {digits[:40]} is beyond what can be computed with")
        return number

    try:
        return json.loads(
            text,
            parse_float=finite,
            parse_int=_whole_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except RecursionError as error:
        raise RefusedJson("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at character {error.pos + 1:,}") from error


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += 1 if match[1] else -1 if match[2] else 0
        if depth > DEEPEST:
            raise RefusedJson(f"it is nested more than {DEEPEST} deep")


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise RefusedJson(f"a number has {len(digits):,} digits, and at most {_MOST_DIGITS} are read")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise RefusedJson(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; which of two values of one key counts would depend on the program that reads it."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise RefusedJson(f"the key {twice[:80]!r} stands there twice")
    return values
