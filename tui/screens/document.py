"""One document of a job: its fields beside its text, the evidence of the chosen field marked, and corrections."""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget

from appliance.jobs.job import task_path
from appliance.jobs.ledger import DocumentEntry, open_readonly
from appliance.jobs.review import Correction, correct_field, in_force, parse_value, read_corrections, typed_value
from appliance.jobs.rows import Row
from appliance.tasks.linecode import Value
from appliance.tasks.task import Field, FieldType, load_task
from appliance.text import human_duration, human_size, printable
from tui.cells import BAD, DOUBTFUL, FAINT, PLAIN, STRONG, Cell, Line, fit, state_cell, wrap_line
from tui.evidence import evidence_spans
from tui.screens.frame import Frame
from tui.screens.start_job import shown_value
from tui.watching import READING_ERRORS, Problem, problem_of
from tui.widgets.table import Column, ListedRows, Table
from tui.widgets.textpane import TextPane

if TYPE_CHECKING:
    from textual.widgets import Input

COLUMNS = (Column("Field", 11), Column("Value"), Column("Sure", 4, right=True))
_MOST_CHARACTERS = 200_000
_NO_TEXT = "The job holds no text of this document."
_NO_RAW = "The job holds no raw answer of this document."
_HEAD_LINES = 3
_FACT_LINES = 3


@dataclass(frozen=True)
class Opened:
    """Everything that is known of a document."""

    entry: DocumentEntry
    row: Row | None = None
    text: str | None = None
    raw: str | None = None
    asked: tuple[Field, ...] = ()
    corrected: dict[str, Correction] = field(default_factory=dict)
    problem: Problem | None = None

    def original(self, name: str) -> Value:
        """What the model said."""
        return (self.row.fields or {}).get(name) if self.row else None

    def value(self, name: str) -> Value:
        """What a person said, else what the model said."""
        return self.corrected[name].correction if name in self.corrected else self.original(name)


