"""Answers that were paid for: durable, found by the request's bytes, and gone with the run that paid."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from appliance.answering.answerer import answer_all
from appliance.answering.paid_answers import PaidAnswer, PaidAnswers, forget_paid_answers, request_key
from appliance.engines.engine import Request
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.settings import Settings, load_settings
from appliance.routing.policy import Caps
from tests.appliance.frontier_fixtures import ANSWERS, FrontierBench, classify_task, extract_task, frontier_bench

ORDER = "Customer: Maria Schmidt, maria@example.org\nnumber: 7"


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        yield made


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def paid(key: str = "k", run: str = "run-1", money: float | None = 0.5) -> PaidAnswer:
    return PaidAnswer(key, run, '{"label": "cards"}', 100, 10, 3, 1.5, money)


def test_the_same_request_is_sent_once_and_says_that_it_was_paid_for(bench: FrontierBench) -> None:
    (first,) = bench.ask(classify_task(), "question 0")
    (second,) = bench.ask(classify_task(), "question 0")
    assert len(bench.frontier.requests) == 1
    assert (first.cached, second.cached) == (False, True)
    assert second.answer == first.answer == ANSWERS["question 0"]
    tokens = (first.prompt_tokens, first.completion_tokens, first.money)
    assert (second.prompt_tokens, second.completion_tokens, second.money) == tokens
    assert len(bench.records("sent")) == 1, "nothing left the machine"


def test_equal_documents_under_way_at_a_time_are_paid_for_once(bench: FrontierBench) -> None:
    bench.configure(concurrency=4)
    bench.frontier.behaviour.delay_seconds = 0.1
    results = bench.ask(classify_task(), *["question 1"] * 4)
    assert [result.answer for result in results] == [ANSWERS["question 1"]] * 4
    assert sorted(result.cached for result in results) == [False, True, True, True]
    assert len(bench.frontier.requests) == 1


def test_equal_documents_of_two_runs_at_a_time_are_paid_for_once(bench: FrontierBench) -> None:
    bench.frontier.behaviour.delay_seconds = 0.1
    # Locks of places tell descriptors apart, so that two answerers stand for two processes.
    first, second = (bench.open(classify_task(), run=run) for run in ("run-1", "run-2"))
    for answerer in (first, second):
        answerer.send(Request("0", "question 1"))
    results = [result for answerer in (first, second) for result in answer_all(answerer, [])]
    assert [result.answer for result in results] == [ANSWERS["question 1"]] * 2
    assert sorted(result.cached for result in results) == [False, True]
    assert len(bench.frontier.requests) == 1


def test_a_process_that_is_stuck_is_not_waited_for_for_ever(settings: Settings) -> None:
    stuck, waiting = PaidAnswers(settings), PaidAnswers(settings)
    with stuck.alone_with("ab" * 32, Event(), 1.0):
        with waiting.alone_with("ab" * 32, Event(), 0.0):
            pass
        with waiting.alone_with("cd" * 32, Event(), 600.0):
            pass
    stuck.close()
    waiting.close()


def test_it_counts_against_no_cap(bench: FrontierBench) -> None:
    bench.ask(classify_task(), *list(ANSWERS)[:5])
    answerer = bench.open(classify_task(), caps=Caps(documents=1), run="run-2")
    requests = [Request(text, text) for text in list(ANSWERS)[:6]]
    results = {result.key: result for result in answer_all(answerer, requests)}
    assert [results[text].error for text in list(ANSWERS)[:6]] == [None] * 6
    assert len(bench.frontier.requests) == 6


@pytest.mark.parametrize(
    "change", [{"effort": "high"}, {"max_answer_tokens": 77}, {"structured": "none"}, {"model": "other"}]
)
def test_another_model_or_parameter_is_another_request(bench: FrontierBench, change: dict[str, object]) -> None:
    bench.ask(classify_task(), "question 0")
    bench.configure(**change)
    bench.frontier.behaviour.model = str(change.get("model", bench.frontier.behaviour.model))
    (result,) = bench.ask(classify_task(), "question 0")
    assert not result.cached
    assert len(bench.frontier.requests) == 2


def test_reply_that_is_no_answer_is_paid_once_in_its_run_and_may_be_asked_for_in_another(bench: FrontierBench) -> None:
    bench.frontier.next_modes("refusal")
    (refused,) = bench.ask(classify_task(), "question 0")
    (again,) = bench.ask(classify_task(), "question 0")
    assert (refused.error, again.error, again.cached) == ("refused", "refused", True)
    assert (again.money, again.prompt_tokens) == (refused.money, refused.prompt_tokens)
    assert len(bench.frontier.requests) == 1
    answerer = bench.open(classify_task(), run="run-2")
    (answered,) = answer_all(answerer, [Request("a", "question 0")])
    assert answered.answer == ANSWERS["question 0"]


def test_retry_forgets_only_what_was_no_answer(bench: FrontierBench) -> None:
    bench.configure(concurrency=1)
    bench.frontier.next_modes("refusal")
    bench.ask(classify_task(), "question 0", "question 1")
    assert forget_paid_answers(bench.settings, "run-1", only_failed=True) == 1
    first, second = bench.ask(classify_task(), "question 0", "question 1")
    assert (first.error, first.cached, second.cached) == (None, False, True)


def test_failure_that_cost_nothing_is_not_kept(bench: FrontierBench) -> None:
    bench.configure(retries=0)
    bench.frontier.next_modes("500", "error-body", "empty")
    for name in ("server_error", "server_error", "broken_response", None):
        (result,) = bench.ask(classify_task(), "question 0")
        assert result.error == name
    assert len(bench.frontier.requests) == 4


def test_reply_is_on_the_disk_before_it_is_read(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("appliance.answering.frontier.read_reply", killed)
    with pytest.raises(ApplianceError):
        bench.ask(classify_task(), "question 0")
    monkeypatch.undo()
    (result,) = bench.ask(classify_task(), "question 0")
    assert (result.answer, result.cached) == (ANSWERS["question 0"], True)
    assert result.money
    assert len(bench.frontier.requests) == 1


def test_database_of_the_version_before_is_taken_over(settings: Settings) -> None:
    import sqlite3

    directory = settings.home_dir / "paid-answers"
    directory.mkdir()
    connection = sqlite3.connect(directory / "answers.db")
    connection.executescript(
        "CREATE TABLE answers (key TEXT PRIMARY KEY, run TEXT NOT NULL, content TEXT NOT NULL, prompt_tokens INTEGER"
        " NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, seconds REAL NOT NULL, money"
        " REAL, paid_at REAL NOT NULL) WITHOUT ROWID; CREATE INDEX answers_by_run ON answers (run);"
        " INSERT INTO answers VALUES ('k', 'run-1', '{\"label\": \"cards\"}', 100, 10, 3, 1.5, 0.5, 0);"
        " PRAGMA user_version = 1;"
    )
    connection.close()
    answers = PaidAnswers(settings)
    assert answers.get("k", "run-2") == paid()
    answers.close()


def test_masked_values_are_not_kept_and_come_back(home_dir: Path) -> None:
    with frontier_bench(home_dir, {}) as bench:
        bench.allow(text='[masking]\ndetectors = ["mail"]')
        bench.frontier.behaviour.unknown = {"number": "7", "total": None, "customer_name": None, "parts": None}
        first, second = (bench.ask(extract_task(), ORDER)[0] for _ in range(2))
    assert second.cached
    assert second.answer == first.answer
    for path in (home_dir / "paid-answers").iterdir():
        assert b"maria@example.org" not in path.read_bytes()
        assert b"Maria Schmidt" not in path.read_bytes()


def test_only_its_owner_can_read_them(settings: Settings) -> None:
    answers = PaidAnswers(settings)
    answers.put(paid())
    answers.close()
    directory = settings.home_dir / "paid-answers"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "answers.db").stat().st_mode & 0o777 == 0o600


def test_kept_answer_survives_a_kill(settings: Settings) -> None:
    program = """
