"""Fields of a task file from a JSON Schema, or from a class of Pydantic, whose schema it is."""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.ground.errors import InvalidFile, UsageError
from appliance.ground.json_input import NotJson, RefusedJson, parse_json
from appliance.ground.json_text import json_text
from appliance.ground.spelling import NAME_PATTERN, NAME_RULE
from appliance.tasks.field_table import DEEPEST, MOST_COLUMNS
from appliance.tasks.patterns import pattern_problem
from appliance.tasks.prompt import MAX_FIELDS

LARGEST_SCHEMA_BYTES = 1_000_000
_DATES = frozenset({"date", "date-time", "datetime"})
_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean"}


@dataclass(frozen=True)
class ImportedField:
    """One field as the task file will have it."""

    name: str
    type: str = "text"
    required: bool = False
    description: str = ""
    examples: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    pattern: str = ""
    fields: tuple["ImportedField", ...] = ()

    def lines(self, table: str = "fields") -> Iterator[str]:
        """Its table in TOML."""
        yield f"\n[[{table}]]"
        yield f"name = {_text(self.name)}"
        yield f"type = {_text(self.type)}"
        if self.description:
            yield f"description = {_text(self.description)}"
        if self.examples:
            yield f"examples = [{', '.join(map(_text, self.examples))}]"
        if self.required and self.type != "object":
            yield "required = true"
        if self.values:
            yield f"values = [{', '.join(map(_text, self.values))}]"
        if self.pattern:
            yield f"pattern = {_text(self.pattern)}"
        for each in self.fields:
            yield from each.lines(f"{table}.fields")

    @property
    def leaf_count(self) -> int:
        """How many fields are asked for."""
        return sum(each.leaf_count for each in self.fields) if self.type == "object" else 1


