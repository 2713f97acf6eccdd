"""Documents made to break parsers, through the real sandbox: each costs itself and no other."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.documents.problems import Problem
from appliance.documents.sandbox import Reader, ReaderLimits
from tests.appliance.documents import hostile_documents as hostile
from tests.appliance.documents.reader_bench import read, reader_pid


@pytest.fixture(scope="module")
def small_reader() -> Iterator[Reader]:
    made = Reader(ReaderLimits(memory_bytes=256 << 20))
    yield made
    made.close()


HOSTILE = [
    hostile.zip_bomb, hostile.lying_zip_bomb, hostile.crowded_zip, hostile.billion_laughs, hostile.quadratic_blowup,
    hostile.outside_entity, hostile.nested_tables, hostile.nested_xml, hostile.nested_mail, hostile.nested_rtf,
    hostile.page_tree_cycle, hostile.form_calls_itself, hostile.forms_double, hostile.object_stream_in_itself,
    hostile.cross_reference_cycle, hostile.nested_arrays, hostile.deflated_page, hostile.filters_on_filters,
]  # fmt: skip
ENDINGS = {Problem.TOO_LARGE, Problem.UNREADABLE, Problem.EMPTY, Problem.TIMEOUT, Problem.READER_DIED}
BY_MEMORY = {hostile.nested_xml}
BY_REFUSAL = {hostile.billion_laughs, hostile.quadratic_blowup, hostile.outside_entity}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_document_is_one_failure_in_bounded_time_and_memory(
    small_reader: Reader, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    (tmp_path / "hostile").write_bytes(make())
    (tmp_path / "next.txt").write_text("Total 42")
    started = time.monotonic()
    reply = read(small_reader, tmp_path, "hostile")
    assert reply.problem in ENDINGS
    assert reply.text == ""
    if make in BY_REFUSAL:
        assert "declares a document type" in reply.message
    if make in BY_MEMORY:
        assert reply.problem is Problem.TOO_LARGE, "ended by its own limit, long before that of time"
    assert time.monotonic() - started < small_reader.limits.longest_wait_seconds
    # The reader process never died: only its parsers did.
    process = reader_pid(small_reader)
    assert read(small_reader, tmp_path, "next.txt").text == "Total 42"
    assert reader_pid(small_reader) == process


@pytest.mark.parametrize("make", [hostile.nested_html, hostile.mail_in_mail], ids=lambda make: make.__name__)
def test_deep_document_is_read_within_bounds_or_fails(
    small_reader: Reader, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    (tmp_path / "deep").write_bytes(make())
    reply = read(small_reader, tmp_path, "deep")
    assert reply.problem in {None, *ENDINGS}
    (tmp_path / "next.txt").write_text("Total 42")
    assert read(small_reader, tmp_path, "next.txt").text == "Total 42"


def test_entity_of_a_file_never_shows_the_file(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(hostile.outside_entity())
    reply = read(reader, tmp_path, "a.docx")
    assert "root:" not in reply.text + reply.message