class DocumentScreen(Frame):
    """A document with its row."""

    TAB = "Jobs"
    HELP_LINES = (
        "One document: its fields at the left, its text at the right. The place in the text that says the value of the"
        " chosen field is marked. Sure is the probability that the model gives to the value that it wrote.",
        "e corrects a field: what the model said is kept beside it, with your name, and `stillroom jobs corrections`"
        " exports it as an example to learn from. `*` marks corrected values.",
    )
    KEYS = (
        ("e", "Correct", "say what the chosen field is; Enter does the same"),
        ("Tab", "Text", "the keys go to the text, or back to the fields"),
        ("r", "Raw answer", "what the model wrote, before it was parsed; again: the text"),
        ("[", "Former", "the document before this one"),
        ("]", "Next", "the document after this one"),
        ("Esc", "Back", ""),
    )
    ASKING_KEYS = (("Enter", "Keep the correction"), ("Esc", "Cancel"))
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("e", "correct", show=False),
        Binding("tab", "turn", show=False, priority=True),
        Binding("r", "raw", show=False),
        Binding("left_square_bracket", "step(-1)", show=False),
        Binding("right_square_bracket", "step(1)", show=False),
    ]

    class Read(Message):
        """The document was read."""

        def __init__(self, opened: Opened) -> None:
            super().__init__()
            self.opened = opened

    class Kept(Message):
        """A correction was kept, or could not be."""

        def __init__(self, problem: Problem | None) -> None:
            super().__init__()
            self.problem = problem

    def __init__(
        self, directory: Path, entry: DocumentEntry, neighbour: Callable[[int], DocumentEntry | None] | None = None
    ) -> None:
        super().__init__()
        self._directory = directory
        self._opened = Opened(entry)
        self._neighbour = neighbour
        self._raw = self._read_once = False

    def body(self) -> Widget:
        """Fields beside text."""
        return Horizontal(Table(COLUMNS, id="fields"), TextPane(id="text"), id="panes")

    def on_mount(self) -> None:
        """Starts reading."""
        super().on_mount()
        self.bar("head").add_class("-shown")
        self.grow("facts", _FACT_LINES)
        self._start_reading()

    def _start_reading(self) -> None:
        entry = self._opened.entry
        self.run_worker(lambda: self._read(entry), thread=True, exclusive=True, group="read")

    def _read(self, entry: DocumentEntry) -> None:
        try:
            with open_readonly(self._directory) as reader:
                row, text, raw = reader.row(entry.id), reader.text(entry.id), reader.raw_answer(entry.id)
            corrected = in_force(read_corrections(self._directory, entry.name), row.sha256 if row else None)
            asked = load_task(task_path(self._directory)).asked
            opened = Opened(entry, row, text, raw, asked, corrected)
        except READING_ERRORS as error:
            opened = Opened(entry, problem=problem_of(error))
        self.post_message(self.Read(opened))

    def on_document_screen_read(self, message: "DocumentScreen.Read") -> None:
        """Shows the document."""
        before, self._opened = self._opened, message.opened
        opened = self._opened
        width = max(20, self.app.size.width - 2)
        head = _head(opened, width)
        self.grow("head", len(head))
        self.bar("head").show(head)
        rows = ListedRows([_field_cells(opened, asked) for asked in opened.asked])
        notice: list[Line] = (
            [[Cell(opened.problem.message, BAD)], [Cell(opened.problem.hint)]] if opened.problem else []
        )
        self.query_one(Table).show(rows, notice)
        if not self._read_once or before.entry.id != opened.entry.id or before.text != opened.text:
            self._show_text()
        self._read_once = True
        self._mark()

    def _show_text(self) -> None:
        opened, pane = self._opened, self.query_one(TextPane)
        text = opened.raw if self._raw else opened.text
        if text is None:
            pane.show("", _NO_RAW if self._raw else _NO_TEXT)
            return
        left = len(text) - _MOST_CHARACTERS
        pane.show(text[:_MOST_CHARACTERS], f"... {left:,} characters more" if left > 0 else "")

    def _chosen(self) -> Field | None:
        position = self.query_one(Table).position
        return self._opened.asked[position] if position < len(self._opened.asked) else None

    def on_table_moved(self) -> None:
        """Marks the evidence of the chosen field."""
        self._mark()

    def _mark(self) -> None:
        opened, asked = self._opened, self._chosen()
        if asked is None or not self._read_once:
            return
        spans = []
        if not self._raw and opened.text is not None and opened.row is not None:
            place = opened.row.evidence.get(asked.name)
            spans = evidence_spans(opened.original(asked.name), place, opened.text[:_MOST_CHARACTERS])
        self.query_one(TextPane).mark(spans)
        self._facts(asked, bool(spans))

    def _facts(self, asked: Field, marked: bool) -> None:
        opened = self._opened
        told = [Cell(f"{asked.name}: ", STRONG), Cell(shown_value(opened.value(asked.name)))]
        told.append(Cell("   " + _surely(opened, asked.name, marked), FAINT))
        if kept := opened.corrected.get(asked.name):
            stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.time))
            told.append(
                Cell(f"   corrected by {kept.user} {stamp}, the model said {shown_value(kept.original)}", DOUBTFUL)
            )
        lines = wrap_line(told, max(20, self.app.size.width - 2))
        self.tell([*_at_most(lines, _FACT_LINES - 1), []][: _FACT_LINES - 1], self._command(asked, "VALUE"))

    def _command(self, asked: Field, value: str) -> str:
        words = [self._directory.name, self._opened.entry.name, asked.name]
        return f"stillroom jobs correct {shlex.join(map(printable, words))} {value}"

    def why_not(self) -> dict[str, str]:
        """What cannot be done with this document."""
        opened, reasons = self._opened, {}
        if opened.problem is not None or not opened.asked:
            reasons["e"] = "the document cannot be read" if opened.problem else "it is being read"
        elif opened.row is None:
            reasons["e"] = "it has no answer yet: it can be corrected when the job has come to it"
        if opened.text is None:
            reasons["Tab"] = "the job holds no text of this document"
        if opened.raw is None and not self._raw:
            reasons["r"] = "the job holds no raw answer of this document"
        if self._neighbour is None:
            reasons |= dict.fromkeys("[]", "this document was opened alone")
        return reasons

    def action_turn(self) -> None:
        """The keys go to the other side."""
        if self.query("Input") or self.refuses("Tab"):
            return
        table, pane = self.query_one(Table), self.query_one(TextPane)
        (table if pane.has_focus else pane).focus()
        self.show_keys()

    def action_raw(self) -> None:
        """Shows what the model wrote, or the text again."""
        if not self.refuses("r"):
            self._raw = not self._raw
            self._show_text()
            self._mark()
            self.say("the raw answer of the model: r shows the text again" if self._raw else "the text of the document")

    def action_step(self, documents: int) -> None:
        """Goes to the document before or after this one."""
        if self.refuses("[" if documents < 0 else "]"):
            return
        assert self._neighbour is not None  # refused above
        entry = self._neighbour(documents)
        if entry is None:
            self.say("there is no further document in this list")
            return
        self._opened, self._raw, self._read_once = Opened(entry), False, False
        self._start_reading()

    def on_table_opened(self, _message: Table.Opened) -> None:
        """Enter corrects too."""
        self.call_later(self.action_correct)

    async def action_correct(self) -> None:
        """Asks what the chosen field is."""
        asked = self._chosen()
        if self.refuses("e") or asked is None:
            return
        hints = {FieldType.LIST: "entries parted by ;", FieldType.ENUM: ", ".join(asked.values)}
        hint = hints.get(asked.type, "empty: no such value")
        # What a terminal would act on cannot be typed either, so it is not offered to be kept.
        await self.ask(f"{asked.name} ({hint})", printable(typed_value(self._opened.value(asked.name))))
        self.tell([[Cell(f"{asked.name}: what is right? ", STRONG), Cell(f"({hint})", FAINT)], []],
                  self._command(asked, "VALUE"))  # fmt: skip

    async def on_input_submitted(self, message: "Input.Submitted") -> None:
        """Keeps the correction in a thread; a value left as it was is none."""
        await self.stop_asking()
        asked = self._chosen()
        if asked is None or message.value == printable(typed_value(self._opened.value(asked.name))):
            self._mark()
            return
        value = parse_value(asked.type, message.value)
        name = self._opened.entry.name
        self.run_worker(lambda: self._keep(name, asked.name, value), thread=True, group="keep")

    def _keep(self, document: str, name: str, value: Value) -> None:
        try:
            correct_field(self._directory, document, name, value)
            self.post_message(self.Kept(None))
        except READING_ERRORS as error:
            self.post_message(self.Kept(problem_of(error)))

    def on_document_screen_kept(self, message: "DocumentScreen.Kept") -> None:
        """Shows the correction, or why it is refused."""
        if message.problem is None:
            self.say("kept; what the model said is kept beside it")
        else:
            self.say(": ".join(filter(None, (message.problem.message, message.problem.hint))))
        self._start_reading()

    async def action_back(self) -> None:
        """Closes the line to type in if it is open, else the document."""
        if self.query("Input"):
            await self.stop_asking()
            self._mark()
        else:
            self.app.pop_screen()

    def on_text_pane_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(TextPane).place)


