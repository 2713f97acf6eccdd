"""What must be true of a job whatever was done to it, and an undisturbed run to compare with."""

import contextlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, run_request
from appliance.jobs.states import FINAL_DOCUMENT_STATES, State
from tests.appliance.batch_fixtures import Bench

_COUNTERS = {"done": State.DONE, "failed": State.FAILED, "quarantined": State.QUARANTINED, "missing": State.MISSING}


@dataclass(frozen=True)
class Undisturbed:
    """What a run comes to that nobody disturbs."""

    rows: bytes
    names: frozenset[str]
    """Every file that it leaves, with JOB for the id of the job."""
    exit_code: int


def write_documents(bench: Bench, count: int) -> None:
    """So many documents, every fiftieth of them broken, the next one empty."""
    for number in range(count):
        name = f"{number // 100:02}/{number:04}"
        if number % 50 == 3:
            bench.write(f"{name}.pdf", "%PDF-1.4 nothing")
        elif number % 50 == 4:
            path = bench.documents_dir / f"{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.touch()
        else:
            bench.write(f"{name}.txt", f"an order\nnumber: {number * 7919}\ntotal: {number}.50\n")


def run_here(bench: Bench) -> JobOutcome:
    """Runs the job of the bench in this process, to save the start of another one."""
    request = JobRequest(
        bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), settle_seconds=0, workers=1
    )
    return run_request(bench.settings, request, lambda report: None)


def undisturbed(root: Path, count: int) -> Undisturbed:
    """Runs the documents of `write_documents` once."""
    bench = Bench(root)
    write_documents(bench, count)
    outcome = run_here(bench)
    assert outcome.summary.total == count
    assert_sound(bench)
    return Undisturbed(rows_of(bench), names_of(bench), 3 if outcome.summary.failed else 0)


def rows_of(bench: Bench) -> bytes:
    """The rows as they were written out, with MODEL for the model: each bench has one of its own."""
    (job_dir,) = job_dirs(bench.settings)
    return (bench.out_dir / "rows.jsonl").read_bytes().replace(read_config(job_dir).model.encode(), b"MODEL")


def names_of(bench: Bench) -> frozenset[str]:
    """Every file of the home and of the output folder."""
    (job_dir,) = job_dirs(bench.settings)
    found = [path for top in (bench.home_dir, bench.out_dir) for path in top.rglob("*")]
    return frozenset(str(path.relative_to(bench.root)).replace(job_dir.name, "JOB") for path in found)


def assert_sound(bench: Bench) -> None:
    """The ledger is intact; each finished document has exactly one row and no other has one; the counters agree."""
    (job_dir,) = job_dirs(bench.settings)
    # Without a log the file is all there is, and looking at it must leave no file of its own.
    mode = "mode=ro" if (job_dir / "job.db-wal").exists() else "immutable=1"
    with contextlib.closing(sqlite3.connect(f"file:{job_dir / 'job.db'}?{mode}", uri=True)) as connection:
        assert_sound_ledger(connection)


def assert_sound_ledger(connection: sqlite3.Connection) -> None:
    """The same of an open ledger, finished or not."""
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = dict(
        connection.execute("SELECT document, count(*) FROM rows WHERE superseded = 0 GROUP BY document").fetchall()
    )
    states = dict(connection.execute("SELECT id, state FROM documents").fetchall())
    finished = {document for document, state in states.items() if state in FINAL_DOCUMENT_STATES}
    assert set(rows) == finished
    assert set(rows.values()) <= {1}
    counted = Counter(states.values())
    columns = ", ".join(("total", *_COUNTERS))
    (total, *counters) = connection.execute(f"SELECT {columns} FROM job").fetchone()
    assert total == len(states)
    assert counters == [counted[state] for state in _COUNTERS.values()]


def assert_as_undisturbed(bench: Bench, expected: Undisturbed) -> None:
    """The job ended as if nothing had happened: the same rows, the same files, nothing else."""
    assert_sound(bench)
    assert rows_of(bench) == expected.rows
    names = names_of(bench)
    assert names == expected.names, f"more: {sorted(names - expected.names)}, less: {sorted(expected.names - names)}"
