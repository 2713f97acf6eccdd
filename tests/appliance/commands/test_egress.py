"""`stillroom egress`: what may leave, what would leave, what left, and whether the record of it is whole."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.routing import policy
from appliance.routing.egress_log import log_files
from tests.appliance.frontier_fixtures import FrontierBench, classify_task, frontier_bench

TASK = """version = 1
name = "bank"
kind = "classify"
instruction = "What is it about?"
labels = ["cards", "loans"]
data_class = "internal"
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        yield made


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs the command line: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["stillroom", "egress", *arguments])
        code = main()
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A task file and some documents."""
    (tmp_path / "task.toml").write_text(TASK)
    (tmp_path / "letter.txt").write_text("I lost my card, write to jane@example.com")
    (tmp_path / "odd.txt").write_text("MASK_MAIL_ABCDEFGHIJ")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return tmp_path


def test_status_of_a_machine_without_a_policy(call: Call, home_dir: Path) -> None:
    code, stdout, _ = call("status")
    assert code == 0
    assert "egress: off\n" in stdout
    assert "no egress policy" in stdout
    assert str(home_dir / "policy" / "egress.toml") in stdout
    assert "frontiers: none" in stdout
    code, stdout, _ = call("status", "--json")
    assert (code, json.loads(stdout)["on"]) == (0, False)
    assert not (home_dir / "egress").exists()


def test_status_names_classes_hosts_caps_and_spending(call: Call, bench: FrontierBench) -> None:
    bench.allow(text="[caps.run]\nmoney = 2.5", day="documents = 1000")
    bench.ask(classify_task(), "question 0")
    code, stdout, _ = call("status")
    assert code == 0
    assert "egress: on, for commands that ask for it" in stdout
    assert "data classes: internal" in stdout
    assert f"hosts: {bench.frontier.host}" in stdout
    assert "caps of a run: 2.50" in stdout
    assert "caps of a day: 1,000 documents" in stdout
    assert f"frontier recorded: recorded-1 at {bench.frontier.host}" in stdout
    assert "today: 1 document, 1 request," in stdout


def test_status_names_the_mistake_in_a_policy(call: Call, bench: FrontierBench) -> None:
    bench.allow(enabeld="true")
    code, stdout, _ = call("status")
    assert code == 0
    assert "enabeld: unknown key" in stdout
    assert "did you mean enabled?" in stdout


def test_show_lists_requests_and_prints_the_bytes_that_left(call: Call, bench: FrontierBench) -> None:
    code, stdout, stderr = call("show")
    assert (code, stdout) == (0, "")
    assert "nothing has left this machine" in stderr
    bench.frontier.next_modes("refusal")
    bench.configure(concurrency=1)
    bench.ask(classify_task(), "question 0", "question 1")
    code, stdout, _ = call("show")
    lines = stdout.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert bench.frontier.url in lines[1]
    assert "  refused  " in lines[1]
    assert "  answered  " in lines[2]
    code, stdout, _ = call("show", "--json", "--document", "1")
    (shown,) = map(json.loads, stdout.splitlines())
    assert (shown["document"], shown["ended"]["outcome"]) == ("1", "answered")
    code, stdout, _ = call("show", "--body", str(shown["sequence"]))
    assert stdout.encode() == bench.frontier.requests[1].body
    assert len(call("show", "--limit", "1", "--json")[1].splitlines()) == 1
    assert call("show", "--run", "another")[1] == ""
    assert call("show", "--day", "1999-01-01", "--json")[1] == ""
    for slip in ("2026-13-01", "yesterday", "20261129", "2026-11-29T10"):
        code, _, stderr = call("show", "--day", slip)
        assert (code, f"--day {slip} is not a date" in stderr) == (2, True)


def test_show_of_a_body_that_is_not_there(call: Call, bench: FrontierBench) -> None:
    bench.allow(keep_bodies="false")
    bench.ask(classify_task(), "question 0")
    code, _, stderr = call("show", "--body", "1")
    assert code == 2
    assert "are not kept" in stderr
    assert "record 2 is not a request" in call("show", "--body", "2")[2]


def test_document_names_never_reach_the_terminal_raw(call: Call, bench: FrontierBench) -> None:
    from appliance.engines.engine import Request

    bench.ask(classify_task(), Request("evil\x1b[2J\u202e.txt", "question 0"))
    code, stdout, _ = call("show")
    assert code == 0
    assert "\x1b" not in stdout
    assert "\u202e" not in stdout


def test_verify_prints_the_head_and_finds_a_change(call: Call, bench: FrontierBench) -> None:
    bench.ask(classify_task(), "question 0")
    code, stdout, _ = call("verify", "--json")
    found = json.loads(stdout)
    assert (code, found["good"], found["requests"]) == (0, True, 1)
    code, stdout, _ = call("verify", "--head", found["head"])
    assert code == 0
    assert f"2 records, 1 request, head {found['head']}" in stdout
    (path,) = log_files(bench.egress_dir)
    text = path.read_text()
    path.write_text(text.replace('"bank"', '"dull"', 1))
    code, _, stderr = call("verify")
    assert code == 3
    assert f"{path.name} line 1: record 1 was changed" in stderr
    path.write_text("")
    code, stdout, _ = call("verify")
    assert code == 0
    assert "1 kept body without a record" in stdout
    code, _, stderr = call("verify", "--head", found["head"])
    assert code == 3
    assert "cut off" in stderr


def test_verify_tells_of_a_torn_end(call: Call, bench: FrontierBench) -> None:
    bench.ask(classify_task(), "question 0")
    (path,) = log_files(bench.egress_dir)
    with path.open("a") as file:
        file.write('{"version":1,')
    code, stdout, _ = call("verify")
    assert code == 0
    assert "13 bytes of an unfinished record" in stdout


def test_preview_prints_exactly_the_bytes_and_sends_nothing(call: Call, bench: FrontierBench, documents: Path) -> None:
    code, stdout, stderr = call(
        "preview", str(documents / "task.toml"), str(documents / "letter.txt"), "--frontier", "recorded"
    )
    assert code == 0
    assert json.loads(stdout)["messages"][1]["content"].startswith("I lost my card, write to MASK_MAIL_")
    assert "masked: 1 mail" in stderr
    assert not bench.frontier.requests
    bench.frontier.behaviour.unknown = {"label": "cards"}
    bench.ask(classify_task(), (documents / "letter.txt").read_text())
    assert bench.frontier.requests[0].body == stdout.encode()


def test_preview_of_a_folder_names_what_would_stay(call: Call, bench: FrontierBench, documents: Path) -> None:
    folder = documents / "folder"
    folder.mkdir()
    for name in ("letter.txt", "odd.txt", "broken.pdf"):
        (documents / name).rename(folder / name)
    (folder / "second.txt").write_text("about a loan")
    code, stdout, stderr = call("preview", str(documents / "task.toml"), str(folder), "--frontier", "recorded")
    texts = [json.loads(line)["messages"][1]["content"] for line in stdout.split("\n")]
    assert code == 3
    assert texts[0].startswith("I lost my card")
    assert texts[1:] == ["about a loan"]
    assert "odd.txt stays here: " in stderr
    assert "(placeholder_collision)" in stderr
    assert "broken.pdf stays here: " in stderr
    assert "2 documents would stay on this machine" in stderr
    assert not bench.frontier.requests


def test_preview_without_a_document(call: Call, bench: FrontierBench, documents: Path) -> None:
    code, stdout, stderr = call("preview", str(documents / "task.toml"), str(documents / "x"), "--frontier", "recorded")
    assert (code, stdout) == (2, "")
    assert "no document at" in stderr


def test_preview_needs_the_policy_too(
    call: Call, bench: FrontierBench, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.allow(data_classes='["public"]')
    arguments = ("preview", str(documents / "task.toml"), str(documents / "letter.txt"), "--frontier")
    code, stdout, stderr = call(*arguments, "recorded")
    assert (code, stdout) == (2, "")
    assert "class internal" in stderr
    code, _, stderr = call(*arguments, "recordet")
    assert code == 2
    assert "did you mean recorded?" in stderr


def test_policy_of_the_machine_is_where_the_manual_says() -> None:
    assert Path("/etc/stillroom") == policy.SYSTEM_DIR
