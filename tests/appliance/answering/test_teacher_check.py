"""`stillroom gate --teacher`: a frontier on labelled rows, before money is spent on the others."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from decoder_fixtures import cli

from appliance.tasks.labels import LabelledRow, text_hash
from benchmarks.recorded_frontier import Behaviour
from tests.appliance.frontier_fixtures import FrontierBench, frontier_bench

TASK = """version = 2
name = "bank"
kind = "classify"
instruction = "What is it about?"
labels = ["cards", "loans"]
data_class = "internal"

[readiness]
required = 0.9
"""
QUESTIONS = 120


class Judging:
    """A task folder with labelled rows, and a teacher that gets some of them wrong."""

    def __init__(self, root: Path, bench: FrontierBench) -> None:
        self.bench, self.folder = bench, root / "task"
        (self.folder / "dataset").mkdir(parents=True)
        (self.folder / "task.toml").write_text(TASK)
        rows = [
            LabelledRow(f"{n}.txt", f"question {n}", {"label": ("cards", "loans")[n % 2]}, text_hash(f"question {n}"),
                        source="person")
            for n in range(QUESTIONS)
        ]  # fmt: skip
        (self.folder / "dataset" / "test.jsonl").write_text("\n".join(row.line() for row in rows) + "\n")

    def gate(self, *options: str, teacher: bool = True) -> subprocess.CompletedProcess[str]:
        words = ["--teacher", "recorded"] if teacher else []
        return cli("gate", self.folder, *words, *options, STILLROOM_HOME=str(self.bench.home_dir))


def judging(root: Path, wrong: int, **behaviour: object) -> Iterator[Judging]:
    home = root / "home"
    home.mkdir()
    answers: dict[str, object] = {
        f"question {n}": {"label": ("cards", "loans")[(n + (n < wrong)) % 2]} for n in range(QUESTIONS)
    }
    with frontier_bench(home, answers, Behaviour(**behaviour)) as bench:  # type: ignore[arg-type]
        yield Judging(root, bench)


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "GO"), (10, "ITERATE"), (60, "RETHINK")])
def test_the_verdict_says_whether_the_teacher_is_worth_its_money(tmp_path: Path, wrong: int, verdict: str) -> None:
    for judged in judging(tmp_path, wrong):
        result = judged.gate("--json")
        said = json.loads(result.stdout.splitlines()[0])
        assert (said["teacher"], said["verdict"]) == ("recorded", verdict)
        assert said["documents"] == QUESTIONS
        assert f"{100 * (1 - wrong / QUESTIONS):.1f}" in said["reason"]
        assert said["money"] > 0
        assert (result.returncode == 0) == (verdict == "GO")
        # What was paid for is not paid for again.
        asked = len(judged.bench.frontier.requests)
        assert asked == QUESTIONS
        assert json.loads(judged.gate("--json").stdout.splitlines()[0])["verdict"] == verdict
        assert len(judged.bench.frontier.requests) == asked


def test_its_mistakes_are_written_down(tmp_path: Path) -> None:
    for judged in judging(tmp_path, 10):
        result = judged.gate("--errors", str(tmp_path / "errors.jsonl"), "--html", str(tmp_path / "page.html"))
        assert "ITERATE" in result.stdout
        assert "hint" in result.stderr
        lines = (tmp_path / "errors.jsonl").read_text().splitlines()
        assert {json.loads(line)["document"] for line in lines} == {f"{n}.txt" for n in range(10)}
        assert "<script" not in (tmp_path / "page.html").read_text()


def test_a_cap_ends_it_and_what_it_answered_is_kept(tmp_path: Path) -> None:
    for judged in judging(tmp_path, 0):
        result = judged.gate("--cap-money", "0.001")
        assert result.returncode != 0
        assert "of 120 labelled rows" in result.stderr
        asked = len(judged.bench.frontier.requests)
        assert asked < QUESTIONS
        assert judged.gate().returncode == 0
        assert len(judged.bench.frontier.requests) == QUESTIONS


def test_it_stands_in_place_of_a_model(tmp_path: Path) -> None:
    for judged in judging(tmp_path, 0):
        assert judged.gate("--quick").returncode == 2
        nobody = judged.gate(teacher=False)
        assert nobody.returncode == 2
        assert "no model is named" in nobody.stderr
