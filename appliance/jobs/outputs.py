"""Rows as files: JSON lines, CSV or Parquet, in path order, written beside the target and renamed whole."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ResourceError
from appliance.ground.extras import require_extra
from appliance.ground.files import part_of
from appliance.ground.json_text import json_text
from appliance.jobs.corrected_rows import CORRECTION_COLUMNS, Corrector
from appliance.jobs.rows import Row, column_name
from appliance.tasks.linecode import Value, display_value, is_records
from appliance.tasks.task import Field

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the wide forms of the first four, which some spreadsheets take for them."""
_AMOUNT = re.compile(r"[+-][0-9]+(?:[.,' ][0-9]+)*(?: ?[%\u20ac$\u00a3]| ?[A-Z]{3})?")
"""What begins with a sign and still can be no formula: a number, with a currency or a percent sign after it."""

_CSV_AFTER_FIELDS = (
    "route", "error", "error_message", "model", "unsafe", "sha256", "reasons", "escalated", "former_document",
)  # fmt: skip


class OutputFormat(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def require_format(output_format: OutputFormat) -> None:
    """Checks, before long work begins, that rows can be written in this format.

    Raises:
        ResourceError: The extra that writes it is not installed.
    """
    if output_format is OutputFormat.PARQUET:
        require_extra("parquet")


def write_rows(
    rows: Iterable[Row],
    output_fields: Sequence[Field],
    out_dir: Path,
    output_format: OutputFormat,
    corrector: Corrector | None = None,
    by_record: str = "",
) -> Path:
    """Writes `rows.jsonl`, `rows.csv` or `rows.parquet` into the folder; gives its path.

    Args:
        corrector: Puts corrections into the rows, with the model's values beside them.
        by_record: Of CSV, the field of whose records each has a row of its own; empty for a row a document.

    Raises:
        ResourceError: The folder cannot be written, or the format needs an extra that is not installed.
    """
    require_format(output_format)
    target = out_dir / f"rows.{output_format}"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with part_of(target) as file:
            if output_format is OutputFormat.CSV and by_record:
                file.writelines(line.encode() for line in _record_lines(rows, output_fields, corrector, by_record))
            else:
                _write(rows, output_fields, file, output_format, corrector)
    except OSError as error:
        raise ResourceError(
            f"cannot write {target}: {error.strerror or error}",
            "the rows are safe in the job; `stillroom jobs export` writes them elsewhere",
        ) from error
    return target


def neutral_cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula; numbers and amounts of money stay as they are.

    Two texts never become the same cell: one that has such a mark already gets another.
    """
    if (bare := text.lstrip("'")).startswith(_FORMULA_STARTS) and not _AMOUNT.fullmatch(bare):
        return "'" + text
    return text


def _write(
    rows: Iterable[Row],
    output_fields: Sequence[Field],
    file: BinaryIO,
    output_format: OutputFormat,
    corrector: Corrector | None,
) -> None:
    if output_format is OutputFormat.PARQUET:
        from appliance.jobs.parquet import write_parquet

        write_parquet(rows, output_fields, file, corrector)
        return
    is_csv = output_format is OutputFormat.CSV
    lines = _csv_lines(rows, output_fields, corrector) if is_csv else _json_lines(rows, corrector)
    file.writelines(line.encode() for line in lines)


def _json_lines(rows: Iterable[Row], corrector: Corrector | None) -> Iterator[str]:
    if corrector is None:
        return (row.to_json() + "\n" for row in rows)
    return (json_text(corrector.json_record(row), compact=True) + "\n" for row in rows)


def _csv_lines(
    answered_rows: Iterable[Row], output_fields: Sequence[Field], corrector: Corrector | None
) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    field_names = [field.name for field in output_fields]
    columns = [column_name(name) for name in field_names]
    confidences = [f"{column} confidence" for column in columns]
    corrections = [f"{column} {kind}" for column in columns for kind in CORRECTION_COLUMNS] if corrector else []
    normalised = [f"{column} normalised" for column in columns]
    writer.writerow(["document", *columns, *confidences, *normalised, "marks", *_CSV_AFTER_FIELDS, *corrections])
    for answered in answered_rows:
        row = corrector.corrected(answered) if corrector else answered
        cells = [row.document, *(_cell((row.fields or {}).get(name)) for name in field_names)]
        cells += [f"{row.confidence[name]:.4f}" if name in row.confidence else "" for name in field_names]
        cells += [_cell(row.normalised.get(name)) for name in field_names]
        cells.append("; ".join(f"{name}: {', '.join(marks)}" for name, marks in row.marks.items()))
        cells += _after_fields(row)
        if corrector:
            cells += [_cell(value) for field in output_fields for value in corrector.cells(answered, field)]
        writer.writerow([neutral_cell(cell) for cell in cells])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        yield buffer.getvalue()


def _record_lines(
    answered_rows: Iterable[Row], output_fields: Sequence[Field], corrector: Corrector | None, name: str
) -> Iterator[str]:
    """A row for each record, with the document's other values; one without cells for a document that has no record."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    described = next(field for field in output_fields if field.name == name)
    others = [field.name for field in output_fields if not field.columns]
    cells = [f"{name} {column}" for column in described.column_names]
    writer.writerow(
        ["document", f"{name} number", *cells, *(f"{cell} normalised" for cell in cells), *map(column_name, others),
         *_CSV_AFTER_FIELDS]
    )  # fmt: skip
    for answered in answered_rows:
        row = corrector.corrected(answered) if corrector else answered
        values, normalised = (row.fields or {}).get(name), row.normalised.get(name)
        records = values if is_records(values) else []
        forms = normalised if is_records(normalised) else []
        beside = [*(_cell((row.fields or {}).get(other)) for other in others), *_after_fields(row)]
        for number in range(max(1, len(records))):
            record = records[number] if records else {}
            form = forms[number] if number < len(forms) else {}
            line = [row.document, str(number + 1) if records else ""]
            line += [source.get(column) or "" for source in (record, form) for column in described.column_names]
            writer.writerow([neutral_cell(cell) for cell in (*line, *beside)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        yield buffer.getvalue()


def _after_fields(row: Row) -> list[str]:
    unsafe = "yes" if row.unsafe else "no"
    cells = [row.route, row.error or "", row.error_message, row.model, unsafe, row.sha256 or ""]
    return [*cells, "; ".join(row.reasons), _cell(row.escalated), row.former_document or ""]


def _cell(value: Value) -> str:
    return display_value(value)
