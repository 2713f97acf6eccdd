"""The benchmark of the ledger measures the real command and states what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_benchmark_ends_with_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/ledger.py", "--documents", "300", "--json"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table, last = done.stdout.splitlines()[:-1], json.loads(done.stdout.splitlines()[-1])
    assert any("supervisor's processor time per document" in line for line in table)
    assert last["documents"] == 300
    assert last["listed_jobs"] == 1000
    assert 0 < last["ms_per_document"] < 50
    assert 0 < last["mb_at_tenth"] <= last["peak_mb"] < 200
    assert 0 < last["list_ms"] < last["list_without_index_ms"]
