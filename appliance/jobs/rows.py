"""The row: what one document came to. Its JSON Schema is published as `docs/row.schema.json`."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from appliance.tasks.linecode import Answer

ROW_VERSION = 1


class Route(StrEnum):
    """Who answered."""

    LOCAL = "local"
    FRONTIER = "frontier"
    REVIEW = "review"
    """A person must look: the answer does not fit the task."""
    FAILED = "failed"
    """Nobody: `error` says why."""


@dataclass(frozen=True)
class Row:
    """One document's result: an answer, or a named failure."""

    document: str
    """Path in the folder; bytes that are not UTF-8 are written as `\\xNN`."""
    sha256: str | None
    """Of the file's bytes; null where they could not be read."""
    route: Route
    model: str
    """Model identity."""
    fields: Answer | None = None
    confidence: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, int | None] = field(default_factory=dict)
    """Offset of each value in the document's text, in characters; null where it is not there word for word."""
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
    escalated: list[str] = field(default_factory=list)
    """Fields whose value the fallback gave."""
    version: int = ROW_VERSION

    def to_json(self) -> str:
        """The row as one line of JSON, keys in the order of this class."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


def row_from_json(text: str) -> Row:
    """The inverse of `Row.to_json`."""
    values = json.loads(text)
    return Row(**{**values, "route": Route(values["route"])})


def row_schema() -> dict[str, object]:
    """JSON Schema of a row."""
    count = {"type": "integer", "minimum": 0}
    text_or_null = {"type": ["string", "null"]}
    properties: dict[str, object] = {
        "document": {
            "type": "string",
            "description": "Path of the document in the folder; bytes that are not UTF-8 as \\xNN",
        },
        "sha256": {
            **text_or_null,
            "pattern": "^[0-9a-f]{64}$",
            "description": "Hash of the file; null where unreadable",
        },
        "route": {"enum": [route.value for route in Route], "description": "Who answered"},
        "model": {"type": "string", "description": "Model identity"},
        "fields": {
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "array", "null"], "items": {"type": "string"}},
            "description": "The answer; null where there is none",
        },
        "confidence": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
        "evidence": {
            "type": "object",
            "additionalProperties": {"type": ["integer", "null"], "minimum": 0},
            "description": "Offset of each value in the text, in characters; null where it is not there word for word",
        },
        "unsafe": {"type": "boolean", "description": "The model was used although no gate found it READY"},
        "prompt_tokens": count,
        "completion_tokens": count,
        "reasoning_tokens": count,
        "seconds": {"type": "number", "minimum": 0, "description": "Time in the engine"},
        "error": {**text_or_null, "description": "Error class; null where the document has an answer"},
        "error_message": {"type": "string"},
        "escalated": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Fields whose value the fallback gave",
        },
        "version": {"const": ROW_VERSION},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stillroom row",
        "description": "One document's result",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def row_schema_text() -> str:
    """The bytes of `docs/row.schema.json`."""
    return json.dumps(row_schema(), indent=2, ensure_ascii=False) + "\n"
