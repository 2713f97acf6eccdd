"""Does a value stand where its field's values stand? Finds swapped, dropped and misread values without a model.

Across the rows of a task, the words printed before a value tell which field it belongs to: `due date:` comes before
due dates. A value that stands after the words of another field, or a null beside words that everywhere else have a
value, is a teacher's mistake more often than not. Every judgement leaves the judged row's own words out.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from training.curate.answer_checks import Findings

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task

Label = tuple[str, ...]
"""Up to four words in lower case; a word with a digit is `0`."""

LONGEST = 4
LEAST_ROWS = 3
"""Rows that must have shown a label before it says anything."""
OWNER = 0.8
"""Share of a label's values that must belong to one field before a value of another one there is a mistake."""
SUPPORT = 0.25
"""Share above which a label is an ordinary place for the field."""
MOST_SLIPS = 2
"""Fields of one row that a teacher misplaces at most."""
ANSWERED = 0.75
"""Share of the rows with a label in which its field has the value there, before a null is a mistake."""

_WORD = re.compile(r"\w+")
_NOTHING = re.compile(r"[\W_]*(n/?a|none|nil|unknown|not (given|known|stated|available))?[\W_]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Places:
    """Where a row prints things."""

    before: dict[str, list[list[Label]]]
    """Field -> for each occurrence of its value the labels before it, longest first."""
    printed: frozenset[Label]
    """Labels anywhere in the text that something follows."""


@dataclass
class Statistics:
    """Counts over the rows of a task."""

    rows_of: dict[Label, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Label -> field -> rows in which a value of the field stands after it."""
    printed: Counter[Label] = field(default_factory=Counter)
    """Label -> rows in which it is printed and something follows."""


def _words(text: str) -> list[str]:
    return ["0" if any(c.isdigit() for c in word) else word for word in _WORD.findall(text.lower())]


def _suffixes(words: list[str]) -> list[Label]:
    """The last words, longest run first; a run that begins with a number is no label."""
    tails = [tuple(words[-length:]) for length in range(min(LONGEST, len(words)), 0, -1)]
    return [tail for tail in tails if tail[0] != "0"]


def labels_before(text: str, offset: int) -> list[Label]:
    """The words before a place: on its line, or the line above where nothing stands before it."""
    start = text.rfind("\n", 0, offset) + 1
    words = _words(text[start:offset])
    if not words:
        above = text[:start].rstrip()
        words = _words(above[above.rfind("\n") + 1 :])
    return _suffixes(words)


def occurrences(text: str, value: str) -> Iterator[int]:
    """Where a value stands, whatever its case and blanks, not inside a longer word."""
    pattern = r"\s+".join(re.escape(word) for word in value.split())
    for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE):
        yield match.start()


def _printed_labels(text: str) -> frozenset[Label]:
    """Every run of words within a line that something other than `n/a` follows, there or on the next line."""
    lines = [line for line in text.split("\n") if line.strip()]
    labels: set[Label] = set()
    for number, line in enumerate(lines):
        matches = list(_WORD.finditer(line))
        words = _words(line)
        below = lines[number + 1] if number + 1 < len(lines) else ""
        for end in range(len(words)):
            rest = line[matches[end].end() :]
            follows = rest if rest.strip(" .:\t") else below
            if not _NOTHING.match(follows):
                labels.update(_suffixes(words[: end + 1]))
    return frozenset(labels)


def places_of(task: "Task", row: "LabelledRow") -> Places:
    """Where the row's literal values stand."""
    before: dict[str, list[list[Label]]] = {}
    for output_field in task.output_fields:
        value = row.answer.get(output_field.name)
        if output_field.evidence == "literal" and isinstance(value, str) and value.strip():
            before[output_field.name] = [labels_before(row.text, offset) for offset in occurrences(row.text, value)]
    return Places(before, _printed_labels(row.text))


def _count(statistics: Statistics, places: Places, sign: int) -> None:
    for name, occurrences_labels in places.before.items():
        for label in {label for labels in occurrences_labels for label in labels}:
            statistics.rows_of[label][name] += sign
    for label in places.printed:
        statistics.printed[label] += sign


def misplaced(task: "Task", rows: Sequence["LabelledRow"]) -> Findings:
    """A teacher's rows with a value in another field's place, or with a null where the field's label is printed."""
    names = [output_field.name for output_field in task.output_fields if output_field.evidence == "literal"]
    if len(names) < 2:
        return {}
    all_places = [places_of(task, row) for row in rows]
    statistics = Statistics()
    for places in all_places:
        _count(statistics, places, 1)
    findings: Findings = {}
    for number, (row, places) in enumerate(zip(rows, all_places, strict=True)):
        _count(statistics, places, -1)
        reasons = [reason for name in names if (reason := _judge(statistics, row, places, name))]
        _count(statistics, places, 1)
        # A teacher slips in one field, or swaps two. Where more seem misplaced the page is laid out in another way, in
        # columns perhaps; to drop such pages would leave a student that never saw one.
        # And a person has looked at the page.
        if 0 < len(reasons) <= MOST_SLIPS and row.source == "teacher":
            findings[number] = reasons
    return findings


def _judge(statistics: Statistics, row: "LabelledRow", places: Places, name: str) -> str | None:
    """What is wrong with the field, if anything."""
    if not row.answer.get(name):
        label = _own_label(statistics, places, name)
        return f"place: {name} is null, but {' '.join(label)!r} is printed with a value" if label else None
    if not places.before.get(name):
        return None
    owners = []
    for labels in places.before[name]:
        label = next((label for label in labels if statistics.rows_of[label].total() >= LEAST_ROWS), None)
        if label is None:
            continue
        shares = statistics.rows_of[label]
        if shares[name] / shares.total() >= SUPPORT:
            return None
        owner, count = shares.most_common(1)[0]
        if count / shares.total() >= OWNER:
            owners.append((owner, label))
    if owners:
        return f"place: {name} has the value after {' '.join(owners[0][1])!r}, which belongs to {owners[0][0]}"
    label = _own_label(statistics, places, name)
    return f"place: {name} has a value that does not stand after its label {' '.join(label)!r}" if label else None


def _own_label(statistics: Statistics, places: Places, name: str) -> Label | None:
    """A printed label of the row after which, in other rows, this field's value nearly always stands."""
    for label in sorted(places.printed, key=lambda label: (-len(label), label)):
        shares = statistics.rows_of.get(label)
        if not shares or shares[name] < LEAST_ROWS:
            continue
        if shares[name] >= OWNER * shares.total() and shares[name] >= ANSWERED * statistics.printed[label]:
            return label
    return None
