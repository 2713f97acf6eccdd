"""The text of a reply as the task's answer: what models wrap it in is taken off, and nothing else is accepted."""

import json
import time

import pytest

from appliance.engines.frontier_answer import read_answer
from appliance.engines.frontier_config import ModelChoice
from appliance.engines.frontier_errors import FrontierFailure
from appliance.engines.frontier_reply import Reply
from appliance.tasks.linecode import Answer
from tests.appliance.frontier_fixtures import classify_task, extract_task

STRICT, LOOSE = ModelChoice("m"), ModelChoice("m", structured="none")
CARDS = '{"label": "cards"}'
ORDER = {"number": "A-7", "total": "12.50", "customer_name": None, "parts": ["bolt"]}


def label(text: str, choice: ModelChoice = STRICT) -> Answer:
    return read_answer(classify_task(), (), choice, Reply(text, None, "m")).answer


def order(text: str, choice: ModelChoice = LOOSE) -> Answer:
    return read_answer(extract_task(), (), choice, Reply(text, None, "m")).answer


@pytest.mark.parametrize(
    "text",
    [
        CARDS, f"```json\n{CARDS}\n```", f"```\n{CARDS}\n```", f"~~~JSON\n{CARDS}\n~~~", f"```json {CARDS}```",
        f"Here it is:\n```json\n{CARDS}\n```\nAnything else?", f"Sure! {CARDS} is my answer.", f"\ufeff {CARDS}\n\n",
        f"<think>{{\"label\": \"loans\"}} or not?</think>\n{CARDS}", f"so it is about cards</think>{CARDS}",
        f"<think></think>\n\n{CARDS}", f"[THINK]hm[/THINK]{CARDS}",
        '<seed:think>{"label": "loans"}</seed:think>' + CARDS,
        '<scratchpad n="1">{"label": "loans"}</scratchpad>' + CARDS,
        '{"label": "cards", "label": "cards"}', f"<reasoning>hm</reasoning> {CARDS}",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{CARDS}<|return|>",
        '{"label": "cards",}', json.dumps(CARDS), f"[{CARDS}]", '{"answer": {"label": "cards"}}',
        '{"bank": {"label": "cards"}}', '{"result": {"fields": {"label": "cards"}}}', '{"Label": "cards"}',
        '{"LABEL": " cards "}', f"{CARDS}\n{CARDS}", 'The form is {"label": "..."}; so: ' + CARDS,
    ],
)  # fmt: skip
def test_one_object_that_fits_is_the_answer_whatever_stands_around_it(text: str) -> None:
    assert label(text) == {"label": "cards"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "broken_answer"), ("cards", "broken_answer"), ('"cards"', "wrong_schema"), ("null", "wrong_schema"),
        (f"<think>{CARDS}", "broken_answer"), (f'<think time="3">{CARDS}', "broken_answer"),
        ('{"label": "cards", "label": "loans"}', "wrong_schema"),
        ("{" + ", ".join(f'"label": {number}' for number in range(5_000)) + "}", "wrong_schema"),
        (f"<think>{CARDS}</think>", "broken_answer"),
        (f'{CARDS} or {{"label": "loans"}}', "wrong_schema"), ('{"label": "cards"', "broken_answer"),
        ('{"label": ["cards"]}', "wrong_schema"), ('{"label": {"value": "cards"}}', "wrong_schema"),
        ('{"label": "cards", "LABEL": "loans"}', "wrong_schema"), ('{"label": "\\ud83d"}', "wrong_schema"),
        ('{"label": true}', "wrong_schema"), ('{"label": NaN}', "wrong_schema"), ("[" * 100_000, "broken_answer"),
        ('{"label":' * 5_000, "broken_answer"), ('[{"label": "cards"}, {"label": "cards"}]', "wrong_schema"),
    ],
)  # fmt: skip
def test_what_leaves_open_what_is_meant_is_refused_by_name(text: str, name: str) -> None:
    for choice in (STRICT, LOOSE):
        with pytest.raises(FrontierFailure) as caught:
            label(text, choice)
        assert caught.value.name == name


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"total": 12.5}, {"total": "12.5"}), ({"number": 4711}, {"number": "4711"}),
        ({"total": "N/A"}, {"total": None}), ({"total": "none"}, {"total": None}),
        ({"customer_name": "N/A"}, {}), ({"customer_name": ""}, {}),
        ({"customer_name": "null"}, {}), ({"customer_name": "None"}, {"customer_name": "None"}),
        ({"parts": ["bolt", None, 7]}, {"parts": ["bolt", "7"]}), ({"parts": []}, {"parts": None}),
        ({"explanation": "as it says"}, {}), ({"parts": None}, {"parts": None}),
    ],
)  # fmt: skip
def test_endpoint_without_schemas_may_write_values_in_its_own_way(
    changes: dict[str, object], changed: dict[str, object]
) -> None:
    assert order(json.dumps({**ORDER, **changes})) == {**ORDER, **changed}


