"""Fixtures of the runtime's tests."""

from pathlib import Path

import pytest

from tests.appliance.batch_fixtures import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A task, an artifact of the no-op engine and an empty folder of documents."""
    return Bench(tmp_path / "bench")
