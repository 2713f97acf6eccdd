"""A teacher's answer beside its document: what is doubted is marked, and a person says what is right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.message import Message

from appliance.ground.text import human_count, printable_name
from appliance.review.decisions import Action, Decision, ReviewFigures, decide, read_decisions, review_figures
from appliance.review.queue import QueueEntry, read_queue
from appliance.tasks.folder import TaskFolder
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.person_values import person_value
from appliance.tasks.task import Field, Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.typed_values import parse_value
from appliance.tasks.values import find_spans, value_texts
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.fields_and_text import FieldsAndText, type_hint
from tui.rendering.document_lines import at_most
from tui.rendering.facts import value_text
from tui.text.cells import BAD, DOUBTFUL, FAINT, GOOD, STRONG, Cell, Line, wrap_line
from tui.text.evidence_spans import MOST_CHARACTERS
from tui.text.shell_commands import line_to_type, shell_words
from tui.widgets.table import Column, ListedRows, Table
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from textual.widgets import Input

_FACT_LINES = 3
_ACTIONS = {"a": Action.ACCEPT, "x": Action.REJECT, "s": Action.SKIP}


@dataclass(frozen=True)
class OpenReview:
    """The queue with what was decided, and the entry in sight."""

    task: Task
    entries: tuple[QueueEntry, ...]
    decisions: Mapping[str, Decision]
    figures: ReviewFigures
    position: int

    @property
    def entry(self) -> QueueEntry | None:
        """The one in sight; None where the queue is empty."""
        return self.entries[self.position] if self.entries else None

    @property
    def decision(self) -> Decision | None:
        """What was decided about it."""
        return self.decisions.get(self.entry.key) if self.entry else None


def open_review(folder: TaskFolder, position: int) -> OpenReview:
    """Reads queue and decisions.

    Args:
        position: Of the entry; negative for the first that nobody has decided.
    """
    task, entries = load_task(folder.path), read_queue(folder.queue_path)
    decisions = read_decisions(folder.reviews_path)
    if position < 0:
        position = next((number for number, entry in enumerate(entries) if entry.key not in decisions), 0)
    figures = review_figures(task, entries, decisions)
    return OpenReview(task, tuple(entries), decisions, figures, min(position, max(0, len(entries) - 1)))


class ReviewScreen(FieldsAndText):
    """One answer at a time, the likeliest mistake first."""

    TAB = "Teach"
    COLUMNS = (Column("Field", 13), Column("Value"))
    HELP_LINES = (
        "A teacher's answer at the left, the document at the right. `!` marks values that are doubted, and the line"
        " below says why; the place of the selected value is marked in the text.",
        "e changes a value; a keeps the answer with your changes, as it is where there are none. x lets nothing be"
        " learnt from the document, s leaves it undecided. Your answers take the place of the teacher's at the next"
        " `stillroom curate`. One answer in five is drawn at random: these show how good the teacher is.",
    )
    KEYS = (
        ("a", "Accept", "the answer is right, with what you changed"),
        ("e", "Correct", "change the selected value; Enter does the same"),
        ("x", "Reject", "learn nothing from this document"),
        ("s", "Skip", "you cannot tell"),
        ("Tab", "Text", "move the keys to the text, or back to the fields"),
        ("[", "Previous", "the answer before this one"),
        ("]", "Next", "the answer after this one"),
        ("Esc", "Back", ""),
    )
    INPUT_KEYS = (("Enter", "Take the value"), ("Esc", "Cancel"))
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        *[Binding(key, f"decide('{key}')", show=False) for key in _ACTIONS],
    ]

    class Read(Message):
        """The queue was read, or could not be."""

        def __init__(self, review: OpenReview | None, problem: Problem | None = None, saved: str = "") -> None:
            super().__init__()
            self.review, self.problem, self.saved = review, problem, saved

    def __init__(self, folder: TaskFolder) -> None:
        super().__init__()
        self._folder = folder
        self._review: OpenReview | None = None
        self._position = -1
        self._changed: dict[str, Value] = {}
        self._is_busy = False

    def on_mount(self) -> None:
        """Starts reading."""
        self.bar("head").add_class("-shown")
        self.set_height("facts", _FACT_LINES)
        self._start_reading()

    def _start_reading(self, decided: tuple[Action, QueueEntry, dict[str, Value]] | None = None) -> None:
        if not self._is_busy:
            self._is_busy = True
            position = self._position
            self.run_worker(lambda: self._read(position, decided), thread=True, group="review")

    def _read(self, position: int, decided: tuple[Action, QueueEntry, dict[str, Value]] | None) -> None:
        saved = ""
        try:
            if decided is not None:
                action, entry, changed = decided
                kept = Action.CORRECT if action is Action.ACCEPT and changed else action
                decide(self._folder.reviews_path, load_task(self._folder.path), entry, kept, changed)
                saved = f"saved: {kept.value} for {printable_name(entry.row.document)}"
                position += 1  # only once it is on the disk: what could not be saved stays in sight
            self.post_message(self.Read(open_review(self._folder, position), saved=saved))
        except READING_ERRORS as error:
            self.post_message(self.Read(None, problem_of(error)))

    def on_review_screen_read(self, message: "ReviewScreen.Read") -> None:
        """Shows the answer."""
        self._is_busy = False
        if message.saved:
            self.show_message(message.saved)
        if message.review is None:
            problem = message.problem or Problem("nothing to look at")
            if self._review is None:
                self.query_one(Table).show(ListedRows(), [[Cell(problem.message, BAD)], [Cell(problem.hint)]])
            else:
                self.show_message(problem.sentence)
            return
        before, self._review = self._review, message.review
        self._position = message.review.position
        entry = message.review.entry
        is_other = before is None or before.entry is None or entry is None or before.entry.key != entry.key
        if is_other or message.saved:
            self._changed = {}
        if is_other:
            self.query_one(TextPane).show_start(entry.row.text if entry else "", "The queue is empty.")
        self._show()

    def _value(self, name: str) -> Value:
        """As it is now: changed here, decided before, or as the teacher said."""
        review = self._review
        assert review is not None
        assert review.entry is not None
        if name in self._changed:
            return self._changed[name]
        if review.decision is not None and review.decision.action is Action.CORRECT:
            return review.decision.answer.get(name)
        return review.entry.row.answer.get(name)

    def _show(self, first: bool = True) -> None:
        review = self._review
        if review is None or review.entry is None:
            notice = ("No answer is in the queue.", "`stillroom curate` ranks the teacher's answers.")
            self.query_one(Table).show(ListedRows(), [[Cell(line)] for line in notice])
            return
        head = self._head(review, review.entry)
        lines = at_most(wrap_line(head, max(20, self.app.size.width - 2)), 2)
        self.set_height("head", len(lines))
        self.bar("head").show(lines)
        rows = [self._cells(each, review.entry) for each in review.task.output_fields]
        doubted = next((n for n, each in enumerate(review.task.output_fields) if each.name in review.entry.doubts), 0)
        self.query_one(Table).show(ListedRows(rows), position=doubted if first else None)
        self.mark_value()

    def _head(self, review: OpenReview, entry: QueueEntry) -> list[Cell]:
        decision = review.decision
        state = Cell("   not decided", FAINT)
        if decision is not None:
            state = Cell(f"   {decision.action.value} by {decision.user}", GOOD)
        if self._changed:
            state = Cell(f"   {human_count(len(self._changed), 'change')}, a keeps them", DOUBTFUL)
        cells = [Cell(printable_name(entry.row.document), STRONG), state]
        if whole := entry.doubts.get(""):
            cells.append(Cell(f"   {whole}", DOUBTFUL))
        figures = review.figures
        cells.append(Cell(f"   {figures.open:,} open, {figures.decisions:,} decided", FAINT))
        if figures.lift is not None:
            cells.append(Cell(f", lift {figures.lift:.1f}", FAINT))
        return cells

    def _cells(self, described: Field, entry: QueueEntry) -> Line:
        name = described.name
        is_changed, is_doubted = name in self._changed, name in entry.doubts
        mark = "*" if is_changed else "!" if is_doubted else " "
        style = DOUBTFUL if is_changed or is_doubted else Cell("").style
        return (Cell(f"{mark} {name}", style), Cell(value_text(self._value(name)), style))

    def _selected(self) -> Field | None:
        review = self._review
        if review is None or review.entry is None:
            return None
        fields = review.task.output_fields
        return fields[min(self.query_one(Table).position, len(fields) - 1)]

    def mark_value(self) -> None:
        """Marks the value of the chosen field in the text, and says why it is doubted."""
        review, described = self._review, self._selected()
        if review is None or review.entry is None or described is None:
            return
        entry, value = review.entry, self._value(described.name)
        self.query_one(TextPane).mark(_spans(value, entry.row.text[:MOST_CHARACTERS]))
        cells = [Cell(f"{described.name}: ", STRONG), Cell(value_text(value))]
        if doubt := entry.doubts.get(described.name):
            cells.append(Cell(f"   {doubt}", DOUBTFUL))
        said = (entry.row.teacher_answer or entry.row.answer).get(described.name)
        if said != value:
            cells.append(Cell(f"   the teacher said {value_text(said)}", FAINT))
        lines = at_most(wrap_line(cells, max(20, self.app.size.width - 2)), _FACT_LINES - 1)
        dashes = ["--"] if entry.row.document.startswith("-") else []
        words = ["stillroom", "review", "correct", str(self._folder.path), *dashes, entry.row.document,
                 f"{described.name}=VALUE"]  # fmt: skip
        self.show_facts([*lines, []][: _FACT_LINES - 1], shell_words(words))
        self._show_place()

    def _show_place(self) -> None:
        if review := self._review:
            places = (f"{review.position + 1:,} of {len(review.entries):,}", self.query_one(TextPane).place)
            self.show_keys("   ".join(filter(None, places)))

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self._show_place()

    def lay_out(self) -> None:
        """Wraps what is known of the answer and of the chosen field."""
        self._show(first=False)

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done yet."""
        if self._review is None or self._review.entry is None:
            return dict.fromkeys([*_ACTIONS, "e", "[", "]", "Tab"], "there is no answer to look at")
        return {}

    def action_decide(self, key: str) -> None:
        """Keeps what the person says, and goes to the next answer."""
        review = self._review
        if self.refuses(key) or self._is_busy or review is None or review.entry is None:
            return
        changed = dict(self._changed) if key == "a" else {}
        self._start_reading((_ACTIONS[key], review.entry, changed))

    def action_step(self, entries: int) -> None:
        """Goes to the answer before or after this one."""
        review = self._review
        if self.refuses("[" if entries < 0 else "]") or self._is_busy or review is None:
            return
        position = review.position + entries
        if not 0 <= position < len(review.entries):
            self.show_message("there is no further answer in the queue")
            return
        self._position = position
        self._start_reading()

    async def action_correct(self) -> None:
        """Asks what the chosen field is."""
        described = self._selected()
        if self.refuses("e") or described is None:
            return
        hint = type_hint(described) + ("; records separated by ;" if described.columns else "")
        await self.open_input(f"{described.name} ({hint})", line_to_type(self._value(described.name)))
        self.show_facts([[Cell(f"Right value of {described.name} ", STRONG), Cell(f"({hint})", FAINT)], []], "")

    async def on_input_submitted(self, message: "Input.Submitted") -> None:
        """Takes the value; it is kept with the whole answer."""
        await self.close_input()
        described, review = self._selected(), self._review
        if described is None or review is None or review.entry is None:
            return
        if message.value != line_to_type(self._value(described.name)):
            if self.refuses_text(message.value):
                return
            try:
                value = parse_value(described, message.value)
                cleaned = person_value(review.task, described, value, review.entry.row.document)
            except READING_ERRORS as error:
                self.mark_value()
                self.show_message(f"not taken: {problem_of(error).sentence}")
                return
            self._changed = {**self._changed, described.name: cleaned}
        self._show(first=False)


def _spans(value: Value, text: str) -> list[tuple[int, int]]:
    """Where the value stands: its parts, each at its first place."""
    texts = [cell for record in value for cell in record.values() if cell] if is_records(value) else value_texts(value)
    return sorted(spans[0] for each in texts if (spans := find_spans(each, text)))