@dataclass
class _Reader:
    """Reads one schema, and notes all that is wrong with it."""

    root: Mapping[str, Any]
    problems: list[tuple[str, str, str]] = field(default_factory=list)

    def fields(
        self, schema: Mapping[str, Any], path: str, refs: tuple[str, ...], depth: int = 0
    ) -> tuple[ImportedField, ...]:
        """The properties of an object."""
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            self._note(path, "has no properties", "name the values that are asked for under properties")
            return ()
        if depth > DEEPEST:
            self._note(path, f"lies more than {DEEPEST} objects deep", "make it flatter")
            return ()
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        found = (
            self._field(str(name), value, f"{path}/properties/{name}", name in names, refs, depth)
            for name, value in properties.items()
        )
        return tuple(each for each in found if each is not None)

    def _note(self, path: str, problem: str, remedy: str) -> None:
        self.problems.append((path or "#", problem, remedy))

    def _field(
        self, name: str, schema: object, path: str, required: bool, refs: tuple[str, ...], depth: int
    ) -> ImportedField | None:
        import re

        if not re.fullmatch(NAME_PATTERN, name):
            self._note(path, f"{name[:60]!r} cannot name a field", NAME_RULE)
            return None
        resolved = self._resolved(schema, path, refs)
        if resolved is None:
            return None
        schema, refs, is_null_allowed = resolved
        bare = ImportedField(
            name, required=required and not is_null_allowed, examples=_texts(schema.get("examples")),
            description=" ".join(str(schema.get("description") or "").split()),
        )  # fmt: skip
        kind = schema.get("type")
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return self._choice(bare, values if isinstance(values, list) else [], path)
        if kind in _TYPES:
            return replace(bare, type=_TYPES[str(kind)])
        if kind == "string" or (kind is None and "format" in schema):
            return self._text_field(bare, schema, path)
        if kind == "object" or "properties" in schema:
            within = self.fields(schema, path, refs, depth + 1)
            return replace(bare, type="object", fields=within, examples=()) if within else None
        if kind == "array":
            return self._array(bare, schema, path, refs, depth)
        self._note(path, f"has the type {json_text(kind)}", "use string, number, integer, boolean, array or object")
        return None

    def _text_field(self, bare: ImportedField, schema: Mapping[str, Any], path: str) -> ImportedField:
        pattern = schema.get("pattern")
        kind = "date" if schema.get("format") in _DATES else "text"
        if isinstance(pattern, str) and pattern:
            whole = (
                pattern.removeprefix("^").removesuffix("$")
                if pattern.startswith("^") and pattern.endswith("$")
                else (f".*(?:{pattern}).*")
            )
            if problem := pattern_problem(whole):
                self._note(f"{path}/pattern", f"cannot be used: {problem}", "leave it out, or write it without")
                return replace(bare, type=kind)
            return replace(bare, type=kind, pattern=whole)
        return replace(bare, type=kind)

    def _choice(self, bare: ImportedField, values: list[object], path: str) -> ImportedField | None:
        if values and all(isinstance(value, bool) for value in values):
            return replace(bare, type="boolean")
        texts = _texts(values)
        if not texts:
            self._note(path, "has an enum without a value", "name its values")
            return None
        return replace(bare, type="enum", values=texts, required=bare.required and None not in values)

    def _array(
        self, bare: ImportedField, schema: Mapping[str, Any], path: str, refs: tuple[str, ...], depth: int
    ) -> ImportedField | None:
        resolved = self._resolved(schema.get("items", {"type": "string"}), f"{path}/items", refs)
        if resolved is None:
            return None
        items, refs, _ = resolved
        if items.get("type") == "object" or "properties" in items:
            columns = self.fields(items, f"{path}/items", refs, depth + 1)
            for column in columns:
                if column.type in ("object", "list", "records"):
                    where = f"{path}/items/properties/{column.name}"
                    self._note(
                        where, "lies within a record, whose columns have one value each", "make it a field of its own"
                    )
            if len(columns) > MOST_COLUMNS:
                self._note(
                    f"{path}/items", f"has {len(columns)} columns, at most {MOST_COLUMNS} are read", "leave some out"
                )
            return replace(bare, type="records", fields=columns, examples=()) if columns else None
        if items.get("type") == "array":
            self._note(f"{path}/items", "is a list within a list", "make it a list of objects, or of texts")
            return None
        # A pattern of the items is that of each entry.
        pattern = self._text_field(bare, items, f"{path}/items").pattern
        return replace(bare, type="list", values=_texts(items.get("enum")), pattern=pattern)

    def _resolved(
        self, schema: object, path: str, refs: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], tuple[str, ...], bool] | None:
        """The schema behind references and beside null; with the references that led to it, and whether it may be null.

        Returns:
            None where it cannot be told, which is noted.
        """
        is_null_allowed = False
        while True:
            if not isinstance(schema, Mapping):
                self._note(path, "is no schema", 'write {"type": "string"}')
                return None
            if (reference := schema.get("$ref")) is not None:
                if reference == "#" or reference in refs:  # the first is the schema that everything here lies in
                    self._note(path, f"refers to itself through {reference}", "name the values that are asked for")
                    return None
                target = self._target(str(reference))
                if target is None:
                    self._note(path, f"refers to {reference}, which is not there", "put it under $defs")
                    return None
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
                refs = (*refs, str(reference))
                continue
            kind = schema.get("type")
            if isinstance(kind, list):
                others = [each for each in kind if each != "null"]
                is_null_allowed = is_null_allowed or "null" in kind
                if len(others) != 1:
                    self._note(path, f"has {len(others)} types", "give it one type")
                    return None
                return {**schema, "type": others[0]}, refs, is_null_allowed
            choices = next((schema[key] for key in ("anyOf", "oneOf", "allOf") if schema.get(key)), None)
            if choices is None:
                return schema, refs, is_null_allowed
            others = [each for each in choices if each != {"type": "null"}]
            is_null_allowed = is_null_allowed or len(others) < len(choices)
            if (scalar := _one_scalar(others)) is not None:
                others = [scalar]
            if len(others) != 1:
                self._note(path, f"may be one of {len(others)} schemas", "give it one")
                return None
            kept = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
            schema = {**others[0], **kept} if isinstance(others[0], Mapping) else others[0]

    def _target(self, reference: str) -> Mapping[str, Any] | None:
        if not reference.startswith("#/"):
            return None
        target: object = self.root
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        return target if isinstance(target, Mapping) else None


