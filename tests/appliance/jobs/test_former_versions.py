"""Jobs that an earlier version of the program left behind: they show, and they go on."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.documents.folder import document_path
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.ledger import LEDGER_VERSION, list_jobs, open_readonly
from appliance.jobs.ledger_schema import bring_up_to_date
from appliance.jobs.rows import Route, Row, row_from_json
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import Bench

JOB_1 = """# Written by `stillroom run`; what this job does and may not change any more
id = {id}
task_hash = {task_hash}
documents_dir = {documents_dir}
artifact_dir = {artifact_dir}
model = {model}
model_name = {model_name}
unsafe = true
keep_text = "all"
out_dir = {out_dir}
output_format = "jsonl"
limit = 0
workers = 2
settle_seconds = 0.0
shard = ""
version = 1
"""
LEDGER_2 = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0, started REAL, finished REAL,
    run_started REAL, speed REAL NOT NULL DEFAULT 0,
    supervisor TEXT NOT NULL DEFAULT '', waiting INTEGER NOT NULL DEFAULT 0);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    sha256 TEXT, state TEXT NOT NULL, kills INTEGER NOT NULL DEFAULT 0);
CREATE INDEX documents_by_state ON documents (state, path);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents, superseded INTEGER NOT NULL DEFAULT 0,
    error TEXT, row TEXT NOT NULL);
CREATE UNIQUE INDEX one_row ON rows (document) WHERE superseded = 0;
CREATE INDEX rows_by_document ON rows (document);
CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents, text TEXT NOT NULL,
    raw TEXT NOT NULL DEFAULT '');
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, document INTEGER, detail TEXT NOT NULL);
"""


def former_job(bench: Bench) -> Path:
    """The folder of a job of the former version: 0000.txt has its row, an engine died with 0001.txt, 0002.txt waits."""
    bench.write_orders(3)
    assert bench.run().returncode == 0
    (directory,) = job_dirs(bench.settings)
    config = read_config(directory)
    values = {name: json.dumps(value) for name, value in vars(config).items()}
    (directory / "job.toml").write_text(JOB_1.format(**values))
    row = Row("0000.txt", "a" * 64, Route.LOCAL, config.model, {"number": "from before", "total": None})
    for path in directory.glob("job.db*"):
        path.unlink()
    connection = sqlite3.connect(directory / "job.db")
    connection.executescript(LEDGER_2)
    for number in range(3):
        facts = os.stat(bench.documents_dir / f"{number:04}.txt")
        connection.execute(
            "INSERT INTO documents (path, size_bytes, modified_ns, sha256, state, kills) VALUES (?, ?, ?, ?, ?, ?)",
            (f"{number:04}.txt".encode(), facts.st_size, facts.st_mtime_ns, None if number else "a" * 64,
             "queued" if number else "done", number % 2),
        )  # fmt: skip
    connection.execute("INSERT INTO rows (document, row) VALUES (1, ?)", (row.to_json(),))
    connection.execute(
        "INSERT INTO job (id, version, identifier, name, task, model, state, total, done, started, supervisor)"
        " VALUES (1, 2, ?, 'orders documents', 'orders', ?, 'running', 3, 1, 1.0, '1 1 a-boot-before')",
        (config.id, config.model),
    )
    connection.commit()
    connection.close()
    (bench.out_dir / "rows.jsonl").unlink()
    return directory


def test_job_of_the_former_version_shows(bench: Bench) -> None:
    directory = former_job(bench)
    (job,) = list_jobs(bench.settings)
    assert (job.id, job.state, job.total, job.done) == (directory.name, State.INTERRUPTED, 3, 1)
    shown = bench.call("jobs", "show", directory.name, "--json")
    assert shown.returncode == 0, shown.stderr
    config = json.loads(shown.stdout)["config"]
    assert (config["version"], config["frontier"], config["documents"]) == (2, "", "")


def test_job_of_the_former_version_goes_on_and_keeps_its_rows(bench: Bench) -> None:
    directory = former_job(bench)
    done = bench.call("jobs", "resume", directory.name, "--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["done"], json.loads(done.stdout)["new_documents"]) == (3, 2)
    numbers = [row["fields"]["number"] for row in bench.rows()]  # type: ignore[index]
    assert numbers == ["from before", b"0001.txt".hex(), b"0002.txt".hex()]
    with open_readonly(directory) as reader:
        seconds = [each.worked_seconds for each in reader.finished_documents()]
    assert seconds[0] is None
    assert all(second is not None for second in seconds[1:])
    connection = sqlite3.connect(directory / "job.db")
    assert connection.execute("SELECT version FROM job").fetchone() == (LEDGER_VERSION,)
    connection.close()


@pytest.mark.slow
def test_document_that_killed_an_engine_before_needs_one_more_death(bench: Bench) -> None:
    directory = former_job(bench)
    bench.write("0001.txt", "KILL THE ENGINE")
    assert bench.call("jobs", "resume", directory.name).returncode == 3
    with open_readonly(directory) as reader:
        crashes = [detail for _, kind, detail in reader.events(99) if kind == "crash"]
    assert len(crashes) == 1


def test_same_command_continues_a_job_of_the_former_version(bench: Bench) -> None:
    directory = former_job(bench)
    done = bench.run("--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["job"], json.loads(done.stdout)["new_documents"]) == (directory.name, 2)
    assert replace(read_config(directory), settle_seconds=0.0) == read_config(directory)


def test_name_that_could_be_that_of_another_file_is_written_anew(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "job.db", isolation_level=None)
    connection.executescript(LEDGER_2)
    connection.execute(
        "INSERT INTO job (id, version, identifier, name, task, model, state) VALUES (1, 2, '', '', '', '', '')"
    )
    paths = [rb"\xff.txt", b"\xff.txt", rb"a\b.txt"]
    for path in paths:
        connection.execute(
            "INSERT INTO documents (path, size_bytes, modified_ns, state) VALUES (?, 1, 1, 'done')", (path,)
        )
        name = path.decode("utf-8", "backslashreplace")
        row = Row(name, "a" * 64, Route.LOCAL, "m", {"number": "5.00"}).to_json()
        connection.execute("INSERT INTO rows (document, row) VALUES (last_insert_rowid(), ?)", (row,))
    bring_up_to_date(connection, 2)
    rows = [row_from_json(text) for (text,) in connection.execute("SELECT row FROM rows ORDER BY id")]
    assert [row.document for row in rows] == [r"\x5cxff.txt", r"\xff.txt", r"a\b.txt"]
    assert [document_path(row.document) for row in rows] == paths
    assert {row.fields["number"] for row in rows if row.fields} == {"5.00"}
    assert connection.execute("SELECT version, missing, left_out FROM job").fetchone() == (LEDGER_VERSION, 0, "{}")
    connection.close()
