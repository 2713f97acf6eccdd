"""Threads of native libraries sleep while they wait, unless somebody has said otherwise."""

import os

import pytest

from appliance.cli import main


@pytest.mark.parametrize(("before", "after"), [(None, "passive"), ("active", "active")])
def test_idle_threads_sleep_in_every_command(monkeypatch: pytest.MonkeyPatch, before: str | None, after: str) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr("sys.argv", ["stillroom", "--version"])
    assert main() == 0
    assert os.environ["OMP_WAIT_POLICY"] == after
