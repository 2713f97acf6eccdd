"""Traffic that a company already has: the forms that logs take, what is worth distilling, rows of it."""

import json
from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.tasks.folder import ANSWERS_FILE
from appliance.tasks.labels import read_dataset
from appliance.tasks.taskfile import load_task
from training.logs.exchanges import Exchange, LogFile, read_exchanges
from training.logs.rows import import_log, read_log
from training.logs.workloads import workloads

SYSTEM = "Read the order and answer in JSON."
TASK = """version = 2
name = "orders"
kind = "extract"
instruction = "Read the order"

[[fields]]
name = "order_number"

[[fields]]
name = "total"
type = "amount"
"""


def order(number: int) -> tuple[str, str]:
    text = f"Order {number} of customer {number * 7}\nTotal: {number}.50 EUR"
    return text, json.dumps({"order_number": str(number), "total": f"{number}.50"})


def messages(text: str, system: str = SYSTEM) -> list[dict[str, object]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def tuned(text: str, answer: str) -> dict[str, object]:
    return {"messages": [*messages(text), {"role": "assistant", "content": answer}]}


def flywheel(text: str, answer: str) -> dict[str, object]:
    response = {"model": "gpt-5", "created": 1_790_000_000, "usage": {"prompt_tokens": 100, "completion_tokens": 20},
                "choices": [{"message": {"role": "assistant", "content": answer}}]}  # fmt: skip
    return {"timestamp": 1_790_000_000, "request": {"model": "gpt-5", "messages": messages(text)}, "response": response}


def langfuse(text: str, answer: str) -> dict[str, object]:
    return {"type": "GENERATION", "startTime": "2026-09-21T10:00:00.000Z", "model": "gpt-5",
            "input": json.dumps(messages(text)), "output": {"role": "assistant", "content": answer},
            "usageDetails": {"input": 100, "output": 20}, "calculatedTotalCost": 0.002}  # fmt: skip


def parts(text: str, answer: str) -> dict[str, object]:
    content = [{"type": "text", "text": text}]
    return {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content},
                         {"role": "assistant", "content": [{"type": "text", "text": answer}]}]}  # fmt: skip


def responses(text: str, answer: str) -> dict[str, object]:
    return {"request": {"body": {"model": "gpt-5", "instructions": SYSTEM, "input": text}},
            "response": {"body": {"model": "gpt-5", "output_text": answer}}}  # fmt: skip


def items(text: str, answer: str) -> dict[str, object]:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "the total stands below"}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]}
    return {"request": {"body": {"model": "gpt-5", "instructions": SYSTEM, "input": text}},
            "response": {"body": {"model": "gpt-5", "output": [thought, said]}}}  # fmt: skip


def call(text: str, answer: str) -> dict[str, object]:
    function = {"id": "c1", "type": "function", "function": {"name": "save_order", "arguments": answer}}
    message = {"role": "assistant", "content": None, "tool_calls": [function]}
    return {"request": {"messages": messages(text)}, "response": {"choices": [{"message": message}]}}


def tuned_call(text: str, answer: str) -> dict[str, object]:
    called = {"role": "assistant", "function_call": {"name": "save_order", "arguments": answer}}
    return {"messages": [*messages(text), called]}


FORMS = {
    "tuned": tuned, "flywheel": flywheel, "langfuse": langfuse, "parts": parts, "responses": responses, "items": items,
    "call": call, "tuned call": tuned_call,
}  # fmt: skip


