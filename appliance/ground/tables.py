"""Checks what a TOML file says against pydantic models, and names all that is wrong with it at once.

Only readers of files import this module, and only when they read one: pydantic takes a tenth of a second to load.
"""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeGuard, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticUndefined

from appliance.ground.errors import InvalidFile
from appliance.ground.json_text import json_text
from appliance.ground.spelling import NAME_PATTERN, NAME_RULE, nearest

_LONGEST_VALUE = 60
"""Characters of a wrong value that a message shows."""


class Table(BaseModel):
    """A table of a TOML file: nothing is converted, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    version_known: ClassVar[int] = 0
    """The one version of the file that this program reads; 0 where the table has no version."""
    older_versions: ClassVar[tuple[int, ...]] = ()
    """Former versions that it reads, too."""
    removed_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of former versions of the program, with what to do about each."""

    def problems(self) -> "list[Problem]":
        """What is wrong although each key alone is right."""
        return []

    @model_validator(mode="after")
    def _check_keys_together(self) -> "Table":
        if problems := self.problems():
            raise PydanticCustomError("together", "several keys do not fit", {"problems": problems})
        return self


Problem = tuple[str, str, str]
"""Key below the table (empty for the table itself), what is wrong, and what to do about it."""
AnyTable = TypeVar("AnyTable", bound=Table)


def wrong(problem: str, remedy: str) -> PydanticCustomError:
    """The error of a validator for one key, which raises it."""
    return PydanticCustomError("wrong", "wrong", {"problem": problem, "remedy": remedy})


def _not_blank(text: str) -> str:
    if not text.strip():
        raise wrong("empty", "")
    return text


def _different(words: list[str]) -> list[str]:
    for word in words:
        if not word.strip():
            raise wrong("one of the strings is empty", 'write ["...", "..."]')
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise wrong(f'holds "{twice}" twice', "name each only once")
    return words


PLUS_ZERO = AfterValidator(lambda number: number + 0.0)
"""Zero has one sign, and so one form in an identity."""
Text = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
"""A text that says something."""
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", examples=["invoice_number"])]
"""A word that can be a key, a column and a part of a file name."""
Texts = Annotated[list[str], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_different)]
"""Different texts that say something."""


def not_among(key: str, words: Iterable[str], known: Sequence[str]) -> list[Problem]:
    """The words of a list that are none of the known ones."""
    return [
        (key, f'"{word}" is not one of {", ".join(known)}', f"did you mean {match}?" if match else f"use {known[0]}")
        for word in words
        if word not in known
        for match in [nearest(word, known)]
    ]


def check_table(model: type[AnyTable], values: Mapping[str, object], file: str, prefix: str = "") -> AnyTable:
    """The table as a model's instance.

    Args:
        file: Name of the file, for messages.
        prefix: Where the table stands in the file, such as `frontier.far.`.

    Raises:
        InvalidFile: With everything that is wrong.
    """
    version = values.get("version")
    known = (model.version_known, *model.older_versions)
    if model.version_known and type(version) is int and version > 0 and version not in known:
        # What else the file says is for the program of that version to judge.
        problem = f"{version} is not supported; this program reads version {model.version_known}"
        raise InvalidFile(file, [(f"{prefix}version", problem, "use a version of the program that reads it")])
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [problem for details in error.errors(include_url=False) for problem in _problems(model, details)]
    raise InvalidFile(file, [(prefix + path, problem, remedy) for path, problem, remedy in problems])


