"""What is right about a part of a document, by what is right about the whole."""

from functools import cached_property
from typing import TYPE_CHECKING

from appliance.tasks.linecode import is_records
from appliance.tasks.spans import PlacedRecord, placed_records
from appliance.tasks.task import FieldType
from appliance.tasks.values import evidence, find

if TYPE_CHECKING:
    from appliance.tasks.linecode import Answer, Value
    from appliance.tasks.task import Field, Task


class PlacedAnswer:
    """The right answer about a document, whose parts can be asked for."""

    def __init__(self, task: "Task", answer: "Answer", text: str) -> None:
        self._task, self._answer, self._text = task, answer, text

    def within(self, start: int, end: int) -> "Answer":
        """What is right about the text between two offsets: the values that stand in it, and those that stand nowhere.

        What a document says without printing it cannot be placed, so every part says it.
        """
        return {field.name: self._value(field, start, end) for field in self._task.output_fields}

    def _value(self, field: "Field", start: int, end: int) -> "Value":
        value = self._answer.get(field.name)
        if not value or not is_placed(field):
            return value or None
        if field.name in self._records:
            return [each.record for each in self._records[field.name] if _stands_in(each, start, end)] or None
        text = self._text[start:end]
        if isinstance(value, list):
            return [entry for entry in map(str, value) if find(entry, text) is not None] or None
        return value if evidence(field, value, text) is not None else None

    @cached_property
    def _records(self) -> "dict[str, list[PlacedRecord]]":
        return {
            field.name: list(placed_records(field, value, self._text))
            for field in self._task.output_fields
            if is_records(value := self._answer.get(field.name)) and is_placed(field)
        }


def _stands_in(placed: PlacedRecord, start: int, end: int) -> bool:
    """Whether everything of a record that is printed stands between two offsets."""
    spans = [span for span in placed.cells.values() if span is not None]
    return bool(spans) and all(start <= span[0] and span[1] <= end for span in spans)


def is_placed(field: "Field") -> bool:
    """Whether a value of the field belongs to the windows that print it, and the student can leave it empty."""
    if field.type is FieldType.RECORDS:
        return any(column.evidence == "literal" for column in field.columns)
    return field.evidence == "literal" and not (field.type is FieldType.ENUM and field.required)
