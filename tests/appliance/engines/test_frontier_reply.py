"""Replies as any server may send them: each is read, or fails with a name; none raises anything else."""

import contextlib
import json

import pytest

from appliance.engines.frontier_config import Endpoint, FrontierConfig, ModelChoice, Usage
from appliance.engines.frontier_errors import FrontierFailure
from appliance.engines.frontier_reply import read_reply

CONFIG = FrontierConfig("far", Endpoint("https://far.example/v1"), ModelChoice("m-1"))
GOOD = {"model": "m-1", "choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}
COUNTS = {"prompt_tokens": 7, "completion_tokens": 5}


def test_a_reply_with_no_more_than_what_is_used_is_read() -> None:
    reply = read_reply(CONFIG, json.dumps(GOOD).encode())
    assert (reply.content, reply.model, reply.usage) == ("yes", "m-1", None)


def test_fields_that_no_type_knows_are_passed_over() -> None:
    strange = {"_fields_set": "x", "self": 1, "__cls": 2, "__dict__": {}, "model_fields": 3, "construct": 4}
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
        ({"choices": None}, "broken_response"),
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


def message(content: object = None, reason: object = "stop", **more: object) -> dict[str, object]:
    return {"model": "m-1", "choices": [{"finish_reason": reason, "message": {"content": content, **more}}]}


EVENTS = (
    b': waiting\n\ndata: {"model": "m-1", "choices": [{"delta": {"role": "assistant", "content": "ye"}}]}\n\n'
    b'data: {"model": "m-1", "choices": [{"delta": {"content": "s"}, "finish_reason": %s}]}\n\n'
    b'data: {"model": "m-1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\ndata: [DONE]\n'
)


@pytest.mark.parametrize(
    "values",
    [
        message([{"type": "text", "text": "ye"}, {"type": "text", "text": {"value": "s"}}]),
        message([{"type": "thinking", "thinking": "hm"}, {"text": "yes"}]),
        *(message("yes", reason) for reason in ("eos", "EOS_TOKEN", "STOP", "stop_sequence", "end_turn", "", None)),
        message(None, "tool_calls", tool_calls=[{"function": {"name": "answer", "arguments": "yes"}}]),
        message("", "function_call", function_call={"name": "answer", "arguments": "yes"}),
        message("yes", refusal=""), {"model": "m-1", "choices": [{"text": "yes", "finish_reason": "stop"}]},
        {"result": message("yes")}, [message("yes")], {**message("yes"), "error": None},
        {"model": "m-1", "message": {"content": "yes"}, "done": True, "done_reason": "stop"},
        {"model": "m-1", "type": "message", "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn"},
        {**message("yes"), "model": "models/M-1"}, {**message("yes"), "model": "m-1:latest"},
    ],
)  # fmt: skip
def test_the_same_answer_is_read_in_every_wrapping_that_servers_use(values: object) -> None:
    assert read_reply(CONFIG, json.dumps(values).encode()).content == "yes"


def test_a_stream_of_events_is_read_although_none_was_requested_unless_it_is_cut() -> None:
    reply = read_reply(CONFIG, EVENTS % b'"stop"')
    assert (reply.content, reply.usage, bool(reply.notes)) == ("yes", Usage(7, 0, 5, 0), True)
    for body, name in ((EVENTS % b"null", "truncated"), (EVENTS[:150], "broken_response")):
        with pytest.raises(FrontierFailure) as caught:
            read_reply(CONFIG, body)
        assert caught.value.name == name


@pytest.mark.parametrize(
    ("values", "name"),
    [
        *((message("ye", reason), "truncated") for reason in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
        *((message("yes", reason), "content_filter") for reason in ("SAFETY", "content_filter", "blocked")),
        (message(None, refusal="no"), "refused"), (message([{"type": "refusal", "refusal": "no"}]), "refused"),
        (message(None, reasoning_content='{"label": "cards"}'), "wrong_schema"),
        (message(None, tool_calls=[{"function": {"arguments": "{}"}}] * 2), "wrong_schema"),
        (message("yes", "error"), "server_error"), (message("yes", "something_new"), "wrong_schema"),
        ({"error": {"code": 429, "message": "slow down"}}, "rate_limited"),
        ({"error": {"type": "overloaded_error"}, "type": "error"}, "server_error"),
        ({"object": "error", "code": 404, "message": "no such model"}, "unknown_model"),
        ({"error": {"code": "insufficient_quota", "message": "pay"}}, "no_quota"),
        ({"error": "the engine is down"}, "server_error"),
        ({"model": "m-1", "choices": [{"error": {"code": 502, "message": "bad gateway"}}]}, "broken_response"),
        ({**message("yes"), "model": "m-1-mini"}, "wrong_model"), (message({"deep": 1}, "length"), "truncated"),
    ],
)  # fmt: skip
def test_what_servers_say_in_place_of_an_answer_has_its_name(values: dict[str, object], name: str) -> None:
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, json.dumps(values).encode())
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("place", "usage"),
    [
        ({"usage": {"input_tokens": 7, "output_tokens": 5}}, Usage(7, 0, 5, 0)),
        ({"usage": {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 3}}, Usage(10, 3, 5, 0)),
        ({"usage": {"prompt_tokens": "7", "completion_tokens": 5.0}}, Usage(7, 0, 5, 0)),
        ({"usage": {"prompt_tokens": 7, "total_tokens": 12}}, Usage(7, 0, 5, 0)),
        ({"usage": None, "x_groq": {"usage": COUNTS}}, Usage(7, 0, 5, 0)),
        ({"prompt_eval_count": 7, "eval_count": 5}, Usage(7, 0, 5, 0)),
        ({"timings": {"prompt_n": 7, "predicted_n": 5}}, Usage(7, 0, 5, 0)),
        ({"usage": {"total_tokens": 12}}, None), ({"usage": {"prompt_tokens": 7}}, None),
    ],
)  # fmt: skip
def test_tokens_are_found_under_the_names_that_servers_use(place: dict[str, object], usage: Usage | None) -> None:
    assert read_reply(CONFIG, json.dumps({**GOOD, **place}).encode()).usage == usage


