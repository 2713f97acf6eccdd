"""The example with line items goes the whole way of its README, on fewer documents."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT_DIR

from appliance.tasks.folder import SPLITS, TaskFolder
from appliance.tasks.labels import read_dataset

EXAMPLE = ROOT_DIR / "examples" / "tasks" / "order_lines"


def stillroom(home: Path, *words: "str | Path", codes: tuple[int, ...] = (0,)) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "appliance.cli", *map(str, words)]
    environment = {**os.environ, "STILLROOM_HOME": str(home), "PYTHONPATH": str(ROOT_DIR)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr[-3000:]
    return done


def make_documents(folder: Path, count: int) -> None:
    shutil.copy(EXAMPLE / "task.toml", folder / "task.toml")
    words = [str(EXAMPLE / "make_documents.py"), str(folder), "--documents", str(count), "--unread", "8"]
    subprocess.run([sys.executable, *words], env={**os.environ, "PYTHONPATH": str(ROOT_DIR)}, check=True)


def test_nothing_is_learnt_from_lines_that_do_not_add_up(tmp_path: Path) -> None:
    make_documents(tmp_path, 100)
    recorded = [json.loads(line)["answer"] for line in (tmp_path / "recorded.jsonl").read_text().splitlines()]

    def adds_up(answer: dict[str, object]) -> bool:
        lines = answer["lines"]
        assert isinstance(lines, list)
        cents = sum(round(100 * float(line["amount"].replace(",", ""))) for line in lines)
        return bool(cents) and cents == round(100 * float(str(answer["total"]).replace(",", "")))

    wrong = sum(not adds_up(answer) for answer in recorded)
    assert 0 < wrong < 20
    stillroom(
        tmp_path, "collect", tmp_path, "--recorded", tmp_path / "recorded.jsonl", "--documents",
        tmp_path / "documents", "--teacher", "example",
    )  # fmt: skip
    report = json.loads(stillroom(tmp_path, "curate", tmp_path, "--json").stdout)
    kept = [row for split in SPLITS for row in read_dataset(TaskFolder(tmp_path).split_path(split))]
    assert len(kept) == 100, report
    ruled_out = [row for row in kept if any(reason.startswith("rule") for reason in row.untrusted.values())]
    assert len(ruled_out) == wrong, report
    assert all({"lines", "total"} <= set(row.untrusted) for row in ruled_out)


@pytest.mark.slow
def test_the_example_goes_the_whole_way(tmp_path: Path) -> None:
    make_documents(tmp_path, 150)
    stillroom(
        tmp_path, "collect", tmp_path, "--recorded", tmp_path / "recorded.jsonl", "--documents",
        tmp_path / "documents", "--teacher", "example",
    )  # fmt: skip
    stillroom(tmp_path, "curate", tmp_path)
    stillroom(tmp_path, "train", tmp_path, "--epochs", "4", "--seconds", "90")
    (run_dir,) = (tmp_path / "runs").iterdir()
    stillroom(tmp_path, "merge", run_dir)
    stillroom(tmp_path, "export", run_dir, "--target", "gguf-q8_0")
    artifact = run_dir / "export" / "gguf-q8_0"
    report = json.loads(stillroom(tmp_path, "gate", tmp_path, artifact, "--json", codes=(0, 3)).stdout)
    columns = [f"lines.{name}" for name in ("article", "quantity", "price", "amount")]
    assert all(report["fields_worst_first"][name]["fields"] > 50 for name in columns)
    assert report["fields_worst_first"]["order_number"]["correct"] > 0.5 * report["documents"]
    out = tmp_path / "rows"
    stillroom(tmp_path, "run", tmp_path, tmp_path / "unread", "--model", artifact, "--out", out, codes=(0, 3))
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 8
    for row in rows:
        for record in row["fields"]["lines"] or []:
            assert list(record) == [name.removeprefix("lines.") for name in columns]
        is_odd = any(reason.startswith("rule:") for reason in row["reasons"])
        assert not is_odd or row["route"] == "review"
