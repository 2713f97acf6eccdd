"""Answers of frontiers with objects, records and truths: read where their form is clear, else refused by name."""

import json

import pytest

from appliance.engines.frontier_answer import read_answer
from appliance.engines.frontier_config import ModelChoice
from appliance.engines.frontier_errors import FrontierFailure
from appliance.engines.frontier_reply import Reply
from appliance.tasks.linecode import Answer
from appliance.tasks.schema import answer_schema
from appliance.tasks.task import Comparator, Field, FieldType
from tests.appliance.engines.test_line_decoder import extraction

STRICT, LOOSE = ModelChoice("m"), ModelChoice("m", structured="none")
TASK = extraction(
    Field("seller.name"),
    Field("seller.address.zip"),
    Field(
        "paid", FieldType.BOOLEAN, evidence="derived", comparator=Comparator.BOOLEAN, values=("yes", "no"),
    ),
    Field(
        "lines", FieldType.RECORDS, comparator=Comparator.RECORDS,
        columns=(
            Field("what"), Field("net amount", FieldType.AMOUNT, comparator=Comparator.AMOUNT),
            Field("kind", FieldType.ENUM, evidence="derived", comparator=Comparator.ENUM, values=("goods", "service")),
        ),
    ),
)  # fmt: skip
LINE = {"what": "nut", "net amount": "5.00", "kind": "goods"}
GOOD: dict[str, object] = {"seller": {"name": "Ann", "address": {"zip": "12"}}, "paid": True, "lines": [LINE]}
READ: Answer = {"seller.name": "Ann", "seller.address.zip": "12", "paid": "yes", "lines": [dict(LINE)]}


def read(values: dict[str, object], choice: ModelChoice) -> Answer:
    return read_answer(TASK, (), choice, Reply(json.dumps(values), None, "m")).answer


def test_what_the_schema_asks_for_is_read_as_the_program_has_it() -> None:
    assert read(GOOD, STRICT) == read(GOOD, LOOSE) == READ
    nothing: dict[str, object] = {"seller": {"name": None, "address": {"zip": None}}, "paid": None, "lines": None}
    assert read(nothing, STRICT) == dict.fromkeys(READ)
    schema = json.loads(json.dumps(answer_schema(TASK)))
    assert schema["properties"]["seller"]["properties"]["address"]["required"] == ["zip"]
    assert schema["properties"]["lines"]["items"]["properties"]["kind"]["enum"] == ["goods", "service", None]


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"paid": "Yes"}, {"paid": "yes"}),
        ({"paid": "false"}, {"paid": "no"}),
        ({"lines": []}, {"lines": None}),
        ({"lines": [None, {"What": "nut", "NetAmount": 5.0, "kind": "Goods"}]},
         {"lines": [{"what": "nut", "net amount": "5.0", "kind": "goods"}]}),
        ({"lines": [{"kind": "service", "what": "nut"}]},
         {"lines": [{"what": "nut", "net amount": None, "kind": "service"}]}),
        ({"lines": [{"what": None}, {"what": ""}]}, {"lines": None}),
        ({"seller": {"name": "Ann"}}, {"seller.address.zip": None}),
    ],
)  # fmt: skip
def test_an_endpoint_without_schemas_may_write_in_its_own_way(
    changes: dict[str, object], changed: dict[str, object]
) -> None:
    assert read({**GOOD, **changes}, LOOSE) == {**READ, **changed}
    with pytest.raises(FrontierFailure):
        read({**GOOD, **changes}, STRICT) if changes != {"lines": []} else read({}, STRICT)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lines": LINE}, "lines does not match the schema"),
        ({"lines": "nut"}, "lines does not match the schema: it is no list"),
        ({"lines": [LINE, "nut"]}, "record 2, nut, is no object"),
        ({"lines": [LINE, [LINE]]}, "record 2"),
        ({"lines": [LINE, {**LINE, "net amount": {"value": 5}}]}, "lines, record 2: net amount does not match"),
        ({"lines": [{**LINE, "net amount": [5]}]}, "lines, record 1: net amount does not match"),
        ({"lines": [{**LINE, "kind": "gods"}]}, "lines, record 1: kind does not match the schema: gods is none of"),
        ({"paid": "perhaps"}, "paid does not match the schema: perhaps is neither true nor false"),
        ({"paid": [True]}, "paid does not match the schema"),
        ({"seller": {"name": ["Ann"], "address": {"zip": "1"}}}, "seller.name does not match the schema"),
    ],
)
def test_nested_values_of_the_wrong_kind_are_named_with_field_and_record(
    changes: dict[str, object], problem: str
) -> None:
    for choice in (STRICT, LOOSE):
        with pytest.raises(FrontierFailure) as caught:
            read({**GOOD, **changes}, choice)
        assert caught.value.name == "wrong_schema"
    assert problem in caught.value.message
