"""The SLURM array script with the real command line, under the environment that SLURM gives its tasks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.jobs.joining import join_jobs
from appliance.jobs.outputs import OutputFormat
from tests.appliance.batch_fixtures import Bench
from tests.conftest import ROOT_DIR

SCRIPT = ROOT_DIR / "packaging" / "slurm" / "stillroom-array.sh"
HOLD = "HOLD THE ENGINE\nnumber: 1\n"


class Node:
    """One machine of the cluster: SLURM's variables, a disk of its own, and the command."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.disk_dir = bench.root / "disk of the node"
        self.disk_dir.mkdir()
        command = bench.root / "stillroom"
        command.write_text(
            "#!/bin/sh\n"
            f'exec "{sys.executable}" -c "import sys; from appliance.cli import main; sys.exit(main())" "$@"\n'
        )
        command.chmod(0o700)
        self.command = command

    def start(self, number: int, count: int, **variables: str) -> "subprocess.Popen[str]":
        environment = {
            **self.bench.environment, "STILLROOM": str(self.command), "STILLROOM_MODEL": str(self.bench.artifact_dir),
            "STILLROOM_LOCAL_DIR": str(self.disk_dir), "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_ARRAY_TASK_COUNT": str(count), "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": str(count),
            "SLURM_CPUS_PER_TASK": "1", **variables,
        }  # fmt: skip
        words = [str(SCRIPT), str(self.bench.task_path), str(self.bench.documents_dir), str(self.bench.out_dir)]
        return subprocess.Popen(
            [*words, "--workers", "1"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, number: int, count: int, **variables: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(number, count, **variables)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture
def node(bench: Bench) -> Node:
    return Node(bench)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_script_is_free_of_syntax_errors(shell: str) -> None:
    checked = subprocess.run([shell, "-n", str(SCRIPT)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.slow
def test_tasks_of_the_array_merge_to_the_rows_of_one_run(node: Node, tmp_path: Path) -> None:
    bench = node.bench
    bench.write_orders(6)
    bench.write("broken.pdf", "%PDF-1.4 nothing")
    for number in (1, 2):
        done = node.run(number, 2)
        assert done.returncode == 0, done.stderr
        assert f"shard {number}/2 on " in done.stderr
    assert list(node.disk_dir.iterdir()) == []
    directories = [bench.out_dir / f"shard-{number}-of-2" for number in (1, 2)]
    merged = join_jobs(directories, tmp_path / "merged", [OutputFormat.JSONL])
    assert bench.run().returncode == 3
    assert merged.output_paths[0].read_bytes() == (bench.out_dir / "rows.jsonl").read_bytes()


@pytest.mark.slow
def test_stopped_task_leaves_its_ledger_and_the_next_one_goes_on(node: Node) -> None:
    bench = node.bench
    bench.write("0000.txt", HOLD)
    for number in range(1, 120):
        bench.write(f"{number:04}.txt")
    process = node.start(1, 1)
    bench.wait_until_held()
    # What SLURM sends to the script before the time is up; the second document is never asked to hold.
    os.kill(process.pid, signal.SIGTERM)
    bench.release()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert list(node.disk_dir.iterdir()) == []
    first = len((bench.out_dir / "shard-1-of-1" / "job.toml").read_text())
    assert first > 0
    done = node.run(1, 1)
    assert done.returncode == 0, done.stderr
    rows = (bench.out_dir / "shard-1-of-1" / "rows.jsonl").read_text().splitlines()
    assert [json.loads(row)["document"] for row in rows] == [f"{number:04}.txt" for number in range(120)]
    assert "120 of 120 documents finished" in done.stderr
    assert "120 new in this run" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SLURM_ARRAY_TASK_ID": ""}, "no task of an array"),
        ({"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}, "tasks and shards differ"),
        ({"SLURM_ARRAY_TASK_MAX": "7"}, "tasks and shards differ"),
    ],
    ids=["no array", "from zero", "with gaps"],
)
def test_array_that_is_no_set_of_shards_is_refused(node: Node, variables: dict[str, str], message: str) -> None:
    done = node.run(1, 4, **variables)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint: " in done.stderr
    assert not node.bench.out_dir.exists()


def test_script_without_arguments_says_how_it_is_used() -> None:
    done = subprocess.run([str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage: sbatch" in done.stderr
