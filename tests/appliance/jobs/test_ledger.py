"""The ledger alone: what each change means for rows, states and counters, and what a failing disk leaves."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.documents.folder import FoundDocument
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.jobs.ledger import _FOR_REVIEW, LEDGER_VERSION, open_readonly
from appliance.jobs.ledger_writer import Ledger, Outcome, PendingDocument
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from tests.appliance.model_fixtures import file_size_limit

VERSION_1 = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0, started REAL, finished REAL,
    run_started REAL, run_base INTEGER NOT NULL DEFAULT 0, speed REAL NOT NULL DEFAULT 0,
    supervisor TEXT NOT NULL DEFAULT '');
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    sha256 TEXT, state TEXT NOT NULL, kills INTEGER NOT NULL DEFAULT 0);
CREATE INDEX documents_by_state ON documents (state, path);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents, superseded INTEGER NOT NULL DEFAULT 0,
    error TEXT, row TEXT NOT NULL);
CREATE UNIQUE INDEX one_row ON rows (document) WHERE superseded = 0;
CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents, text TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, document INTEGER, detail TEXT NOT NULL);
INSERT INTO job (id, version, identifier, name, task, model, state, total)
    VALUES (1, 1, 'old', 'n', 't', 'm', 'done', 1);
INSERT INTO documents (path, size_bytes, modified_ns, state) VALUES (x'61', 1, 1, 'queued');
"""


VERSION_2 = (
    VERSION_1.replace("run_base INTEGER NOT NULL DEFAULT 0, ", "")
    .replace(
        "supervisor TEXT NOT NULL DEFAULT ''", "supervisor TEXT NOT NULL DEFAULT '', waiting INTEGER NOT NULL DEFAULT 0"
    )
    .replace("text TEXT NOT NULL)", "text TEXT NOT NULL, raw TEXT NOT NULL DEFAULT '')")
    .replace("VALUES (1, 1, 'old'", "VALUES (1, 2, 'old'")
    + "CREATE INDEX rows_by_document ON rows (document);"
)
"""The schema before rows kept money and the second of work."""


def open_ledger(directory: Path) -> Ledger:
    return Ledger(directory, "j", "name", "task", "model")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    yield opened
    opened.close()


def found(name: str, size_bytes: int = 1) -> FoundDocument:
    return FoundDocument(name.encode(), size_bytes, 1)


def test_whatever_an_answer_holds_can_be_written(ledger: Ledger) -> None:
    ledger.begin_run(State.RUNNING, "")
    ledger.add_documents([found("a")])
    (document,) = ledger.pending(b"", 9)
    row = Row("a", "a" * 64, Route.REVIEW, "m", {"total": "\ud83d"}, error="x", error_message="\udc80")
    ledger.record([Outcome(document, State.DONE, row, "text \ud83d", ("note \udcff",), "raw \ud83d\0")])
    ledger.end_run(State.FAILED, "ended by \ud83d")
    (answered,) = ledger.reader.rows()
    assert answered.fields == {"total": "?"}


def finish(ledger: Ledger, document: PendingDocument, state: State = State.DONE, text: str | None = None) -> None:
    route = Route.LOCAL if state is State.DONE else Route.FAILED
    row = Row(document.name, "a" * 64, route, "model", error=None if state is State.DONE else "timeout")
    ledger.record([Outcome(document, state, row, text)])


def pending_names(ledger: Ledger) -> list[str]:
    return [document.name for document in ledger.pending(b"", 100)]


def counters(ledger: Ledger) -> tuple[int, int, int, int, int]:
    summary = ledger.reader.summary()
    return summary.total, summary.done, summary.failed, summary.quarantined, summary.waiting


def test_superseded_row_stays_queryable_and_counters_follow(ledger: Ledger) -> None:
    ledger.add_documents([found("a"), found("b")])
    for document in ledger.pending(b"", 10):
        finish(ledger, document, text="kept")
    (changed,) = ledger.add_documents([found("a", 2), found("b")])
    ledger.supersede(changed)
    assert pending_names(ledger) == ["a"]
    assert counters(ledger) == (2, 1, 0, 0, 0)
    assert ledger.reader.row(changed.id) is None
    assert [row.document for row in ledger.reader.superseded_rows(changed.id)] == ["a"]
    assert ledger.reader.text(changed.id) is None
    finish(ledger, ledger.pending(b"", 1)[0])
    assert counters(ledger) == (2, 2, 0, 0, 0)
    assert len(list(ledger.reader.rows())) == 2
    assert len(ledger.reader.superseded_rows(changed.id)) == 1


def test_kill_between_finding_a_change_and_acting_on_it_loses_nothing(ledger: Ledger) -> None:
    ledger.add_documents([found("a")])
    finish(ledger, ledger.pending(b"", 1)[0])
    first = ledger.add_documents([found("a", 2)])
    # The process dies here; the next run lists the folder again.
    assert ledger.add_documents([found("a", 2)]) == first
    ledger.keep(first[0])
    assert ledger.add_documents([found("a", 2)]) == []


