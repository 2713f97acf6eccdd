"""The text of a frontier's reply as the answer that the task asks for, or a failure with a name.

Models put their JSON into fences, behind their thoughts and between sentences; that is taken off wherever one object,
and no other, fits the task. What the values may be depends on the endpoint: one that keeps schemas must have kept it to
the letter, others may write numbers without quotes, leave out what the document does not have, and add keys, which are
passed over. Nothing is accepted that the task does not ask for.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.engines.frontier_config import ModelChoice
from appliance.engines.frontier_errors import FrontierFailure, excerpt
from appliance.engines.frontier_reply import Reply
from appliance.ground.text import is_storable
from appliance.tasks.linecode import Answer, Record, Value
from appliance.tasks.task import NO, WITH_DIGITS, YES, Field, FieldType, Task
from appliance.tasks.values import plain

_THOUGHT_TAG = r"(?:\w{1,20}:)?(?:think|thinking|reasoning|thoughts?|reflection|scratchpad)"
_THOUGHT_START = re.compile(rf"<{_THOUGHT_TAG}(?:\s[^<>]{{0,200}})?>|\[THINK\]|◁think▷", re.IGNORECASE)
_THOUGHT_END = re.compile(rf"</{_THOUGHT_TAG}\s?>|\[/THINK\]|◁/think▷", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*\n(.*?)^[ \t]*(?:```|~~~)", re.DOTALL | re.MULTILINE)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\Z))|,(?=\s*[}\]])', re.DOTALL)
_MOST_OBJECTS = 50
"""Places in a text at which an object is looked for; an answer stands at one of the first."""
_PLAIN_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?")
_WRAPPERS = frozenset(
    "fields answer answers result results data output response json arguments parameters properties".split()
)
_CALL = frozenset("name arguments parameters type id".split())
"""Keys of a call of a tool that stands in the text."""
_NOTHING = frozenset(("", "n/a", "null"))
_NO_QUANTITY = _NOTHING | frozenset(
    ("none", "nil", "-", "--", "\u2013", "\u2014", "unknown", "undefined", "not available", "not found",
     "not specified", "not provided", "not applicable", "nan")
)  # fmt: skip
"""What models write in place of null where a day, a sum or a number is asked for."""


class _Number(str):
    """A number as the answer writes it."""

    __slots__ = ()


def _one_value_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; of a key with values that differ it has a mark that no field takes."""
    values: dict[str, object] = {}
    for key, value in pairs:
        values[key] = value if values.get(key, value) == value else _SEVERAL
    return values


_SEVERAL = ("several values of one key",)


# Line ends and tabs stand in texts as they are, where models forget to escape them.
_DECODER = json.JSONDecoder(
    parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=_one_value_each, strict=False
)


class _Unfit(Exception):
    """Why an object is not what the task asks for."""


@dataclass(frozen=True)
class ReadAnswer:
    """An answer, and what about its form was not as requested."""

    answer: Answer
    notes: tuple[str, ...] = ()


def read_answer(task: Task, field_names: Sequence[str], choice: ModelChoice, reply: Reply) -> ReadAnswer:
    """The answer as the task wants it.

    Args:
        field_names: Names of the fields that were asked for; all where it is empty.

    Raises:
        FrontierFailure: The text holds no JSON, or none of the schema that was sent.
    """
    fields = [field for field in task.output_fields if not field_names or field.name in field_names]
    text, thoughts = _without_thoughts(reply.content)
    candidates = _candidates(text)
    if not candidates:
        raise FrontierFailure("broken_answer", f"the answer is not JSON: {excerpt(reply.content)}", reply.usage)
    answers: list[Answer] = []
    notes: list[str] = []
    problem = ""
    for values, form in candidates:
        try:
            answer, more = _fitted(task, fields, values, choice.structured == "json_schema")
        except _Unfit as unfit:
            problem = problem or str(unfit)
            continue
        if answer not in answers:
            answers.append(answer)
            notes = [*thoughts, *form, *more]
    if len(answers) == 1:
        return ReadAnswer(answers[0], tuple(notes))
    if answers:
        problem = f"the answer holds {len(answers)} different objects that fit the schema"
    elif choice.structured == "json_schema" and _fits_loosely(task, fields, candidates):
        problem += '; write structured = "json_object" for an endpoint that does not keep schemas'
    raise FrontierFailure("wrong_schema", f"{problem}: {excerpt(reply.content)}", reply.usage)


def _without_thoughts(content: str) -> tuple[str, list[str]]:
    """The text behind the thoughts of a reasoning model; nothing where they have no end."""
    if not _THOUGHT_START.search(content) and not _THOUGHT_END.search(content) and "<|channel|>" not in content:
        return content, []
    if _is_json(content):  # The tags stand in a value.
        return content, []
    # The first tag is often part of the prompt, and does not come back.
    text = _THOUGHT_END.split(content)[-1]
    text = text.rpartition("<|message|>")[2].removesuffix("<|return|>")
    return _THOUGHT_START.split(text)[0], ["thoughts stood before it"]