def _problems(model: type[Table], details: ErrorDetails) -> list[Problem]:
    """One of pydantic's errors in our words; of the rules over several keys it carries all at once."""
    loc, value, context = details["loc"], details.get("input"), details.get("ctx", {})
    path, key = _path(loc), str(loc[-1]) if loc else ""
    parent, info = _places(model, loc)
    example = f"{key} = {_example(info)}" if info else ""
    match details["type"]:
        case "together":
            return [
                (".".join(filter(None, (path, name))), problem, remedy) for name, problem, remedy in context["problems"]
            ]
        case "wrong":
            return [(path, context["problem"], context["remedy"] or f"write {example}")]
        case "extra_forbidden":
            if key in parent.removed_keys:
                return [(path, "no key of this program any more", parent.removed_keys[key])]
            known = list(parent.model_fields)
            match = nearest(key, known)
            remedy = f"did you mean {match}? " if match else ""
            return [(path, "unknown key", f"{remedy}known keys: {', '.join(known)}")]
        case "missing":
            return [(path, "missing", f"add {example}")]
        case "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            match = nearest(value, known) if isinstance(value, str) else None
            remedy = f"did you mean {match}?" if match else f'write {key} = "{known[0]}"' if info else f"use {known[0]}"
            return [(path, f"{toml_value(value)} is not one of {', '.join(known)}", remedy)]
        case "string_too_short":
            return [(path, "empty", f"write {example}" if info else "leave it out")]
        case "string_pattern_mismatch":
            return [(path, f"{toml_value(value)} is not a name", NAME_RULE)]
        case "model_type":
            remedy = f"write [{path}] and its keys below" if info else "write its keys below [[...]]"
            return [(path, f"{toml_value(value)} is not a table", remedy)]
    expected = _expected(info) if info else "a string"
    if expected == "a list of tables":
        return [(path, f"{toml_value(value)} is not {expected}", f"write [[{path}]] before the keys of each")]
    return [(path, f"{toml_value(value)} is not {expected}", f"write {example}" if info else "use a string")]


def _path(loc: tuple[int | str, ...]) -> str:
    """The key as an operator counts: `fields[2].type` is the second field's."""
    path = ""
    for part in loc:
        path += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _places(model: type[Table], loc: tuple[int | str, ...]) -> tuple[type[Table], FieldInfo | None]:
    """The table that a place lies in, and its key there; None for an entry of a list and for an unknown key."""
    parent, info = model, None
    for number, part in enumerate(loc):
        info = None if isinstance(part, int) else parent.model_fields.get(part)
        if info is not None and number + 1 < len(loc):
            tables = [kind for kind in (info.annotation, *get_args(info.annotation)) if _is_table(kind)]
            parent = tables[0] if tables else parent
    return parent, info


def _is_table(kind: Any) -> TypeGuard[type[Table]]:
    return isinstance(kind, type) and issubclass(kind, Table)


def _expected(info: FieldInfo) -> str:
    """What a key's value must be, from the type and the bounds of its annotation."""
    kinds = [info.annotation, *get_args(info.annotation)]
    marks = [*info.metadata]
    for kind in kinds:
        for mark in getattr(kind, "__metadata__", ()):
            marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    kinds += [getattr(kind, "__origin__", None) for kind in kinds]
    bounds = {name: getattr(mark, name) for mark in marks for name in ("gt", "ge", "le") if hasattr(mark, name)}
    if bool in kinds:
        return "true or false"
    if int in kinds:
        return f"a whole number of at least {bounds['ge']}" + (f" and up to {bounds['le']}" if "le" in bounds else "")
    if float in kinds:
        least = f"above {bounds['gt']:g} and up to" if "gt" in bounds else f"from {bounds['ge']:g} to"
        return f"a number {least} {bounds['le']:g}"
    if list in kinds:
        return "a list of tables" if any(map(_is_table, kinds)) else "a list of strings"
    return "a string"


def _example(info: FieldInfo) -> str:
    value = info.examples[0] if info.examples else info.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value == "":
        value = "..."
    return toml_value(value)


def toml_value(value: object) -> str:
    """A value as the file may have it, cut where it is long."""
    if isinstance(value, str):
        text = json_text(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, datetime.date | datetime.time):
        text = value.isoformat()
    elif isinstance(value, list):
        text = f"[{', '.join(map(toml_value, value[:9]))}]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