def test_numbers_that_no_program_can_hold_disturb_nothing() -> None:
    for number in ("1e999", "-1e999", "9" * 10_000, "NaN", "Infinity"):
        body = json.dumps(GOOD)[:-1] + f', "created": {number}, "usage": {{"prompt_tokens": {number}}}' + "}"
        assert read_reply(CONFIG, body.encode()).usage is None


@pytest.mark.parametrize("key", ["finishReason", "native_finish_reason", "stop_reason"])
def test_a_limit_that_is_said_under_another_key_cuts_the_answer(key: str) -> None:
    for reason in (None, "stop"):
        values = message("ye", reason)
        values["choices"][0][key] = "MAX_TOKENS"  # type: ignore[index]
        with pytest.raises(FrontierFailure) as caught:
            read_reply(CONFIG, json.dumps(values).encode())
        assert caught.value.name == "truncated"


def test_a_stream_keeps_line_ends_of_unicode_and_one_choice_and_no_broken_characters() -> None:
    body = EVENTS.replace(b'"ye"', '"y\u2028e"'.encode()) % b'"stop"'
    assert read_reply(CONFIG, body).content == "y\u2028es"
    second = b'data: {"choices": [{"index": 1, "delta": {"content": "no"}}]}\n\n'
    assert read_reply(CONFIG, second + EVENTS % b'"stop"').content == "yes"
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, json.dumps(message("caf\u00e9"), ensure_ascii=False).encode("latin-1"))
    assert caught.value.name == "broken_response"


@pytest.mark.parametrize(
    "body",
    [b"\n         " * 300 + b"%s\n", b"\xef\xbb\xbf \n%s", b"%s\0", b"\xef\xbb\xbf\xef\xbb\xbf%s"],
    ids=["blanks that keep a connection alive", "mark", "zero", "two marks"],
)
def test_what_servers_write_around_a_response_is_passed_over(body: bytes) -> None:
    assert read_reply(CONFIG, body % json.dumps(GOOD).encode()).content == "yes"


@pytest.mark.parametrize(
    "content",
    [
        '{"number": 12345678901234567890, "total": 12.50}', '{"total": 1234567890123.4567890, "n": -0}',
        '{"label": "cards", "label": "loans"}', '{"label": NaN, "total": 1e400}',
        '{"a": [1.10, {"b": "\u00e9"}, null]}',
    ],
)  # fmt: skip
def test_an_object_in_place_of_text_keeps_every_digit_and_every_key(content: str) -> None:
    for place in (f'"content": {content}', f'"content": "", "function_call": {{"arguments": {content}}}'):
        body = json.dumps(GOOD).replace('"content": "yes"', place).encode()
        assert read_reply(CONFIG, body).content == content


