"""Where the texts of values stand in a document: start and end in characters, as the document writes them.

A value may differ from the page in blanks, line ends, case and codes; its span is the page's own stretch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.tasks.linecode import Record, Value, is_records
from appliance.tasks.values import find_span, printed_texts

if TYPE_CHECKING:
    from appliance.tasks.task import Field

Span = tuple[int, int]
NEAR = 4000
"""Characters behind the record before, in which a record is looked for first: a page or two."""


@dataclass(frozen=True)
class PlacedRecord:
    """One record with the places of its cells."""

    record: Record
    cells: Mapping[str, Span | None]
    """Literal column with a value -> where it stands; None where it does not."""
    anchor: int | None
    """Start of its longest cell; None where none was found."""


Place = list[int]
"""Start and end, as JSON has them."""
FieldSpans = list[Place | None] | list[dict[str, Place | None]]
"""One place for each text of a value, for each record those of its cells; nothing for what is derived."""


def field_spans(field: "Field", value: Value, text: str, start: int = 0) -> FieldSpans:
    """Where a field's value stands behind an offset."""
    text = text[start:] if start else text

    def place(span: Span | None) -> Place | None:
        return None if span is None else [start + span[0], start + span[1]]

    if is_records(value):
        return [{name: place(span) for name, span in each.cells.items()} for each in placed_records(field, value, text)]
    return [place(find_span(each, text)) for each in printed_texts(field, value)]


def first_place(spans: FieldSpans) -> int | None:
    """Where the first text stands, if all of them stand somewhere."""
    places = [place for each in spans for place in (each.values() if isinstance(each, dict) else [each])]
    starts = [place[0] for place in places if place is not None]
    return starts[0] if starts and len(starts) == len(places) else None


def placed_records(field: "Field", records: Sequence[Record], text: str) -> Iterator[PlacedRecord]:
    """The records, each looked for behind the one before, and where it is not there in the whole text."""
    literal = [column.name for column in field.columns if column.evidence == "literal"]
    at = 0
    for record in records:
        cells = {name: cell for name in literal if (cell := record.get(name))}
        # Cells such as a quantity of 1 stand in many places: the longest one says where the record is.
        longest = max(cells, key=lambda name: len(cells[name]), default=None)
        anchor = None if longest is None else _from(cells[longest], text, at)
        if anchor is None:
            yield PlacedRecord(record, dict.fromkeys(cells), None)
            continue
        line = text.rfind("\n", 0, anchor[0]) + 1
        spans = {name: anchor if name == longest else _from(cell, text, line) for name, cell in cells.items()}
        yield PlacedRecord(record, spans, anchor[0])
        at = anchor[1]


def _from(cell: str, text: str, at: int) -> Span | None:
    """The first place behind a point, near it first; the first of all where there is none behind it."""
    for start, end in ((at, at + NEAR), (at, len(text)), (0, at)):
        if start < len(text) and (span := find_span(cell, text[start:end])) is not None:
            return start + span[0], start + span[1]
    return None