def _head(opened: Opened, width: int) -> list[list[Cell]]:
    """What is known of the document as a whole; however long its name is, the reason of a failure has its place."""
    row, facts = opened.row, _head_facts(opened)
    about = wrap_line([Cell(opened.entry.name, STRONG), *facts], width)
    room = _HEAD_LINES - 1 if row is not None and row.error else _HEAD_LINES
    if len(about) > room:
        name = Cell(fit(opened.entry.name, width, cut_start=True), STRONG)
        about = [[name], *_at_most(wrap_line(facts[1:], width), room - 1)]
    if row is None or not row.error:
        return about
    reason = f"{row.error}: {row.error_message}" if row.error_message else row.error
    return [*about, *_at_most(wrap_line([Cell(reason, BAD)], width), _HEAD_LINES - len(about))]


def _at_most(lines: list[list[Cell]], count: int) -> list[list[Cell]]:
    """So many of the lines; an ellipsis tells that there are more."""
    return lines if len(lines) <= count else [*lines[: count - 1], [*lines[count - 1], Cell("…")]]


def _head_facts(opened: Opened) -> list[Cell]:
    entry, row = opened.entry, opened.row
    facts = [Cell("   "), state_cell(entry.state), Cell(f"   {human_size(entry.size_bytes)}", FAINT)]
    if row is not None:
        facts.append(Cell(f"   {row.route.value}", FAINT))
        tokens = f"{row.prompt_tokens:,} tokens in, {row.completion_tokens:,} out"
        tokens += f", {row.reasoning_tokens:,} reasoning" if row.reasoning_tokens else ""
        facts.append(Cell(f"   {tokens}, {human_duration(row.seconds)}", FAINT))
        if row.unsafe:
            facts.append(Cell("   unsafe", DOUBTFUL))
    return facts


def _field_cells(opened: Opened, asked: Field) -> Line:
    value, corrected = opened.value(asked.name), asked.name in opened.corrected
    surely = opened.row.confidence.get(asked.name) if opened.row else None
    return (
        Cell(asked.name),
        Cell(("* " if corrected else "") + shown_value(value), DOUBTFUL if corrected else PLAIN),
        Cell("-" if surely is None or corrected else f"{surely:.2f}"),
    )


def _surely(opened: Opened, name: str, marked: bool) -> str:
    row = opened.row
    if row is None:
        return "no answer yet"
    parts = [f"confidence {row.confidence[name]:.2f}"] if name in row.confidence else []
    if opened.original(name) is not None and name not in opened.corrected:
        place = row.evidence.get(name)
        beyond = f"at {place:,}, beyond the text that is shown" if place is not None and not marked else ""
        parts.append("marked in the text" if marked else beyond or "not in the text word for word")
    return ", ".join(parts)
