"""Recorded answers as they come: JSON Lines or CSV, to plain records with the place where each stands."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.json_input import NotJson, RefusedJson, parse_json
from appliance.ground.spelling import nearest
from appliance.tasks.answer_json import WrittenNumber
from appliance.tasks.labels import read_json_lines

Record = dict[str, object]
PERSON = "person"

KNOWN_KEYS = (
    "document", "text", "answer", "label", "labels", "teacher", "group", "id", "source", "corrections", "working",
)  # fmt: skip
"""`source` is `person` for answers that a person corrected; `corrections` says what, and is not imported; `working` is
what led the teacher to its answer."""
_LATER_KEYS = frozenset({"working"})
"""Known since a version: where a task has a field of this name, a column of it is the field's, as it was before."""
LARGEST_CELL = 1 << 26
"""Characters of a CSV cell; a cell can hold a whole document."""


@dataclass
class RecordFile:
    """What a file of recorded answers holds, besides its records."""

    broken: list[tuple[int, str]] = field(default_factory=list)
    """Lines that are no records, with what is wrong."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Keys and columns that say nothing to Stillroom -> records with them."""


def read_records(path: Path, field_names: Sequence[str], file: RecordFile) -> Iterator[tuple[int, Record]]:
    """Records of a file with the line that each ends on; a name that ends in .csv is CSV, everything else JSON Lines.

    Args:
        field_names: The task's fields; a CSV column of such a name is a part of the answer.
        file: Takes the lines that cannot be read, and the keys that are passed over.

    Raises:
        UsageError: The file cannot be read as what it is, or a CSV column could be two things.
    """
    if path.suffix.lower() == ".csv":
        yield from _read_csv(path, field_names, file)
        return
    for number, record in read_json_lines(
        path, on_broken=lambda number, error: file.broken.append((number, _reason(error)))
    ):
        yield number, known_record(record, file)


def _reason(error: UsageError) -> str:
    """What is wrong, without file and line."""
    return error.message.partition(": ")[2] or error.message


def known_record(record: Record, file: RecordFile) -> Record:
    """The record without keys that say nothing; a row that `run` wrote as a record.

    Its answer is a person's where one corrected it, and else as good as the model that gave it.
    """
    if isinstance(record.get("fields"), dict) and "route" in record:
        is_persons = record["route"] == PERSON or bool(record.get("corrections"))
        row: Record = {"document": record.get("document"), "answer": record["fields"]}
        row |= {"text": record["text"]} if isinstance(record.get("text"), str) else {}
        row |= {"source": PERSON} if is_persons else {"teacher": str(record.get("model") or "")}
        return row
    # A key that is nearly a known one is a slip of the pen, and told.
    unknown = [key for key in record if key not in KNOWN_KEYS and nearest(key, KNOWN_KEYS) is None]
    file.ignored.update(unknown)
    return {key: value for key, value in record.items() if key not in unknown}


def _read_csv(path: Path, field_names: Sequence[str], file: RecordFile) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(LARGEST_CELL)
    reader: csv.DictReader[str] | None = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            ignored = _check_columns(path, reader.fieldnames or [], field_names)
            for cells in reader:
                file.ignored.update(ignored)
                known_cells = {key: cell for key, cell in cells.items() if key not in ignored}
                yield reader.line_num, _record(known_cells, field_names)
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


def _check_columns(path: Path, columns: Sequence[str], field_names: Sequence[str]) -> list[str]:
    """The columns that say nothing to Stillroom."""
    known = [*KNOWN_KEYS, *field_names]
    unknown = [column for column in columns if column not in known]
    slips = [column for column in unknown if nearest(column, known) is not None]
    if slips or not columns:
        what = f"the column {slips[0]!r} is unknown" if slips else "there is no line of column names"
        raise UsageError(f"{path}: {what}", f"known columns are {', '.join(known)}")
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise UsageError(f"{path}: the column {twice!r} stands there twice", "keep one of them")
    shared = [column for column in columns if column in _known_keys(field_names) and column in field_names]
    if shared and "answer" not in columns and list(field_names) != ["label"]:
        raise UsageError(
            f"{path}: the column {shared[0]!r} may be a field of the task or what a record says of itself",
            'give the answers in one column `answer`, as {"field": "value", ...}',
        )
    return unknown


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
