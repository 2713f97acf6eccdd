"""JSON Schema of a task's answers, for programs that read rows and for models that answer in JSON."""

from appliance.tasks.task import Field, FieldType, Task


def answer_schema(task: Task) -> dict[str, object]:
    """JSON Schema of one answer: every asked field is there, and null stands for no value."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": task.name,
        "type": "object",
        "properties": {asked.name: _value_schema(asked) for asked in task.asked},
        "required": [asked.name for asked in task.asked],
        "additionalProperties": False,
    }


def _value_schema(asked: Field) -> dict[str, object]:
    described: dict[str, object] = {"description": asked.phrase or asked.name.replace("_", " ")}
    if asked.type is FieldType.ENUM:
        return {**described, "enum": [*asked.values, *([] if asked.required else [None])]}
    if asked.type is FieldType.LIST:
        return {**described, "type": "array" if asked.required else ["array", "null"], "items": {"type": "string"}}
    return {**described, "type": "string" if asked.required else ["string", "null"]}
