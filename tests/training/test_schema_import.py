"""Task files from a JSON Schema or a class of Pydantic."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.ground.errors import InvalidFile, UsageError
from appliance.tasks.schema import answer_schema
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from training.commands.new import write_task_folder
from training.schema_import import imported_fields

LINE = {"type": "object", "properties": {"what": {"type": "string"}, "amount": {"type": ["number", "null"]}}}
INVOICE: dict[str, Any] = {
    "type": "object",
    "required": ["number", "kind"],
    "properties": {
        "number": {
            "type": "string",
            "pattern": "^[A-Z]{2}[0-9]+$",
            "description": "Of the\n invoice",
            "examples": ["AB1"],
        },
        "paid": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "issued": {"type": "string", "format": "date"},
        "pages": {"type": "integer"},
        "kind": {"enum": ["bill", "credit", None]},
        "seller": {"$ref": "#/$defs/Party"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "remarks": {"type": "array"},
    },
    "$defs": {
        "Party": {"type": "object", "properties": {"name": {"type": "string"}, "bank": {"$ref": "#/$defs/Bank"}}},
        "Bank": {"properties": {"iban": {"type": "string"}}},
        "Line": LINE,
    },
}


def task_of(tmp_path: Path, schema: object) -> Task:
    source = tmp_path / "schema.json"
    source.write_text(json.dumps(schema))
    return load_task(write_task_folder(tmp_path / "task", "extract", str(source)))


def test_a_schema_becomes_a_task_that_asks_for_the_same(tmp_path: Path) -> None:
    task = task_of(tmp_path, INVOICE)
    fields = {field.name: field for field in task.fields}
    assert {name: field.type.value for name, field in fields.items()} == {
        "number": "text", "paid": "boolean", "issued": "date", "pages": "integer", "kind": "enum",
        "seller.name": "text", "seller.bank.iban": "text", "items": "records", "tags": "list", "remarks": "list",
    }  # fmt: skip
    assert fields["number"].required
    assert (fields["number"].pattern, fields["number"].description) == ("[A-Z]{2}[0-9]+", "Of the invoice")
    assert fields["number"].examples == ("AB1",)
    assert not fields["kind"].required, "it may be null"
    assert fields["kind"].values == ("bill", "credit")
    assert fields["tags"].values == ("a", "b")
    assert [(column.name, column.type.value) for column in fields["items"].columns] == [
        ("what", "text"), ("amount", "number"),
    ]  # fmt: skip


def test_the_schema_of_the_task_has_the_shape_of_its_source(tmp_path: Path) -> None:
    schema: Any = answer_schema(task_of(tmp_path, INVOICE))
    assert list(schema["properties"]) == list(INVOICE["properties"])
    assert list(schema["properties"]["seller"]["properties"]["bank"]["properties"]) == ["iban"]
    items = schema["properties"]["items"]["items"]
    assert items["required"] == ["what", "amount"]
    assert items["additionalProperties"] is False
    assert schema["properties"]["paid"]["type"] == ["boolean", "null"]


@pytest.mark.parametrize(
    ("properties", "place", "problem"),
    [
        ({"a b": {"type": "string"}}, "#/properties/a b", "cannot name a field"),
        ({"node": {"$ref": "#/$defs/Node"}}, "#/properties/node/properties/next", "refers to itself"),
        ({"node": {"$ref": "#"}}, "#/properties/node", "refers to itself through #"),
        ({"x": {"$ref": "#/$defs/Missing"}}, "#/properties/x", "which is not there"),
        ({"x": {"$ref": "other.json#/a"}}, "#/properties/x", "which is not there"),
        ({"x": {"type": "array", "items": {"type": "array"}}}, "#/properties/x/items", "list within a list"),
        ({"x": {"type": "string", "pattern": "(?=a)b"}}, "#/properties/x/pattern", "look-around"),
        ({"x": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}, "#/properties/x", "one of 2 schemas"),
        ({"x": {"type": ["string", "integer"]}}, "#/properties/x", "has 2 types"),
        ({"x": {}}, "#/properties/x", "has the type null"),
        ({"x": True}, "#/properties/x", "is no schema"),
        ({"x": {"type": "object"}}, "#/properties/x", "has no properties"),
        (
            {"x": {"type": "array", "items": {"properties": {"y": {"type": "array"}}}}},
            "#/properties/x/items/properties/y", "lies within a record",
        ),
        ({f"field_{number}": {"type": "string"} for number in range(500)}, "#/properties", "500 fields, at most"),
    ],
)  # fmt: skip
def test_what_no_task_can_ask_for_is_named_with_its_place(
    tmp_path: Path, properties: dict[str, object], place: str, problem: str
) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "value": {"type": "string"}}}
    with pytest.raises(InvalidFile) as caught:
        task_of(tmp_path, {"type": "object", "properties": properties, "$defs": {"Node": node}})
    assert f"{place}: " in caught.value.message
    assert problem in caught.value.message
    assert not (tmp_path / "task").exists(), "nothing is written"


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "is not JSON"), ("[]", "holds no object"), ("{}", "has no properties"), ("\xff", "not JSON")],
)
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    source = tmp_path / "schema.json"
    source.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=problem):
        imported_fields(str(source))


def test_a_class_of_pydantic_is_read_by_its_schema(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "from datetime import date\nfrom typing import Literal\nfrom pydantic import BaseModel, Field\n"
        "class Line(BaseModel):\n    what: str\n    count: int | None = None\n"
        "class Invoice(BaseModel):\n    issued: date\n    kind: Literal['bill', 'credit']\n"
        "    lines: list[Line] = Field(description='All of them')\n"
    )
    fields = imported_fields(f"{tmp_path / 'models.py'}:Invoice")
    assert [(each.name, each.type) for each in fields] == [("issued", "date"), ("kind", "enum"), ("lines", "records")]
    assert fields[2].description == "All of them"
    for source, problem in (("models.py:Line2", "has no class Line2"), ("none.py:A", "cannot read")):
        with pytest.raises(UsageError, match=problem):
            imported_fields(str(tmp_path / source))
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(UsageError, match="cannot be run: ZeroDivisionError"):
        imported_fields(f"{tmp_path / 'broken.py'}:A")


def test_patterns_of_entries_and_choices_of_true_and_false_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "schema.json"
    codes = {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{2}$"}}
    source.write_text(json.dumps({"type": "object", "properties": {"codes": codes, "paid": {"enum": [True, False]}}}))
    fields = {each.name: (each.type, each.pattern) for each in imported_fields(str(source))}
    assert fields == {"codes": ("list", "[A-Z]{2}"), "paid": ("boolean", "")}


def test_several_spellings_of_one_scalar_are_one_field(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "from decimal import Decimal\nfrom typing import Literal\nfrom pydantic import BaseModel\n"
        "class Line(BaseModel):\n    net: Decimal\n    tax: Decimal | None\n"
        "class Bill(BaseModel):\n    total: Decimal | None\n    kind: Literal['a', 'b'] | str\n    lines: list[Line]\n"
    )
    fields = {each.name: each for each in imported_fields(f"{tmp_path / 'models.py'}:Bill")}
    assert {name: each.type for name, each in fields.items()} == {"total": "number", "kind": "text", "lines": "records"}
    assert [(each.name, each.type, each.required) for each in fields["lines"].fields] == [
        ("net", "number", True), ("tax", "number", False),
    ]  # fmt: skip


def test_a_schema_that_is_a_reference_to_itself_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        task_of(tmp_path, {"$ref": "#"})
    assert caught.value.message.count("#: ") == 1
    assert "refers to itself through #" in caught.value.message
