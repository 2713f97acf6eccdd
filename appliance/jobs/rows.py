"""The row: what one document came to. Its JSON Schema is published as `docs/row.schema.json`."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.ground.json_text import json_text
from appliance.tasks.answer_json import flat_values, nested_values
from appliance.tasks.linecode import Answer
from appliance.tasks.marks import Mark
from appliance.tasks.spans import FieldSpans

ROW_VERSION = 3
"""1 has no normalised values and no marks, 2 no spans, no reasons, no records and no objects."""
ROW_COLUMNS = (
    "document", "sha256", "route", "model", "unsafe", "prompt_tokens", "completion_tokens", "reasoning_tokens",
    "seconds", "error", "error_message", "reasons", "escalated", "former_document", "version",
)  # fmt: skip
"""A row's own attributes, which are columns of their own in a table; Parquet has the fields' columns after `model`."""


UNSURE = "unsure"
"""Error class, and beginning of the reason, of rows with a field that the model was not sure enough of."""


class Route(StrEnum):
    """Who answered."""

    LOCAL = "local"
    FRONTIER = "frontier"
    REVIEW = "review"
    """A person must look: the answer does not fit the task."""
    FAILED = "failed"
    """Nobody: `error` says why."""
    PERSON = "person"
    """A person corrected an answer that did not fit the task; only in exports with corrections."""


@dataclass(frozen=True)
class Row:
    """One document's result: an answer, or a named failure."""

    document: str
    """Path in the folder, as `document_name` writes it."""
    sha256: str | None
    """Of the file's bytes; null where they could not be read."""
    route: Route
    model: str
    """Model identity."""
    fields: Answer | None = None
    confidence: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, int | None] = field(default_factory=dict)
    """Offset of each value in the document's text, in characters; null where it is not there word for word."""
    spans: dict[str, FieldSpans] = field(default_factory=dict)
    """Where the texts of each value stand: start and end in the document's text, in characters, as it is written there,
    with the line ends and blanks that the value does not have; null for one that is not there word for word. One for a
    value, one for each entry of a list, for each record an object of its columns."""
    normalised: Answer = field(default_factory=dict)
    """Dates as ISO 8601, numbers with a dot for decimals, texts without unseen characters; null where a value does not
    say it for certain."""
    marks: dict[str, list[str]] = field(default_factory=dict)
    """What rests on a rule or could not be read, as `appliance.tasks.marks` names it; only fields that have a mark."""
    unsafe: bool = False
    """The model was used although no gate found it READY."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    """Time in the engine."""
    error: str | None = None
    """Error class, such as `unreadable` or `too_long`."""
    error_message: str = ""
    reasons: list[str] = field(default_factory=list)
    """Why a person must look: `required`, `form`, `pattern` or `rule`, a colon, and the name of field or rule."""
    escalated: list[str] = field(default_factory=list)
    """Fields whose value the fallback gave."""
    former_document: str | None = None
    """The name that the same file had before, as `document` spells it; null where it was not renamed."""
    working: str = ""
    """What the model wrote before its answer, where it was asked to be kept."""
    version: int = ROW_VERSION

    def to_json(self) -> str:
        """The row as one line of JSON, keys in the order of this class."""
        return json_text(self.record(), compact=True)

    def record(self) -> dict[str, object]:
        """The row's values by name, in the order of this class, as they are written."""
        # Not `asdict`, which copies all values: this is done twice for every document.
        values: dict[str, object] = vars(self)
        if any("." in name for name in self.fields or ()):
            values = {
                **values,
                "fields": nested_values(self.fields or {}),
                "normalised": nested_values(self.normalised),
            }
        if self.working:
            return values
        # Most rows are not asked to keep it, and their form stays as it is.
        return {name: value for name, value in values.items() if name != "working"}


_ROW_DECODER = json.JSONDecoder(parse_constant=lambda name: None)


def row_from_json(text: str) -> Row:
    """The inverse of `Row.to_json`; a confidence that is no number, as earlier versions wrote it, is left out."""
    values = _ROW_DECODER.decode(text)
    if None in values["confidence"].values():
        values["confidence"] = {name: share for name, share in values["confidence"].items() if share is not None}
    answers = {key: flat_values(values[key]) for key in ("fields", "normalised") if values.get(key)}
    return Row(**{**values, **answers, "route": Route(values["route"]), "version": ROW_VERSION})