def test_key_of_a_response_with_two_values_has_none() -> None:
    twice = json.dumps(GOOD).replace('"content": "yes"', '"content": "yes", "content": "no"')
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, twice.encode())
    assert caught.value.name == "wrong_schema"
    counts = f'"usage": {json.dumps(COUNTS)}, "usage": {{"prompt_tokens": 1, "completion_tokens": 0}}'
    assert read_reply(CONFIG, f"{json.dumps(GOOD)[:-1]}, {counts}}}".encode()).usage is None


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("FinishReason.STOP", None), ("FINISH_REASON_STOP", None), ("endoftext", None), ("content_filter: SAFETY",
         "content_filter"), ("guardrail_intervened", "content_filter"), ("sensitive", "content_filter"),
        ("FINISH_REASON_MAX_TOKENS", "truncated"), ("maximum_tokens", "truncated"), ("network_error", "server_error"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", "wrong_schema"),
    ],
)  # fmt: skip
def test_reason_to_stop_is_understood_in_the_form_of_each_server(reason: str, name: str | None) -> None:
    body = json.dumps(message("yes", reason)).encode()
    if name is None:
        assert read_reply(CONFIG, body).content == "yes"
        return
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, body)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"message": "Too many requests"}, "server_error", "Too many requests"),
        ({"detail": [{"loc": ["body"], "msg": "Field required", "input": "a text"}]}, "server_error", "Field required"),
        ({"statusCode": 401, "message": "Access denied"}, "unauthorised", "Access denied"),
        ({"errors": [{"message": "no route", "code": 10000}], "success": False}, "server_error", "no route"),
        ({"base_resp": {"status_msg": "no money"}, "choices": None, "model": "m-1"}, "server_error", "no money"),
        ([{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}], "unauthorised", "key"),
        ({"model": "m-1", "message": {"content": "x"}, "done": False}, "truncated", "cut off"),
    ],
)  # fmt: skip
def test_why_a_gateway_refuses_is_said_under_whatever_key_it_stands(values: object, name: str, words: str) -> None:
    with pytest.raises(FrontierFailure, match=words) as caught:
        read_reply(CONFIG, json.dumps(values).encode())
    assert caught.value.name == name
    assert "a text" not in caught.value.message


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({**COUNTS, "total_tokens": 512}, Usage(7, 0, 5, 500)), ({**COUNTS, "total_tokens": 3}, Usage(7, 0, 5, 0)),
    ],
)  # fmt: skip
def test_tokens_that_a_server_hides_are_counted_and_none_is_free(counts: object, usage: Usage | None) -> None:
    assert read_reply(CONFIG, json.dumps({**GOOD, "usage": counts}).encode()).usage == usage


@pytest.mark.parametrize(
    ("requested", "answered", "fits"),
    [
        ("openai/gpt-9", "gpt-9-2026-08-06", True), ("gpt-9", "openai/gpt-9", True), ("a/gpt-9", "b/gpt-9", False),
        ("openai/gpt-9", "gpt-9-mini", False),
    ],
)  # fmt: skip
def test_name_of_a_provider_may_stand_on_one_side(requested: str, answered: str, fits: bool) -> None:
    config = FrontierConfig("far", CONFIG.endpoint, ModelChoice(requested))
    body = json.dumps({**GOOD, "model": answered}).encode()
    if fits:
        assert read_reply(config, body).model == answered
        return
    with pytest.raises(FrontierFailure, match="write answers_as"):
        read_reply(config, body)


def test_stream_with_empty_events_other_fields_and_nameless_ends_is_read() -> None:
    end = b'data:\n\nnote: x\n\ndata: {"model": "", "choices": [], "object": ""}\n\ndata: [DONE]\n'
    reply = read_reply(CONFIG, b"data: \n\n" + (EVENTS % b'"stop"').replace(b"data: [DONE]\n", end))
    assert (reply.content, reply.model) == ("yes", "m-1")
    again = b'data: {"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n'
    with pytest.raises(FrontierFailure) as caught:
        read_reply(CONFIG, (EVENTS % b'"length"').replace(b"data: [DONE]\n", again))
    assert caught.value.name == "truncated"
