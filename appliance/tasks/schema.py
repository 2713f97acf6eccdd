"""JSON Schema of a task's answers, for programs that read rows and for models that answer in JSON."""

from appliance.tasks.task import Field, FieldType, Task


def answer_schema(task: Task) -> dict[str, object]:
    """JSON Schema of one answer: every asked field is there, and null stands for no value."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": task.name,
        "type": "object",
        "properties": {field.name: _value_schema(field) for field in task.output_fields},
        "required": [field.name for field in task.output_fields],
        "additionalProperties": False,
    }


def _value_schema(field: Field) -> dict[str, object]:
    described: dict[str, object] = {"description": field.phrase or field.name.replace("_", " ")}
    if field.type is FieldType.ENUM:
        return {**described, "enum": [*field.values, *([] if field.required else [None])]}
    if field.type is FieldType.LIST:
        entries: dict[str, object] = {"enum": list(field.values)} if field.values else {"type": "string"}
        return {**described, "type": "array" if field.required else ["array", "null"], "items": entries}
    return {**described, "type": "string" if field.required else ["string", "null"]}
