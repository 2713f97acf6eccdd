"""`stillroom demo`: every verb once, on the real base, as a person would call it."""

import json
from pathlib import Path

import pytest
from decoder_fixtures import cli

from appliance.tasks.folder import TaskFolder
from training.base_model import PACKAGED_BASE, find_base
from training.demo.course import MARKER
from training.demo.scoring import planted_recall

KEYS = {
    "documents", "rows", "failed", "field_accuracy", "field_accuracy_base", "document_accuracy", "agreement",
    "documents_per_second", "verdict", "seconds",
}  # fmt: skip

WORTHWHILE_STEPS = 15


@pytest.mark.slow
def test_the_quick_demo_goes_the_whole_way_and_says_how_good_it_is(tmp_path: Path) -> None:
    find_base(PACKAGED_BASE)
    folder = tmp_path / "demo"
    done = cli("demo", "--quick", "--json", "--work", folder, timeout_seconds=1200)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) == KEYS
    assert figures["rows"] + figures["failed"] == figures["documents"] == 40
    assert figures["failed"] == 0
    # In its few seconds a busy machine trains a third of the steps.
    (metrics_path,) = (folder / "task" / "runs").glob("*/metrics.jsonl")
    steps = json.loads(metrics_path.read_text().splitlines()[-1])["step"]
    least_gain = 0.1 if steps >= WORTHWHILE_STEPS else -0.1
    assert figures["field_accuracy"] > figures["field_accuracy_base"] + least_gain
    # Of 100 fields; a student that was hardly trained is often of two minds, and rounding decides.
    assert min(figures["agreement"].values()) >= 0.9
    assert figures["verdict"].startswith(("READY", "NOT READY", "NEED "))
    caught = planted_recall(folder / "planted.jsonl", TaskFolder(folder / "task"))
    found, planted = (sum(caught[kind][at] for kind in caught if kind != "right") for at in (0, 1))
    assert planted == 18
    assert found >= 14
    assert f"planted mistakes found: {found} of {planted}" in done.stderr


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = cli("demo", "--work", tmp_path)
    assert refused.returncode == 2
    assert "no demo made it" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert MARKER not in refused.stderr
