"""Values as people give them for one field: cleaned, and refused where the field cannot have them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.ground.errors import UsageError
from appliance.ground.text import is_storable
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.linecode import Record, Value, is_records
from appliance.tasks.task import Field, FieldType
from appliance.tasks.typed_values import parse_value
from appliance.tasks.values import value_texts

if TYPE_CHECKING:
    from appliance.tasks.task import Task

_SHOWN_VALUES = 20


def output_field(task: "Task", name: str) -> Field:
    """The field of this name.

    Raises:
        UsageError: The task has none.
    """
    for each in task.output_fields:
        if each.name == name:
            return each
    raise UsageError(
        f"the task {task.name} has no field {name}", "its fields: " + ", ".join(a.name for a in task.output_fields)
    )


def person_value(task: "Task", field: Field, value: Value, document: str) -> Value:
    """The value as it is kept; None says that the document holds none.

    Args:
        document: Name of the document, for messages.

    Raises:
        UsageError: The value cannot be one of the field.
    """
    cleaned = _cleaned(field, value)
    if not all(map(is_storable, value_texts(cleaned))):
        raise UsageError(
            f"the value of {field.name} has characters that cannot be stored",
            "type it in a terminal whose letters are UTF-8: `locale` says LANG=...UTF-8",
        )
    # Patterns and rules doubt what a model says; a person who has the document knows better.
    findings = answer_findings(_only(task, field), {field.name: cleaned}) if cleaned is not None else []
    if wrong := [finding.message for finding in findings if finding.code == "form"]:
        hint = "its values: " + ", ".join(field.values[:_SHOWN_VALUES]) if field.values else ""
        raise UsageError(f"{document}: {wrong[0]}", hint)
    return cleaned


def _only(task: "Task", field: Field) -> "Task":
    """The task as if it asked for this field only, so that the others are not missed."""
    return replace(task, fields=(field,), rules=()) if task.fields else task


def _cleaned(field: Field, value: Value) -> Value:
    if is_records(value):
        return value
    if field.type is FieldType.RECORDS:
        entries = [value] if isinstance(value, str) else map(str, value or [])
        try:
            return [record for entry in entries for record in _records(field, entry)] or None
        except ValueError as error:
            raise UsageError(f"{field.name} {error}", "type the cells of a record between |") from error
    if field.type is FieldType.LIST:
        entries = [value] if isinstance(value, str) else map(str, value or [])
        return [entry.strip() for entry in entries if entry.strip()] or None
    if isinstance(value, list):
        raise UsageError(f"{field.name} is not a list", "give one VALUE")
    return (value or "").strip() or None


def _records(field: Field, text: str) -> list[Record]:
    value = parse_value(field, text)
    return value if is_records(value) else []
