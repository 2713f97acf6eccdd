"""The gate: caps of run, day and command, keys, and the preview that sends nothing."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from appliance.answering.answerer import answer_all
from appliance.documents.folder import document_name
from appliance.engines.engine import Request
from appliance.engines.frontier import Withheld
from appliance.ground.errors import UsageError
from appliance.routing.budget import Account, Spend
from appliance.routing.document_names import searched_hashes
from appliance.routing.egress import preview
from appliance.routing.egress_log import log_files
from appliance.routing.egress_reading import read_records, verify
from appliance.routing.egress_state import egress_state
from appliance.routing.policy import Caps
from tests.appliance.frontier_fixtures import ANSWERS, FrontierBench, classify_task, extract_task, frontier_bench

QUESTIONS = list(ANSWERS)
ORDER = "Order A-17\ncustomer name: Maria Schmidt\nmail maria@example.com\ntotal 12.50"


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        made.configure(concurrency=1)
        made.frontier.behaviour.prompt_tokens = 100
        made.frontier.behaviour.completion_tokens = 10
        yield made


def answered(bench: FrontierBench, count: int = 10) -> list[str | None]:
    return [result.error for result in bench.ask(classify_task(), *QUESTIONS[:count])]


@pytest.mark.parametrize("scope", ["run", "day"])
def test_cap_on_documents_ends_the_sending_with_its_name(bench: FrontierBench, scope: str) -> None:
    if scope == "run":
        bench.allow(text="[caps.run]\ndocuments = 3")
    else:
        bench.allow(day="documents = 3")
    results = bench.ask(classify_task(), *QUESTIONS[:6])
    assert [result.error for result in results] == [None] * 3 + ["cap_documents"] * 3
    assert f"the policy's cap per {scope} is reached (3 documents)" in results[3].error_message
    assert len(bench.frontier.requests) == 3
    (cap,) = bench.records("cap")
    assert (cap["cap"], cap["scope"]) == ("documents", scope)
    assert verify(bench.egress_dir).good


def test_cap_of_a_run_begins_anew_with_each_run_and_that_of_a_day_does_not(bench: FrontierBench) -> None:
    bench.allow(text="[caps.run]\ndocuments = 2", day="documents = 3")
    task = classify_task()
    outcomes = []
    # What was paid for counts against no cap, so each run has questions of its own.
    for run, questions in (("first", QUESTIONS[:3]), ("second", QUESTIONS[3:6])):
        engine = bench.open(task, run=run)
        outcomes += [result.error for result in answer_all(engine, (Request(text, text) for text in questions))]
    assert outcomes == [None, None, "cap_documents", None, "cap_documents", "cap_documents"]
    assert [record["scope"] for record in bench.records("cap")] == ["run", "day"]


def test_a_clock_that_was_ahead_fills_the_cap_of_no_other_day(
    bench: FrontierBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.allow(day="documents = 2")
    now = time.time()
    errors = []
    for day, texts in ((0, [0]), (9999, [1, 2, 3]), (0, [4, 5]), (1, [6, 7, 8])):
        monkeypatch.setattr(time, "time", lambda day=day: now + day * 86_400)
        for text in texts:
            (result,) = answer_all(bench.open(classify_task(), run=str(text)), [Request("0", f"question {text}")])
            errors.append(result.error)
    full = "cap_documents"
    assert errors == [None, None, None, full, None, full, None, None, full]
    assert len(log_files(bench.egress_dir)) == 2


def test_same_document_of_a_run_counts_once(bench: FrontierBench) -> None:
    bench.allow(text="[caps.run]\ndocuments = 1")
    bench.frontier.next_modes("500", "500")
    assert answered(bench, 1) == [None]
    assert len(bench.frontier.requests) == 3


def test_tries_under_way_end_well_when_the_cap_on_documents_is_reached(home_dir: Path) -> None:
    with frontier_bench(home_dir) as bench:
        bench.configure(concurrency=2, backoff_seconds=0.3)
        bench.allow(text="[caps.run]\ndocuments = 1")
        bench.frontier.next_modes("500")
        results = bench.ask(classify_task(), "question 0", "question 1")
    # Whichever came first is tried again although the other has met the cap.
    assert sorted(str(result.error) for result in results) == ["None", "cap_documents"]


def test_cap_on_tokens_is_never_broken(bench: FrontierBench) -> None:
    bench.configure(concurrency=4, max_answer_tokens=50)
    bench.frontier.behaviour.unknown = {"label": "cards"}
    bench.allow(text="[caps.run]\ntokens = 2000")
    errors = answered(bench, 30)
    tokens = sum(int(str(record["tokens"])) for record in bench.records("ended"))
    assert tokens <= 2000
    # 110 tokens each; a request reserves about 950, so the last ones that would fit by their true size stay.
    assert errors.count(None) >= 8
    assert set(errors) == {None, "cap_tokens"}


def test_requests_under_way_may_make_room_under_a_cap(home_dir: Path) -> None:
    # Reservations of four requests do not fit at once; each must wait for the one before, and all go through.
    with frontier_bench(home_dir) as bench:
        bench.frontier.behaviour.prompt_tokens, bench.frontier.behaviour.completion_tokens = 10, 1
        bench.configure(concurrency=4, max_answer_tokens=50)
        body, _ = preview(bench.settings, classify_task(), "recorded", Request("0", QUESTIONS[0]), bench.system_dir)
        bench.allow(text=f"[caps.run]\ntokens = {len(body) + 50 + 200}")
        results = bench.ask(classify_task(), *QUESTIONS[:12])
        assert [result.error for result in results] == [None] * 12
        kinds = [str(record["kind"]) for record in read_records(bench.egress_dir)]
        assert kinds == ["sent", "ended"] * 12


def test_cap_on_money_is_never_broken(bench: FrontierBench) -> None:
    bench.configure(concurrency=2, input_price=1000.0, output_price=1000.0, max_answer_tokens=10)
    bench.allow(text="[caps.run]\nmoney = 2.0")
    errors = answered(bench, 30)
    money = sum(float(str(record["money"])) for record in bench.records("ended"))
    assert 0 < money <= 2.0
    assert "cap_money" in errors
    assert errors.count(None) == len(bench.records("sent"))


@pytest.mark.parametrize("scope", ["run", "day", "the command"])
def test_cap_on_money_wants_prices(bench: FrontierBench, scope: str) -> None:
    path = bench.home_dir / "config.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "_price" not in line))
    money = {"run": "[caps.run]\nmoney = 5", "day": "", "the command": ""}[scope]
    bench.allow(text=money, day="money = 5" if scope == "day" else "documents = 1000")
    with pytest.raises(UsageError, match="has no prices; nothing leaves"):
        bench.open(classify_task(), caps=Caps(money=5.0 if scope == "the command" else None))
    bench.configure(input_price=0, output_price=0)
    bench.open(classify_task(), caps=Caps(money=5.0))


def test_cap_of_the_command_holds_besides(bench: FrontierBench) -> None:
    engine = bench.open(classify_task(), caps=Caps(documents=1))
    errors = [result.error for result in answer_all(engine, (Request(text, text) for text in QUESTIONS[:3]))]
    assert errors == [None, "cap_documents", "cap_documents"]
    assert engine.ended is not None
    assert "the command's cap is reached (1 document)" in engine.ended[1]


def test_cap_of_nothing_lets_nothing_leave(bench: FrontierBench) -> None:
    bench.allow(day="money = 0")
    assert answered(bench, 2) == ["cap_money"] * 2
    assert not bench.frontier.requests
    assert not list((bench.egress_dir / "bodies").iterdir())


def test_refused_requests_cost_nothing_and_lost_ones_what_they_reserved(bench: FrontierBench) -> None:
    bench.configure(concurrency=1, retries=0)
    bench.frontier.next_modes("429", "cut", "ok")
    answered(bench, 3)
    refused, lost, good = bench.records("ended")
    assert (refused["tokens"], lost["tokens"], good["tokens"]) == (0, None, 110)
    reserved = int(str(bench.records("sent")[1]["reserved_tokens"]))
    assert egress_state(bench.settings, {}, bench.system_dir).today.tokens == reserved + 110


def test_withheld_documents_leave_no_trace_but_their_name(bench: FrontierBench) -> None:
    collision, good = bench.ask(classify_task(), "MASK_MAIL_ABCDEFGHIJ", "question 0")
    assert (collision.error, good.error) == ("placeholder_collision", None)
    assert [record["document"] for record in bench.records("sent")] == ["1"]


def test_masked_values_do_not_leave_and_come_back(home_dir: Path) -> None:
    with frontier_bench(home_dir) as bench:
        bench.allow(text='[masking]\nfields = ["customer_name"]')
        request = Request("a", ORDER, known={"customer_name": "Maria Schmidt"})
        body, masked = preview(bench.settings, extract_task(), "recorded", request, bench.system_dir)
        text = json.loads(body)["messages"][1]["content"]
        words = [word for word in text.split() if word.startswith("MASK_")]
        bench.frontier.answers = {
            text: {"number": "A-17", "total": "12.50", "customer_name": words[0], "parts": [words[1]]}
        }
        (result,) = bench.ask(extract_task(), request)
        assert bench.frontier.requests[0].body == body
        assert b"Schmidt" not in body
        assert b"maria" not in body
        assert masked == {"field": 1, "mail": 1}
    assert result.answer == {
        "number": "A-17", "total": "12.50", "customer_name": "Maria Schmidt", "parts": ["maria@example.com"],
    }  # fmt: skip


def test_answer_with_a_placeholder_of_nothing_is_a_failure(home_dir: Path) -> None:
    answer = {"number": "MASK_MAIL_NOSUCHCODE", "total": None, "customer_name": None, "parts": None}
    with frontier_bench(home_dir, {"the order": answer}) as bench:
        (result,) = bench.ask(extract_task(), "the order")
        assert result.error == "unrestorable"
        assert result.answer is None
        assert bench.records("ended")[0]["outcome"] == "unrestorable"
        assert result.prompt_tokens > 0


def test_preview_is_exactly_what_leaves_and_sends_and_records_nothing(bench: FrontierBench) -> None:
    request = Request("0", "question 0")
    body, _ = preview(bench.settings, classify_task(), "recorded", request, bench.system_dir)
    assert not bench.frontier.requests
    assert sorted(path.name for path in bench.egress_dir.iterdir()) == ["mask.key"]
    bench.ask(classify_task(), "question 0")
    assert bench.frontier.requests[0].body == body


def test_preview_says_when_a_document_would_be_withheld(bench: FrontierBench) -> None:
    with pytest.raises(Withheld, match="placeholders"):
        preview(bench.settings, classify_task(), "recorded", Request("0", "MASK_ID_ABCDEFGHIJ"), bench.system_dir)


def test_key_from_a_file_that_others_can_read_is_refused(bench: FrontierBench) -> None:
    key_path = bench.home_dir / "frontier.key"
    key_path.write_text("sk-in-the-file\n")
    key_path.chmod(0o640)
    bench.configure(key_file=str(key_path))
    with pytest.raises(UsageError, match="others can read") as raised:
        bench.open(classify_task())
    assert raised.value.hint == f"chmod 600 {key_path}"
    assert "sk-in-the-file" not in raised.value.message
    key_path.chmod(0o600)
    bench.frontier.behaviour.key = "sk-in-the-file"
    assert answered(bench, 1) == [None]


def test_missing_key_is_named_by_its_source(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTIER_KEY", raising=False)
    bench.configure(key_env="FRONTIER_KEY")
    with pytest.raises(UsageError, match="the environment variable FRONTIER_KEY holds no key"):
        bench.open(classify_task())


def test_state_tells_what_is_on_and_what_left(bench: FrontierBench) -> None:
    answered(bench, 2)
    state = egress_state(bench.settings, os.environ, bench.system_dir)
    assert (state.on, state.reason) == (True, "")
    assert state.frontiers[0].problem == ""
    record = state.record()
    assert record["today"] == {"documents": 2, "requests": 2, "tokens": 220, "money": pytest.approx(0.00056)}
    json.dumps(record)


def test_state_names_every_problem_and_raises_none(bench: FrontierBench) -> None:
    bench.allow(enabeld="true")
    bench.configure(key_env="NO_SUCH_VARIABLE_HERE")
    state = egress_state(bench.settings, {}, bench.system_dir)
    assert not state.on
    assert "enabeld" in state.reason
    assert "NO_SUCH_VARIABLE_HERE" in state.frontiers[0].problem
    bench.policy_path.unlink()
    assert "no egress policy" in egress_state(bench.settings, {}, bench.system_dir).reason


def test_account_holds_reservations_until_they_are_settled() -> None:
    account = Account()
    account.reserve(1, "a", Spend(100, 1.0))
    account.reserve(2, "b", Spend(100, 1.0))
    assert (account.tokens, account.money) == (200, 2.0)
    account.settle(1, Spend(10, 0.25))
    account.settle(2, None)
    assert (account.tokens, account.money, len(account.documents), account.requests) == (110, 1.25, 2, 2)
    # A request that was recorded yesterday ends today: what it cost counts today.
    account.settle(99, Spend(5, 0.5))
    assert (account.tokens, account.money) == (115, 1.75)


@pytest.mark.parametrize(
    ("caps", "over"),
    [
        (Caps(), None), (Caps(documents=1), "documents"), (Caps(documents=2), None), (Caps(tokens=149), "tokens"),
        (Caps(tokens=150), None), (Caps(money=1.4), "money"), (Caps(money=1.5), None),
    ],
)  # fmt: skip
def test_account_says_which_cap_a_request_would_break(caps: Caps, over: str | None) -> None:
    account = Account()
    account.reserve(1, "a", Spend(100, 1.0))
    assert account.over(caps, "b", Spend(50, 0.5)) == over


def test_no_thread_stays_behind(bench: FrontierBench) -> None:
    answered(bench, 3)
    for answerer in bench.engines:
        answerer.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("frontier-")]


def test_money_of_two_currencies_is_never_added(bench: FrontierBench) -> None:
    bench.configure(concurrency=1, currency="eur")
    bench.allow(day="money = 5")
    assert answered(bench, 1) == [None]
    bench.configure(concurrency=1, currency="USD")
    (result,) = bench.ask(classify_task(), QUESTIONS[1])
    assert result.error == "cap_currency"
    assert "EUR was spent in this day, and USD cannot be added to it" in result.error_message
    state = egress_state(bench.settings, {}, bench.system_dir)
    assert list(state.today.currencies) == ["EUR"]
    # Without a cap on money nothing is added up, and what costs nothing disturbs no sum.
    bench.allow(day="documents = 1000")
    (second,) = bench.ask(classify_task(), QUESTIONS[1])
    assert second.error is None
    today = egress_state(bench.settings, {}, bench.system_dir)
    assert (sorted(today.today.currencies), today.record()["today"]["money"]) == (["EUR", "USD"], None)  # type: ignore[index]
    bench.configure(concurrency=1, input_price=0, output_price=0, currency="SEK")
    bench.allow(day="money = 5")
    (free,) = bench.ask(classify_task(), QUESTIONS[2])
    assert free.error is None


@pytest.mark.parametrize("scope", ["run", "day"])
def test_cap_in_another_currency_than_the_prices_lets_nothing_leave(bench: FrontierBench, scope: str) -> None:
    money = 'money = 5\ncurrency = "eur"'
    bench.allow(text=f"[caps.run]\n{money}" if scope == "run" else "", day=money if scope == "day" else "documents = 9")
    with pytest.raises(UsageError, match=f"caps a {scope} at 5.0 EUR, but frontier recorded has its prices in USD"):
        bench.open(classify_task())
    bench.configure(currency="EUR")
    bench.open(classify_task())


def test_account_keeps_currencies_apart() -> None:
    account = Account()
    account.reserve(1, "a", Spend(100, 1.0, "EUR"))
    assert account.over(Caps(money=5.0), "b", Spend(1, 1.0, "USD")) == "currency"
    assert account.over(Caps(money=5.0), "b", Spend(1, 0.0, "USD")) is None
    assert account.over(Caps(), "b", Spend(1, 1.0, "USD")) is None
    account.settle(1, Spend(10, 0.5, "EUR"))
    account.reserve(2, "b", Spend(1, 2.0, "USD"))
    assert (account.money, account.currencies) == (None, {"EUR": 0.5, "USD": 2.0})


def test_names_are_hashed_and_searched_under_a_key_of_the_installation(bench: FrontierBench) -> None:
    request = Request("17", QUESTIONS[0], name="scans/Ru\u0308ckruf.txt")
    list(answer_all(bench.open(classify_task()), [request]))
    (record,) = bench.records("sent")
    for name in ("scans/R\u00fcckruf.txt", "Ru\u0308ckruf.txt"):
        assert searched_hashes(bench.egress_dir, name) & set(cast("list[str]", record["names"]))
    assert not searched_hashes(bench.egress_dir, "other.txt") & set(cast("list[str]", record["names"]))
    assert (bench.egress_dir / "names.key").stat().st_mode & 0o777 == 0o600
    assert "R" not in str(record["names"])
    assert not searched_hashes(bench.home_dir, "other.txt"), "looking makes no key"


@pytest.mark.parametrize("typed", ["./in/b\udcfcr.txt", r"in/b\xfcr.txt", "b\udcfcr.txt"])
def test_a_name_that_is_no_text_is_searched_as_it_is_typed_or_shown(bench: FrontierBench, typed: str) -> None:
    name = document_name(b"in/b\xfcr.txt")
    list(answer_all(bench.open(classify_task()), [Request("17", QUESTIONS[0], name=name)]))
    (record,) = bench.records("sent")
    assert searched_hashes(bench.egress_dir, typed) & set(cast("list[str]", record["names"]))
