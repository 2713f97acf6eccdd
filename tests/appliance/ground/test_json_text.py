"""JSON as every reader takes it: no NaN, no Infinity, and otherwise the bytes that Python writes."""

import json
import math

import pytest

from appliance.ground.json_text import json_text
from appliance.ground.output import print_json


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null_at_any_depth(number: float) -> None:
    value = {"a": number, "b": [1.5, (number, {"c": number})], "d": "NaN", "e": True, "f": None}
    assert json.loads(json_text(value), parse_constant=refuse) == {
        "a": None, "b": [1.5, [None, {"c": None}]], "d": "NaN", "e": True, "f": None,
    }  # fmt: skip


def test_finite_values_have_the_bytes_of_the_standard_writer() -> None:
    value = {"z": [0.1, 1e300, 10**30], "a": "Größe \ud83d", "m": {"nested": ()}}
    assert json_text(value) == json.dumps(value, ensure_ascii=False)
    assert json_text(value, ascii_only=True, indent=2) == json.dumps(value, indent=2)
    assert json_text(value, compact=True, sort_keys=True) == json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )


def test_listings_of_commands_hold_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"low": -math.inf, "high": math.inf, "estimate": 0.5})
    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == {"low": None, "high": None, "estimate": 0.5}
