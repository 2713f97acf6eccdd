"""Documents that leave the folder, come back or get another name; folders that cannot be listed; what is left out."""

import json
import os
from pathlib import Path

import pytest

from appliance.commands.run import refuse_unfinished
from appliance.ground.errors import NotAllGood
from appliance.jobs.control import retry_failed
from appliance.jobs.job import job_dirs
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, run_request
from appliance.jobs.joining import JoinRefused, join_jobs
from appliance.jobs.ledger import open_readonly
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.reader_pool import ReaderPool
from appliance.jobs.review import correct_field, corrected_records
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import Bench
from tests.appliance.capabilities import without_right_to_read_everything


def run(bench: Bench, shard: str = "") -> JobOutcome:
    request = JobRequest(
        bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), settle_seconds=0, shard=shard
    )
    return run_request(bench.settings, request, lambda _: None)


def states(bench: Bench) -> dict[str, State]:
    (directory,) = job_dirs(bench.settings)
    with open_readonly(directory) as reader:
        return {entry.name: entry.state for entry in reader.documents_page(None, 0, 99)}


def errors(bench: Bench) -> dict[str, str | None]:
    return {str(row["document"]): row["error"] for row in bench.rows()}  # type: ignore[misc]


def job_of(bench: Bench) -> str:
    return job_dirs(bench.settings)[0].name


def test_document_that_left_keeps_its_answer_and_fails_no_run(bench: Bench) -> None:
    bench.write_orders(3)
    run(bench)
    (bench.documents_dir / "0001.txt").unlink()
    outcome = run(bench)
    refuse_unfinished(outcome)
    assert (outcome.summary.done, outcome.summary.missing, outcome.summary.failed) == (2, 1, 0)
    assert outcome.summary.message == "1 document left the folder"
    assert states(bench)["0001.txt"] is State.MISSING
    assert errors(bench) == dict.fromkeys(["0000.txt", "0001.txt", "0002.txt"])
    assert retry_failed(bench.settings, job_of(bench)) == 0
    bench.write("0001.txt")
    assert (run(bench).summary.done, run(bench).new_documents) == (3, 0)
    assert bench.rows()[1]["fields"] == {"number": b"0001.txt".hex(), "total": "12.50"}


def test_document_that_vanishes_before_it_is_read_is_told_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write_orders(3)
    start = ReaderPool.start

    def vanishing(pool: ReaderPool, document: object) -> None:
        (bench.documents_dir / "0001.txt").unlink(missing_ok=True)
        start(pool, document)  # type: ignore[arg-type]

    monkeypatch.setattr(ReaderPool, "start", vanishing)
    outcome = run(bench)
    assert (outcome.missing_unread, outcome.summary.missing, outcome.summary.failed) == (1, 1, 0)
    with pytest.raises(NotAllGood, match="1 of 3 documents left the folder before anybody read it"):
        refuse_unfinished(outcome)
    assert errors(bench)["0001.txt"] == "missing"
    monkeypatch.undo()
    again = run(bench)
    refuse_unfinished(again)
    assert (again.missing_unread, states(bench)["0001.txt"]) == (0, State.MISSING)
    assert retry_failed(bench.settings, job_of(bench)) == 0
    bench.write("0001.txt")
    assert (run(bench).new_documents, errors(bench)["0001.txt"]) == (1, None)


@pytest.mark.slow
def test_failed_document_that_left_fails_no_run_any_more(bench: Bench) -> None:
    bench.write_orders(1)
    bench.write("broken.pdf", "%PDF-1.4 nothing")
    assert run(bench).summary.failed == 1
    (bench.documents_dir / "broken.pdf").unlink()
    assert retry_failed(bench.settings, job_of(bench)) == 1
    outcome = run(bench)
    refuse_unfinished(outcome)
    assert (outcome.summary.failed, outcome.summary.missing) == (0, 1)


def test_renamed_document_keeps_its_answer_and_tells_its_former_name(bench: Bench) -> None:
    bench.write_orders(3)
    run(bench)
    (directory,) = job_dirs(bench.settings)
    correct_field(directory, "0002.txt", "number", "77")
    (bench.documents_dir / "0002.txt").rename(bench.documents_dir / "a renamed.txt")
    outcome = run(bench)
    assert (outcome.summary.total, outcome.summary.missing, outcome.new_documents) == (3, 0, 0)
    row = next(row for row in bench.rows() if row["document"] == "a renamed.txt")
    assert (row["former_document"], row["fields"]) == ("0002.txt", {"number": b"0002.txt".hex(), "total": "12.50"})
    assert "0002.txt" not in errors(bench)
    assert [record["document"] for record in corrected_records(directory)] == ["a renamed.txt"]


@pytest.mark.slow
def test_renamed_copy_of_two_alike_is_one_of_them(bench: Bench) -> None:
    for name in ("a.txt", "b.txt"):
        bench.write(name, "number: 1\ntotal: 2.00\n")
    run(bench)
    (bench.documents_dir / "b.txt").rename(bench.documents_dir / "c.txt")
    run(bench)
    assert {row["document"]: row["former_document"] for row in bench.rows()} == {"a.txt": None, "c.txt": "b.txt"}


@pytest.mark.slow
def test_document_renamed_before_it_was_read_is_read_under_its_new_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("order.txt.uploading", "number: 1\ntotal: 2.00\n")
    start = ReaderPool.start

    def renaming(pool: ReaderPool, document: object) -> None:
        (bench.documents_dir / "order.txt.uploading").rename(bench.documents_dir / "order.txt")
        start(pool, document)  # type: ignore[arg-type]

    monkeypatch.setattr(ReaderPool, "start", renaming)
    assert run(bench).missing_unread == 1
    monkeypatch.undo()
    outcome = run(bench)
    refuse_unfinished(outcome)
    assert (outcome.summary.total, outcome.summary.done) == (1, 1)
    assert [(row["document"], row["former_document"], row["error"]) for row in bench.rows()] == [
        ("order.txt", "order.txt.uploading", None)
    ]


