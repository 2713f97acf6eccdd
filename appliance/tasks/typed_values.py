"""Values as people type them on one line, and back."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.tasks.linecode import COLUMN_END, Record, Value

if TYPE_CHECKING:
    from appliance.tasks.task import Field

_ENTRY_END = ";"


def parse_value(described: "Field", text: str) -> Value:
    r"""What a person typed, as a value; nothing is null.

    Entries of a list and records are parted by `;`, the columns of a record by `|`, in the order of the task. A `;`,
    `|` or backslash within a value is typed as `\;`, `\|`, `\\`.
    """
    if not described.is_several:
        return text.strip() or None
    entries = [entry.strip() for entry in _parts(text, _ENTRY_END) if entry.strip()]
    if not described.columns:
        return [_plain(entry, _ENTRY_END) for entry in entries] or None
    return [parse_record(described, entry) for entry in entries] or None


def parse_record(described: "Field", entry: str) -> Record:
    """One record of a line; what is missing at its end is null.

    Raises:
        ValueError: It has more cells than there are columns.
    """
    cells = [_plain(cell.strip(), _ENTRY_END + COLUMN_END) or None for cell in _parts(entry, COLUMN_END)]
    names = described.column_names
    if len(cells) > len(names):
        raise ValueError(f"has {len(cells)} cells, the columns are {f' {COLUMN_END} '.join(names)}")
    return dict(zip(names, [*cells, *[None] * (len(names) - len(cells))], strict=True))


def typed_value(value: Value) -> str:
    """The inverse of `parse_value`."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{_ENTRY_END} ".join(
        _escaped(entry, r"[\\;]") if isinstance(entry, str) else _typed(entry) for entry in value
    )


def _typed(record: Record) -> str:
    return f" {COLUMN_END} ".join(_escaped(cell or "", r"[\\;|]") for cell in record.values()).strip()


def _escaped(text: str, marks: str) -> str:
    return re.sub(marks, r"\\\g<0>", text)


def _parts(text: str, end: str) -> Iterator[str]:
    """What stands between the ends; what a backslash protects stays as it is typed."""
    part, is_escaped = "", False
    for char in text:
        if char == end and not is_escaped:
            yield part
            part = ""
            continue
        part += char
        is_escaped = char == "\\" and not is_escaped
    yield part


def _plain(text: str, marks: str) -> str:
    return re.sub(rf"\\([{re.escape(marks)}\\])", r"\1", text)
