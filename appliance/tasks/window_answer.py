"""What is right about a part of a document, by what is right about the whole."""

from typing import TYPE_CHECKING

from appliance.tasks.task import FieldType
from appliance.tasks.values import evidence, find

if TYPE_CHECKING:
    from appliance.tasks.linecode import Answer, Value
    from appliance.tasks.task import Field, Task


def window_answer(task: "Task", answer: "Answer", text: str) -> "Answer":
    """What is right about a window of a document: the values that stand in it, and those that stand nowhere.

    What a document says without printing it cannot be placed, so every window says it.
    """
    return {field.name: _window_value(field, answer.get(field.name), text) for field in task.output_fields}


def _window_value(field: "Field", value: "Value", text: str) -> "Value":
    if not value or not is_placed(field):
        return value or None
    if isinstance(value, list):
        return [entry for entry in value if find(entry, text) is not None] or None
    return value if evidence(field, value, text) is not None else None


def is_placed(field: "Field") -> bool:
    """Whether a value of the field belongs to the windows that print it, and the student can leave it empty."""
    return field.evidence == "literal" and not (field.type is FieldType.ENUM and field.required)