def test_folder_that_could_not_be_listed_leaves_no_row_once_it_can(bench: Bench) -> None:
    bench.write_orders(1)
    bench.write("closed/a.txt")
    closed = bench.documents_dir / "closed"
    closed.chmod(0)
    with without_right_to_read_everything():
        outcome = run(bench)
    assert (outcome.summary.total, outcome.summary.failed) == (2, 1)
    assert errors(bench) == {"0000.txt": None, "closed/": "unreadable"}
    assert "Permission denied" in str(bench.rows()[1]["error_message"])
    closed.chmod(0o700)
    assert retry_failed(bench.settings, job_of(bench)) == 1
    outcome = run(bench)
    assert (outcome.summary.total, outcome.summary.failed, outcome.summary.missing) == (2, 0, 0)
    assert errors(bench) == {"0000.txt": None, "closed/a.txt": None}


@pytest.mark.slow
def test_answers_from_a_folder_that_cannot_be_listed_now_stay(bench: Bench) -> None:
    bench.write("closed/a.txt")
    run(bench)
    (bench.documents_dir / "closed").chmod(0)
    with without_right_to_read_everything():
        outcome = run(bench)
    assert (outcome.summary.done, outcome.summary.failed, outcome.summary.missing) == (1, 1, 0)
    assert errors(bench) == {"closed/": "unreadable", "closed/a.txt": None}


def test_file_with_a_time_beyond_all_databases_is_a_document(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write_orders(3)
    os.utime(bench.documents_dir / "0001.txt", ns=(0, int(1.05e19)))
    os.utime(bench.documents_dir / "0002.txt", ns=(0, -int(1e18)))
    outcome = run(bench)
    assert (outcome.summary.done, run(bench).new_documents) == (3, 0)


def test_what_is_left_out_is_told_and_kept(bench: Bench) -> None:
    bench.write_orders(1)
    for name in ("~$0000.docx", "Thumbs.db", "desktop.ini", ".~lock.0000.odt#"):
        bench.write(name)
    (bench.documents_dir / "linked").symlink_to(bench.root)
    done = bench.run("--json")
    assert done.returncode == 0, done.stderr
    counts = {"links": 1, "lock_files": 2, "system_files": 2}
    assert json.loads(done.stdout)["left_out"] == counts
    assert errors(bench) == {"0000.txt": None}
    assert "left out:   1 link, 2 lock files, 2 system files" in bench.call("jobs", "show", job_of(bench)).stdout


@pytest.mark.slow
def test_file_of_another_size_is_not_read_to_know_that_it_changed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write_orders(1)
    run(bench)
    monkeypatch.setattr("appliance.jobs.folder_scan.hash_descriptor", lambda _: pytest.fail("it may be of any size"))
    os.truncate(bench.documents_dir / "0000.txt", 1 << 40)
    run(bench)
    assert [row["error"] for row in bench.rows()] == ["too_large"]


def test_two_files_with_alike_names_are_two_documents(bench: Bench) -> None:
    bench.write(b"\xff.txt", "number: 1\ntotal: 1.00\n")
    bench.write(rb"\xff.txt", "number: 2\ntotal: 1.00\n")
    run(bench)
    numbers = {row["document"]: row["fields"]["number"] for row in bench.rows()}  # type: ignore[index]
    assert numbers == {r"\xff.txt": "1", r"\x5cxff.txt": "2"}
    with open_readonly(job_dirs(bench.settings)[0]) as reader:
        assert [getattr(reader.document(name), "path", None) for name in numbers] == [rb"\xff.txt", b"\xff.txt"]


def test_join_takes_missing_documents_once_their_shards_know(bench: Bench) -> None:
    bench.write_orders(4)
    shards = [run(bench, f"{number}/2") for number in (1, 2)]
    dirs = [bench.settings.jobs_dir / shard.summary.id for shard in shards]
    (bench.documents_dir / "0003.txt").unlink()
    with pytest.raises(JoinRefused) as refused:
        join_jobs(dirs, bench.root / "joined", [OutputFormat.JSONL])
    assert [problem.document for problem in refused.value.problems] == ["0003.txt"]
    assert "running the shard again" in refused.value.problems[0].detail
    for number in (1, 2):
        refuse_unfinished(run(bench, f"{number}/2"))
    outcome = join_jobs(dirs, bench.root / "joined", [OutputFormat.JSONL])
    assert (outcome.documents, outcome.failed, outcome.missing) == (4, 0, 1)
    lines = (bench.root / "joined" / "rows.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line)["document"] for line in lines if line] == [f"{number:04}.txt" for number in range(4)]
    bench.write("0003.txt")
    with pytest.raises(JoinRefused, match="1 problem"):
        join_jobs(dirs, bench.root / "joined", [OutputFormat.JSONL])


@pytest.mark.slow
def test_lock_file_that_an_earlier_version_took_for_a_document_is_dropped(bench: Bench) -> None:
    bench.write_orders(1)
    bench.write("desktop.txt")
    run(bench)
    directory: Path = job_dirs(bench.settings)[0]
    import sqlite3

    connection = sqlite3.connect(directory / "job.db", isolation_level=None)
    connection.execute("UPDATE documents SET path = ? WHERE path = ?", (b"desktop.ini", b"desktop.txt"))
    connection.close()
    (bench.documents_dir / "desktop.txt").rename(bench.documents_dir / "desktop.ini")
    assert run(bench).summary.total == 1
    assert errors(bench) == {"0000.txt": None}