def write(path: Path, records: list[object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "orders"
    path.mkdir()
    (path / "task.toml").write_text(TASK)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_array", [False, True], ids=["lines", "array"])
def test_every_form_of_a_log_gives_the_same_exchanges(tmp_path: Path, form: str, as_array: bool) -> None:
    records: list[object] = [FORMS[form](*order(number)) for number in range(3)]
    path = write(tmp_path / "log.jsonl", records)
    if as_array:
        path.write_text(json.dumps(records))
    log = LogFile()
    exchanges = list(read_exchanges(path, log))
    assert [(each.system, each.user, each.answer) for each in exchanges] == [
        (SYSTEM, *order(number)) for number in range(3)
    ]
    assert (log.broken, log.passed_over) == ([], {})


def test_tokens_money_and_time_come_along(tmp_path: Path) -> None:
    (exchange,) = read_exchanges(write(tmp_path / "log.jsonl", [langfuse(*order(1))]), LogFile())
    assert (exchange.prompt_tokens, exchange.completion_tokens, exchange.money) == (100, 20, 0.002)
    assert exchange.moment == pytest.approx(1_790_000_000, abs=86400)
    assert exchange.model == "gpt-5"


def test_what_is_no_exchange_is_counted_with_its_reason(tmp_path: Path) -> None:
    several = tuned(*order(1))
    several["messages"] = [*messages("one"), {"role": "assistant", "content": "two"}, *messages("three"),
                           {"role": "assistant", "content": "four"}]  # fmt: skip
    records: list[object] = [{"level": "ERROR", **langfuse(*order(1))}, several, {"messages": messages("no answer")},
                             {"something": "else"}, tuned(*order(2))]  # fmt: skip
    path = write(tmp_path / "log.jsonl", records)
    path.write_text("{broken\n" + path.read_text())
    ranked, result = read_log(path)
    assert (len(ranked), result.exchanges) == (1, 1)
    assert result.bad[0].startswith("log.jsonl:1: not JSON")
    assert sum(result.passed_over.values()) == 4
    assert result.passed_over["conversations of several turns"] == 1


def test_a_workload_is_what_was_asked_and_its_documents_are_what_differs(tmp_path: Path) -> None:
    orders = [Exchange(n, SYSTEM, f"Read this order:\n{order(n)[0]}\n\nAnswer in JSON.\n", order(n)[1], money=0.01,
                       moment=1_790_000_000 + n * 8640.0) for n in range(100)]  # fmt: skip
    chats = [Exchange(n, "You are helpful.", f"{chr(97 + n % 26) * (n + 1)}?", "answer " * (1 + n * n), money=0.01,
                      moment=1_790_000_000 + n * 8640.0) for n in range(100)]  # fmt: skip
    labels = [Exchange(n, "Which desk?", f"letter {n}", ("card", "money")[n % 2], money=0.001,
                       moment=1_790_000_000 + n * 8640.0) for n in range(100)]  # fmt: skip
    ranked = workloads([*chats, *labels, *orders])
    assert [each.kind for each in ranked] == ["extract", "generate", "classify"]
    first = ranked[0]
    assert first.documents[7].strip() == order(7)[0]
    assert (first.names, first.narrow) == (("order_number", "total"), 1.0)
    assert first.a_month == pytest.approx(100 / 9.9 * 30.4, rel=0.01)
    assert first.money_a_month == pytest.approx(first.a_month * 0.01)
    assert ranked[2].names == ("card", "money")


def test_the_workload_that_fits_the_task_becomes_rows_once(folder: Path, tmp_path: Path) -> None:
    others: list[object] = [{"messages": [*messages(f"hello {n}", "Chat."), {"role": "assistant", "content": "hi"}]}
                            for n in range(50)]  # fmt: skip
    path = write(tmp_path / "log.jsonl", [*others, *(flywheel(*order(n)) for n in range(10))])
    task = load_task(folder)
    result = import_log(task, folder, path)
    assert (result.imported, result.known, result.bad) == (10, 0, [])
    rows = read_dataset(folder / ANSWERS_FILE)
    assert rows[3].text == order(3)[0]
    assert rows[3].answer == {"order_number": "3", "total": "3.50"}
    assert (rows[3].teacher, rows[3].source, rows[3].provenance["licence"]) == ("gpt-5", "teacher", "unknown")
    assert import_log(task, folder, path).known == 10
    with pytest.raises(UsageError, match="no workload 9"):
        import_log(task, folder, path, 9)


def test_secrets_of_a_log_stay_in_it(folder: Path, tmp_path: Path) -> None:
    secret = "sk-live-4711"
    records = []
    for number in range(5):
        record = flywheel(*order(number))
        request = {"headers": {"Authorization": f"Bearer {secret}", "Cookie": secret}, "body": record["request"]}
        records.append({**record, "request": request, "api_key": secret, "response": {"headers": {"set-cookie": secret},
                        "body": record["response"]}})  # fmt: skip
    path = write(tmp_path / "log.jsonl", list(records))
    path.write_text(path.read_text() + f'{{"headers": {{"authorization": "{secret}"}}}}\n{{"Bearer {secret}\n')
    result = import_log(load_task(folder), folder, path)
    assert (result.imported, len(result.bad)) == (5, 1)
    assert secret not in (folder / ANSWERS_FILE).read_text()
    assert secret not in repr(result)


def test_a_log_that_answers_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    chats = [{"messages": [*messages(f"hello {n}"), {"role": "assistant", "content": "hi"}]} for n in range(5)]
    path = write(tmp_path / "log.jsonl", list(chats))
    with pytest.raises(UsageError, match="no workload of the log answers what orders asks"):
        import_log(load_task(folder), folder, path)
    path.write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match=r"no request with its answer \(1 no message of a user\)"):
        read_log(path)
    path.write_text('"text"')
    with pytest.raises(UsageError, match="no request with its answer"):
        read_log(path)