def _is_json(text: str) -> bool:
    try:
        _loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _candidates(text: str) -> list[tuple[object, list[str]]]:
    """What in the text may be the answer, and its wrapping: all of it, else what stands in fences, else in prose."""
    text = text.strip().strip("\ufeff\u200b").strip()
    whole = _parsed(text)
    if whole is not None:
        return [whole]
    fenced = [each for match in _FENCE.finditer(text + "\n") if (each := _parsed(match.group(1).strip())) is not None]
    if fenced:
        return [(values, ["it stood in a fence", *form]) for values, form in fenced]
    if text.startswith("```") and (only := _parsed(text.strip("`").removeprefix("json").strip())) is not None:
        return [(only[0], ["it stood in a fence", *only[1]])]
    return [(values, ["it stood among other text"]) for values in _objects(text)]


def _parsed(text: str) -> tuple[object, list[str]] | None:
    for form, candidate in (([], text), (["it had commas too many"], None)):
        if candidate is None:
            candidate = _TRAILING_COMMA.sub(lambda match: match.group(1) or "", text)
            if candidate == text:
                return None
        try:
            values = _loads(candidate)
            if isinstance(values, str) and not isinstance(values, _Number) and values.lstrip().startswith("{"):
                # An object that was written as a text of JSON once more.
                values = _loads(values)
        except (ValueError, RecursionError):
            continue
        return values, list(form)
    return None


def _loads(text: str) -> object:
    return _DECODER.decode(text)


def _objects(text: str) -> Iterator[object]:
    """The outermost objects in a text, from its beginning."""
    at, tries = text.find("{"), 0
    while at >= 0 and tries < _MOST_OBJECTS:
        tries += 1
        try:
            values, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        yield values
        at = text.find("{", end)


def _fits_loosely(task: Task, fields: list[Field], candidates: list[tuple[object, list[str]]]) -> bool:
    for values, _ in candidates:
        try:
            _fitted(task, fields, values, strict=False)
        except _Unfit:
            continue
        return True
    return False


def _fitted(task: Task, fields: list[Field], values: object, strict: bool) -> tuple[Answer, list[str]]:
    """The answer in an object.

    Raises:
        _Unfit: It is not what the task asks for.
    """
    notes: list[str] = []
    values = _unwrapped(task, fields, values, notes)
    if not isinstance(values, dict):
        raise _Unfit("the answer is no JSON object")
    values = _flat(values, {_key(path) for field in fields for path in _paths(field.name)})
    by_name = _named(fields, values, notes)
    others = len(values) - len(by_name)
    missing = [field.name for field in fields if field.name not in by_name]
    if strict and (missing or others):
        raise _Unfit("the answer does not match the schema")
    if missing and (len(missing) == len(fields) or any(field.required for field in fields if field.name in missing)):
        raise _Unfit(f"the answer has no {missing[0]}")
    if missing or others:
        notes.append(f"{len(missing)} keys were missing, {others} too many")
    return {field.name: _value(field, by_name.get(field.name), strict) for field in fields}, notes


def _paths(name: str) -> Iterator[str]:
    """The objects in which a field lies."""
    *parts, _ = name.split(".")
    return (".".join(parts[:number]) for number in range(1, len(parts) + 1))


def _flat(values: dict[str, Any], objects: set[str], before: str = "") -> dict[str, Any]:
    """The values by field: those of the objects of the task under their dotted names, everything else as it is."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = before + name
        if isinstance(value, dict) and _key(path) in objects:
            flat |= _flat(value, objects, f"{path}.")
        else:
            flat[path] = value
    return flat


def _unwrapped(task: Task, fields: list[Field], values: object, notes: list[str]) -> object:
    """The object itself, where it is the only entry of a list or stands under one key."""
    names = {_key(part) for field in fields for part in (field.name, field.name.partition(".")[0])}
    for _ in range(3):
        if isinstance(values, list) and len(values) == 1 and isinstance(values[0], dict):
            values = values[0]
        elif (arguments := _call_arguments(values, names)) is not None:
            values = arguments
        elif isinstance(values, dict) and not names & {_key(key) for key in values}:
            inner = [
                each
                for key, each in values.items()
                if isinstance(each, dict | list)
                and (len(values) == 1 or _key(key) in _WRAPPERS or _key(key) == _key(task.name))
            ]
            if len(inner) != 1:
                return values
            values = inner[0]
        else:
            return values
        notes.append("it stood within another object")
    return values


def _call_arguments(values: object, names: set[str]) -> dict[str, Any] | None:
    """The arguments of a call; its `name` is the tool's, also where the task has a field of that name."""
    if not isinstance(values, dict) or not values.keys() <= _CALL:
        return None
    arguments = values.get("arguments", values.get("parameters"))
    return arguments if isinstance(arguments, dict) and names & {_key(key) for key in arguments} else None


