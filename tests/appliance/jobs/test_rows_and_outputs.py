"""The published row, and cells that a spreadsheet must not run."""

import json
from pathlib import Path

import pytest

from appliance.jobs.outputs import neutral_cell
from appliance.jobs.rows import Route, Row, row_from_json, row_schema, row_schema_text

REPOSITORY = Path(__file__).parents[3]


def test_published_schema_is_the_code_s() -> None:
    assert (REPOSITORY / "docs" / "row.schema.json").read_bytes() == row_schema_text().encode()


def test_row_as_bytes() -> None:
    row = Row("ä.txt", "0" * 64, Route.LOCAL, "m", {"total": "1", "items": ["a"]}, {"total": 0.5}, {"total": 3})
    assert row.to_json() == (
        '{"document":"ä.txt","sha256":"' + "0" * 64 + '","route":"local","model":"m",'
        '"fields":{"total":"1","items":["a"]},"confidence":{"total":0.5},"evidence":{"total":3},"unsafe":false,'
        '"prompt_tokens":0,"completion_tokens":0,"reasoning_tokens":0,"seconds":0.0,"error":null,"error_message":"",'
        '"version":1}'
    )
    assert row_from_json(row.to_json()) == row


def test_row_has_the_keys_of_the_schema() -> None:
    row = Row("a", None, Route.FAILED, "m", error="empty")
    assert list(json.loads(row.to_json())) == row_schema()["required"]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-a", "@SUM(A1)", "\t=1", "\r=1"])
def test_formula_is_neutralised(text: str) -> None:
    assert neutral_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["-12.50", "+1,000.00", "12", "a=b", ""])
def test_plain_value_stays(text: str) -> None:
    assert neutral_cell(text) == text
