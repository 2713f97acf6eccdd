"""The documents that two models answer differently, one after the other: who is right?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from appliance.ground.text import human_count
from appliance.tasks.linecode import Value
from appliance.tasks.values import find
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.frame import Frame
from tui.rendering.facts import value_text
from tui.text.cells import BAD, DOUBTFUL, FAINT, PLAIN, STRONG, Cell, Line, wrap_line
from tui.text.evidence_spans import MOST_CHARACTERS, evidence_spans
from tui.text.shell_commands import shell_words
from tui.widgets.table import Column, ListedRows, Table
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from appliance.comparison.join import ComparedDocument
    from appliance.comparison.view import ComparisonView
    from appliance.jobs.rows import Row
    from appliance.quality.judgements import Choice, Judgement

_FACT_LINES = 3
_PAGE = 200
_CHOICES = {"a": "A", "b": "B", "o": "both", "n": "neither", "s": "skip"}
"""Key -> the judgement."""


@dataclass(frozen=True)
class DifferingDocument:
    """A document that differs, with everything that the screen shows of it."""

    position: int
    count: int
    document: "ComparedDocument"
    side: int
    sides: tuple[str, str]
    names: tuple[str, ...]
    """The fields of the task."""
    text: str | None
    judgement: str
    """What a person judged before; empty where nobody did."""
    judged: int
    """How many of the documents that differ have a judgement."""

    def row(self, which: int) -> "Row | None":
        """The row of A (0) or B (1)."""
        answer = self.document.answers[self.side if which else 0]
        return answer.row if answer else None

    def value(self, which: int, name: str) -> Value:
        """The value of A (0) or B (1)."""
        row = self.row(which)
        return (row.fields or {}).get(name) if row else None

    @property
    def first_differing(self) -> int:
        """The row of the first field that differs."""
        return next((n for n, name in enumerate(self.names) if name in self.document.differing), 0)

    def head(self) -> Line:
        """The document, and how it was judged."""
        cells = [Cell(self.document.name, STRONG)]
        for which, letter in enumerate("AB"):
            row = self.row(which)
            failed = f": {row.error}" if row and row.fields is None else ""
            cells.append(Cell(f"   {letter} {self.sides[which]}"))
            cells.append(Cell(failed, BAD))
        judgement = f"   judged: {self.judgement}" if self.judgement else "   not judged yet"
        return [*cells, Cell(judgement, FAINT), Cell(f"   {human_count(self.judged, 'judgement')}", FAINT)]

    def cells(self, name: str) -> Line:
        """A field as a row of the table."""
        differs = name in self.document.differing
        style = DOUBTFUL if differs else PLAIN
        label = value_text(self.document.gold.get(name)) if self.document.gold else "-"
        return (
            Cell(("! " if differs else "  ") + name, style),
            Cell(value_text(self.value(0, name)), style),
            Cell(value_text(self.value(1, name)), style),
            Cell(label),
        )


def read_differing(view: "ComparisonView", side: int, position: int) -> DifferingDocument | None:
    """The differing document at a position; at the first one without a judgement where the position is negative."""
    count, judged = view.count_differing(side), view.judged(side)
    if position < 0:
        position = _first_open(view, side, count, judged)
    documents = view.differing(min(position, count - 1), 1, side, at_random=True) if count else []
    if not documents:
        return None
    document = documents[0]
    names = tuple(each.name for each in view.task.output_fields)
    judgement = judged[document.path].choice.value if document.path in judged else ""
    sides = (view.sides[0], view.sides[side])
    return DifferingDocument(
        position, count, document, side, sides, names, view.text(document.path), judgement, len(judged)
    )


def _first_open(view: "ComparisonView", side: int, count: int, judged: "dict[bytes, Judgement]") -> int:
    for start in range(0, count, _PAGE):
        for number, document in enumerate(view.differing(start, _PAGE, side, at_random=True)):
            if document.path not in judged:
                return start + number
    return 0


class DifferingScreen(Frame):
    """One document with both answers side by side."""

    TAB = "Compare"
    HELP_LINES = (
        "One document that the two models answer differently; `!` marks the fields that differ. Say who is right: the"
        " verdict uses it. The documents come in a random order that stays the same, so that the judged ones are a fair"
        " part of all that differ.",
        "The place in the text where the value of the selected field stands is marked.",
    )
    KEYS = (
        ("a", "A is right", "the first answer is right, the other one is not"),
        ("b", "B is right", "the second answer is right, the first one is not"),
        ("o", "Both", "both are right: the same in other words"),
        ("n", "Neither", "neither of them is right"),
        ("s", "Skip", "you cannot tell; the document does not count"),
        ("[", "Previous", "the document before this one"),
        ("]", "Next", "the document after this one"),
        ("Tab", "Text", "move the keys to the text, or back to the fields"),
        ("Esc", "Back", ""),
    )
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        *[Binding(key, f"judge('{key}')", show=False) for key in _CHOICES],
        Binding("tab", "turn", show=False, priority=True),
        Binding("left_square_bracket", "step(-1)", show=False),
        Binding("right_square_bracket", "step(1)", show=False),
    ]

    class Read(Message):
        """A document was read, or could not be."""

        def __init__(
            self, document: "DifferingDocument | None", problem: Problem | None = None, saved: str = ""
        ) -> None:
            super().__init__()
            self.document, self.problem, self.saved = document, problem, saved

    def __init__(self, identifier: str, side: int) -> None:
        super().__init__()
        self._comparison_id, self._side = identifier, side
        self._position = -1
        """Which of the differing documents; -1 looks for the first one without a judgement."""
        self._current: DifferingDocument | None = None
        self._busy = False

    def body(self) -> Widget:
        """Both answers above the text."""
        columns = (Column("Field", 14), Column("A"), Column("B"), Column("Right", 20, from_width=100))
        return Vertical(Table(columns, id="sides"), TextPane(id="source"))

    def on_mount(self) -> None:
        """Starts reading."""
        self.bar("head").add_class("-shown")
        self.set_height("facts", _FACT_LINES)
        self._read()

    def _read(self, judged: "tuple[ComparedDocument, Choice] | None" = None) -> None:
        if not self._busy:
            self._busy = True
            position = self._position
            self.run_worker(lambda: self._work(position, judged), thread=True, group="differing")

    def _work(self, position: int, judged: "tuple[ComparedDocument, Choice] | None") -> None:
        from appliance.comparison.view import open_comparison

        saved = ""
        try:
            with open_comparison(self.stillroom.settings, self._comparison_id) as view:
                if judged is not None:
                    view.store(judged[0].path, judged[1], self._side)
                    saved = f"saved: {judged[1].value} for {judged[0].name}"
                self.post_message(self.Read(read_differing(view, self._side, position), saved=saved))
        except READING_ERRORS as error:
            self.post_message(self.Read(None, problem_of(error)))

    def on_differing_screen_read(self, message: "DifferingScreen.Read") -> None:
        """Shows the document."""
        self._busy = False
        if message.saved:
            self.show_message(message.saved)
        if message.document is None:
            self._show_problem(message.problem)
            return
        before, self._current = self._current, message.document
        current = self._current
        self._position = current.position
        self._show_head(current)
        table = self.query_one(Table)
        keep = before is not None and before.document.path == current.document.path
        table.show(
            ListedRows([current.cells(name) for name in current.names]),
            position=None if keep else current.first_differing,
        )
        if not keep:
            self.query_one(TextPane).show_start(current.text, "The comparison holds no text of this document.")
        self._mark()
        self._show_place()

    def _show_head(self, current: DifferingDocument) -> None:
        head = wrap_line(current.head(), max(20, self.app.size.width - 2))[:2]
        self.set_height("head", len(head))
        self.bar("head").show(head)

    def lay_out(self) -> None:
        """Wraps what is known of the document and of the chosen field."""
        if self._current is not None:
            self._show_head(self._current)
            self._mark()

    def _show_problem(self, problem: Problem | None) -> None:
        """Says it in passing where a document is in sight, else in its place."""
        problem = problem or Problem("The models no longer differ on any document.")
        if self._current is not None:
            self._position = self._current.position
            self.show_message(problem.sentence)
        else:
            self.query_one(Table).show(ListedRows(), [[Cell(problem.message, BAD)], [Cell(problem.hint)]])

    def _show_place(self) -> None:
        """Shows which document it is, and which lines of its text are in sight."""
        if current := self._current:
            places = (f"{current.position + 1:,} of {current.count:,}", self.query_one(TextPane).place)
            self.show_keys("   ".join(filter(None, places)))

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self._show_place()

    def on_table_moved(self) -> None:
        """Marks the values of the chosen field in the text."""
        self._mark()

    def _mark(self) -> None:
        current = self._current
        if current is None or not current.names:
            return
        name = current.names[min(self.query_one(Table).position, len(current.names) - 1)]
        text = (current.text or "")[:MOST_CHARACTERS]
        spans = [span for value in (current.value(0, name), current.value(1, name)) for span in _spans(value, text)]
        self.query_one(TextPane).mark(spans)
        cells = [Cell(f"{name}: ", STRONG), Cell("A ", FAINT), Cell(value_text(current.value(0, name)))]
        cells += [Cell("   B ", FAINT), Cell(value_text(current.value(1, name)))]
        lines = wrap_line(cells, max(20, self.app.size.width - 2))[: _FACT_LINES - 1]
        document = current.document.name
        words = [self._comparison_id, *(["--"] if document.startswith("-") else []), document, "CHOICE"]
        side = f"--side {self._side} " if self._side > 1 else ""
        self.show_facts([*lines, []][: _FACT_LINES - 1], f"stillroom comparisons judge {side}{shell_words(words)}")

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done yet."""
        if self._current is None:
            return dict.fromkeys([*_CHOICES, "[", "]"], "the document is being read")
        return {"Tab": "the comparison holds no text of this document"} if self._current.text is None else {}

    def action_judge(self, key: str) -> None:
        """Saves the judgement, and goes to the next document."""
        from appliance.quality.judgements import Choice

        if self.refuses(key) or self._busy or self._current is None:
            return
        self._position = min(self._position + 1, self._current.count - 1)
        self._read((self._current.document, Choice(_CHOICES[key])))

    def action_step(self, documents: int) -> None:
        """Goes to the document before or after this one."""
        if self.refuses("[" if documents < 0 else "]") or self._current is None:
            return
        position = self._position + documents
        if not 0 <= position < self._current.count:
            self.show_message("no further document differs")
            return
        self._position = position
        self._read()

    def named_keys(self) -> list[tuple[str, str]]:
        """Tab names the part to which the keys would go."""
        in_text = self.query_one(TextPane).has_focus
        return [(key, "Fields" if key == "Tab" and in_text else name) for key, name in super().named_keys()]

    def action_turn(self) -> None:
        """The keys go to the other part."""
        if not self.refuses("Tab"):
            table, pane = self.query_one(Table), self.query_one(TextPane)
            self.set_focus(table if pane.has_focus else pane)
            self.show_keys()


def _spans(value: Value, text: str) -> list[tuple[int, int]]:
    first = value[0] if isinstance(value, list) and value else value
    return evidence_spans(value, find(first, text), text) if isinstance(first, str) else []