import os, signal, sys
from appliance.answering.paid_answers import PaidAnswer, PaidAnswers
from appliance.ground.settings import load_settings
PaidAnswers(load_settings(os.environ)).put(PaidAnswer("k", "r", "{}", 1, 2, 3, 0.5, None))
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {"STILLROOM_HOME": str(settings.home_dir), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -9
    answers = PaidAnswers(settings)
    assert answers.get("k") == PaidAnswer("k", "r", "{}", 1, 2, 3, 0.5, None)
    answers.close()


def test_answers_go_with_the_run_that_paid_for_them(settings: Settings) -> None:
    answers = PaidAnswers(settings)
    answers.put(PaidAnswer("a", "run-1", '{"label": "a word that nobody else uses"}', 1, 1, 0, 1.0, 1.0))
    answers.put(paid("b", "run-2"))
    forget_paid_answers(settings, "run-1")
    assert (answers.get("a"), answers.get("b")) == (None, paid("b", "run-2"))
    answers.close()
    assert b"nobody else" not in (settings.home_dir / "paid-answers" / "answers.db").read_bytes()


def test_forgetting_makes_nothing_where_nothing_was_paid(settings: Settings) -> None:
    forget_paid_answers(settings, "run-1")
    assert not (settings.home_dir / "paid-answers").exists()


def test_address_and_bytes_name_a_request() -> None:
    assert request_key("https://a/v1", b"body") != request_key("https://b/v1", b"body")
    assert request_key("https://a/v1", b"body") != request_key("https://a/v1", b"bodY")


def test_a_file_that_is_no_database_stops_before_anything_is_paid_for(bench: FrontierBench) -> None:
    directory = bench.home_dir / "paid-answers"
    directory.mkdir()
    (directory / "answers.db").write_bytes(b"no database" * 100)
    with pytest.raises(ResourceError, match=r"the paid answers in .* cannot be used"):
        bench.ask(classify_task(), "question 0")
    assert bench.frontier.requests == []


def test_file_of_a_later_version_is_refused_by_name(settings: Settings) -> None:
    import sqlite3

    answers = PaidAnswers(settings)
    answers.put(paid())
    answers.close()
    connection = sqlite3.connect(settings.home_dir / "paid-answers" / "answers.db", isolation_level=None)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(ApplianceError, match="has version 3, this program knows 2"):
        answers.get("k")


def test_answer_that_cannot_be_kept_is_given_and_ends_the_sending(bench: FrontierBench) -> None:
    bench.configure(concurrency=1)
    bench.ask(classify_task(), "question 0")
    directory = bench.home_dir / "paid-answers"
    os.chmod(directory / "answers.db", 0o400)
    os.chmod(directory, 0o500)
    if os.access(directory, os.W_OK):
        pytest.skip("root may write everywhere")
    results = bench.ask(classify_task(), "question 1", "question 2")
    os.chmod(directory, 0o700)
    assert [result.error for result in results] == [None, "state_unwritable"]
