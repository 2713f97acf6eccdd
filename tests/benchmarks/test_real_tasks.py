"""The benchmark on documents that people labelled: its sets, its counting, what was recorded, and a short run."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT_DIR

from appliance.tasks.linecode import Answer, Record
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

DATA_DIR = ROOT_DIR.parent / "shared" / "data"
SETS = ("us_addresses", "ingredients", "snips", "sgd_dialogues", "grobid_header", "invoices_pdf")


@pytest.fixture(scope="module")
def real_tasks() -> Iterator[ModuleType]:
    """The script as a module; `benchmarks/` is no package."""
    sys.path.append(str(ROOT_DIR / "benchmarks"))  # behind the packages, one of which a script is named like
    yield importlib.import_module("real_tasks")
    sys.path.remove(str(ROOT_DIR / "benchmarks"))


def task_of(real_tasks: ModuleType, set_name: str, folder: Path) -> Task:
    real_tasks.write_task_folder(folder, real_tasks.REAL_SETS[set_name], "stillroom-base", [])
    return load_task(folder)


@pytest.mark.parametrize("set_name", SETS)
def test_each_set_is_a_task_whose_labels_judge_themselves_right(
    real_tasks: ModuleType, set_name: str, tmp_path: Path
) -> None:
    if not (DATA_DIR / set_name).is_dir():
        pytest.skip(f"the set {set_name} is not on this machine")
    real_set = real_tasks.REAL_SETS[set_name]
    train, test = real_set.read(DATA_DIR)
    assert len(train) >= 500
    assert not {" ".join(row.text.lower().split()) for row in train} & {
        " ".join(row.text.lower().split()) for row in test
    }, "no text is on both sides"
    task = task_of(real_tasks, set_name, tmp_path)
    names = {field.name for field in task.output_fields}
    assert all(set(row.answer) == names for row in (*train[:50], *test))
    answers = [real_tasks.KeptAnswer(row.answer, {}) for row in test]
    figures = real_tasks.judge(task, test, answers, {}, real_set)
    assert figures.f1() == 1.0
    assert figures.whole.mean() == 1.0
    nothing: list[Answer] = [dict.fromkeys(names) for _ in test]
    silent = real_tasks.judge(task, test, [real_tasks.KeptAnswer(each, {}) for each in nothing], {}, real_set)
    assert (silent.f1(), silent.invented.sum()) == (0.0, 0)


def test_names_of_pairs_are_fields_of_their_own(real_tasks: ModuleType, tmp_path: Path) -> None:
    task = task_of(real_tasks, "snips", tmp_path)
    truth: list[Record] = [{"name": "artist", "value": "Ann"}, {"name": "album", "value": "One"}]
    mine: list[Record] = [{"name": "artist", "value": "ann"}, {"name": "track", "value": "One"}]
    gold = real_tasks.LabelledRow("a", "x", {"intent": "PlayMusic", "slots": truth})
    kept = real_tasks.KeptAnswer({"intent": "PlayMusic", "slots": mine}, {"slots": 0.9})
    figures = real_tasks.judge(task, [gold], [kept], {}, real_tasks.REAL_SETS["snips"])
    line = [figures.right[0], figures.written[0], figures.gold[0], figures.invented[0], figures.whole[0]]
    assert line == [1, 2, 2, 1, 0]
    assert figures.absent[0] == 37


def call(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT_DIR / "benchmarks" / "real_tasks.py"), *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_recorded_is_printed_set_by_set() -> None:
    done = call("--recorded")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {"smollm2_1000", "shipped_1000", "over_shipped", "invented"} <= set(figures)
    assert all(0.0 <= f1 <= 1.0 for f1 in figures["smollm2_1000"].values())
    gains = [
        f1 - figures["shipped_1000"][name]
        for name, f1 in figures["smollm2_1000"].items()
        if name in figures["shipped_1000"]
    ]
    assert figures["over_shipped"] == pytest.approx(sum(gains) / len(gains), abs=1e-4)
    cells = {(line["set"], line["model"], line["rows"]) for line in figures["lines"]}
    for set_name in ("us_addresses", "ingredients", "snips"):
        for model in ("smollm2", "stillroom-base", "crf"):
            assert {(set_name, model, rows) for rows in (100, 300, 1000)} <= cells


def test_only_a_refused_export_is_tried_in_more_bits(
    real_tasks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused, full_disk = 3, 4

    def exporting(status: int) -> None:
        def exported(run_dir: Path, target: str) -> Path:
            if target == "gguf-q8_0":
                raise real_tasks.CommandFailed("export", status)
            return run_dir / target

        monkeypatch.setattr(real_tasks, "exported", exported)

    facts: dict[str, object] = {}
    exporting(refused)
    assert real_tasks.artifact_of(tmp_path, facts) == tmp_path / "gguf-f16"
    assert facts["target"] == "gguf-f16"
    exporting(full_disk)
    with pytest.raises(real_tasks.CommandFailed, match="ended with 4"):
        real_tasks.artifact_of(tmp_path, {})


@pytest.mark.slow
def test_a_short_run_trains_exports_and_judges(tmp_path: Path) -> None:
    if not (DATA_DIR / "ingredients").is_dir():
        pytest.skip("the set ingredients is not on this machine")
    words = ["--work", str(tmp_path), "--set", "ingredients", "--rows", "100", "--rows", "0", "--test", "40"]
    done = call(*words, "--model", "stillroom-base", "--model", "regex")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = {(line["model"], line["rows"]): line for line in json.loads(done.stdout.splitlines()[-1])["lines"]}
    taught, untaught = lines["stillroom-base", 100], lines["stillroom-base", 0]
    assert (taught["documents"], taught["taught"]) == (40, 100)
    assert taught["f1"] > untaught["f1"] + 0.05
    assert 0.1 < lines["regex", 0]["f1"] < 0.9
