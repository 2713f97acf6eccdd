"""JSON Schema of a task's answers, for programs that read rows and for models that answer in JSON."""

from collections.abc import Iterable
from typing import Any

from appliance.tasks.task import Field, FieldType, Task


def answer_schema(task: Task) -> dict[str, object]:
    """JSON Schema of one answer: every asked field is there, and null stands for no value."""
    schema = fields_schema(task.output_fields)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": task.name, **schema}


def fields_schema(fields: Iterable[Field]) -> dict[str, Any]:
    """Fields as an object; those of objects within it."""
    root: dict[str, Any] = _empty_object()
    for described in fields:
        *path, last = described.name.split(".")
        inner = root
        for part in path:
            inner = inner["properties"].setdefault(part, _empty_object())
        inner["properties"][last] = _value_schema(described)
    return _with_required(root)


def _empty_object() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


def _with_required(schema: dict[str, Any]) -> dict[str, Any]:
    """The object with all of its keys required and no other one allowed, and those within it."""
    properties = {
        name: _with_required(each) if "properties" in each else each for name, each in schema["properties"].items()
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _value_schema(field: Field) -> dict[str, object]:
    described: dict[str, object] = {"description": _description(field)}
    if field.examples:
        described["examples"] = list(field.examples)
    null = [] if field.required else [None]
    if field.type is FieldType.BOOLEAN:
        return {**described, "type": "boolean" if field.required else ["boolean", "null"]}
    if field.type is FieldType.ENUM:
        return {**described, "enum": [*field.values, *null]}
    if field.is_several:
        entries: dict[str, object] = {"enum": list(field.values)} if field.values else {"type": "string"}
        if field.columns:
            columns = {column.name: _value_schema(column) for column in field.columns}
            entries = {
                "type": "object", "properties": columns, "required": list(columns), "additionalProperties": False,
            }  # fmt: skip
        elif field.pattern:
            entries["pattern"] = f"^(?:{field.pattern})$"
        return {**described, "type": "array" if field.required else ["array", "null"], "items": entries}
    pattern = {"pattern": f"^(?:{field.pattern})$"} if field.pattern else {}
    return {**described, "type": "string" if field.required else ["string", "null"], **pattern}


def _description(field: Field) -> str:
    """What the field is, and what its values mean."""
    text = field.description or field.phrase or field.name.rpartition(".")[2].replace("_", " ")
    if not field.value_descriptions:
        return text
    pairs = zip(field.values, field.value_descriptions, strict=True)
    meanings = (f"{value}: {meaning}" for value, meaning in pairs if meaning)
    return f"{text} ({'; '.join(meanings)})"
