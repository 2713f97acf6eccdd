"""Fixtures of the readers' tests."""

from collections.abc import Iterator

import pytest

from appliance.documents.sandbox import Reader, ReaderLimits


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader(ReaderLimits())
    yield made
    made.close()
