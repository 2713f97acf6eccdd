"""One comparison: who is right more often, at what speed and price, each with interval and sample size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget

from appliance.ground.text import human_count
from appliance.jobs.states import State
from tui.data.problems import READING_ERRORS, problem_of
from tui.data.snapshot import Snapshot
from tui.data.state_readers import AT_WORK
from tui.frames.frame import Frame
from tui.text.cells import BAD, FAINT, PLAIN, STRONG, Cell, Line, fit, state_cell
from tui.widgets.line_view import LineView

if TYPE_CHECKING:
    from appliance.comparison.figures import ComparisonFigures, PairFigures, SideFigures
    from appliance.comparison.view import ComparisonState

_LABEL_CELLS = 16
_GAP = 1


class ComparisonScreen(Frame):
    """The totals of a comparison."""

    TAB = "Compare"
    HELP_LINES = (
        "The totals of one comparison: A is what the others are compared with. Every number stands with its 95 %"
        " interval; n is the number that it rests on. The verdict uses labelled rows where there are some, else"
        " what people judged of the documents that differ.",
        "Latency is the time in the engine, or until the frontier answered. Reasoning tokens are counted separately.",
    )
    KEYS = (
        ("Enter", "Documents that differ", "side by side, and who is right"),
        ("s", "Other side", "compare A with the next side, where there are more than two"),
        ("Esc", "Back", ""),
    )
    BINDINGS = [  # noqa: RUF012 - the form that Textual asks for
        Binding("enter", "differing", show=False),
        Binding("s", "side", show=False),
    ]

    class Computed(Message):
        """The figures are here, or the reason why not."""

        def __init__(
            self,
            basis: object,
            state: "ComparisonState | None" = None,
            sides: Sequence[str] = (),
            figures: "ComparisonFigures | None" = None,
            problem: str = "",
        ) -> None:
            super().__init__()
            self.basis, self.state, self.sides, self.figures, self.problem = basis, state, sides, figures, problem

    def __init__(self, identifier: str) -> None:
        super().__init__()
        self._comparison_id = identifier
        self._pair = 0
        self._basis: object = None
        self._computing = False
        self._last: ComparisonScreen.Computed | None = None

    def body(self) -> Widget:
        """The totals."""
        return LineView(indent=_LABEL_CELLS + _GAP)

    def on_mount(self) -> None:
        """Starts computing."""
        self.show_command(f"stillroom comparisons show {self._comparison_id}")
        self.query_one(LineView).show([[Cell("Computing ...", FAINT)]])
        self._compute()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Computes anew where an answer or a judgement was added."""
        if snapshot.seconds:
            self._compute()

    def _compute(self) -> None:
        if not self._computing:
            self._computing = True
            self.run_worker(self._work, thread=True, group="figures")

    def _work(self) -> None:
        from appliance.comparison.view import open_comparison

        try:
            with open_comparison(self.stillroom.settings, self._comparison_id) as view:
                state = view.state()
                basis = (state, [len(view.judgements(side)) for side in range(1, len(view.sides))])
                # Figures cost a second for ten thousand documents: not while answers still come every moment.
                due = basis != self._basis and (state.state is not State.RUNNING or self._last is None)
                figures = view.figures() if due and all(state.answered) else None
                sides = view.sides
            self.post_message(self.Computed(basis, state, sides, figures))
        except READING_ERRORS as error:
            self.post_message(self.Computed(None, problem=problem_of(error).message))

    def on_comparison_screen_computed(self, message: "ComparisonScreen.Computed") -> None:
        """Shows the totals."""
        self._computing = False
        if message.basis is not None and message.basis == self._basis:
            return
        figures = message.figures or (self._last.figures if self._last else None)
        self._basis = message.basis
        self._last = self.Computed(message.basis, message.state, message.sides, figures, message.problem)
        self._show()

    def _show(self) -> None:
        last = self._last
        if last is None:
            return
        if last.state is None:
            self.query_one(LineView).show([[Cell(last.problem, BAD)]])
        else:
            lines = _state_lines(last.state, last.sides)
            if last.figures is not None:
                lines += total_lines(last.figures, self._pair, max(40, self.app.size.width - 3))
            self.query_one(LineView).show(lines)
        self.show_keys()

    def lay_out(self) -> None:
        """Lays the totals out for the present width."""
        super().lay_out()
        self._show()

    def disabled_keys(self) -> dict[str, str]:
        """What cannot be done yet."""
        figures = self._last.figures if self._last else None
        reasons = {}
        if figures is None:
            reasons["Enter"] = "not every side has answered yet"
        elif not figures.pairs[self._pair].differing:
            reasons["Enter"] = "the models answer all documents alike"
        if figures is None or len(figures.pairs) < 2:
            reasons["s"] = "there are only two sides"
        return reasons

    def action_side(self) -> None:
        """Compares with the next side."""
        if not self.refuses("s") and self._last and self._last.figures:
            self._pair = (self._pair + 1) % len(self._last.figures.pairs)
            self._show()

    def action_differing(self) -> None:
        """Opens the documents that differ."""
        from tui.screens.differing import DifferingScreen

        if not self.refuses("Enter"):
            self.app.push_screen(DifferingScreen(self._comparison_id, self._pair + 1))

    def on_wrapped_scroll_scrolled(self) -> None:
        """Shows which lines are in sight."""
        self.show_keys(self.query_one(LineView).place)


