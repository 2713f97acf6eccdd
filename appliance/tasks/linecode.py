"""Line code: an answer as one line per field, in field order.

An empty line is null. Items of a list and records are separated by a tab, the columns of a record by a bar between
blanks. Backslash, newline and tab inside a value are escaped, in a column the bar too, so a value never holds a
character that carries structure.
"""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

Record = dict[str, "str | None"]
"""One record of a table: column -> its value."""
Value = str | list[str] | list[Record] | None
Answer = dict[str, Value]

COLUMN_END = "|"
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_UNESCAPES = {"\\": "\\", "n": "\n", "t": "\t", "p": COLUMN_END}
ESCAPED = "".join(_UNESCAPES)
"""Characters that a backslash before them gives a meaning."""


def escape(text: str) -> str:
    """Makes one value safe for a line."""
    return "".join(_ESCAPES.get(character, character) for character in text.replace("\r\n", "\n").replace("\r", "\n"))


def unescape(text: str) -> str:
    """The inverse of `escape`; an unknown escape stays as it is, because models write such things."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        following = text[position + 1] if position + 1 < len(text) else ""
        if character == "\\" and following in _UNESCAPES and following:
            parts.append(_UNESCAPES[following])
            position += 2
        else:
            parts.append(character)
            position += 1
    return "".join(parts)


def is_records(value: object) -> TypeGuard[list[Record]]:
    """Whether a value is records, one at least."""
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def encode_value(value: Value, columns: Sequence[str] = ()) -> str:
    """One field's value as one line, without the line end.

    Args:
        columns: Of records, in the order of the task.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return escape(value)
    return "\t".join(escape(item) if isinstance(item, str) else _encode_record(item, columns) for item in value)


def _encode_record(record: Mapping[str, str | None], columns: Sequence[str]) -> str:
    cells = (escape(record.get(column) or "").replace(COLUMN_END, "\\p") for column in columns)
    return f" {COLUMN_END} ".join(cells).strip(" ")


def decode_value(line: str, is_list: bool = False, columns: Sequence[str] = ()) -> Value:
    """One line as a value; surrounding blanks are not part of it, and an empty line is null.

    Args:
        columns: Of the records that the line holds; none where it holds none.
    """
    line = line.strip(" ")
    if not line:
        return None
    if columns:
        return [_decode_record(item, columns) for item in line.split("\t") if item.strip(" ")] or None
    if is_list:
        return [unescape(item.strip(" ")) for item in line.split("\t") if item.strip(" ")] or None
    return unescape(line)


def _decode_record(item: str, columns: Sequence[str]) -> Record:
    cells = [unescape(cell.strip(" ")) or None for cell in item.split(COLUMN_END)]
    return dict(zip(columns, [*cells, *[None] * len(columns)], strict=False))


def display_value(value: Value) -> str:
    """A value on one line for people: entries and records behind semicolons, cells between bars; empty for none."""
    if value is None or isinstance(value, str):
        return value or ""
    return "; ".join(entry if isinstance(entry, str) else _display_record(entry) for entry in value)


def _display_record(record: Record) -> str:
    return f" {COLUMN_END} ".join(cell or "-" for cell in record.values())


def encode(answer: Answer, names: Sequence[str]) -> str:
    """The whole answer: one line per name, in this order, joined by newlines."""
    return "\n".join(encode_value(answer.get(name)) for name in names)
