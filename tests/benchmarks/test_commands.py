"""Benchmarks start as their heads say, beside a benchmark that bears the name of a package."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS_DIR = Path(__file__).parents[2] / "benchmarks"


def test_whoever_needs_the_package_puts_it_before_this_folder() -> None:
    for path in BENCHMARKS_DIR.glob("*.py"):
        lines = path.read_text().splitlines()
        if any(line.startswith("from training") for line in lines):
            assert lines.index("import packages_first  # noqa: F401  # before `training`") < min(
                number for number, line in enumerate(lines) if line.startswith("from training")
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base.py", "losses.py", "training.py"])
def test_the_command_starts(name: str) -> None:
    command = [sys.executable, str(BENCHMARKS_DIR / name), "--help"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("usage")