def _state_lines(state: "ComparisonState", sides: Sequence[str]) -> list[Line]:
    """How far a comparison is that is not done."""
    if state.state is State.DONE:
        return []
    lines: list[Line] = [
        [state_cell(state.state), Cell(f"   {min(state.answered):,} of {state.documents:,} documents answered by all")]
    ]
    for number, (name, count) in enumerate(zip(sides, state.answered, strict=True)):
        lines.append(_row(f"{chr(ord('A') + number)} answered", f"{count:,}   {name}"))
    if state.message:
        lines.append([Cell(state.message, BAD)])
    if state.state not in AT_WORK:
        lines.append([Cell("`r` in the list of comparisons resumes it.")])
    return [*lines, []]


def total_lines(figures: "ComparisonFigures", pair_number: int, width: int) -> list[Line]:
    """The verdict, then a table of both sides, then how they agree."""
    from appliance.comparison.render_text import points, share

    pair = figures.pairs[pair_number]
    sides = (figures.sides[0], figures.sides[pair_number + 1])
    lines: list[Line] = [[_row("verdict", "")[0], Cell(pair.verdict, STRONG)], []]
    lines += _table(sides, width)
    lines += [[], *_agreement(pair)]
    right = pair.right
    if right.difference is not None:
        fields, judged = human_count(right.difference.n, "field"), human_count(right.judged, "judged document")
        basis = fields if right.basis == "gold" else judged
        lines.append(_row("A minus B", f"{points(right.difference)}, {basis}"))
    if right.document_difference is not None:
        p = f", exact McNemar p {right.p:.2g}" if right.p is not None else ""
        lines.append(_row("of documents", f"{points(right.document_difference)}, n {right.document_difference.n:,}{p}"))
    if len(pair.fields) > 1:
        lines += [[], [Cell("Fields, the same in both:", STRONG)]]
        lines += [_row(field.name, f"{share(field.agreement)}, n {field.agreement.n:,}") for field in pair.fields]
    if figures.unreadable:
        lines.append(_row("not readable", f"{human_count(figures.unreadable, 'document')}, left out above"))
    return lines


def _row(label: str, text: str, style: Style = PLAIN) -> Line:
    return [Cell(fit(label, _LABEL_CELLS) + " " * _GAP, FAINT), Cell(text, style)]


def _agreement(pair: "PairFigures") -> list[Line]:
    from appliance.comparison.render_text import share

    differ = f"{pair.differing:,} differ"
    return [
        _row("same answer", f"{share(pair.agreement)}, n {pair.agreement.n:,}; {differ}"),
        _row("same fields", f"{share(pair.field_agreement)}, n {pair.field_agreement.n:,}"),
    ]


@dataclass(frozen=True)
class Measure:
    """One row of the table of both sides."""

    label: str
    texts: tuple[str, str]
    count: str = ""
    """The number that both rest on."""


def _table(sides: "tuple[SideFigures, SideFigures]", width: int) -> list[Line]:
    measures = [_answered(sides), *_measures(sides)]
    count = max(cell_len(measure.count) for measure in measures)
    column = (width - _LABEL_CELLS - count - 3 * _GAP) // 2
    names = [fit(f"{letter} {side.name}", column).rstrip() for letter, side in zip("AB", sides, strict=True)]
    lines: list[Line] = [_row("", fit(names[0], column + _GAP) + names[1], STRONG)]
    for measure in measures:
        first, second = measure.texts
        if max(cell_len(first), cell_len(second)) <= column:
            cells = fit(first, column + _GAP) + fit(second, column + _GAP)
            lines.append([*_row(measure.label, cells), Cell(measure.count, FAINT)])
            continue
        # An interval is never cut: where both do not fit beside each other, the second one stands below.
        lines.append([*_row(measure.label, fit(first, 2 * (column + _GAP))), Cell(measure.count, FAINT)])
        room = width - _LABEL_CELLS - _GAP
        lines.append(_row("", " " * max(0, min(column + _GAP, room - cell_len(second))) + second))
    for side, letter in zip(sides, "AB", strict=True):
        if side.failed:
            reasons = ", ".join(f"{count:,} {name}" for name, count in side.failed.items())
            lines.append(_row(f"{letter} failed", reasons))
    return lines


def _answered(sides: "tuple[SideFigures, SideFigures]") -> Measure:
    first, second = (f"{side.answered:,} of {side.answered + sum(side.failed.values()):,}" for side in sides)
    return Measure("answered", (first, second))


def _measures(sides: "tuple[SideFigures, SideFigures]") -> list[Measure]:
    """What was measured of at least one side."""
    from appliance.comparison.render_text import SIDE_FIGURES

    measures = []
    for row in SIDE_FIGURES:
        figures = [row.figure_of(side) for side in sides]
        if any(figure is not None for figure in figures):
            first, second = (
                row.text_of(figure, side.currency) if figure is not None else "-"
                for figure, side in zip(figures, sides, strict=True)
            )
            counts = [f"{figure.n:,}" for figure in figures if figure is not None]
            measures.append(Measure(row.short_label, (first, second), "n " + "/".join(dict.fromkeys(counts))))
    return measures
