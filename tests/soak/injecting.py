"""Runs a job against a disk that fails at one call, then again without the fault, and checks what is left."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from appliance.jobs.ledger import list_jobs
from tests.appliance.batch_fixtures import Bench
from tests.soak.shim import Fault, Site, fault_environment, read_log
from tests.soak.soundness import Undisturbed, assert_as_undisturbed, run_here, write_documents

DOCUMENTS = 5
COMMAND = "import sys; from appliance.cli import main; sys.exit(main())"


def run_with(bench: Bench, variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Runs the job of the bench in a process with these variables besides its own."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *bench.run_arguments("--workers", "1")],
        env={**bench.environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def trace_sites(library: Path, root: Path) -> list[Site]:
    """Every call of an undisturbed run that a disk could refuse."""
    bench = Bench(root)
    write_documents(bench, DOCUMENTS)
    log_path = root.with_suffix(".log")
    done = run_with(bench, fault_environment(library, root, log_path, None))
    assert done.returncode == 3, done.stderr
    return read_log(log_path)


def inject(library: Path, root: Path, fault: Fault, expected: Undisturbed) -> Site | None:
    """One run with the fault and one without; gives the call that failed, None where none was reached.

    The first run must end with a message and a hint and never with a traceback; afterwards the job shows in the list,
    and the second run makes everything as if nothing had happened.
    """
    bench = Bench(root)
    write_documents(bench, DOCUMENTS)
    log_path = root.with_suffix(".log")
    done = run_with(bench, fault_environment(library, root, log_path, fault))
    hit = read_log(log_path)
    if not hit:
        assert done.returncode == expected.exit_code, done.stderr
        assert_as_undisturbed(bench, expected)
        return None
    assert done.returncode in (4, expected.exit_code), f"{hit[0]}: exit code {done.returncode}: {done.stderr}"
    assert "unexpected error" not in done.stderr, f"{hit[0]}: {done.stderr}"
    assert "Traceback" not in done.stderr, f"{hit[0]}: {done.stderr}"
    if done.returncode == 4:
        assert "error: " in done.stderr, f"{hit[0]}: {done.stderr}"
        assert "hint: " in done.stderr, f"{hit[0]}: {done.stderr}"
    list_jobs(bench.settings)
    run_here(bench)
    assert_as_undisturbed(bench, expected)
    return hit[0]
