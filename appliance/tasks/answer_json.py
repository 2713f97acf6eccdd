"""Answers as JSON files have them, with objects, numbers and truths; and as the program does, texts by field."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from appliance.ground.errors import UsageError
from appliance.ground.json_text import json_text
from appliance.tasks.canonical_text import tidy
from appliance.tasks.linecode import Answer, Record
from appliance.tasks.task import NO, YES


class WrittenNumber(float):
    """A number of a JSON file that remembers its digits: `5.00` is not `5.0` where a document prints it."""

    digits: str

    def __new__(cls, digits: str) -> "WrittenNumber":
        """The number that these digits write."""
        number = super().__new__(cls, digits)
        number.digits = digits
        return number


def number_text(number: float) -> str:
    """A number of a JSON file as it is written there, but without an exponent, which no document prints."""
    if isinstance(number, WrittenNumber) and "e" not in number.digits.lower():
        return number.digits
    return json_text(number, ascii_only=True)


def answer_of_json(values: Mapping[str, Any], where: str) -> Answer:
    """An answer as a task's is: numbers and truths as texts, the values of objects under `object.value`.

    Args:
        where: File and line, for messages.

    Raises:
        UsageError: A value is of a kind that no answer has.
    """
    answer: Answer = {}
    for name, value in flat_values(values).items():
        if isinstance(value, list):
            answer[name] = _entries(name, value, where)
        else:
            text = _text(name, value, where)
            answer[name] = None if text and not tidy(text) else text
    return answer


_VALUE_HINT = 'write "...", a list of them, a list of {"column": "..."}, or null'


def flat_values(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The values of an answer by field: those of an object under its name, a dot and theirs."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flat_values(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def nested_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat_values`; an object without any value is an object still."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return nested


def _entries(name: str, values: list[Any], where: str) -> list[str] | list[Record]:
    """The entries of a list, or its records, without those that hold nothing but blanks."""
    records = [_record(name, value, where) for value in values if isinstance(value, dict)]
    if records and len(records) < len(values):
        raise UsageError(f"{where}: {name} has texts and records in one list", _VALUE_HINT)
    if records:
        return [record for record in records if any(record.values())]
    return [text for value in values if (text := _text(name, value, where)) and tidy(text)]


def _record(name: str, values: Mapping[str, Any], where: str) -> Record:
    cells = {column: _text(f"{name}: {column}", cell, where) for column, cell in values.items()}
    return {column: cell if cell and tidy(cell) else None for column, cell in cells.items()}


def _text(name: str, value: object, where: str) -> str | None:
    if isinstance(value, bool):
        return YES if value else NO
    if is_finite_number(value):
        return number_text(value)
    if isinstance(value, str | None):
        return value
    raise UsageError(f"{where}: {name} is neither text nor null", _VALUE_HINT)


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether a value of a JSON file is a number that has an end."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
