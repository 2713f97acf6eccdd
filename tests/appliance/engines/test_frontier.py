"""The frontier engine through the real client against a recorded frontier: answers, failures with names, tries."""

import math
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.answering.answerer import answer_all
from appliance.engines.engine import Request
from appliance.routing.egress_reading import verify
from benchmarks.recorded_frontier import Behaviour
from tests.appliance.frontier_fixtures import ANSWERS, FrontierBench, classify_task, extract_task, frontier_bench

QUESTIONS = list(ANSWERS)


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        yield made


def test_answers_with_tokens_and_money_and_without_confidence(bench: FrontierBench) -> None:
    bench.frontier.behaviour.prompt_tokens, bench.frontier.behaviour.completion_tokens = 1000, 50
    (result,) = bench.ask(classify_task(), "question 1")
    assert result.error is None
    assert result.answer == {"label": "loans"}
    assert result.confidence == {}
    assert (result.prompt_tokens, result.completion_tokens, result.reasoning_tokens) == (1000, 50, 0)
    # 2.00 and 8.00 for a million tokens.
    assert result.money == pytest.approx(1000 * 2e-6 + 50 * 8e-6)
    assert result.seconds > 0


def test_answers_an_extraction_with_nulls_and_lists(home_dir: Path) -> None:
    answer = {"number": "A-7", "total": "12.50 EUR", "customer_name": None, "parts": ["bolt", " nut ", ""]}
    with frontier_bench(home_dir, {"the order": answer}) as bench:
        (result,) = bench.ask(extract_task(), "the order")
    assert result.answer == {"number": "A-7", "total": "12.50 EUR", "customer_name": None, "parts": ["bolt", "nut"]}


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("refusal", "refused"), ("length", "truncated"), ("content-filter", "content_filter"),
        ("filtered", "content_filter"), ("wrong-model", "wrong_model"), ("no-model", "wrong_model"),
        ("other-schema", "wrong_schema"), ("other-label", "wrong_schema"), ("list", "wrong_schema"),
        ("half-json", "broken_response"), ("no-choices", "broken_response"),
        ("not-json", "broken_answer"), ("too-long", "too_long"), ("huge", "response_too_large"),
    ],
)  # fmt: skip
def test_failure_of_one_document_has_a_name_and_the_next_is_answered(
    bench: FrontierBench, mode: str, name: str
) -> None:
    bench.configure(concurrency=1, max_response_bytes=1_000_000)
    bench.frontier.next_modes(mode)
    failed, answered = bench.ask(classify_task(), "question 0", "question 1")
    assert (failed.error, failed.answer) == (name, None)
    assert failed.error_message
    assert answered.answer == {"label": "loans"}
    assert len(bench.frontier.requests) == 2
    assert [record["outcome"] for record in bench.records("ended")] == [name, "answered"]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("429", "rate_limited"), ("500", "server_error"), ("503-html", "server_error"), ("error-body", "server_error"),
        ("cut", "connection_lost"), ("cut-body", "connection_lost"), ("empty", "broken_response"),
    ],
)  # fmt: skip
def test_passing_failure_is_tried_again_and_named_when_it_stays(bench: FrontierBench, mode: str, name: str) -> None:
    bench.configure(concurrency=1, retries=2)
    bench.frontier.next_modes(mode, mode, "ok", mode, mode, mode)
    answered, failed = bench.ask(classify_task(), "question 0", "question 1")
    assert answered.answer == {"label": "cards"}
    assert failed.error == name
    assert len(bench.frontier.requests) == 6
    assert [record["outcome"] for record in bench.records("ended")] == [name, name, "answered", name, name, name]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("401", "unauthorised"), ("404", "unknown_model"), ("429-quota", "no_quota"), ("html", "html_response"),
        ("redirect", "redirected"), ("gzip", "broken_response"),
    ],
)  # fmt: skip
def test_hopeless_failure_ends_the_sending(bench: FrontierBench, mode: str, name: str) -> None:
    bench.configure(concurrency=1)
    bench.frontier.next_modes(mode)
    results = bench.ask(classify_task(), *QUESTIONS[:5])
    assert [result.error for result in results] == [name] * 5
    assert all("not sent" in result.error_message for result in results[1:])
    assert len(bench.frontier.requests) == 1


