"""A disk that is full or failing at any call of a run: a message, nothing lost, and the next run makes it whole."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.jobs.ledger import list_jobs
from tests.appliance.batch_fixtures import Bench
from tests.soak.folder_faults import AS_A_USER
from tests.soak.injecting import COMMAND, DOCUMENTS, inject, run_with, trace_sites
from tests.soak.shim import Fault, Site, build_shim, clock_environment, compiler, edges
from tests.soak.soundness import (
    Undisturbed,
    assert_as_undisturbed,
    rows_of,
    run_here,
    undisturbed,
    write_documents,
)

FULL, BROKEN = errno.ENOSPC, errno.EIO
QUICK = [
    Fault(1, BROKEN, lasting=False, call="write", name="job.toml"),
    Fault(5, BROKEN, lasting=False, call="fdatasync", name="job.db-wal"),
    Fault(1, FULL, lasting=True, call="write", name="rows.jsonl"),
    Fault(1, BROKEN, lasting=False, call="ftruncate", name="/lock"),
    Fault(2, BROKEN, lasting=False, call="ftruncate", name="/lock"),
    Fault(1, FULL, lasting=True, call="pwrite", name="/lock"),
]
"""A few that differ most."""
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler to build the failing disk with")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "bench", DOCUMENTS)


@pytest.fixture(scope="module")
def sites(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    return trace_sites(shim, tmp_path_factory.mktemp("sites") / "bench")


@needs_compiler
def test_trace_sees_the_ledger_and_the_rows_being_written(sites: list[Site]) -> None:
    seen = {(site.call, Path(site.path).name) for site in sites}
    assert {("pwrite", "job.db-wal"), ("fdatasync", "job.db-wal"), ("rename", "rows.jsonl")} <= seen
    assert [site.number for site in sites] == list(range(1, len(sites) + 1))


@needs_compiler
@pytest.mark.parametrize("fault", QUICK, ids=[f"{fault.call}-{fault.name.strip('/')}-{fault.at}" for fault in QUICK])
def test_run_on_a_failing_disk_is_told_and_made_whole_by_the_next(
    shim: Path, tmp_path: Path, expected: Undisturbed, fault: Fault
) -> None:
    hit = inject(shim, tmp_path / "bench", fault, expected)
    assert hit is not None
    assert (hit.call, fault.name in hit.path) == (fault.call, True)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["full", "broken"])
def test_every_tenth_place_where_a_disk_can_fail_is_survived(
    shim: Path, tmp_path: Path, sites: list[Site], expected: Undisturbed, error: int
) -> None:
    """`make soak` does all of them."""
    for site in edges(sites)[:: 10 if error == FULL else 11]:
        inject(shim, tmp_path / f"{site.number}", Fault(site.number, error, lasting=error == FULL), expected)


@needs_compiler
def test_clock_that_jumps_changes_no_row(shim: Path, tmp_path: Path, expected: Undisturbed) -> None:
    bench = Bench(tmp_path / "bench")
    write_documents(bench, DOCUMENTS)
    done = run_with(bench, clock_environment(shim, every=2))
    assert done.returncode == expected.exit_code, done.stderr
    assert_as_undisturbed(bench, expected)
    (job,) = list_jobs(bench.settings)
    assert job.documents_per_second >= 0
    assert run_here(bench).new_documents == 0


def test_two_operators_who_start_the_same_job_at_once_lose_nothing(tmp_path: Path, expected: Undisturbed) -> None:
    bench = Bench(tmp_path / "bench")
    write_documents(bench, DOCUMENTS)
    # Both are ready before either may begin.
    command = "import sys; from appliance.commands import run; sys.stdin.readline(); " + COMMAND.partition("; ")[2]
    operators = [
        subprocess.Popen(
            [sys.executable, "-c", command, *bench.run_arguments("--workers", "1")],
            env=bench.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for operator in operators:
        assert operator.stdin is not None
        operator.stdin.write("go\n")
        operator.stdin.flush()
    ends = [(operator.communicate(timeout=120)[1], operator.returncode) for operator in operators]
    codes = sorted(code for _, code in ends)
    assert codes in ([3, 3], [3, 4]), ends
    if codes == [3, 4]:
        (refused,) = (stderr for stderr, code in ends if code == 4)
        assert "running in another process" in refused
    assert_as_undisturbed(bench, expected)


@pytest.mark.parametrize("read_only", ["output", "home"])
def test_folder_that_may_not_be_written_is_told_and_nothing_is_lost(
    tmp_path: Path, expected: Undisturbed, read_only: str
) -> None:
    bench = Bench(tmp_path / "bench")
    write_documents(bench, DOCUMENTS)
    closed_dir = bench.out_dir if read_only == "output" else bench.home_dir
    closed_dir.mkdir(exist_ok=True)
    closed_dir.chmod(0o500)
    arguments = [sys.executable, "-c", AS_A_USER, *bench.run_arguments("--workers", "1")]
    done = subprocess.run(arguments, env=bench.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4, done.stderr
    assert str(closed_dir) in done.stderr
    assert "hint: " in done.stderr
    closed_dir.chmod(0o700)
    again = run_here(bench)
    assert again.new_documents == DOCUMENTS, "it is refused before the work"
    assert_as_undisturbed(bench, expected)


def test_rows_that_could_not_be_written_can_be_exported(tmp_path: Path, expected: Undisturbed) -> None:
    bench = Bench(tmp_path / "bench")
    write_documents(bench, DOCUMENTS)
    blocked_path = bench.out_dir / "rows.jsonl"
    (blocked_path / "a folder where the file should be").mkdir(parents=True)
    assert bench.run().returncode == 4
    blocked_path.rename(bench.root / "elsewhere")
    (job,) = list_jobs(bench.settings)
    assert bench.call("jobs", "export", job.id, "--out", str(bench.out_dir)).returncode == 0
    assert rows_of(bench) == expected.rows


def test_full_disk_for_messages_does_not_stop_a_run(tmp_path: Path, expected: Undisturbed) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    bench = Bench(tmp_path / "bench")
    write_documents(bench, DOCUMENTS)
    with open("/dev/full", "w") as full:
        arguments = [sys.executable, "-c", COMMAND, *bench.run_arguments("--workers", "1")]
        done = subprocess.run(arguments, env=bench.environment, stdout=full, stderr=full, timeout=120)
    assert done.returncode == expected.exit_code
    assert_as_undisturbed(bench, expected)
