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
from tui.text.evidence_spans import evidence_spans
from tui.text.shell_commands import shell_words
from tui.widgets.table import Column, ListedRows, Table
from tui.widgets.text_pane import MOST_CHARACTERS, TextPane

if TYPE_CHECKING:
    from appliance.comparison.answers import ComparedDocument, SideAnswer
    from appliance.comparison.view import ComparisonView
    from appliance.quality.judgements import Choice, Judgement

_FACT_LINES = 3
_PAGE = 200
_CHOICES = {"a": "A", "b": "B", "o": "both", "n": "neither", "s": "skip"}
"""Key -> what it says."""


@dataclass(frozen=True)
class Seen:
    """One of the documents that differ, with everything that the screen shows of it."""

    position: int
    count: int
    document: "ComparedDocument"
    side: int
    sides: tuple[str, str]
    names: tuple[str, ...]
    """The fields of the task."""
    text: str | None
    said: str
    """What a person said of it before; empty where nobody did."""
    judged: int
    """How many of the documents that differ have a judgement."""

    def answer(self, which: int) -> "SideAnswer | None":
        """The answer of A (0) or B (1)."""
        return self.document.answers[self.side if which else 0]

    def value(self, which: int, name: str) -> Value:
        """What A (0) or B (1) says of a field."""
        given = self.answer(which)
        return (given.answer or {}).get(name) if given else None

    @property
    def first_differing(self) -> int:
        """The row of the first field that differs."""
        return next((n for n, name in enumerate(self.names) if name in self.document.differing), 0)

    def head(self) -> Line:
        """The document, and what was said of it."""
        cells = [Cell(self.document.name, STRONG)]
        for which, letter in enumerate("AB"):
            given = self.answer(which)
            failed = f": {given.error}" if given and given.error else ""
            cells.append(Cell(f"   {letter} {self.sides[which]}"))
            cells.append(Cell(failed, BAD))
        said = f"   judged: {self.said}" if self.said else "   not judged yet"
        return [*cells, Cell(said, FAINT), Cell(f"   {human_count(self.judged, 'judgement')}", FAINT)]

    def cells(self, name: str) -> Line:
        """A field as a row of the table."""
        differs = name in self.document.differing
        style = DOUBTFUL if differs else PLAIN
        gold = value_text(self.document.gold.get(name)) if self.document.gold else "-"
        return (
            Cell(("! " if differs else "  ") + name, style),
            Cell(value_text(self.value(0, name)), style),
            Cell(value_text(self.value(1, name)), style),
            Cell(gold),
        )


def look_at(view: "ComparisonView", side: int, position: int) -> Seen | None:
    """The differing document at a position; at the first one without a judgement where the position is negative."""
    count, judged = view.count_differing(side), view.judged(side)
    if position < 0:
        position = _first_open(view, side, count, judged)
    found = view.differing(min(position, count - 1), 1, side, at_random=True) if count else []
    if not found:
        return None
    document = found[0]
    names = tuple(each.name for each in view.task.output_fields)
    said = judged[document.id].choice.value if document.id in judged else ""
    sides = (view.sides[0], view.sides[side])
    return Seen(position, count, document, side, sides, names, view.text(document.id), said, len(judged))


def _first_open(view: "ComparisonView", side: int, count: int, judged: "dict[int, Judgement]") -> int:
    for start in range(0, count, _PAGE):
        for number, document in enumerate(view.differing(start, _PAGE, side, at_random=True)):
            if document.id not in judged:
                return start + number
    return 0


