"""Rows as a decoder reads them: short documents whole, long ones in the windows in which `run` will read them.

A window's answer is what stands in it. A value that lies across the edge of two windows stands in neither of them,
unless they overlap; a value that stands in several windows is the answer of each, as any of them may give it when the
windows' answers are made one. What a document says without printing it cannot be placed, so every window says it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from appliance.engines.answer_room import longest_answer_room
from appliance.engines.windows import Span, WindowRules, can_window, windows_of
from appliance.tasks.labels import text_hash
from appliance.tasks.prompt import document_segments, join_ids, prefix_segments
from appliance.tasks.window_answer import PlacedAnswer

if TYPE_CHECKING:
    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.linecode import Value
    from appliance.tasks.task import Task

EMPTY_WINDOWS = 2.0
"""Windows without any value that are trained for each window with one, at most. A guess: no other ratio was tried."""


@dataclass(frozen=True)
class WindowFacts:
    """What became of a split's long documents."""

    documents: int = 0
    """Read in windows."""
    windows: int = 0
    """Of these documents, with those that are left out."""
    empty: int = 0
    """Windows in which no value stands."""
    empty_left_out: int = 0
    unread: int = 0
    """Documents left out: not even a window of them leaves room for an answer, or they have too many."""
    values: int = 0
    """Of the documents that are read in windows."""
    values_in_no_window: int = 0
    """Of these: values that no window holds whole."""

    @property
    def record(self) -> dict[str, int]:
        """For the run's files."""
        return asdict(self)


@dataclass(frozen=True)
class RowsAsRead:
    """A split's rows, each a whole document or a window of one."""

    rows: list["LabelledRow"]
    """Whole documents first."""
    whole: int
    """Rows that are whole documents."""
    windows: WindowFacts


@dataclass(frozen=True)
class _Measure:
    """Counts tokens of prompts and right answers."""

    task: "Task"
    tokenizer: "FileTokenizer"
    longest_example: Callable[["LabelledRow"], int]
    """Tokens of a row's prompt with its longest right answer."""
    context_length: int

    def document_tokens(self, text: str) -> int:
        template = self.tokenizer.template
        return len(join_ids(document_segments(text, template), self.tokenizer.encode))

    def prompt_tokens(self, text: str) -> int:
        prefix = prefix_segments(self.task.prompt_spec(), self.tokenizer.template)
        return len(join_ids(prefix, self.tokenizer.encode)) + self.document_tokens(text)

    def is_too_long(self, row: "LabelledRow") -> bool:
        """Whether an engine refuses the text, or the right answer leaves the context."""
        limit = self.task.input.max_tokens
        if limit and self.document_tokens(row.text) > limit:
            return True
        return self.longest_example(row) > self.context_length


def as_read(
    task: "Task",
    rows: Sequence["LabelledRow"],
    tokenizer: "FileTokenizer",
    longest_example: Callable[["LabelledRow"], int],
    context_length: int,
) -> RowsAsRead:
    """The rows as `run` reads their documents; of the windows without a value only some, chosen by their text.

    Args:
        longest_example: Tokens of a row's prompt with its longest right answer.
        context_length: Of the engines that will read the documents.
    """
    if not can_window(task):
        return RowsAsRead(list(rows), len(rows), WindowFacts())
    measure = _Measure(task, tokenizer, longest_example, context_length)
    whole: list[LabelledRow] = []
    windows: list[LabelledRow] = []
    documents = unread = values = lost = 0
    for row in rows:
        if not measure.is_too_long(row):
            whole.append(row)
            continue
        parts = _window_rows(measure, row)
        if parts is None:
            unread += 1
            continue
        documents += 1
        windows += parts
        in_row, in_no_window = _placed(task, row, parts)
        values, lost = values + in_row, lost + in_no_window
    kept, empty = _balanced(windows, documents)
    facts = WindowFacts(documents, len(windows), empty, len(windows) - len(kept), unread, values, lost)
    return RowsAsRead([*whole, *kept], len(whole), facts)


def _window_rows(measure: _Measure, row: "LabelledRow") -> "list[LabelledRow] | None":
    room = longest_answer_room(measure.task, measure.tokenizer, measure.context_length)
    rules = WindowRules(measure.task, measure.context_length, room)
    placed = PlacedAnswer(measure.task, row.answer, row.text)

    def window(span: Span) -> "LabelledRow":
        text = row.text[span[0] : span[1]]
        # The working leads to the answer about the whole.
        return replace(row, text=text, answer=placed.within(*span), working="")

    spans = windows_of(row.text, rules, measure.prompt_tokens(row.text), lambda span: measure.is_too_long(window(span)))
    return None if spans is None else [window(span) for span in spans]


def _placed(task: "Task", row: "LabelledRow", windows: Sequence["LabelledRow"]) -> tuple[int, int]:
    """How many values a document has, entries of lists counted apart, and how many of them stand in no window."""
    values = lost = 0
    for field in task.output_fields:
        entries = _entries(row.answer.get(field.name))
        held = {entry for window in windows for entry in _entries(window.answer.get(field.name))}
        values, lost = values + len(entries), lost + sum(entry not in held for entry in entries)
    return values, lost


def _entries(value: "Value") -> list[str]:
    return [value] if isinstance(value, str) else [str(entry) for entry in value or []]


def _balanced(windows: "list[LabelledRow]", documents: int) -> "tuple[list[LabelledRow], int]":
    """The windows without some of those that hold no value, and how many of these there were.

    Most windows of a long document are such; with all of them a student spends its time on learning to say nothing.
    """
    empty = [number for number, window in enumerate(windows) if not any(window.answer.values())]
    most = max(documents, int(EMPTY_WINDOWS * (len(windows) - len(empty))))
    by_text = sorted(empty, key=lambda number: (text_hash(windows[number].text), number))
    left_out = set(by_text[most:])
    return [window for number, window in enumerate(windows) if number not in left_out], len(empty)
