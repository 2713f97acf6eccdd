"""The keys of a task file as Markdown, from its JSON Schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from appliance.ground.json_text import json_text
from appliance.tasks.task_table import task_schema

_TABLES = {
    "": "The file",
    "FieldTable": "[[fields]]",
    "ValueTable": "A value of an enum as a table",
    "RuleTable": "[[rules]]",
    "InputTable": "[input]",
    "ReadinessTable": "[readiness]",
    "StudentTable": "[student]",
}
"""Table of the schema -> its heading."""


def task_reference() -> str:
    """All keys, table by table: what each may be, what it is where it is left out, and what it means."""
    schema = task_schema()
    parts = [part for name in _TABLES for part in _table(name, schema["$defs"][name] if name else schema)]
    return "\n".join(parts).rstrip() + "\n"


def _table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    required = table.get("required", [])
    yield f"### {_TABLES[name]}"
    yield f"{table['description']}\n"
    yield "| key | what it may be | without it | what it says |"
    yield "|---|---|---|---|"
    for key, described in table["properties"].items():
        missing = "needed" if key in required else _value(described["default"]) if "default" in described else "-"
        text = " ".join(str(described.get("description", "")).split()).replace("|", "\\|")
        yield f"| `{key}` | {_kind(described)} | {missing} | {text} |"
    yield ""


def _kind(described: Mapping[str, Any]) -> str:
    """What a key may be, in words."""
    if "$ref" in described:
        return _reference(described["$ref"])
    if "anyOf" in described:
        return " or ".join(map(_kind, described["anyOf"]))
    if "enum" in described:
        return ", ".join(f"`{_value(each).strip('`')}`" for each in described["enum"])
    if "const" in described:
        return _value(described["const"])
    match described.get("type"):
        case "array":
            return f"list of {_kind(described.get('items', {}))}"
        case "integer" | "number" as kind:
            return f"{'whole number' if kind == 'integer' else 'number'}{_range(described)}"
        case "boolean":
            return "`true` or `false`"
        case "object":
            return "table"
    return "text"


def _reference(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"table: {_TABLES[name]}" if name in _TABLES else "table"


def _range(described: Mapping[str, Any]) -> str:
    """The least and the largest number, where there are such."""
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {described[key]:,}".removesuffix(".0") for key, word in words.items() if key in described]
    return f", {', '.join(limits)}" if limits else ""


def _value(value: object) -> str:
    """A default as TOML has it; a table that is left out is one with defaults."""
    if isinstance(value, dict):
        return "its defaults"
    return "empty" if value in ("", []) else f"`{json_text(value)}`"
