"""Records under the line grammar: every record has its columns, and every cell what its column may have."""

import pytest

from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.linecode import decode_value, encode_value
from appliance.tasks.task import Comparator, Field, FieldType
from tests.appliance.engines.test_line_decoder import DOCUMENT, extraction, tokenizer, write

__all__ = ["tokenizer"]
ITEMS = Field(
    "items",
    FieldType.RECORDS,
    comparator=Comparator.RECORDS,
    columns=(
        Field("what"),
        Field("count", FieldType.INTEGER, comparator=Comparator.INTEGER),
        Field("kind", FieldType.ENUM, evidence="derived", comparator=Comparator.ENUM, values=("a b", "b|c")),
    ),
)
NAMES = ITEMS.column_names


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (["ACME Ltd | 4711 | a b"], [("ACME Ltd", "4711", "a b")]),
        (["ACME Ltd | 4711 | a b\tLeeds | 12 | "], [("ACME Ltd", "4711", "a b"), ("Leeds", "12", None)]),
        (["| 12 | b\\pc"], [(None, "12", "b|c")]),
        (["ACME Ltd | 4711", "ACME Ltd | 4711 | a b"], [("ACME Ltd", "4711", "a b")]),
        (["Bogus Inc | 4711 | a b", ""], None),
        (["ACME Ltd | 4711 | a b\tLeeds | Größe | a b"], [("ACME Ltd", "4711", "a b")]),
        (["ACME Ltd | 4711 | a b | 12", "ACME Ltd | 4711 | a b"], [("ACME Ltd", "4711", "a b")]),
        (["ACME Ltd | 4711 | c", "ACME Ltd | 4711 | a b"], [("ACME Ltd", "4711", "a b")]),
        (["ACME Ltd | 4711 | a b\t"], [("ACME Ltd", "4711", "a b")]),
        ([""], None),
    ],
    ids=[
        "one", "two, a null at the end", "a null before, an escape", "too few cells", "invented", "no digit",
        "too many cells", "no choice", "nothing behind the last", "null",
    ],
)  # fmt: skip
def test_records_are_whole_and_their_cells_stand_in_the_document(
    tokenizer: FileTokenizer, wishes: list[str], expected: list[tuple[str | None, ...]] | None
) -> None:
    decoder = write(extraction(ITEMS), tokenizer, {"items": wishes})
    records = None if expected is None else [dict(zip(NAMES, cells, strict=True)) for cells in expected]
    assert decoder.answer() == {"items": records}


def test_a_record_is_written_no_more_often_than_it_is_printed(tokenizer: FileTokenizer) -> None:
    record = "ACME Ltd | 4711 | a b"
    decoder = write(extraction(ITEMS), tokenizer, {"items": ["\t".join([record] * 5), record]})
    printed = [{"what": "ACME Ltd", "count": "4711", "kind": "a b"}]
    assert decoder.answer() == {"items": printed}
    twice = f"{DOCUMENT}\nacme  ltd again"
    decoder = write(
        extraction(ITEMS), tokenizer, {"items": ["\t".join([record] * 5), "\t".join([record] * 2)]}, 9, twice
    )
    assert decoder.answer() == {"items": printed * 2}


def test_what_is_taught_is_what_the_grammar_reads() -> None:
    records = [{"what": "a|b\tc\\", "count": None, "kind": "b|c"}, {"what": None, "count": "3", "kind": None}]
    assert decode_value(encode_value(records, NAMES), columns=NAMES) == records
    assert encode_value(records, NAMES) == "a\\pb\\tc\\\\ |  | b\\pc\t|3 | ".replace("|3", "| 3")[:-1]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (["red\tdark blue"], ["red", "dark blue"]),
        (["green", "red"], ["red"]),
        (["red\tred", "red"], ["red"]),
        ([""], None),
    ],
)
def test_entries_of_a_closed_list_are_its_values(
    tokenizer: FileTokenizer, wishes: list[str], expected: list[str] | None
) -> None:
    colours = Field(
        "colours", FieldType.LIST, comparator=Comparator.LIST, values=("red", "dark blue"), evidence="derived"
    )
    assert write(extraction(colours), tokenizer, {"colours": wishes}).answer() == {"colours": expected}
