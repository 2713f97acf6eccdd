"""Tables in text files (CSV, TSV) to text: one line for each row, with tabs between cells."""

import csv
import io
from collections.abc import Iterable
from itertools import islice

from appliance.documents import plain
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines, table_line

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_LINES = 50
_SAMPLE_CHARACTERS = 1 << 17
_MAX_CELL_CHARACTERS = 1 << 24
_FEWEST_ROWS = 2


def delimiter_of(text: str) -> str | None:
    """What separates the cells of a table; None where the text is no table.

    A table has at least two columns, the same number in nearly every row, and no blank after most of its separators:
    sentences and addresses have commas too, but they have blanks after them.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    if len(text) > len(sample):
        sample = sample.rpartition("\n")[0]
    best, widest = None, 1
    for delimiter in _DELIMITERS:
        rows = _rows(sample, delimiter, _SAMPLE_LINES) if delimiter in sample else []
        if len(rows) < _FEWEST_ROWS:
            continue
        width = len(rows[0])
        even = sum(len(row) == width for row in rows) >= 0.9 * len(rows)
        after = [cell for row in rows for cell in row[1:]]
        spaced = sum(cell.startswith(" ") for cell in after)
        if width > widest and even and spaced <= 0.2 * len(after):
            best, widest = delimiter, width
    return best


def read_table(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a CSV or TSV file.

    Raises:
        DocumentError: The encoding is unknown, or the file is too large.
    """
    text, notes = plain.decode(data)
    delimiter = delimiter_of(text) or ","
    lines = Lines()
    try:
        rows = _rows(text, delimiter)
    except csv.Error as error:
        raise DocumentError(Problem.TOO_LARGE, f"a row of the table cannot be read: {error}") from error
    for row in rows:
        lines.add(table_line(row))
    return lines.text(), [*notes, f"cells are separated by {_SPOKEN[delimiter]}"]


_SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def _rows(text: str, delimiter: str, at_most: int | None = None) -> list[list[str]]:
    """Rows that hold anything; a quote that never ends takes the rest of its line only."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    quoted = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = _full(quoted, at_most)
    except csv.Error:
        rows = []
    if rows and not any(cell.count("\n") > 20 for row in rows for cell in row):
        return rows
    return _full(csv.reader(text.splitlines(), delimiter=delimiter, quoting=csv.QUOTE_NONE), at_most)


def _full(rows: Iterable[list[str]], at_most: int | None) -> list[list[str]]:
    return list(islice((row for row in rows if any(cell.strip() for cell in row)), at_most))