def test_number_stays_as_it_is_written_and_missing_keys_are_null() -> None:
    assert order('{"number": 007.50}'.replace("00", "")) == {
        "number": "7.50", "total": None, "customer_name": None, "parts": None,
    }  # fmt: skip
    assert order('{"Number": "A", "Customer Name": "Jo"}')["customer_name"] == "Jo"


@pytest.mark.parametrize(
    "value",
    ["1e999", "9" * 5_000, "NaN", "-Infinity", "true", '"a\\u0000b"', '"\\ud83d"', '"\\ufffe"', '"\\u0007"', '{"a": 1}',
     "[[1]]"],
)  # fmt: skip
def test_value_that_is_no_text_or_cannot_be_stored_is_refused(value: str) -> None:
    for choice in (STRICT, LOOSE):
        with pytest.raises(FrontierFailure) as caught:
            order(f'{{"number": "A", "total": {value}, "customer_name": null, "parts": null}}', choice)
        assert caught.value.name == "wrong_schema"
        caught.value.message.encode()


def test_strict_endpoint_that_keeps_no_schema_is_named_with_what_to_write() -> None:
    with pytest.raises(FrontierFailure, match='write structured = "json_object"'):
        order('{"number": 7, "total": null, "customer_name": null, "parts": null}', STRICT)


def test_only_fields_that_were_asked_for_are_taken() -> None:
    reply = Reply('{"total": "9.00"}', None, "m")
    assert read_answer(extract_task(), ("total",), STRICT, reply).answer == {"total": "9.00"}


def test_long_texts_are_read_in_linear_time() -> None:
    started = time.process_time()
    for piece in ("<think>", "{", '\\"', '{"a":', "```\n", "</think>", ",", "[", '"', "```json\n{"):
        with pytest.raises(FrontierFailure):
            label(piece * (100_000 // len(piece)), LOOSE)
    assert time.process_time() - started < 4


def test_name_of_a_called_tool_is_no_value_and_keys_without_letters_are_no_fields() -> None:
    fields = [{"name": "name", "type": "text"}, {"name": "total", "type": "amount"}]
    task = extract_task(fields=fields)
    for key in ("arguments", "parameters"):
        reply = Reply(f'{{"name": "orders", "{key}": {{"name": "Jo", "total": "9.00"}}}}', None, "m")
        for choice in (STRICT, LOOSE):
            assert read_answer(task, (), choice, reply).answer == {"name": "Jo", "total": "9.00"}
    assert label('{"-": "loans", "\\ud83d": 1, "label": "cards"}', LOOSE) == {"label": "cards"}
    with pytest.raises(FrontierFailure):
        label('{"": "loans"}', LOOSE)


def test_line_ends_and_tabs_that_a_model_forgot_to_escape_are_part_of_a_value() -> None:
    assert order('{"number": "A-7", "customer_name": "Bo\n\tLtd"}')["customer_name"] == "Bo\n\tLtd"