def test_second_row_of_a_document_is_refused_by_the_database(ledger: Ledger) -> None:
    ledger.add_documents([found("a")])
    (document,) = ledger.pending(b"", 1)
    finish(ledger, document)
    with pytest.raises(ResourceError, match="UNIQUE"):
        finish(ledger, document)


def test_failed_and_quarantined_documents_are_pending_again_after_retry(ledger: Ledger) -> None:
    ledger.add_documents([found("a"), found("b"), found("c")])
    done, failed, killer = ledger.pending(b"", 3)
    finish(ledger, done)
    finish(ledger, failed, State.FAILED)
    ledger.record_crash(killer, "engine")
    ledger.record_crash(killer, "engine")
    finish(ledger, killer, State.QUARANTINED)
    assert counters(ledger) == (3, 1, 2, 1, 0)
    ledger.end_run(State.DONE)
    assert ledger.retry() == 2
    assert ledger.reader.summary().state is State.PAUSED, "a job whose rows went is not done, whatever is killed next"
    assert counters(ledger) == (3, 1, 0, 0, 0)
    assert [(document.name, document.crash_count) for document in ledger.pending(b"", 9)] == [("b", 0), ("c", 0)]
    assert [row.error for row in ledger.reader.superseded_rows(failed.id)] == ["timeout"]
    assert ledger.retry() == 0


def test_retry_takes_answers_that_a_fallback_owes_only_where_it_is_told_to(ledger: Ledger) -> None:
    ledger.add_documents([found(name) for name in ("capped", "answered", "unfit", "good")])
    rows = {
        "capped": Row("capped", "a" * 64, Route.REVIEW, "m", {"x": "1"}, error="cap_documents"),
        "answered": Row("answered", "a" * 64, Route.FRONTIER, "m+f", {"x": "1"}, escalated=["x"]),
        "unfit": Row("unfit", "a" * 64, Route.REVIEW, "m+f", {"x": "1"}, error="invalid_answer", escalated=["x"]),
        "good": Row("good", "a" * 64, Route.LOCAL, "m", {"x": "1"}),
    }
    for document in ledger.pending(b"", 9):
        ledger.record([Outcome(document, State.DONE, rows[document.name])])
    assert (ledger.reader.for_review(), len(ledger.reader.fallback_failures())) == (2, 1)
    assert ledger.reader.summary().for_review == 2
    assert [entry.name for entry in ledger.reader.review_page(0, 9)] == ["capped", "unfit"]
    assert [entry.name for entry in ledger.reader.review_page(1, 9)] == ["unfit"]
    assert ledger.retry() == 0
    assert ledger.retry(fallback_unanswered=True) == 1
    assert (pending_names(ledger), counters(ledger)) == (["capped"], (4, 3, 0, 0, 0))


def test_documents_for_review_are_counted_without_reading_all_rows(ledger: Ledger) -> None:
    execute = ledger.reader._connection.execute
    statement = f"EXPLAIN QUERY PLAN SELECT count(*) {_FOR_REVIEW}"
    assert "rows_with_error" in str(execute(statement).fetchall())
    execute("DROP INDEX rows_with_error")
    assert ledger.reader.summary().for_review == 0, "an earlier program made it without the index"


def test_waiting_document_is_counted_and_gets_its_turn_in_the_next_run(ledger: Ledger) -> None:
    ledger.add_documents([found("a")])
    (document,) = ledger.pending(b"", 1)
    ledger.record_waiting(document, "still written")
    assert (pending_names(ledger), counters(ledger)) == ([], (1, 0, 0, 0, 1))
    assert [entry.state for entry in ledger.reader.documents_page(State.PAUSED, 0, 9)] == [State.PAUSED]
    (waiting,) = ledger.waiting()
    ledger.requeue(waiting)
    assert (pending_names(ledger), counters(ledger)) == (["a"], (1, 0, 0, 0, 0))


def test_waiting_document_that_is_gone_is_forgotten_unless_it_had_a_row(ledger: Ledger) -> None:
    ledger.add_documents([found("new.part"), found("known")])
    ledger.record_waiting(ledger.pending(b"", 9)[1], "still written")
    finish(ledger, ledger.pending(b"", 9)[0])
    (changed,) = ledger.add_documents([found("known", 2)])
    ledger.supersede(changed)
    ledger.record_waiting(ledger.pending(b"", 9)[0], "still written")
    forgotten = {document.name: ledger.forget(document) for document in ledger.waiting()}
    assert forgotten == {"new.part": True, "known": False}
    assert counters(ledger) == (1, 0, 0, 0, 1)


def test_ledger_of_the_first_version_is_read_and_migrated(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "job.db")
    connection.executescript(VERSION_1)
    connection.close()
    with open_readonly(tmp_path) as reader:
        assert (reader.summary().id, reader.summary().waiting) == ("old", 0)
    ledger = open_ledger(tmp_path)
    ledger.record_waiting(ledger.pending(b"", 1)[0], "still written")
    assert counters(ledger) == (1, 0, 0, 0, 1)
    ledger.close()


