"""One document of a job: fields beside the text, the evidence of the selected field marked, and corrections."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.message import Message

from appliance.jobs.job import task_path
from appliance.jobs.ledger import DocumentEntry
from appliance.jobs.review import correct_field, in_force, read_corrections
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.task import Field
from appliance.tasks.taskfile import load_task
from appliance.tasks.typed_values import parse_value
from tui.data.document_pages import FindDocument
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.data.snapshot import Snapshot
from tui.data.state_readers import open_job
from tui.frames.fields_and_text import FieldsAndText, type_hint
from tui.rendering.document_lines import (
    OpenDocument,
    ShownRow,
    at_most,
    confidence_text,
    head_lines,
    row_cells,
    shown_rows,
    shown_spans,
    shown_value,
)
from tui.rendering.facts import value_text
from tui.text.cells import BAD, DOUBTFUL, FAINT, STRONG, Cell, Line, wrap_line
from tui.text.shell_commands import line_to_type, shell_words
from tui.widgets.table import Column, ListedRows, Table
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from textual.widgets import Input


_NO_TEXT = "The job keeps no text of this document."
_NO_RAW = "The job keeps no raw answer of this document."
_FACT_LINES = 3


class DocumentScreen(FieldsAndText):
    """A document with its row."""

    TAB = "Jobs"
    COLUMNS = (Column("Field", 11), Column("Value"), Column("Conf.", 5, right=True))
    HELP_LINES = (
        "One document: its fields at the left, its text at the right. The place in the text that holds the"
        " value of the selected field is marked. Conf. is the confidence, the model's own probability of its value.",
        "e corrects a field: the model's value is kept beside yours, with your name. `stillroom jobs export"
        " --corrected` writes rows with both, `jobs corrections` examples for training. `*` marks corrected values.",
    )
    KEYS = (
        ("e", "Correct", "correct the selected field; Enter does the same"),
        ("Tab", "Text", "move the keys to the text, or back to the fields"),
        ("r", "Raw answer", "the model's answer before it was parsed; press again for the text"),
        ("[", "Previous", "the document before this one"),
        ("]", "Next", "the document after this one"),
        ("Esc", "Back", ""),
    )
    INPUT_KEYS = (("Enter", "Save the correction"), ("Esc", "Cancel"))
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("r", "raw", show=False),
    ]

    class Read(Message):
        """The document was read."""

        def __init__(self, number: int, document: OpenDocument) -> None:
            super().__init__()
            self.number, self.document = number, document

    class CorrectionSaved(Message):
        """A correction was saved, or could not be."""

        def __init__(self, problem: Problem | None) -> None:
            super().__init__()
            self.problem = problem

    def __init__(
        self, directory: Path, entry: DocumentEntry, neighbour: Callable[[int], FindDocument | None] | None = None
    ) -> None:
        super().__init__()
        self._directory = directory
        self._document = OpenDocument(entry)
        self._neighbour = neighbour
        self._raw = self._read_once = False
        self._job_progress = (-1, -1)
        """How many documents of the job had an answer, and how many a row, when this one was read last."""
        self._rows: list[ShownRow] = []
        self._reading = 0
        """Number of the latest reading; what an earlier one brings is out of date."""

    def on_mount(self) -> None:
        """Starts reading."""
        self.bar("head").add_class("-shown")
        self.set_height("facts", _FACT_LINES)
        self._start_reading()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Reads a document that had no answer yet again when the job has got on."""
        job = next((job for job in snapshot.jobs if job.id == self._directory.name), None)
        waits = self._read_once and self._document.row is None and not self._document.problem
        if job is None or not waits or self.query("Input") or (job.done, job.with_row) == self._job_progress:
            return
        self._job_progress = (job.done, job.with_row)
        self._start_reading()

    def _start_reading(self, find: FindDocument | None = None) -> None:
        """Reads the present document, or the one that `find` gives, in a thread."""
        self._reading += 1
        number, entry = self._reading, self._document.entry
        self.run_worker(lambda: self._read(number, entry, find), thread=True, exclusive=True, group="read")

    def _read(self, number: int, entry: DocumentEntry, find: FindDocument | None) -> None:
        try:
            entry = (find() if find else None) or entry
            with open_job(self._directory) as reader:
                entry = reader.document(os.fsdecode(entry.path)) or entry
                row, text, raw = reader.row(entry.id), reader.text(entry.id), reader.raw_answer(entry.id)
            corrected = in_force(read_corrections(self._directory, entry.name), row.sha256 if row else None)
            field = load_task(task_path(self._directory)).output_fields
            document = OpenDocument(entry, row, text, raw, field, corrected)
        except READING_ERRORS as error:
            document = OpenDocument(entry, problem=problem_of(error))
        self.post_message(self.Read(number, document))

    def on_document_screen_read(self, message: "DocumentScreen.Read") -> None:
        """Shows the document."""
        if message.number != self._reading:
            return
        before, self._document = self._document, message.document
        document = self._document
        self._show_head()
        self._rows = shown_rows(document)
        self.query_one("#panes").set_class(any(each.columns for each in document.output_fields), "-records")
        rows = ListedRows([row_cells(document, shown) for shown in self._rows])
        notice: list[Line] = (
            [[Cell(document.problem.message, BAD)], [Cell(document.problem.hint)]] if document.problem else []
        )
        self.query_one(Table).show(rows, notice)
        if not self._read_once or before.entry.id != document.entry.id or before.text != document.text:
            self._show_text()
        self._read_once = True
        self.mark_value()

    def _show_head(self) -> None:
        lines = head_lines(self._document, max(20, self.app.size.width - 2))
        self.set_height("head", len(lines))
        self.bar("head").show(lines)

    def lay_out(self) -> None:
        """Wraps what is known of the document and of the chosen field."""
        if self._read_once and not self.query("Input"):
            self._show_head()
            self.mark_value()

    def _show_text(self) -> None:
        document, pane = self._document, self.query_one(TextPane)
        if document.problem is not None:
            pane.show("")
        elif self._raw:
            pane.show_start(document.raw, _NO_RAW)
        else:
            pane.show_start(document.text, _NO_TEXT)

    def _selected(self) -> ShownRow | None:
        position = self.query_one(Table).position
        return self._rows[position] if position < len(self._rows) else None

    def mark_value(self) -> None:
        """Marks the evidence of the chosen field."""
        document, shown = self._document, self._selected()
        if not self._read_once:
            return
        if shown is None:
            self.show_facts([[], []], shell_words(["stillroom", "jobs", "show", self._directory.name]))
            return
        spans = [] if self._raw else shown_spans(document, shown)
        self.query_one(TextPane).mark(spans)
        self._facts(shown, bool(spans))

    def _facts(self, shown: ShownRow, marked: bool) -> None:
        document, field = self._document, shown.field
        number = "" if shown.record is None else f" {shown.record + 1:,}"
        cells = [Cell(f"{field.name}{number}: ", STRONG), Cell(value_text(shown_value(document, shown)))]
        if confidence := confidence_text(document, shown, marked):
            cells.append(Cell("   " + confidence, FAINT))
        if correction := document.corrected.get(field.name):
            stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(correction.time))
            cells.append(
                Cell(
                    f"   corrected by {correction.user} {stamp}, the model answered {value_text(correction.original)}",
                    DOUBTFUL,
                )
            )
        lines = wrap_line(cells, max(20, self.app.size.width - 2))
        self.show_facts([*at_most(lines, _FACT_LINES - 1), []][: _FACT_LINES - 1], self._command(field, "VALUE"))

    def _command(self, field: Field, value: str) -> str:
        name = self._document.entry.name
        words = [self._directory.name, *(["--"] if name.startswith("-") else []), name, field.name]
        return f"stillroom jobs correct {shell_words(words)} {value}"

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done with this document."""
        document, reasons = self._document, {}
        if document.problem is not None or not document.output_fields:
            reasons["e"] = "the document cannot be read" if document.problem else "the document is being read"
        elif document.row is None:
            reasons["e"] = "it has no answer yet: wait until the job has processed it"
        if document.text is None:
            reasons["Tab"] = "the job keeps no text of this document"
        if document.raw is None and not self._raw:
            reasons["r"] = "the job keeps no raw answer of this document"
        if self._neighbour is None:
            reasons |= dict.fromkeys("[]", "this document was opened alone")
        return reasons

    def action_raw(self) -> None:
        """Shows what the model wrote, or the text again."""
        if not self.refuses("r"):
            self._raw = not self._raw
            self._show_text()
            self.mark_value()
            self.show_message(
                "this is the raw answer of the model: r shows the text again"
                if self._raw
                else "this is the text of the document"
            )

    def action_step(self, documents: int) -> None:
        """Goes to the document before or after this one."""
        if self.refuses("[" if documents < 0 else "]"):
            return
        assert self._neighbour is not None  # refused above
        find = self._neighbour(documents)
        if find is None:
            self.show_message("there is no further document in this list")
            return
        # The keys must not act on the document that is still in sight.
        self._document, self._raw, self._read_once = OpenDocument(self._document.entry), False, False
        self._start_reading(find)

    async def action_correct(self) -> None:
        """Asks what the chosen field is."""
        shown = self._selected()
        if self.refuses("e") or shown is None:
            return
        field = shown.field
        hint = type_hint(field)
        if field.columns:
            hint += "; records separated by ;" if shown.record is None else "; leave empty to take the record out"
        what = field.name if shown.record is None else f"{field.name} {shown.record + 1:,}"
        await self.open_input(f"{what} ({hint})", line_to_type(shown_value(self._document, shown)))
        self.show_facts([[Cell(f"Correct value of {what} ", STRONG), Cell(f"({hint})", FAINT)], []],
                  self._command(field, "VALUE"))  # fmt: skip

    async def on_input_submitted(self, message: "Input.Submitted") -> None:
        """Keeps the correction in a thread; a value left as it was is none."""
        await self.close_input()
        shown = self._selected()
        if shown is None or message.value == line_to_type(shown_value(self._document, shown)):
            self.mark_value()
            return
        if self.refuses_text(message.value):
            return
        try:
            value = self._with_record(shown, parse_value(shown.field, message.value))
        except ValueError as error:
            self.mark_value()
            self.show_message(f"not saved: a record {error}")
            return
        name = self._document.entry.name
        self.run_worker(lambda: self._save(name, shown.field.name, value), thread=True, group="save")

    def _with_record(self, shown: ShownRow, typed: Value) -> Value:
        """What was typed, or for one record all records with what was typed in its place."""
        records = self._document.value(shown.field.name)
        if shown.record is None or not is_records(records):
            return typed
        return [*records[: shown.record], *(typed if is_records(typed) else []), *records[shown.record + 1 :]] or None

    def _save(self, document: str, name: str, value: Value) -> None:
        try:
            correct_field(self._directory, document, name, value)
            self.post_message(self.CorrectionSaved(None))
        except READING_ERRORS as error:
            self.post_message(self.CorrectionSaved(problem_of(error)))

    def on_document_screen_correction_saved(self, message: "DocumentScreen.CorrectionSaved") -> None:
        """Shows the correction, or why it is refused."""
        if message.problem is None:
            self.show_message("saved; the model's value is kept beside it")
        else:
            self.show_message(message.problem.sentence)
        self._start_reading()

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(TextPane).place)
