"""Several processes that train one run: what they end with, and what happens when one of them is killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from decoder_fixtures import write_base, write_task_folder
from rank_worker import train_once
from safetensors import safe_open
from safetensors.torch import load_file

from appliance.ground.errors import ResourceError
from training.launch import launch
from training.ranks import share, totals
from training.verb_call import call_verb

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "--epochs 3 --rate 5e-3 --rank 4 --batch-tokens 512 --micro-batch-tokens 128 --precision float32".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ranks")
    return write_task_folder(root / "task", write_base(root / "base"))


def test_parts_are_dealt_out_once_and_evenly_where_all_must_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    dealt = []
    for number in ("0", "1"):
        monkeypatch.setenv("RANK", number)
        dealt.append(share("abc", evenly=True))
        assert share("abc") == [part for part in dealt[-1] if part[1]]
    assert dealt == [[("a", True), ("c", True)], [("b", True), ("a", False)]]


def test_one_process_is_its_own_sum() -> None:
    assert totals(1.5, 2.0) == [1.5, 2.0]


@pytest.mark.slow
def test_two_processes_end_as_one_with_the_whole_base_or_with_a_part_of_it(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    processes = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "rank_worker.py"), str(folder), str(tmp_path)],
            env=os.environ | variables | {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": paths},
        )
        for rank in ("0", "1")
    ]
    alone, best = train_once(folder)
    assert [process.wait(timeout=900) for process in processes] == [0, 0]
    for name in ("whole", "sharded"):
        together = load_file(str(tmp_path / f"{name}.safetensors"))
        assert together.keys() == alone.keys()
        # Sums are formed in another order, so float32 rounding differs.
        assert all(torch.allclose(together[key], alone[key], atol=1e-5) for key in alone)
        with safe_open(str(tmp_path / f"{name}.safetensors"), framework="pt") as file:
            assert float(file.metadata()["loss"]) == pytest.approx(best["validation_loss"], abs=1e-4)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_run_goes_on(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "task", ignore=shutil.ignore_patterns("runs"))
    command = [sys.executable, "-m", "appliance.cli", "train", str(tmp_path / "task"), *OPTIONS, "--processes", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT)
    assert process.stderr is not None
    with process.stderr as words:
        assert any(line.startswith("epoch 1 ") for line in words)
        first, second = ranks_of(process.pid)
        assert listening_addresses(first, second) == {"0100007F"}, (
            "processes of one machine listen on its loopback alone"
        )
        meeting_dir = Path(environment_of(second)["STILLROOM_LAUNCHED"]).parent
        assert meeting_dir.stat().st_mode & 0o777 == 0o700
        os.kill(second, signal.SIGKILL)
        rest = words.read()
    assert process.wait() == 4
    assert "error: process 2 of 2 of this run ended: it was killed by SIGKILL" in rest
    assert "Traceback" not in rest
    assert not meeting_dir.exists()
    (run_dir,) = (tmp_path / "task" / "runs").iterdir()
    assert not (run_dir / "record.json").exists()
    assert not list(run_dir.glob("*.part"))
    record = json.loads(call_verb("train", str(tmp_path / "task"), "--resume", "--json"))
    assert record["run"] == str(run_dir)
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert [line["epoch"] for line in map(json.loads, lines) if "epoch" in line] == [1, 2, 3]


def ranks_of(parent: int) -> list[int]:
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return sorted(children, key=lambda pid: environment_of(pid)["RANK"])


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def listening_addresses(*pids: int) -> set[str]:
    """Addresses on which the processes wait for others, as the kernel writes them."""
    open_files = {os.readlink(file) for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in open_files}


@pytest.mark.parametrize(("kills", "cause"), [("0", "it was killed by SIGKILL"), ("1", "the kernel killed it because")])
def test_a_process_that_was_killed_is_named_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: str, cause: str
) -> None:
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 1\noom_kill 0\n")
    program = tmp_path / "killed"
    program.write_text(f"#!/bin/sh\n[ $RANK = 1 ] || exit 0\necho oom_kill {kills} > {counts}\nkill -9 $$\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(ResourceError, match=f"process 2 of 2 of this run ended: {cause}"):
        launch(2, ["train"], counts)


def test_what_a_process_says_that_fails_first_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "failed"
    program.write_text("#!/bin/sh\n[ $RANK = 1 ] || exit 0\necho error: no room >&2\nexit 4\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    assert launch(2, ["train"]) == 4
    assert capsys.readouterr().err == "error: no room\n"