def _named(fields: list[Field], values: dict[str, Any], notes: list[str]) -> dict[str, object]:
    """The values by the task's names, whatever the case and the marks of the keys.

    Raises:
        _Unfit: Two keys are one field's and differ in value.
    """
    names: dict[str, str] = {}
    for field in fields:
        names.setdefault(_key(field.phrase), field.name)
    names |= {_key(field.name): field.name for field in fields}
    # Of a field that has no phrase, and of keys such as "-", nothing is left to compare.
    names.pop("", None)
    exact = {field.name for field in fields}
    by_name: dict[str, object] = {key: value for key, value in values.items() if key in exact}
    for key, value in values.items():
        name = names.get(_key(key)) if key not in exact else None
        if name is None:
            continue
        if name in by_name and by_name[name] != value:
            raise _Unfit(f"the answer has two values of {name}")
        if name not in by_name:
            by_name[name] = value
            notes.append("its keys were in another case")
    return by_name


def _key(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _value(field: Field, value: object, strict: bool) -> Value:
    """The value as the field may have it.

    Raises:
        _Unfit: It is none that it may have.
    """
    if isinstance(value, list) and field.columns:
        records = [
            _record(field, number, entry, strict)
            for number, entry in enumerate(value, 1)
            if strict or entry is not None
        ]
        return [record for record in records if any(record.values())] or None
    if isinstance(value, list) and field.type is FieldType.LIST:
        entries = [_text(field, entry, strict) for entry in value if strict or entry is not None]
        return [_known(field, entry, strict) for entry in entries if entry] or None
    if value is None and field.required:
        raise _Unfit(f"{field.name} does not match the schema: it is required and null")
    if value is None or (not field.is_several and _says_nothing(field, value)):
        return None
    if field.is_several:
        raise _Unfit(f"{field.name} does not match the schema: it is no list")
    if field.type is FieldType.BOOLEAN:
        return _truth(field, value, strict)
    return _known(field, _text(field, value, strict), strict) or None


def _record(field: Field, number: int, values: object, strict: bool) -> Record:
    """One record by its columns, whatever the case and the marks of the keys.

    Raises:
        _Unfit: It is none, or has columns that the task lacks where the schema was to be kept.
    """
    if not isinstance(values, dict):
        raise _Unfit(f"{field.name} does not match the schema: record {number}, {excerpt(str(values))}, is no object")
    by_name = _named(list(field.columns), values, [])
    if strict and (len(by_name) < len(field.columns) or len(values) > len(by_name)):
        raise _Unfit(f"{field.name} does not match the schema: record {number} has other keys than its columns")
    try:
        cells = {column.name: _value(column, by_name.get(column.name), strict) for column in field.columns}
    except _Unfit as unfit:
        raise _Unfit(f"{field.name}, record {number}: {unfit}") from unfit
    return {name: cell if isinstance(cell, str) else None for name, cell in cells.items()}


_TRUTHS = {"yes": YES, "true": YES, "no": NO, "false": NO}


def _truth(field: Field, value: object, strict: bool) -> str:
    if isinstance(value, bool):
        return YES if value else NO
    word = value.strip().lower() if isinstance(value, str) and not strict else ""
    if word not in _TRUTHS:
        raise _Unfit(f"{field.name} does not match the schema: {excerpt(str(value))} is neither true nor false")
    return _TRUTHS[word]


def _known(field: Field, text: str, strict: bool) -> str:
    """The text as one of the field's values, where it has such.

    Raises:
        _Unfit: It is none of them.
    """
    if not field.values or text in field.values:
        return text
    alike = [each for each in field.values if plain(each) == plain(text)]
    if strict or len(alike) != 1:
        raise _Unfit(f"{field.name} does not match the schema: {excerpt(text)} is none of its values")
    return alike[0]


def _says_nothing(field: Field, value: object) -> bool:
    if not isinstance(value, str) or isinstance(value, _Number) or value in field.values:
        return False
    return " ".join(value.split()).casefold() in (_NO_QUANTITY if field.type in WITH_DIGITS else _NOTHING)


def _text(field: Field, value: object, strict: bool) -> str:
    if isinstance(value, bool) and not strict and field.values:
        value = str(value).lower()
    if isinstance(value, _Number) and (strict or not _PLAIN_NUMBER.fullmatch(value)):
        raise _Unfit(f"{field.name} does not match the schema: {excerpt(str(value))} is no text")
    if not isinstance(value, str):
        raise _Unfit(f"{field.name} does not match the schema: {excerpt(value)} is no text")
    if not is_storable(value):
        raise _Unfit(f"{field.name} does not match the schema: it contains what is no character")
    return str(value).strip()
