"""The JSON Schema of a task's answers."""

import json

from appliance.tasks.schema import answer_schema
from appliance.tasks.task import Comparator, Field, FieldType, Task, TaskKind

EXTRACTION = Task(
    1,
    "orders",
    TaskKind.EXTRACT,
    "Read the order",
    (
        Field("order_number", required=True),
        Field("total", FieldType.AMOUNT, phrase="total to pay"),
        Field("paid", FieldType.ENUM, values=("yes", "no"), comparator=Comparator.ENUM),
        Field("state", FieldType.ENUM, True, values=("new",), comparator=Comparator.ENUM),
        Field("items", FieldType.LIST, comparator=Comparator.LIST),
        Field("codes", FieldType.LIST, True, comparator=Comparator.LIST),
    ),
)


def test_schema_of_an_extraction_as_bytes() -> None:
    assert json.dumps(answer_schema(EXTRACTION), separators=(",", ":")) == (
        '{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"orders","type":"object","properties":{'
        '"order_number":{"description":"order number","type":"string"},'
        '"total":{"description":"total to pay","type":["string","null"]},'
        '"paid":{"description":"paid","enum":["yes","no",null]},'
        '"state":{"description":"state","enum":["new"]},'
        '"items":{"description":"items","type":["array","null"],"items":{"type":"string"}},'
        '"codes":{"description":"codes","type":"array","items":{"type":"string"}}},'
        '"required":["order_number","total","paid","state","items","codes"],"additionalProperties":false}'
    )


def test_schema_of_a_classification_has_its_labels_and_the_abstention() -> None:
    schema = answer_schema(Task(1, "desks", TaskKind.CLASSIFY, "Which?", labels=("a", "b"), abstain="person"))
    assert schema["properties"] == {"label": {"description": "label", "enum": ["a", "b", "person"]}}
    assert schema["required"] == ["label"]


def test_schema_of_a_generation_is_one_text() -> None:
    schema = answer_schema(Task(1, "short", TaskKind.GENERATE, "Say it"))
    assert schema["properties"] == {"text": {"description": "text", "type": "string"}}
