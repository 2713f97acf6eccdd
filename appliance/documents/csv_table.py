"""Tables in text files (CSV, TSV) to text: one line for each row, with tabs between cells."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from appliance.documents import plain
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines, table_line

_DELIMITERS = (",", ";", "\t", "|")
_SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE_LINES = 50
_SAMPLE_CHARACTERS = 1 << 17
_MAX_CELL_CHARACTERS = 1 << 24
_FEWEST_ROWS = 2
_FEWEST_ROWS_BELOW = 3
"""Rows that make a table below lines that belong to none: two could be a sentence with a comma each."""
_MOST_LINES_ABOVE = 30
_MOST_LINES_BELOW = 3
_MOST_STARTS = 8
_FORMULA_TEXT = re.compile(r"^\s*=\"([^\"]*)\"\s*$")
"""How exports keep a workbook program from taking a number for one: it shows what is between the quotes."""
_RECORDS = re.compile(r"\ufeff?\s*(?:\{\s*\"[^\"\n]{0,200}\"\s*:|\[\s*[\[{])")
"""How JSON begins: its quotes and commas are no marks of cells."""
_OPEN_NUMBER = re.compile(r"(?:^|[^\d.,])(?:\d{1,3}(?:[.' \u00a0\u202f]\d{3})+|\d{1,15})$")
"""What stands before a decimal comma, and before the first one of groups of thousands."""
_DECIMALS = re.compile(r"(?:\d{1,6}|\d{3}\.\d{1,6})(?![\d.,])")
_DECLARED = re.compile(r"\ufeff?\s*\"?sep=([^\r\n\"]|\\t)\"?[ \t]*(?:\r\n|\r|\n|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Shape:
    """Where the table of a text begins, and what separates its cells."""

    delimiter: str
    lines_above: int = 0
    """Full lines before the table: a title, the account, the period."""
    declared_characters: int = 0
    """Of the line that names the delimiter, which belongs to no table."""


def table_shape(text: str) -> Shape | None:
    """How a text is a table; None where it is none.

    A table has at least two columns, the same number in nearly every row, and no blank after most of its separators:
    sentences and addresses have commas too, but they have blanks after them. A first line that names the separator
    is obeyed. Lines above the table, as banks write them, do not hide it.
    """
    declared = _DECLARED.match(text)
    if declared:
        sign = "\t" if declared.group(1) == "\\t" else declared.group(1)
        return Shape(sign, declared_characters=declared.end())
    if _RECORDS.match(text):
        return None
    sample = text[:_SAMPLE_CHARACTERS]
    if len(text) > len(sample):
        sample = sample.rpartition("\n")[0]
    shapes: list[tuple[Shape, int]] = []
    for delimiter in _DELIMITERS:
        rows = _rows(sample, delimiter, _SAMPLE_LINES) if delimiter in sample else []
        shape = _shape_of(rows, delimiter)
        shapes += [shape] if shape is not None else []
    # The header has the separators of its table; a sign that begins to be regular below it is another one.
    return min(shapes, key=lambda shape: (shape[0].lines_above, -shape[1]), default=(None, 0))[0]


def _shape_of(rows: list[list[str]], delimiter: str) -> tuple[Shape, int] | None:
    """The table in these rows and its width; None where they have none."""
    for above in _possible_starts(rows):
        table = rows[above:]
        # What stands below a table is no part of it either: a count, the end of the report.
        below = next((count for count, row in enumerate(reversed(table)) if len(row) > 1), 0)
        is_alone = not above and not below
        table = table[: len(table) - below] if below <= _MOST_LINES_BELOW else table
        if len(table) < (_FEWEST_ROWS if is_alone else _FEWEST_ROWS_BELOW):
            continue
        width = len(table[0])
        even = sum(_is_as_wide(row, table[0]) for row in table) >= 0.9 * len(table)
        after = [cell for row in table for cell in row[1:]]
        spaced = sum(cell.startswith(" ") and bool(cell.strip()) for cell in after)
        is_table = width > 1 and even and spaced <= 0.2 * len(after) and any(_width(row) > 1 for row in table)
        if is_table and not (delimiter == "," and _is_list_of_decimals(table)):
            return Shape(delimiter, above), width
    return None


def _is_list_of_decimals(table: list[list[str]]) -> bool:
    """Whether the commas of nearly all lines, the first among them, are those of numbers: a header has others."""
    return _has_decimals_alone(table[0]) and sum(map(_has_decimals_alone, table)) >= 0.8 * len(table)


def _has_decimals_alone(row: list[str]) -> bool:
    """Whether all commas of a line are those of numbers, as in `Rent 1,50 2,50`, so that none separates cells."""
    if any(_OPEN_NUMBER.search(cell[-40:]) is None for cell in row[:-1]) or len(row) < 2:
        return len(row) < 2
    rests = [_DECIMALS.match(cell) for cell in row[1:]]
    if any(rest is None for rest in rests):
        return False
    # A cell that is a number by itself has a comma on both sides, which only groups of thousands have.
    return all(len(cell) == 3 or not cell.isdigit() for cell in row[1:-1])


def _possible_starts(rows: list[list[str]]) -> list[int]:
    """Where a table may begin: at the first row, or at the first ones that are as wide as most are."""
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return []
    usual = max(widths, key=lambda width: (widths[width], width))
    wide = [index for index, row in enumerate(rows[: _MOST_LINES_ABOVE + 1]) if len(row) == usual]
    return list(dict.fromkeys([0, *wide[:_MOST_STARTS]]))


def _is_as_wide(row: list[str], first: list[str]) -> bool:
    """Whether a row has as many cells as the first; some programs put separators at the end of some rows only."""
    return len(row) == len(first) or _width(row) in {len(first), _width(first)} - {1}


def _width(row: list[str]) -> int:
    """Columns of a row up to its last full cell."""
    width = len(row)
    while width > 1 and not row[width - 1].strip():
        width -= 1
    return width


def read_table(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a CSV or TSV file.

    Raises:
        DocumentError: The encoding is unknown, or the file is too large.
    """
    text, notes = plain.decode(data)
    shape = table_shape(text) or Shape(",")
    lines = Lines()
    try:
        rows = _rows(text[shape.declared_characters :], shape.delimiter)
    except csv.Error as error:
        raise DocumentError(Problem.TOO_LARGE, f"a row of the table cannot be read: {error}") from error
    for number, row in enumerate(rows):
        is_above = number < shape.lines_above
        # In lines above the table a separator is but a sign, unless cells stand there too.
        cells = [_FORMULA_TEXT.sub(r"\1", cell) for cell in row]
        lines.add(" ".join(cells[0].split()) if is_above and len(cells) == 1 else table_line(cells))
    spoken = _SPOKEN.get(shape.delimiter, f"the sign {shape.delimiter!r}")
    notes = [*notes, f"cells are separated by {spoken}"]
    return lines.text(), notes + ([f"lines above the table: {shape.lines_above}"] if shape.lines_above else [])


def _rows(text: str, delimiter: str, at_most: int | None = None) -> list[list[str]]:
    """Rows that hold anything; a quote that never ends takes the rest of its line only."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    if delimiter == '"':
        return _full((line.split('"') for line in text.splitlines()), at_most)
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
