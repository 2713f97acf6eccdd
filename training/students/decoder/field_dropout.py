"""Documents from which values were taken out: they teach a student to leave a field empty.

Most documents of a task say most of its fields, so a teacher's answers hold few empty ones, and in a loss per token an
empty line weighs one token while a value weighs six. A student taught by these alone learns that there always is a
value, and takes the nearest thing that looks like one. Here the lines that print a value are cut out of the document
and the value out of the answer. What is then right needs no teacher: a literal value that is not printed is null.

Of a long document's windows nothing is taken: most of their fields are empty as it is.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from appliance.tasks.linecode import is_records
from appliance.tasks.spans import placed_records
from appliance.tasks.values import find, printed_texts, value_texts
from training.students.decoder.examples import TokenExample, build_examples

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.linecode import Value
    from appliance.tasks.prompt import PromptTemplate
    from appliance.tasks.task import Field, Task

MOST_TAKEN = 3
"""Values that are taken out of one document at most; how many is drawn evenly from one on."""


@dataclass(frozen=True)
class EmptiedRows:
    """Rows with values taken out, drawn anew for each epoch: those of whole documents, which are the first ones."""

    task: "Task"
    rows: Sequence["LabelledRow"]
    template: "PromptTemplate"
    encode: Callable[[str, bool], list[int]]

    def example(self, number: int, rng: random.Random) -> TokenExample | None:
        """The row of this number with some values taken out, never longer than it was; None where none can be."""
        row = without_some(self.task, self.rows[number], rng)
        return build_examples(self.task, [row], self.template, self.encode)[0] if row else None


def without_some(task: "Task", row: "LabelledRow", rng: random.Random) -> "LabelledRow | None":
    """The row without one to `MOST_TAKEN` of its values; None where no value can be taken out."""
    names = [field.name for field in task.output_fields if is_removable(field) and row.answer.get(field.name)]
    rng.shuffle(names)
    count, taken = rng.randint(1, MOST_TAKEN), 0
    for name in names:
        cut = without_value(task, row, name) or without_record(task, row, name, rng)
        if cut is not None:
            row, taken = cut, taken + 1
        if taken == count:
            break
    return row if taken else None


def is_removable(field: "Field") -> bool:
    """Whether null follows where the field's value is not printed."""
    return field.evidence == "literal" and (bool(field.columns) or not field.required)


def without_record(task: "Task", row: "LabelledRow", name: str, rng: random.Random) -> "LabelledRow | None":
    """The row without one of its records, and without the line that prints it.

    Of a sentence or an address nothing is taken: what is left would be none, and teach a student to read such as these.

    Returns:
        None where the field has fewer than two records, or the one that is drawn has no line of its own.
    """
    field = next(each for each in task.output_fields if each.name == name)
    records = row.answer.get(name)
    if not is_records(records) or len(records) < 2:
        return None
    placed = list(placed_records(field, records, row.text))
    number = rng.randrange(len(records))
    spans = [span for span in placed[number].cells.values() if span is not None]
    if not spans or len(spans) < len(placed[number].cells):
        return None
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    first, last = row.text.rfind("\n", 0, start) + 1, row.text.find("\n", end)
    last = len(row.text) if last < 0 else last + 1
    others = [span for each in placed if each is not placed[number] for span in each.cells.values() if span is not None]
    is_alone = all(span[1] <= first or span[0] >= last for span in others)
    if not is_alone or "\n" in row.text[start:end]:
        return None
    text = (row.text[:first] + row.text[last:]).removesuffix("\n" if last == len(row.text) else "")
    left = [*records[:number], *records[number + 1 :]]
    kept = [part for each in _literal(task) if each != name for part in _parts(row.answer.get(each))]
    if not text.strip() or any(find(part, text) is None for part in (*kept, *printed_texts(field, left))):
        return None
    return replace(row, text=text, answer={**row.answer, name: left}, working="")


def without_value(task: "Task", row: "LabelledRow", name: str) -> "LabelledRow | None":
    """The row with every line that prints the value of this field cut out, and null as its answer.

    A value that has a line of its own stands below its label, as a rule, so the line above goes with it where it says
    nothing of another field.

    Returns:
        None where the value stands on no line as a whole, or shares its lines with the value of another field.
    """
    value = row.answer.get(name)
    if not isinstance(value, str):
        return None
    lines = row.text.split("\n")
    printing = {number for number, line in enumerate(lines) if find(value, line) is not None}
    alone = {number for number in printing if number and len(lines[number].split()) == len(value.split())}
    above = {number - 1 for number in alone if not any(char.isdigit() for char in lines[number - 1])}
    others = [part for other in _literal(task) if other != name for part in _parts(row.answer.get(other))]
    for cut in (printing | above, printing):
        text = "\n".join(line for number, line in enumerate(lines) if number not in cut)
        cut_text = "\n".join(lines[number] for number in sorted(cut))
        shared = any(find(part, cut_text) is not None or find(part, text) is None for part in others)
        if cut and text.strip() and find(value, text) is None and not shared:
            # The working may speak of what is gone.
            return replace(row, text=text, answer={**row.answer, name: None}, working="")
    return None


def _literal(task: "Task") -> list[str]:
    return [field.name for field in task.output_fields if field.evidence == "literal"]


def _parts(value: "Value") -> list[str]:
    """A value's texts: the entries of a list, the cells of records, or itself."""
    return [part for part in value_texts(value) if part.strip()]