@pytest.mark.parametrize("mode", ["silent", "drip"])
def test_answer_that_does_not_come_in_time_is_a_failure(bench: FrontierBench, mode: str) -> None:
    bench.configure(timeout_seconds=0.3, retries=0)
    bench.frontier.next_modes(mode)
    (result,) = bench.ask(classify_task(), "question 0")
    assert result.error == "timed_out"
    assert "0.3 s" in result.error_message


def test_waits_as_long_as_the_frontier_asks(bench: FrontierBench) -> None:
    bench.frontier.behaviour.retry_after = "0.4"
    bench.frontier.next_modes("429")
    (result,) = bench.ask(classify_task(), "question 0")
    first, second = bench.frontier.requests
    assert result.answer is not None
    assert second.at - first.at >= 0.4


def test_longer_wait_than_configured_ends_the_sending(bench: FrontierBench) -> None:
    bench.configure(concurrency=1, longest_wait_seconds=5.0)
    bench.frontier.behaviour.retry_after = "3600"
    bench.frontier.next_modes("429")
    results = bench.ask(classify_task(), *QUESTIONS[:3])
    assert [result.error for result in results] == ["rate_limited"] * 3
    assert "3600 s" in results[0].error_message
    assert len(bench.frontier.requests) == 1


def test_dead_frontier_is_given_up_after_some_documents(bench: FrontierBench) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    bench.configure(url=f"http://127.0.0.1:{port}/v1", retries=1, concurrency=1)
    bench.allow(hosts=f'["127.0.0.1:{port}"]')
    results = bench.ask(classify_task(), *QUESTIONS)
    assert {result.error for result in results} == {"unreachable"}
    assert len(bench.records("sent")) == 5 * 2
    assert sum("not sent" in result.error_message for result in results) == len(QUESTIONS) - 5


def test_as_many_documents_are_in_flight_as_configured(home_dir: Path) -> None:
    # The frontier answers none of four requests before all four are there.
    with frontier_bench(home_dir, behaviour=Behaviour(together=4)) as bench:
        bench.configure(concurrency=4)
        results = bench.ask(classify_task(), *QUESTIONS[:12])
        assert bench.frontier.most_in_flight == 4
    assert [result.answer for result in results] == [ANSWERS[text] for text in QUESTIONS[:12]]


def test_takes_no_more_requests_than_it_has_room_for(bench: FrontierBench) -> None:
    bench.configure(concurrency=3)
    taken = 0

    def requests() -> Iterator[Request]:
        nonlocal taken
        for text in QUESTIONS:
            taken += 1
            yield Request(text, text)

    answers = answer_all(bench.open(classify_task()), requests())
    next(answers)
    assert taken == 6, "those under way, and as many that wait for their turn"
    assert len(list(answers)) == len(QUESTIONS) - 1


def test_caller_that_leaves_ends_the_waits(bench: FrontierBench) -> None:
    bench.configure(concurrency=2, longest_wait_seconds=3600.0)
    bench.frontier.behaviour.retry_after = "600"
    bench.frontier.next_modes("ok", "429")
    answers = answer_all(bench.open(classify_task()), [Request("a", "question 0"), Request("b", "question 1")])
    assert next(answers).key
    assert bench.frontier.wait_for_requests(2, 60)
    answers.close()
    assert len(bench.frontier.requests) == 2


def test_caller_that_leaves_does_not_wait_for_a_silent_frontier(bench: FrontierBench) -> None:
    bench.configure(concurrency=2, timeout_seconds=600.0)
    bench.frontier.modes["question 1"] = "silent"
    engine = bench.open(classify_task())
    answers = answer_all(engine, [Request("a", "question 0"), Request("b", "question 1")])
    assert next(answers).key == "a"
    assert bench.frontier.wait_for_requests(2, 60)
    started = time.monotonic()
    answers.close()
    engine.close()
    assert time.monotonic() - started < 60
    # The record is whole, and the request under way stands in it without its end.
    found = verify(bench.egress_dir)
    assert found.good
    assert len(found.unfinished) == 1