def column_name(field_name: str) -> str:
    """The column of a field's values in CSV and Parquet; one that is called like a column of the row steps aside."""
    return f"field {field_name}" if field_name in (*ROW_COLUMNS, "marks") else field_name


_COUNT = {"type": "integer", "minimum": 0}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_DEFINITIONS: dict[str, object] = {
    "value": {
        "description": "A text, a list of texts, records by column, an object of values, or null",
        "anyOf": [
            {"type": ["string", "null"]},
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "object", "additionalProperties": _TEXT_OR_NULL}},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}},
        ],
    },
    "span": {"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
}
_SCHEMA_OF_ANSWER: dict[str, object] = {
    "fields": {
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/value"},
        "description": "The answer; null where there is none",
    },
    "confidence": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
    "evidence": {
        "type": "object",
        "additionalProperties": {"type": ["integer", "null"], "minimum": 0},
        "description": "Offset of each value in the text, in characters; null where it is not there word for word",
    },
    "spans": {
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"$ref": "#/$defs/span"},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/span"}},
                ]
            },
        },
        "description": "Start and end of each value in the text, in characters; of each entry of a list, and of each"
        " cell of records; empty in rows of former versions",
    },
    "normalised": {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/value"},
        "description": "Dates as ISO 8601, numbers with a dot for their decimals, texts without unseen characters; null"
        " where a value does not say it for certain; empty in rows of former versions",
    },
    "marks": {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"enum": [mark.value for mark in Mark]}},
        "description": "Fields whose normalised value rests on a rule, or that could not be read, and why",
    },
}
_SCHEMA_OF_ENGINE: dict[str, object] = {
    "unsafe": {
        "type": "boolean",
        "description": "The model was used although no gate found it READY on processors and libraries like these",
    },
    "prompt_tokens": _COUNT,
    "completion_tokens": _COUNT,
    "reasoning_tokens": _COUNT,
    "seconds": {"type": "number", "minimum": 0, "description": "Time in the engine"},
}


_SCHEMA_OF_CORRECTIONS: dict[str, object] = {
    "type": "object",
    "description": "Only in `jobs export --corrected`: field -> the model's value, a person's, who that is and when",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "answered": {"$ref": "#/$defs/value"},
            "corrected": {"$ref": "#/$defs/value"},
            "user": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
        },
        "required": ["answered", "corrected", "user", "time"],
        "additionalProperties": False,
    },
}


def row_schema() -> dict[str, object]:
    """JSON Schema of a row."""
    properties: dict[str, object] = {
        "document": {
            "type": "string",
            "description": "Path of the document in the folder; bytes that are not UTF-8 as \\xNN, and a backslash that"
            " would look like the beginning of one as \\x5c",
        },
        "sha256": {
            **_TEXT_OR_NULL,
            "pattern": "^[0-9a-f]{64}$",
            "description": "Hash of the file; null where unreadable",
        },
        "route": {"enum": [route.value for route in Route], "description": "Who answered"},
        "model": {"type": "string", "description": "Model identity"},
        **_SCHEMA_OF_ANSWER,
        **_SCHEMA_OF_ENGINE,
        "error": {
            **_TEXT_OR_NULL,
            "description": "Error class; null where the document has an answer, `missing` where it left unread",
        },
        "error_message": {"type": "string"},
        "reasons": {
            "type": "array",
            "items": {"type": "string", "pattern": "^(form|required|pattern|rule|unsure):."},
            "description": "Why a person must look; empty in rows of former versions",
        },
        "escalated": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Fields whose value the fallback gave",
        },
        "former_document": {
            **_TEXT_OR_NULL,
            "description": "Name that the same file had before it was renamed; null where it was not",
        },
        "version": {"const": ROW_VERSION},
    }
    required = list(properties)
    working = "Only in `run --keep-working`: what the model wrote before its answer"
    properties["working"] = {"type": "string", "description": working}
    properties["corrections"] = _SCHEMA_OF_CORRECTIONS
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stillroom row",
        "description": "One document's result",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "$defs": _DEFINITIONS,
    }
