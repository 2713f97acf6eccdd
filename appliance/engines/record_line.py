"""The grammar of a line of records: each has all columns of its field, and each cell what its column may have.

A cell of a literal column is a span of the document that stands alone there, or empty; one of a choice is one of its
values; a derived one is free. A record with nothing in it is none; none stands there more often than in
the document.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.engines.document_spans import Spans
from appliance.tasks.linecode import COLUMN_END, unescape
from appliance.tasks.task import WITH_DIGITS, Field

_RECORD_END = "\t"
_MOST_ALIKE = 20
"""Records without a printed cell that may be the same."""


@dataclass(frozen=True)
class RecordLine:
    """The grammar of one field in one document."""

    field: Field
    spans: Mapping[bool, Spans]
    """By whether a span may go on over a line end."""

    def may_end(self, line: str) -> bool:
        """Whether the line may end here."""
        last = line.rpartition(_RECORD_END)[2]
        return not last.strip() or (self._is_whole(last) and not self._is_surplus(line))

    def goes_on(self, before: str, line: str, unfinished: bytes) -> bool:
        """Whether a line that stood at `before` may go on to `line`.

        Args:
            unfinished: First bytes of the character that follows.
        """
        *finished, last = line[before.rfind(_RECORD_END) + 1 :].split(_RECORD_END)
        if not all(map(self._is_whole, finished)):
            return False
        if finished and self._is_surplus(line.rpartition(_RECORD_END)[0]):
            return False
        *cells, cell = last.split(COLUMN_END)
        columns = self.field.columns
        if len(cells) >= len(columns):
            return False
        known = len(before.rpartition(_RECORD_END)[2].split(COLUMN_END)) - 1 if not finished else 0
        if not all(self._is_cell(columns[n], each) for n, each in enumerate(cells) if n >= known):
            return False
        return self._begins(columns[len(cells)], cell, unfinished)

    def place(self, line: str) -> tuple[Field, str]:
        """The column in which the line stands, and what stands in the cell."""
        cells = line.rpartition(_RECORD_END)[2].split(COLUMN_END)
        column = self.field.columns[min(len(cells), len(self.field.columns)) - 1]
        return column, _plain(cells[-1]).lstrip(" ")

    def spans_of(self, column: Field) -> Spans:
        """What a cell of the column may be copied from."""
        return self.spans[column.type not in WITH_DIGITS]

    def _is_whole(self, record: str) -> bool:
        cells = record.split(COLUMN_END)
        if len(cells) != len(self.field.columns) or not any(cell.strip() for cell in cells):
            return False
        return all(map(self._is_cell, self.field.columns, cells))

    def _is_surplus(self, line: str) -> bool:
        """Whether the last record stands in the line more often than its longest printed cell in the document.

        A student that has lost its place writes one record again and again.
        """
        *before, last = (record.strip() for record in line.split(_RECORD_END))
        times = before.count(last)
        if not times:
            return False
        cells = zip(self.field.columns, last.split(COLUMN_END), strict=False)
        printed = [(column, _plain(cell.strip(" "))) for column, cell in cells if column.evidence == "literal"]
        column, text = max(printed, key=lambda pair: len(pair[1]), default=(None, ""))
        most = self.spans_of(column).count(text) if column is not None and text else _MOST_ALIKE
        return times >= most

    def _is_cell(self, column: Field, cell: str) -> bool:
        text = _plain(cell.strip(" "))
        if _is_cut(cell):
            return False
        if not text.strip():
            return not column.required
        if column.is_choice:
            return text in column.values
        if column.evidence == "derived":
            return True
        has_form = column.type not in WITH_DIGITS or any(map(str.isdigit, text))
        return has_form and self.spans_of(column).holds(text)

    def _begins(self, column: Field, cell: str, unfinished: bytes) -> bool:
        """Whether the cell can become one; blanks stand beside its text once at most."""
        text = cell[1:] if cell.startswith(" ") else cell
        if text[:1].isspace() or text.endswith("  "):
            return False
        plain = _plain(text)
        if not plain:
            return True
        if text.endswith(" ") and self._is_cell(column, text):
            return not unfinished
        if column.is_choice:
            return any(value.startswith(plain) for value in column.values)
        return column.evidence == "derived" or self.spans_of(column).begins(plain, unfinished)


def _plain(cell: str) -> str:
    """A cell without escapes; one that has only begun is left out."""
    return unescape(cell[:-1] if _is_cut(cell) else cell)


def _is_cut(cell: str) -> bool:
    """Whether an escape was begun and not finished."""
    return (len(cell) - len(cell.rstrip("\\"))) % 2 == 1
