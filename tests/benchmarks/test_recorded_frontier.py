"""The recorded frontier: it replays what GPT-4 and GPT-3.5 answered, over the real client, and fails on demand."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT_DIR

from benchmarks.recorded_frontier import MODES, Behaviour, RecordedFrontier, completion, recorded_answers
from tests.appliance.frontier_fixtures import classify_task, frontier_bench

SCRIPT = ROOT_DIR / "benchmarks" / "recorded_frontier.py"


def labelled_rows(shared_data: Path) -> list[dict[str, str | None]]:
    path = shared_data / "banking77_gpt4" / "labels.jsonl"
    if not path.is_file():
        pytest.skip("shared/data/banking77_gpt4 is not there")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("model", ["gpt4", "gpt35"])
def test_recorded_answers_come_back_through_the_real_client(home_dir: Path, shared_data: Path, model: str) -> None:
    rows = labelled_rows(shared_data)
    labels = sorted({str(row[name]) for row in rows for name in ("gold", "gpt4", "gpt35") if row[name]})
    answers = recorded_answers(shared_data / "banking77_gpt4", model)
    assert len(answers) == len({row["text"] for row in rows})
    # Some with and some without a valid label.
    shown = [row for row in rows if row[model] is None][:3] + rows[:20]
    with frontier_bench(home_dir, answers) as bench:
        bench.configure(concurrency=4)
        results = bench.ask(classify_task(labels=labels), *[str(row["text"]) for row in shown])
    for row, result in zip(shown, results, strict=True):
        if row[model] is None:
            assert (result.answer, result.error) == (None, "wrong_schema")
        else:
            assert result.answer == {"label": row[model]}


def test_agreement_with_gold_is_that_of_the_recording(shared_data: Path) -> None:
    rows = labelled_rows(shared_data)
    for model, share in (("gpt4", 0.831), ("gpt35", 0.752)):
        answers = recorded_answers(shared_data / "banking77_gpt4", model)
        right = Counter(answers[str(row["text"])] == {"label": row["gold"]} for row in rows)
        assert right[True] / len(rows) == pytest.approx(share, abs=0.002)


def test_a_request_whose_client_goes_away_is_kept_apart() -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 40\r\n\r\n"
    with RecordedFrontier({}) as frontier:
        with socket.create_connection(("127.0.0.1", frontier.port)) as connection:
            connection.sendall(head + b'{"model"')
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        assert (frontier.requests, frontier.cut_short) == ([], [b'{"model"'])


def test_modes_of_single_texts_and_of_the_next_requests(home_dir: Path) -> None:
    with frontier_bench(home_dir) as bench:
        bench.configure(concurrency=1, retries=0)
        bench.frontier.modes["question 1"] = "refusal"
        bench.frontier.next_modes("500")
        results = bench.ask(classify_task(), "question 0", "question 1", "question 2")
    assert [result.error for result in results] == ["server_error", "refused", None]


def test_unknown_mode_is_refused() -> None:
    with RecordedFrontier({}) as frontier, pytest.raises(ValueError, match="no mode is called 499"):
        frontier.next_modes("499")
    assert len(MODES) == len(set(MODES))


def test_every_broken_completion_differs_from_the_good_one() -> None:
    frontier = RecordedFrontier({"a": {"label": "b"}}, Behaviour(prompt_tokens=1))
    seen_body = json.dumps({"messages": [{"role": "user", "content": "a"}]}).encode()
    from benchmarks.recorded_frontier import Seen

    seen = Seen("/v1/chat/completions", {}, seen_body)
    good = completion(frontier, seen, "ok")
    for mode in ("wrong-model", "no-model", "no-choices", "refusal", "length", "content-filter", "no-usage", "list"):
        assert completion(frontier, seen, mode) != good


def test_script_prints_its_address_and_serves(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"text": "a question", "gpt4": "b", "gpt35": null, "gpt4_nonrep": "c"}\n')
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path), "--answers", "gpt4_nonrep", "--modes", "ok,500"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        body = json.dumps({"messages": [{"role": "user", "content": "a question"}]}).encode()
        request = urllib.request.Request(told["url"] + "/chat/completions", body)
        with urllib.request.urlopen(request, timeout=30) as response:
            values = json.loads(response.read())
        assert json.loads(values["choices"][0]["message"]["content"]) == {"label": "c"}
        assert values["model"] == told["model"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_script_without_its_data_ends_with_a_message(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "labels.jsonl is not there" in done.stderr