def test_ledger_of_the_second_version_is_read_and_migrated(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "job.db")
    connection.executescript(VERSION_2)
    row = Row("a", "a" * 64, Route.LOCAL, "m", {"x": "1"}).to_json()
    connection.execute("UPDATE documents SET state = 'done', kills = 1, sha256 = 'b'")
    connection.execute("INSERT INTO rows (document, row) VALUES (1, ?)", (row,))
    connection.execute(
        "INSERT INTO documents (path, size_bytes, modified_ns, state, kills) VALUES (x'62', 1, 1, 'queued', 1)"
    )
    connection.execute("UPDATE job SET total = 2, done = 1")
    connection.commit()
    connection.close()
    with open_readonly(tmp_path) as reader:
        (finished,) = reader.finished_documents()
        assert (finished.row.fields, finished.money, finished.worked_seconds, finished.cached) == (
            {"x": "1"},
            None,
            None,
            False,
        )
    ledger = open_ledger(tmp_path)
    (pending,) = ledger.pending(b"", 9)
    assert (pending.name, pending.crash_count) == ("b", 1)
    ledger.record([Outcome(pending, State.DONE, Row("b", "b" * 64, Route.LOCAL, "m"), money=0.5, worked_seconds=2.0)])
    assert [(each.money, each.worked_seconds) for each in ledger.reader.finished_documents()] == [
        (None, None),
        (0.5, 2.0),
    ]
    assert (ledger.worked_seconds(), counters(ledger)) == (2.0, (2, 2, 0, 0, 0))
    ledger.close()


def test_ledger_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "job.db", isolation_level=None)
    connection.execute("UPDATE job SET version = ?", (LEDGER_VERSION + 1,))
    connection.close()
    with pytest.raises(ApplianceError, match=f"version {LEDGER_VERSION + 1}, this program knows {LEDGER_VERSION}"):
        open_ledger(tmp_path)
    with open_readonly(tmp_path) as reader, pytest.raises(ApplianceError, match=f"version {LEDGER_VERSION + 1}"):
        reader.summary()


def test_reader_cannot_write(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with open_readonly(tmp_path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("UPDATE job SET total = 7")


def test_after_a_failed_write_nothing_more_is_written_and_what_was_committed_is_there(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.add_documents([found("a"), found("b")])
    first, second = ledger.pending(b"", 2)
    finish(ledger, first)
    written = (tmp_path / "job.db-wal").stat().st_size
    with file_size_limit(written), pytest.raises(ResourceError, match="cannot be written") as full:
        finish(ledger, second)
    assert full.value.exit_code == 4
    # The disk has room again, but what it said about the failed write cannot be believed.
    with pytest.raises(ResourceError, match="cannot be written"):
        finish(ledger, second)
    before = (tmp_path / "job.db").read_bytes()
    ledger.close()
    assert (tmp_path / "job.db").read_bytes() == before, "a checkpoint moved pages after a failed write"
    resumed = open_ledger(tmp_path)
    assert (pending_names(resumed), counters(resumed)) == (["b"], (2, 1, 0, 0, 0))
    resumed.close()


def test_closed_ledger_is_one_file_even_while_somebody_reads(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.add_documents([found("a")])
    with open_readonly(tmp_path) as reader:
        ledger.close()
        assert reader.summary().total == 1
    log = tmp_path / "job.db-wal"
    assert not log.exists() or log.stat().st_size == 0


READ_ONLY_DISK = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
exec "$2" -c '
import sys
from pathlib import Path
from appliance.ground.errors import ApplianceError
from appliance.jobs.ledger import open_readonly
try:
    with open_readonly(Path(sys.argv[1])) as reader:
        print(reader.summary().total, len(list(reader.rows())))
except ApplianceError as error:
    print(error.message)
' "$1"
"""


def on_a_read_only_disk(directory: Path) -> str:
    """What a reader says about the ledger when its disk cannot be written, even by root."""
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    words = ["unshare", "-rm", "sh", "-c", READ_ONLY_DISK, "sh", str(directory), sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    return done.stdout.strip()


def test_finished_job_opens_on_a_read_only_disk(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.add_documents([found("a")])
    finish(ledger, ledger.pending(b"", 1)[0])
    ledger.close()
    assert on_a_read_only_disk(tmp_path) == "1 1"


def test_finished_job_that_was_watched_opens_on_a_read_only_disk(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.add_documents([found("a")])
    with open_readonly(tmp_path):
        ledger.close()
    for name in ("job.db-shm",):
        (tmp_path / name).unlink(missing_ok=True)
    assert on_a_read_only_disk(tmp_path) == "1 0"


def test_job_that_was_killed_says_what_to_do_on_a_read_only_disk(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "")
    ledger.add_documents([found("a")])
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("job.db", "job.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    ledger.close()
    assert "was not closed cleanly and is on a read-only disk" in on_a_read_only_disk(copy)
