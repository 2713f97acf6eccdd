"""Rows as files: JSON lines or CSV, in path order, written beside the target and renamed whole."""

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from appliance.errors import ResourceError
from appliance.jobs.job import sync_directory
from appliance.jobs.rows import Row
from appliance.tasks.linecode import Value

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,' ][0-9]+)*")


class OutputFormat(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


def write_rows(rows: Iterable[Row], field_names: list[str], out_dir: Path, output_format: OutputFormat) -> Path:
    """Writes `rows.jsonl` or `rows.csv` into the folder; gives its path.

    Raises:
        ResourceError: The folder cannot be written.
    """
    target = out_dir / f"rows.{output_format}"
    beside = out_dir / f".{target.name}.part"
    lines = _csv_lines(rows, field_names) if output_format is OutputFormat.CSV else _json_lines(rows)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with open(beside, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
        sync_directory(out_dir)
    except OSError as error:
        if out_dir.is_dir():
            beside.unlink(missing_ok=True)
        raise ResourceError(
            f"cannot write {target}: {error.strerror}",
            "the rows are safe in the job; `stillroom jobs export` writes them elsewhere",
        ) from error
    return target


def neutral_cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula; plain numbers stay numbers."""
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def _json_lines(rows: Iterable[Row]) -> Iterator[str]:
    return (row.to_json() + "\n" for row in rows)


def _csv_lines(rows: Iterable[Row], field_names: list[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    confidences = [f"{name} confidence" for name in field_names]
    writer.writerow(
        ["document", *field_names, *confidences, "route", "error", "error_message", "model", "unsafe", "sha256"]
    )
    for row in rows:
        cells = [row.document, *(_cell((row.fields or {}).get(name)) for name in field_names)]
        cells += [f"{row.confidence[name]:.4f}" if name in row.confidence else "" for name in field_names]
        cells += [
            row.route,
            row.error or "",
            row.error_message,
            row.model,
            "yes" if row.unsafe else "no",
            row.sha256 or "",
        ]
        writer.writerow([neutral_cell(cell) for cell in cells])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        yield buffer.getvalue()


def _cell(value: Value) -> str:
    return "; ".join(value) if isinstance(value, list) else value or ""
