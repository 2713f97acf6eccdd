"""Shards on a Ray cluster of two nodes on this machine, with the real command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from appliance.cluster.shard_process import ShardProcess
from tests.appliance.batch_fixtures import Bench

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `cluster` is not installed")


@pytest.fixture
def address(bench: Bench) -> Iterator[str]:
    """Address of a cluster with two nodes of one processor each, whose workers can import what this test can."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("two_nodes.py"))], env=bench.environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.stdout.read()
        process.wait(timeout=60)
        process.stdout.close()


@pytest.mark.slow
def test_two_ray_nodes_write_the_rows_of_one_machine(bench: Bench, address: str) -> None:
    bench.write_orders(40)
    bench.write("broken.pdf", "%PDF-1.4 nothing")
    bench.write("killer.txt", "KILL THE ENGINE")
    cluster_dir = bench.root / "cluster"
    words = [str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir)]
    done = bench.call(
        "cluster", "run", *words, "--out", str(cluster_dir), "--shards", "4", "--address", address, "--json"
    )
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["documents"], told["failed"], told["shards"]) == (42, 2, 4)
    assert [line.partition(" on ")[0] for line in sorted(done.stderr.splitlines())[-4:]] == [
        f"shard {number}/4" for number in range(1, 5)
    ]
    assert bench.run().returncode == 3
    assert (cluster_dir / "rows.jsonl").read_bytes() == (bench.out_dir / "rows.jsonl").read_bytes()
    assert list(bench.root.rglob("*.part")) == []


def test_node_without_the_folder_for_state_says_so(tmp_path: Path) -> None:
    end = ShardProcess(str(tmp_path / "none"), threads=1).run(["run"])
    assert end.exit_code == 4
    assert f"cannot be kept in {tmp_path / 'none'}: No such file" in end.message
    assert "--state" in end.hint


def test_process_of_a_shard_keeps_its_state_apart_and_takes_it_away(bench: Bench, tmp_path: Path) -> None:
    bench.write_orders(3)
    state_dir = tmp_path / "disk of the node"
    state_dir.mkdir()
    end = ShardProcess(str(state_dir), threads=1).run(bench.run_arguments("--shard", "1/1", "--json"))
    assert (end.exit_code, end.documents, end.failed, end.message) == (0, 3, 0, "")
    assert list(state_dir.iterdir()) == []
    assert not (bench.home_dir / "jobs").exists()
    assert (bench.out_dir / "shard-1-of-1" / "job.db").is_file()


def test_process_of_a_shard_tells_the_error_and_its_hint(bench: Bench) -> None:
    bench.task_path.unlink()
    end = ShardProcess(None, threads=1).run(bench.run_arguments("--shard", "1/1", "--json"))
    assert end.exit_code == 2
    assert str(bench.task_path) in end.message
    assert end.hint


def test_stopped_process_begins_no_other_shard(bench: Bench) -> None:
    process = ShardProcess(None, threads=1)
    process.stop()
    assert process.run(bench.run_arguments("--shard", "1/1")).exit_code == 130
    assert not bench.out_dir.exists()


@pytest.mark.slow
def test_ctrl_c_stops_the_nodes_and_the_same_command_goes_on(bench: Bench, address: str) -> None:
    bench.write("0000.txt", "HOLD THE ENGINE\nnumber: 1\n")
    # So many that the stop reaches the nodes before the last one is done.
    for number in range(1, 3000):
        bench.write(f"{number:04}.txt")
    words = [str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir)]
    arguments = ["cluster", "run", *words, "--out", str(bench.out_dir), "--shards", "2", "--address", address]
    process = bench.start(*arguments)
    bench.wait_until_held()
    os.kill(process.pid, signal.SIGINT)
    bench.release()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "hint: the same command continues" in stderr
    done = bench.call(*arguments)
    assert done.returncode == 0, done.stderr
    assert [row["document"] for row in bench.rows()] == [f"{number:04}.txt" for number in range(3000)]
