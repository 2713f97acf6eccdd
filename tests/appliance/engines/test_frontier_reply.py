"""Replies as any server may send them: each is read, or fails with a name; none raises anything else."""

import contextlib
import json

import pytest

from appliance.engines.frontier_config import Endpoint, FrontierConfig, ModelChoice, Usage
from appliance.engines.frontier_reply import FrontierFailure, read_reply

CONFIG = FrontierConfig("far", Endpoint("https://far.example/v1"), ModelChoice("m-1"))
GOOD = {"model": "m-1", "choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}
COUNTS = {"prompt_tokens": 7, "completion_tokens": 5}


def test_a_reply_with_no_more_than_what_is_used_is_read() -> None:
    reply = read_reply(CONFIG, json.dumps(GOOD).encode())
    assert (reply.content, reply.model, reply.usage) == ("yes", "m-1", None)


def test_fields_that_no_type_knows_are_passed_over() -> None:
    strange = {"self": 1, "__cls": 2, "__dict__": {}, "model_fields": 3, "construct": 4}
    choice = {**GOOD["choices"][0], **strange}  # type: ignore[dict-item]
    assert read_reply(CONFIG, json.dumps({**GOOD, **strange, "choices": [choice, 7]}).encode()).content == "yes"


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (COUNTS, Usage(7, 0, 5, 0)),
        (COUNTS | {"prompt_tokens_details": {"cached_tokens": 9}}, Usage(7, 7, 5, 0)),
        (COUNTS | {"completion_tokens_details": {"reasoning_tokens": 3}}, Usage(7, 0, 2, 3)),
        (COUNTS | {"total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 3}}, Usage(7, 0, 5, 3)),
        (COUNTS | {"prompt_tokens_details": "many"}, Usage(7, 0, 5, 0)),
        ({"prompt_tokens": 7, "completion_tokens": True}, None),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"prompt_tokens": 7.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10**9, "completion_tokens": 5}, None),
        ([1, 2], None), ("many", None),
    ],
)  # fmt: skip
def test_counts_of_tokens_are_taken_where_they_are_counts(counts: object, usage: Usage | None) -> None:
    assert read_reply(CONFIG, json.dumps({**GOOD, "usage": counts}).encode()).usage == usage


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"choices": "x"}, "broken_response"), ({"choices": []}, "broken_response"),
        ({"choices": {"a": 1}}, "broken_response"), ({"choices": [1]}, "broken_response"),
        ({"choices": [{"message": "x"}]}, "broken_response"),
        ({"choices": None}, "broken_response"), ({"_fields_set": "x"}, "broken_response"),
        ({"error": {"message": "down"}}, "server_error"), ({"model": None}, "wrong_model"),
        ({"model": ["m-1"]}, "wrong_model"),
        ({"choices": [{"finish_reason": ["stop"], "message": {"content": "x"}}]}, "wrong_schema"),
        ({"choices": [{"finish_reason": "stop", "message": {"content": ["x"]}}]}, "wrong_schema"),
        ({"choices": [{"finish_reason": "stop", "message": {"refusal": {"a": 1}}}]}, "refused"),
    ],
)  # fmt: skip
def test_what_is_no_answer_fails_with_a_name(changes: dict[str, object], name: str) -> None:
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, json.dumps(GOOD | changes).encode())
    assert caught.value.name == name


@pytest.mark.parametrize("key", ["choices", "usage", "model", "other"])
def test_deep_nesting_is_bounded(key: str) -> None:
    for deep in ("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "[" * 100_000):
        body = json.dumps(GOOD)[:-1] + f', "{key}": {deep}' + "}"
        with contextlib.suppress(FrontierFailure):
            assert read_reply(CONFIG, body.encode()).content == "yes"
