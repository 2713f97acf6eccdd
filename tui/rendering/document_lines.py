"""A document of a job as lines: the head above its fields, a field as a row, the confidence in a value."""

from dataclasses import dataclass, field

from appliance.ground.text import human_count, human_duration, human_size
from appliance.jobs.ledger import DocumentEntry
from appliance.jobs.review import Correction
from appliance.jobs.rows import Row
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.marks import Mark
from appliance.tasks.task import Field
from tui.data.problems import Problem
from tui.rendering.facts import value_text
from tui.text.cells import BAD, DOUBTFUL, FAINT, PLAIN, STRONG, Cell, Line, fit, state_cell, wrap_line
from tui.text.evidence_spans import MOST_CHARACTERS, evidence_spans

_HEAD_LINES = 3


@dataclass(frozen=True)
class OpenDocument:
    """Everything that is known of a document."""

    entry: DocumentEntry
    row: Row | None = None
    text: str | None = None
    raw: str | None = None
    output_fields: tuple[Field, ...] = ()
    corrected: dict[str, Correction] = field(default_factory=dict)
    problem: Problem | None = None

    def original(self, name: str) -> Value:
        """The model's value."""
        return (self.row.fields or {}).get(name) if self.row else None

    def value(self, name: str) -> Value:
        """The corrected value, else the model's."""
        return self.corrected[name].correction if name in self.corrected else self.original(name)


@dataclass(frozen=True)
class ShownRow:
    """A row of the table: a field, or one record of a field that has some."""

    field: Field
    record: int | None = None
    """Its number from zero."""


def shown_rows(document: OpenDocument) -> list[ShownRow]:
    """All fields, each with its records behind it."""
    rows = []
    for each in document.output_fields:
        value = document.value(each.name)
        records = len(value) if is_records(value) else 0
        rows += [ShownRow(each), *(ShownRow(each, number) for number in range(records))]
    return rows


def shown_value(document: OpenDocument, shown: ShownRow) -> Value:
    """The value of a row: that of its field, or its one record."""
    value = document.value(shown.field.name)
    return [value[shown.record]] if shown.record is not None and is_records(value) else value


def shown_spans(document: OpenDocument, shown: ShownRow) -> list[tuple[int, int]]:
    """Where the model's value stands in the text; of records of this form what the row says of each cell."""
    row = document.row
    if row is None or document.text is None:
        return []
    spans = row.spans.get(shown.field.name) or []
    if not shown.field.columns or not spans:
        place = row.evidence.get(shown.field.name)
        return evidence_spans(document.original(shown.field.name), place, document.text[:MOST_CHARACTERS])
    chosen = spans if shown.record is None else spans[shown.record : shown.record + 1]
    places = [place for each in chosen if isinstance(each, dict) for place in each.values() if place is not None]
    return sorted((place[0], place[1]) for place in places if place[1] <= MOST_CHARACTERS)


def head_lines(document: OpenDocument, width: int) -> list[list[Cell]]:
    """What is known of the document as a whole; however long its name is, the reason of a failure has its place."""
    row, facts = document.row, _head_facts(document)
    about = wrap_line([Cell(document.entry.name, STRONG), *facts], width)
    room = _HEAD_LINES - 1 if row is not None and row.error else _HEAD_LINES
    if len(about) > room:
        name = Cell(fit(document.entry.name, width, cut_start=True), STRONG)
        about = [[name], *at_most(wrap_line(facts[1:], width), room - 1)]
    if row is None or not row.error:
        return about
    reason = f"{row.error}: {row.error_message}" if row.error_message else row.error
    return [*about, *at_most(wrap_line([Cell(reason, BAD)], width), _HEAD_LINES - len(about))]


def at_most(lines: list[list[Cell]], count: int) -> list[list[Cell]]:
    """So many of the lines; an ellipsis stands for the rest."""
    return lines if len(lines) <= count else [*lines[: count - 1], [*lines[count - 1], Cell("…")]]


def _head_facts(document: OpenDocument) -> list[Cell]:
    entry, row = document.entry, document.row
    facts = [Cell("   "), state_cell(entry.state), Cell(f"   {human_size(entry.size_bytes)}", FAINT)]
    if row is not None:
        facts.append(Cell(f"   {row.route.value}", FAINT))
        tokens = f"{row.prompt_tokens:,} tokens in, {row.completion_tokens:,} out"
        tokens += f", {row.reasoning_tokens:,} reasoning" if row.reasoning_tokens else ""
        facts.append(Cell(f"   {tokens}, {human_duration(row.seconds)}", FAINT))
        if row.unsafe:
            facts.append(Cell("   not approved", DOUBTFUL))
    return facts


def row_cells(document: OpenDocument, shown: ShownRow) -> Line:
    """A row of the table: a field with its value, or a record under its field."""
    if shown.record is not None:
        return (Cell(f"  {shown.record + 1:,}", FAINT), Cell(value_text(shown_value(document, shown))), Cell(""))
    return _field_cells(document, shown.field)


def _field_cells(document: OpenDocument, field: Field) -> Line:
    value, corrected = document.value(field.name), field.name in document.corrected
    confidence = document.row.confidence.get(field.name) if document.row else None
    return (
        Cell(field.name),
        Cell(("* " if corrected else "") + _short(field, value), DOUBTFUL if corrected else PLAIN),
        Cell("-" if confidence is None or corrected else f"{confidence:.2f}"),
    )


def _short(field: Field, value: Value) -> str:
    """The value; of records their number and the columns, as each has a row of its own."""
    if not is_records(value):
        return value_text(value)
    return f"{human_count(len(value), 'record')}: {' | '.join(field.column_names)}"


def confidence_text(document: OpenDocument, shown: ShownRow, marked: bool) -> str:
    """The confidence in the model's value and whether the text holds it; empty for a corrected value."""
    row, name = document.row, shown.field.name
    if row is None:
        return "no answer yet"
    if name in document.corrected:
        return ""
    parts = [f"confidence {row.confidence[name]:.2f}"] if name in row.confidence else []
    if document.original(name) is not None:
        place = row.evidence.get(name)
        beyond = f"at {place:,}, beyond the part of the text on this screen" if place is not None and not marked else ""
        parts.append("marked in the text" if marked else beyond or "not in the text word for word")
    original, normalised = document.original(name), row.normalised.get(name)
    if shown.record is not None:
        original, normalised = _one_record(original, shown.record), _one_record(normalised, shown.record)
    return ", ".join([*parts, *_reading(row, name, original, normalised)])


def _one_record(value: Value, number: int) -> Value:
    return value[number : number + 1] if is_records(value) else None


def _reading(row: Row, name: str, original: Value, value: Value) -> list[str]:
    """How programs read the value, where that differs from what is written; and what is in doubt about it."""
    marks = [_MARK_TEXTS.get(mark, mark) for mark in row.marks.get(name, ())]
    if not value or value == original:
        return marks
    return [f"read as {value_text(value)}", *marks]


_MARK_TEXTS: dict[str, str] = {
    Mark.DATE_ORDER: "day and month may be exchanged",
    Mark.CENTURY: "two digits of the year",
    Mark.CALENDAR: "year of another calendar",
    Mark.DECIMAL_MARK: "thousands or decimals in doubt",
    Mark.CREDIT: "a credit",
    Mark.DEBIT: "a debit",
    Mark.UNREAD: "not read as a value of its type",
}