class DifferingScreen(Frame):
    """One document with both answers side by side."""

    TAB = "Compare"
    HELP_LINES = (
        "One document that the two models answer differently; `!` marks the fields that differ. Say who is right: the"
        " verdict uses it. The documents come in a random order that stays the same, so that the judged ones are a fair"
        " part of all that differ.",
        "The place in the text where the value of the chosen field stands is marked.",
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

        def __init__(self, found: "Seen | None", problem: Problem | None = None, kept: str = "") -> None:
            super().__init__()
            self.found, self.problem, self.kept = found, problem, kept

    def __init__(self, identifier: str, side: int) -> None:
        super().__init__()
        self._comparison_id, self._side = identifier, side
        self._position = -1
        """Which of the differing documents; -1 looks for the first one without a judgement."""
        self._seen: Seen | None = None
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

        kept = ""
        try:
            with open_comparison(self.stillroom.settings, self._comparison_id) as view:
                if judged is not None:
                    view.store(judged[0].id, judged[1], self._side)
                    kept = f"saved: {judged[1].value} for {judged[0].name}"
                self.post_message(self.Read(look_at(view, self._side, position), kept=kept))
        except READING_ERRORS as error:
            self.post_message(self.Read(None, problem_of(error)))

    def on_differing_screen_read(self, message: "DifferingScreen.Read") -> None:
        """Shows the document."""
        self._busy = False
        if message.kept:
            self.show_message(message.kept)
        if message.found is None:
            self._show_problem(message.problem)
            return
        before, self._seen = self._seen, message.found
        seen = self._seen
        self._position = seen.position
        self._show_head(seen)
        table = self.query_one(Table)
        keep = before is not None and before.document.id == seen.document.id
        table.show(
            ListedRows([seen.cells(name) for name in seen.names]), position=None if keep else seen.first_differing
        )
        if not keep:
            self.query_one(TextPane).show_start(seen.text, "The comparison holds no text of this document.")
        self._mark()
        self._show_place()

    def _show_head(self, seen: Seen) -> None:
        head = wrap_line(seen.head(), max(20, self.app.size.width - 2))[:2]
        self.set_height("head", len(head))
        self.bar("head").show(head)

    def lay_out(self) -> None:
        """Wraps what is known of the document and of the chosen field."""
        if self._seen is not None:
            self._show_head(self._seen)
            self._mark()

    def _show_problem(self, problem: Problem | None) -> None:
        """Says it in passing where a document is in sight, else in its place."""
        problem = problem or Problem("There is no document any more that they answer differently.")
        if self._seen is not None:
            self._position = self._seen.position
            self.show_message(": ".join(filter(None, (problem.message, problem.hint))))
        else:
            self.query_one(Table).show(ListedRows(), [[Cell(problem.message, BAD)], [Cell(problem.hint)]])

    def _show_place(self) -> None:
        """Shows which document it is, and which lines of its text are in sight."""
        if seen := self._seen:
            places = (f"{seen.position + 1:,} of {seen.count:,}", self.query_one(TextPane).place)
            self.show_keys("   ".join(filter(None, places)))

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self._show_place()

    def on_table_moved(self) -> None:
        """Marks the values of the chosen field in the text."""
        self._mark()

    def _mark(self) -> None:
        seen = self._seen
        if seen is None or not seen.names:
            return
        name = seen.names[min(self.query_one(Table).position, len(seen.names) - 1)]
        text = (seen.text or "")[:MOST_CHARACTERS]
        spans = [span for value in (seen.value(0, name), seen.value(1, name)) for span in _spans(value, text)]
        self.query_one(TextPane).mark(spans)
        told = [Cell(f"{name}: ", STRONG), Cell("A ", FAINT), Cell(value_text(seen.value(0, name)))]
        told += [Cell("   B ", FAINT), Cell(value_text(seen.value(1, name)))]
        lines = wrap_line(told, max(20, self.app.size.width - 2))[: _FACT_LINES - 1]
        document = seen.document.name
        words = [self._comparison_id, *(["--"] if document.startswith("-") else []), document, "CHOICE"]
        side = f"--side {self._side} " if self._side > 1 else ""
        self.show_facts([*lines, []][: _FACT_LINES - 1], f"stillroom comparisons judge {side}{shell_words(words)}")

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done yet."""
        if self._seen is None:
            return dict.fromkeys([*_CHOICES, "[", "]"], "the document is being read")
        return {"Tab": "the comparison holds no text of this document"} if self._seen.text is None else {}

    def action_judge(self, key: str) -> None:
        """Keeps what the person says, and goes to the next document."""
        from appliance.quality.judgements import Choice

        if self.refuses(key) or self._busy or self._seen is None:
            return
        self._position = min(self._position + 1, self._seen.count - 1)
        self._read((self._seen.document, Choice(_CHOICES[key])))

    def action_step(self, documents: int) -> None:
        """Goes to the document before or after this one."""
        if self.refuses("[" if documents < 0 else "]") or self._seen is None:
            return
        wanted = self._position + documents
        if not 0 <= wanted < self._seen.count:
            self.show_message("there is no further document that differs")
            return
        self._position = wanted
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
