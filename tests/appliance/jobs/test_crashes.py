"""Whatever is killed and whenever: each document has exactly one row, and the others are as in an undisturbed run."""

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from appliance.jobs.ledger import list_jobs, open_readonly
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import Bench

HOLD = "HOLD THE ENGINE\nnumber: 1\n"


def job_dir(bench: Bench) -> Path:
    (directory,) = (bench.home_dir / "jobs").iterdir()
    return directory


def assert_sound(bench: Bench, total: int) -> None:
    """One row per document, counters that agree, an intact database, no temporary files."""
    connection = sqlite3.connect(job_dir(bench) / "job.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    per_document = "SELECT count(*) FROM rows WHERE superseded = 0 GROUP BY document"
    assert connection.execute(per_document).fetchall() == [(1,)] * total
    (counted,) = connection.execute("SELECT done + failed + quarantined FROM job").fetchall()
    assert counted == (total,)
    connection.close()
    assert len(bench.rows()) == total
    assert [path.name for path in bench.root.rglob("*.part")] == []


def test_document_that_kills_the_engine_is_quarantined_alone(bench: Bench) -> None:
    bench.write_orders(40)
    bench.write("0013.txt", "KILL THE ENGINE")
    bench.write("0014.txt", "KILL THE ENGINE too")
    assert bench.run().returncode == 3
    assert_sound(bench, 40)
    errors = {str(row["document"]): row["error"] for row in bench.rows() if row["error"]}
    assert errors == {"0013.txt": "engine_died", "0014.txt": "engine_died"}
    (job,) = list_jobs(bench.settings)
    assert (job.state, job.done, job.failed, job.quarantined) == (State.DONE, 38, 2, 2)


def test_killed_supervisor_leaves_an_interrupted_job_that_resumes(bench: Bench) -> None:
    bench.write_orders(30)
    bench.write("0020.txt", HOLD)
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    assert [job.state for job in list_jobs(bench.settings)] == [State.RUNNING]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [job.state for job in list_jobs(bench.settings)] == [State.INTERRUPTED]
    bench.write("0021.txt", "number: changed while nobody worked\n")
    resumed = bench.start("jobs", "resume", "orders", "--json")
    bench.wait_until_held()
    bench.release()
    stdout, stderr = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, stderr
    assert json.loads(stdout)["done"] == 30
    assert_sound(bench, 30)


def test_killed_engine_is_restarted_and_loses_nothing(bench: Bench) -> None:
    bench.write_orders(30)
    bench.write("0020.txt", HOLD)
    process = bench.start(*bench.run_arguments("--json"))
    bench.wait_until_held()
    os.kill(_engine_pid(process.pid), signal.SIGKILL)
    bench.wait_until_held()
    bench.release()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["done"] == 30
    assert_sound(bench, 30)


def test_ctrl_c_finishes_what_is_in_flight_and_tells_how_to_resume(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    for number in range(1, 200):
        bench.write(f"{number:04}.txt")
    # With one reader the document that holds the engine is the first in it.
    process = bench.start(*bench.run_arguments("--workers", "1"))
    bench.wait_until_held()
    os.kill(process.pid, signal.SIGINT)
    bench.release()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert "stillroom jobs resume orders-" in stderr
    (job,) = list_jobs(bench.settings)
    assert job.state is State.INTERRUPTED
    assert 0 < job.done < 200
    resumed = bench.run("--json")
    assert resumed.returncode == 0
    assert json.loads(resumed.stdout)["new_documents"] == 200 - job.done
    assert_sound(bench, 200)


def test_second_ctrl_c_ends_at_once_and_loses_nothing(bench: Bench) -> None:
    bench.write_orders(10)
    bench.write("0005.txt", HOLD)
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    bench.write("0005.txt")
    assert bench.run().returncode == 0
    assert_sound(bench, 10)


@pytest.mark.slow
def test_rows_after_a_kill_equal_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    killed, undisturbed = Bench(tmp_path / "killed"), Bench(tmp_path / "undisturbed")
    for bench in (killed, undisturbed):
        bench.write_orders(50)
    killed.write("0030.txt", HOLD)
    process = killed.start(*killed.run_arguments())
    killed.wait_until_held()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    killed.write("0030.txt")
    assert killed.run().returncode == 0
    assert undisturbed.run("--model", str(killed.artifact_dir)).returncode == 0
    assert (killed.out_dir / "rows.jsonl").read_bytes() == (undisturbed.out_dir / "rows.jsonl").read_bytes()


def test_two_operators_cannot_run_the_same_job(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    second = bench.run()
    assert second.returncode == 4
    assert "running in another process" in second.stderr
    bench.release()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_reader_sees_the_job_live(bench: Bench) -> None:
    bench.write_orders(3)
    bench.run()
    with open_readonly(job_dir(bench)) as reader:
        bench.write("new.txt")
        bench.run()
        assert reader.summary().total == 4
        entries = reader.documents_page(State.DONE, 1, 2)
        assert [entry.name for entry in entries] == ["0001.txt", "0002.txt"]
        assert reader.text(entries[0].id) == (bench.documents_dir / "0001.txt").read_text()
        row = reader.row(entries[0].id)
        assert row is not None
        assert row.fields == {"number": b"0001.txt".hex(), "total": "12.50"}


def test_damaged_ledger_shows_as_failed_in_the_list(bench: Bench) -> None:
    bench.write_orders(1)
    bench.run()
    (job_dir(bench) / "job.db").write_bytes(b"this is no database" * 100)
    (job,) = list_jobs(bench.settings)
    assert job.state is State.FAILED
    assert "damaged" in job.message


def _engine_pid(supervisor: int) -> int:
    """The child of the supervisor that runs the engine."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    engines = [pid for pid in children if b"serve_engine" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(engines) == 1
    return int(engines[0])