def test_reasoning_tokens_are_counted_apart_and_paid_for(bench: FrontierBench) -> None:
    behaviour = bench.frontier.behaviour
    behaviour.prompt_tokens, behaviour.completion_tokens, behaviour.reasoning_tokens = 100, 10, 500
    (result,) = bench.ask(classify_task(), "question 0")
    assert (result.completion_tokens, result.reasoning_tokens) == (10, 500)
    assert result.money == pytest.approx(100 * 2e-6 + 510 * 8e-6)


def test_tokens_of_all_tries_are_counted(bench: FrontierBench) -> None:
    bench.frontier.behaviour.prompt_tokens, bench.frontier.behaviour.completion_tokens = 100, 10
    bench.frontier.next_modes("error-body", "refusal")
    (result,) = bench.ask(classify_task(), "question 0")
    assert result.error == "refused"
    assert (result.prompt_tokens, result.completion_tokens, result.money) == (100, 10, None)


def test_money_is_not_known_without_token_counts(bench: FrontierBench) -> None:
    bench.frontier.next_modes("no-usage", "no-usage")
    (priced,) = bench.ask(classify_task(), "question 0")
    assert (priced.answer, priced.money) == ({"label": "cards"}, None)
    bench.configure(input_price=0, output_price=0)
    (free,) = bench.ask(classify_task(), "question 2")
    assert free.money == 0.0


def test_strict_endpoint_must_keep_the_schema(home_dir: Path) -> None:
    wrong = {
        "a number": {"number": 4711, "total": None, "customer_name": None, "parts": None},
        "no required value": {"number": None, "total": None, "customer_name": None, "parts": None},
        "a missing key": {"number": "A"},
        "a key more": {"number": "A", "total": None, "customer_name": None, "parts": None, "send_to": "x"},
        "no list": {"number": "A", "total": None, "customer_name": None, "parts": "bolt"},
    }
    with frontier_bench(home_dir, wrong) as bench:
        results = bench.ask(extract_task(), *wrong)
    assert [result.error for result in results] == ["wrong_schema"] * len(wrong)


@pytest.mark.parametrize(
    ("answers_as", "fits"),
    [
        ("gpt-9", True), ("gpt-9-2026-08-06", True), ("gpt-9-0613", True), ("gpt-9-mini", False),
        ("gpt-9-mini-2026-08-06", False), ("gpt-90", False), ("gpt-8", False), ("local/gpt-9.gguf", True),
    ],
)  # fmt: skip
def test_dated_and_listed_names_of_the_model_fit(bench: FrontierBench, answers_as: str, fits: bool) -> None:
    bench.configure(model="gpt-9", answers_as=["local/gpt-9.gguf"])
    bench.frontier.behaviour.model = answers_as
    (result,) = bench.ask(classify_task(), "question 0")
    assert (result.error is None) == fits
    assert result.error in (None, "wrong_model")


def test_model_that_stays_wrong_ends_the_sending(bench: FrontierBench) -> None:
    bench.configure(model="gpt-9", concurrency=1)
    results = bench.ask(classify_task(), *QUESTIONS)
    assert {result.error for result in results} == {"wrong_model"}
    assert len(bench.frontier.requests) == 5


def test_engine_can_be_used_again(bench: FrontierBench) -> None:
    engine = bench.open(classify_task())
    for text in QUESTIONS[:3]:
        (result,) = answer_all(engine, [Request("a", text)])
        assert result.answer == ANSWERS[text]
    assert list(answer_all(engine, [])) == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0), ({"retry-after": "soon"}, None),
        ({"retry-after": "120, 120"}, 120.0),
        ({"retry-after": "nan"}, None), ({"retry-after": "-3"}, 0.0), ({"retry-after": "inf"}, math.inf), ({}, None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_number_and_as_date(header: dict[str, str], seconds: float | None) -> None:
    import httpx2

    from appliance.engines.frontier_client import _retry_after

    assert _retry_after(httpx2.Headers(header)) == seconds