def imported_fields(source: str) -> tuple[ImportedField, ...]:
    """The fields of a file with a JSON Schema, or of `file.py:Class`.

    Raises:
        UsageError: The file cannot be read, or holds neither.
        InvalidFile: With every part of the schema that no task can ask for.
    """
    schema = _schema_of(source)
    reader = _Reader(schema)
    resolved = reader._resolved(schema, "#", ())
    if resolved is None:
        raise InvalidFile(source, reader.problems)
    root, refs, _ = resolved
    if root.get("type") == "array" and isinstance(root.get("items"), Mapping):
        root = {"properties": {"records": root}}
    fields = reader.fields(root, "#", refs)
    count = sum(each.leaf_count for each in fields)
    if count > MAX_FIELDS:
        reader._note("#/properties", f"{count} fields, at most {MAX_FIELDS} fit one prompt", "split it into several")
    if reader.problems:
        raise InvalidFile(source, reader.problems)
    return fields


def _schema_of(source: str) -> Mapping[str, Any]:
    file, _, name = source.rpartition(":")
    if file.endswith(".py"):
        return _class_schema(Path(file), name)
    path = Path(source)
    try:
        if path.stat().st_size > LARGEST_SCHEMA_BYTES:
            raise UsageError(f"{path} is larger than 1 MB, so it is no schema of a task", "name a JSON Schema")
        schema = parse_json(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a JSON Schema, or FILE.py:CLASS") from error
    except (UnicodeDecodeError, NotJson, RefusedJson) as error:
        raise UsageError(f"{path} is not JSON: {error}", "name a JSON Schema, or FILE.py:CLASS") from error
    if not isinstance(schema, Mapping):
        raise UsageError(f"{path} holds no object, so it is no JSON Schema", "name a JSON Schema, or FILE.py:CLASS")
    return schema


def _class_schema(path: Path, name: str) -> Mapping[str, Any]:
    """The schema of a class; its file is run as Python, as whoever names it wants."""
    spec = importlib.util.spec_from_file_location("stillroom_schema_source", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"cannot read {path}", "name a JSON Schema, or FILE.py:CLASS")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(
            f"{path} cannot be run: {type(error).__name__}: {error}", "name a file that can be imported"
        ) from error
    described = getattr(module, name, None)
    if described is None or not hasattr(described, "model_json_schema"):
        raise UsageError(f"{path} has no class {name} of Pydantic", "name a class that is a pydantic.BaseModel")
    schema = described.model_json_schema()
    assert isinstance(schema, Mapping)
    return schema


def _one_scalar(choices: list[object]) -> dict[str, str] | None:
    """One schema for several spellings of a scalar: a decimal is a number or a string, an open enum some words or any.

    Returns:
        None where the choices are one already, or no such spellings.
    """
    kinds = {choice.get("type") if isinstance(choice, Mapping) else None for choice in choices}
    if len(choices) < 2 or not kinds <= {"number", "integer", "string"}:
        return None
    return {"type": next(kind for kind in ("number", "integer", "string") if kind in kinds)}


def _texts(values: object) -> tuple[str, ...]:
    """The values as texts, each once, without null and blanks."""
    some = values if isinstance(values, list) else []
    texts = (value if isinstance(value, str) else json_text(value) for value in some if value is not None)
    return tuple(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))


def _text(text: str) -> str:
    """A text as TOML writes it."""
    return json_text(text).replace("\x7f", "\\u007f")
