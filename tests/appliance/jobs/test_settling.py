"""Files that are still being copied: looked at twice, left to the next run, counted and told."""

import json
import os
import time
from pathlib import Path

import pytest

from appliance.documents.folder import DocumentFolder
from appliance.jobs import reader_pool
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, run_request
from appliance.jobs.ledger_writer import PendingDocument
from appliance.jobs.reader_pool import FileStability, StabilityTracker
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import Bench

HOLD = "HOLD THE ENGINE\nnumber: 1\n"
HOUR = 3600.0


def listed(folder: Path, name: str) -> PendingDocument:
    """The document as the listing of the folder saw it."""
    facts = (folder / name).stat()
    return PendingDocument(1, name.encode(), 0, facts.st_size, facts.st_mtime_ns)


def set_age(path: Path, seconds: float) -> None:
    at = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(at, at))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("whole")
    return path


def test_old_file_is_read_at_once(document: Path) -> None:
    set_age(document, 60)
    settling = StabilityTracker(DocumentFolder(document.parent), 2.0)
    assert settling.check(listed(document.parent, "a.txt")) is FileStability.SETTLED
    assert len(settling) == 0


def test_young_file_is_looked_at_again_when_it_is_old_enough(document: Path) -> None:
    set_age(document, HOUR - 10)
    settling = StabilityTracker(DocumentFolder(document.parent), HOUR)
    assert settling.check(listed(document.parent, "a.txt")) is FileStability.YOUNG
    assert settling.due() is None
    assert 9 < settling.seconds_left() <= 10


def test_young_file_that_did_not_change_is_read_after_the_second_look(document: Path) -> None:
    settling = StabilityTracker(DocumentFolder(document.parent), 0.001)
    pending = listed(document.parent, "a.txt")
    set_age(document, -HOUR)  # A clock that jumped: the age says nothing.
    pending = listed(document.parent, "a.txt")
    assert settling.check(pending) is FileStability.YOUNG
    while (again := settling.due()) is None:
        os.sched_yield()
    assert settling.check(again, second=True) is FileStability.SETTLED


def test_file_that_grew_since_it_was_listed_is_still_being_written(document: Path) -> None:
    set_age(document, 60)
    pending = listed(document.parent, "a.txt")
    with open(document, "a") as file:
        file.write(" and more")
    assert StabilityTracker(DocumentFolder(document.parent), 0.0).check(pending) is FileStability.CHANGED


def test_file_of_the_same_size_with_another_time_is_still_being_written(document: Path) -> None:
    pending = listed(document.parent, "a.txt")
    set_age(document, 60)
    assert StabilityTracker(DocumentFolder(document.parent), 0.0).check(pending, second=True) is FileStability.CHANGED


def test_file_that_is_gone_is_left_to_the_reader_to_name(document: Path) -> None:
    set_age(document, 60)
    pending = listed(document.parent, "a.txt")
    document.unlink()
    assert StabilityTracker(DocumentFolder(document.parent), 2.0).check(pending) is FileStability.SETTLED


def test_many_young_files_do_not_all_wait_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_pool, "_YOUNG", 3)
    bench.write_orders(8)
    outcome = run(bench, settle_seconds=0.3)
    assert (outcome.summary.done, outcome.summary.waiting) == (8, 0)
    assert [row["document"] for row in bench.rows()] == [f"{number:04}.txt" for number in range(8)]


def run(bench: Bench, settle_seconds: float = 0.0) -> JobOutcome:
    request = JobRequest(
        bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), settle_seconds=settle_seconds
    )
    return run_request(bench.settings, request, lambda _: None)


def test_file_that_changes_while_the_job_runs_waits_for_the_next_run(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    for number in range(1, 80):
        bench.write(f"{number:04}.txt")
    # With one reader the document that holds the engine is the first in it.
    process = bench.start(*bench.run_arguments("--json", "--workers", "1"))
    bench.wait_until_held()
    # Far behind what the readers have read ahead while the engine is held.
    bench.write("0079.txt", "number: half of")
    bench.release()
    stdout, stderr = process.communicate(timeout=120)
    told = json.loads(stdout)
    assert (told["state"], told["total"], told["done"], told["waiting"]) == ("done", 80, 79, 1)
    assert process.returncode == 3
    assert "1 of 80 files still being written" in stderr
    assert "jobs resume" in stderr
    assert "0079.txt" not in [row["document"] for row in bench.rows()]
    shown = bench.call("jobs", "show", "orders", "--failed", "--json")
    assert [failure["document"] for failure in json.loads(shown.stdout)["failures"]] == ["0079.txt"]
    bench.write("0000.txt")
    bench.write("0079.txt", "number: whole")
    outcome = run(bench)
    assert (outcome.summary.state, outcome.summary.done, outcome.summary.waiting) == (State.DONE, 80, 0)
    assert bench.rows()[79]["fields"] == {"number": "whole", "total": None}


def test_copy_that_was_renamed_when_it_was_complete_leaves_no_trace(bench: Bench) -> None:
    bench.write_orders(2)
    bench.write("big.uploading", "number: half of")
    run(bench)
    # As if the first run had found it growing.
    import sqlite3

    (directory,) = bench.settings.jobs_dir.iterdir()
    connection = sqlite3.connect(directory / "job.db", isolation_level=None)
    connection.executescript(
        "PRAGMA foreign_keys = OFF; DELETE FROM texts; DELETE FROM rows WHERE document = 3;"
        "UPDATE documents SET state = 'paused' WHERE id = 3; UPDATE job SET done = 2, waiting = 1"
    )
    connection.close()
    (bench.documents_dir / "big.uploading").rename(bench.documents_dir / "big.txt")
    outcome = run(bench)
    assert (outcome.summary.total, outcome.summary.done, outcome.summary.waiting) == (3, 3, 0)
    assert [row["document"] for row in bench.rows()] == ["0000.txt", "0001.txt", "big.txt"]


def test_fresh_files_are_read_in_the_same_run_once_they_are_at_rest(bench: Bench) -> None:
    bench.write_orders(3)
    outcome = run(bench, settle_seconds=0.5)
    assert (outcome.summary.done, outcome.summary.waiting) == (3, 0)
