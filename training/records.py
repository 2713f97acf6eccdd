"""Recorded answers as they come: JSON Lines or CSV, to plain records with the place where each stands."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.json_input import NotJson, RefusedJson, parse_json
from appliance.tasks.answer_json import WrittenNumber
from appliance.tasks.labels import read_json_lines

Record = dict[str, object]

KNOWN_KEYS = (
    "document", "text", "answer", "label", "labels", "teacher", "group", "id", "source", "corrections", "working",
)  # fmt: skip
"""`source` is `person` for answers that a person corrected; `corrections` says what, and is not imported; `working` is
what led the teacher to its answer."""
_LATER_KEYS = frozenset({"working"})
"""Known since a version: where a task has a field of this name, a column of it is the field's, as it was before."""
LARGEST_CELL = 1 << 26
"""Characters of a CSV cell; a cell can hold a whole document."""


def read_records(path: Path, field_names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    """Records of a file with the line that each ends on; a name that ends in .csv is CSV, everything else JSON Lines.

    Args:
        field_names: The task's fields; a CSV column of such a name is a part of the answer.

    Raises:
        UsageError: The file cannot be read as what it is, or a CSV column is unknown or could be two things.
    """
    return _read_csv(path, field_names) if path.suffix.lower() == ".csv" else read_json_lines(path)


def _read_csv(path: Path, field_names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(LARGEST_CELL)
    reader: csv.DictReader[str] | None = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or [], field_names)
            for cells in reader:
                yield reader.line_num, _record(cells, field_names)
    except RefusedJson as error:
        line = reader.line_num if reader is not None else 1
        raise UsageError(f"{path}:{line}: {error}", "correct the cell") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}:{_line_not_utf8(path)}: not UTF-8: {error.reason}", "save the file as UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        place = f":{reader.line_num}" if reader is not None and isinstance(error, csv.Error) else ""
        raise UsageError(
            f"{path}{place} cannot be read: {error}", "give a CSV file in UTF-8 with a line of column names"
        ) from error


def _line_not_utf8(path: Path) -> int:
    """The first line that is no UTF-8: a decoder that reads in pieces only knows where in a piece."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _known_keys(field_names: Sequence[str]) -> list[str]:
    return [key for key in KNOWN_KEYS if not (key in _LATER_KEYS and key in field_names)]


def _check_columns(path: Path, columns: Sequence[str], field_names: Sequence[str]) -> None:
    unknown = [column for column in columns if column not in KNOWN_KEYS and column not in field_names]
    if unknown or not columns:
        known = ", ".join([*KNOWN_KEYS, *field_names])
        what = f"the column {unknown[0]!r} is unknown" if unknown else "there is no line of column names"
        raise UsageError(f"{path}: {what}", f"known columns are {known}")
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise UsageError(f"{path}: the column {twice!r} stands there twice", "keep one of them")
    shared = [column for column in columns if column in _known_keys(field_names) and column in field_names]
    if shared and "answer" not in columns and list(field_names) != ["label"]:
        raise UsageError(
            f"{path}: the column {shared[0]!r} may be a field of the task or what a record says of itself",
            'give the answers in one column `answer`, as {"field": "value", ...}',
        )


def _record(cells: dict[str | None, str | None], field_names: Sequence[str]) -> Record:
    """A line of CSV as a record: cells of fields become the answer, an empty cell is left out."""
    if None in cells:
        return {"more cells than columns": True}
    known_keys = _known_keys(field_names)
    record: Record = {key: cells[key] for key in known_keys if cells.get(key)}
    for key in ("answer", "labels"):
        if key in record:
            record[key] = _parsed(str(record[key]))
    fields = {name: _parsed(cells[name] or "") for name in field_names if name in cells and name not in known_keys}
    if "answer" in record and any(fields.values()):
        return {"answer beside cells of fields": True}
    if fields and "answer" not in record:
        record["answer"] = fields
    return record


def _parsed(cell: str) -> object:
    """A cell that holds a JSON object or array as such, any other as text."""
    if cell[:1] in ("{", "["):
        try:
            return parse_json(cell, parse_float=WrittenNumber)
        except NotJson:
            return cell
    return cell
