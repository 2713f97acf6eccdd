"""One answer of the answers to the windows of a document, in the order of its text.

A label is the one with the most confidence over the whole length. A field with one value takes the one that stands in
its window with the highest confidence, of equal ones the first; without any it is null, as sure as the least sure
window. A list has the entries of all windows, each once. Records are those of all windows; one that stands where two
windows overlap is taken from the window that has more of the text around it, so that none is lost and none comes twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.engines.engine import Result
from appliance.tasks.linecode import Answer, Record, Value, is_records
from appliance.tasks.spans import placed_records
from appliance.tasks.task import Field, Task, TaskKind
from appliance.tasks.values import evidence, plain, value_texts


@dataclass(frozen=True)
class Window:
    """A part of a document, with the engine's result."""

    start: int
    end: int
    result: Result


def join(task: Task, text: str, windows: Sequence[Window]) -> Result:
    """One answer of the windows' answers, which come in the order of the text; the key is left to the caller."""
    if task.kind is TaskKind.CLASSIFY and not task.multi_label:
        return _most_voted(task.output_fields[0], windows)
    answer: Answer = {}
    confidence: dict[str, float] = {}
    window_starts: dict[str, int] = {}
    for field_ in task.output_fields:
        values = [(window, (window.result.answer or {}).get(field_.name)) for window in windows]
        valued = [(window, value) for window, value in values if value]
        chosen = [window for window, _ in valued] or list(windows)
        if field_.columns:
            answer[field_.name] = _joined_records(field_, text, windows) or None
        elif field_.is_several and valued:
            answer[field_.name] = _entries(value for _, value in valued)
        elif valued:
            window, answer[field_.name] = max(valued, key=lambda pair: _rank(field_, text, *pair))
            window_starts[field_.name] = window.start
            chosen = [window]
        else:
            answer[field_.name] = None
        shares = [share for window in chosen if (share := window.result.confidence.get(field_.name)) is not None]
        if shares:
            confidence[field_.name] = min(shares)
    return Result("", answer, confidence, window_starts=window_starts)


def _rank(field_: Field, text: str, window: Window, value: Value) -> tuple[bool, float]:
    """What makes a value better; `max` takes the first of equal ones."""
    stands = field_.evidence == "derived" or evidence(field_, value, text[window.start : window.end]) is not None
    return stands, window.result.confidence.get(field_.name, 0.0)


def _entries(values: Iterable[Value]) -> list[str]:
    """The entries of all lists in order, each once, as it is written first."""
    by_form: dict[str, str] = {}
    for value in values:
        for entry in value_texts(value):
            by_form.setdefault(plain(entry), entry)
    return list(by_form.values())


def _joined_records(field_: Field, text: str, windows: Sequence[Window]) -> list[Record]:
    """The records of all windows, each from the window whose part of the text it stands in."""
    # Half of what two neighbours share is the one's, half the other's.
    borders = [(one.end + other.start) // 2 if other.start < one.end else one.end for one, other in pairwise(windows)]
    joined: list[Record] = []
    unplaced: set[tuple[tuple[str, str | None], ...]] = set()
    for window, first, last in zip(windows, [0, *borders], [*borders, len(text) + 1], strict=True):
        value = (window.result.answer or {}).get(field_.name)
        records = value if is_records(value) else []
        for placed in placed_records(field_, records, text[window.start : window.end]):
            key = tuple(placed.record.items())
            if placed.anchor is not None:
                if first <= window.start + placed.anchor < last:
                    joined.append(placed.record)
            elif key not in unplaced:
                unplaced.add(key)
                joined.append(placed.record)
    return joined


def _most_voted(field_: Field, windows: Sequence[Window]) -> Result:
    """The label with the largest mean confidence, longer windows counting more; of equal ones the first."""
    sums: dict[str, float] = {}
    for window in windows:
        label = str((window.result.answer or {})[field_.name])
        share = window.result.confidence.get(field_.name, 0.0)
        sums[label] = sums.get(label, 0.0) + share * (window.end - window.start)
    best = max(sums, key=lambda label: sums[label])
    whole = sum(window.end - window.start for window in windows)
    return Result("", {field_.name: best}, {field_.name: sums[best] / whole})
