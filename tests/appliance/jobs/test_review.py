"""Corrections by people: kept with what the model said, by many at once, and exported as rows to learn from."""

import fcntl
import json
import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.jobs.job import job_dir as resolve_job_dir
from appliance.jobs.review import (
    REVIEW_NAME,
    correct_field,
    corrected_records,
    in_force,
    read_corrections,
)
from appliance.tasks.linecode import Value
from appliance.tasks.task import Field, FieldType
from appliance.tasks.taskfile import load_task
from appliance.tasks.typed_values import parse_value, typed_value
from tests.appliance.batch_fixtures import TASK, Bench
from training.collect import collect_recorded


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with a job that ended; tests that change it use documents of their own."""
    bench = Bench(tmp_path_factory.mktemp("review"))
    bench.write_orders(6)
    bench.write(b"bad-\xff.txt")
    bench.write("empty.txt", "\n")
    assert bench.run("--json").returncode == 3
    return bench


def job_dir(bench: Bench) -> Path:
    (directory,) = (path for path in bench.settings.jobs_dir.iterdir() if not path.name.startswith("."))
    return directory


def test_correction_keeps_original_correction_user_and_document_hash(ended: Bench) -> None:
    directory = job_dir(ended)
    kept = correct_field(directory, "0000.txt", "total", " 13.00 ", "mara")
    assert (kept.original, kept.correction, kept.user) == ("12.50", "13.00", "mara")
    assert read_corrections(directory, "0000.txt") == [kept]
    row = next(row for row in ended.rows() if row["document"] == "0000.txt")
    assert kept.sha256 == row["sha256"]
    assert row["fields"] == {"number": b"0000.txt".hex(), "total": "12.50"}


def test_later_correction_stands_and_one_back_to_the_original_is_none(ended: Bench) -> None:
    directory = job_dir(ended)
    for value in ("1", "2"):
        correct_field(directory, "0001.txt", "total", value)
    found = read_corrections(directory, "0001.txt")
    assert [kept.correction for kept in found] == ["1", "2"]
    assert in_force(found, found[0].sha256)["total"].correction == "2"
    assert in_force(found, "0" * 64) == {}
    correct_field(directory, "0001.txt", "total", "12.50")
    assert in_force(read_corrections(directory, "0001.txt"), found[0].sha256) == {}


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [("0002.txt", "colour", "has no field colour"), ("9999.txt", "total", "the job has no document 9999.txt")],
)
def test_unknown_field_or_document_is_refused_and_nothing_is_kept(
    ended: Bench, document: str, field: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        correct_field(job_dir(ended), document, field, "1")
    assert read_corrections(job_dir(ended), document) == []


def test_value_outside_the_values_of_an_enum_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write_orders(1)
    assert bench.run().returncode == 0
    text = TASK.replace('name = "total"\ntype = "text"', 'name = "total"\ntype = "enum"\nvalues = ["paid", "open"]')
    (job_dir(bench) / "task.toml").write_text(text)
    with pytest.raises(UsageError, match="which is not one of its values") as refused:
        correct_field(job_dir(bench), "0000.txt", "total", "maybe")
    assert "paid, open" in refused.value.hint
    assert correct_field(job_dir(bench), "0000.txt", "total", "paid").correction == "paid"


def test_command_corrects_and_exports_what_collect_imports(ended: Bench, tmp_path: Path) -> None:
    directory = job_dir(ended)
    said = ended.call("jobs", "correct", directory.name, "bad-\\xff.txt", "number", "A-7", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["correction"] == "A-7"
    assert ended.call("jobs", "correct", directory.name, "0003.txt", "total", "--null").returncode == 0
    exported = ended.call("jobs", "corrections", directory.name, "--json")
    records = {record["document"]: record for record in map(json.loads, exported.stdout.splitlines())}
    assert records["bad-\\xff.txt"]["answer"] == {"number": "A-7", "total": "12.50"}
    assert records["0003.txt"]["answer"]["total"] is None
    (kept,) = records["0003.txt"]["corrections"]
    assert (kept["original"], kept["correction"]) == ("12.50", None)
    assert kept["user"]
    task_folder = tmp_path / "task"
    task_folder.mkdir()
    (task_folder / "task.toml").write_text(TASK)
    recorded = tmp_path / "corrections.jsonl"
    recorded.write_text(exported.stdout)
    collected = collect_recorded(load_task(task_folder), task_folder, recorded)
    assert collected.bad == []
    assert collected.imported == len(records)
    lines = (task_folder / "teacher" / "answers.jsonl").read_text().splitlines()
    assert {json.loads(line)["source"] for line in lines} == {"person"}


def test_command_refuses_a_value_with_null_and_neither(ended: Bench) -> None:
    name = job_dir(ended).name
    for words in (("1", "--null"), ()):
        assert ended.call("jobs", "correct", name, "0004.txt", "total", *words).returncode == 2
    assert read_corrections(job_dir(ended), "0004.txt") == []


def _correct_many(directory: Path, user: str) -> None:
    for number in range(25):
        correct_field(directory, "0005.txt", "total", f"{number}", user)


def test_many_people_at_once_lose_nothing(ended: Bench) -> None:
    directory = job_dir(ended)
    context = multiprocessing.get_context("fork")
    people = [context.Process(target=_correct_many, args=(directory, f"person-{n}")) for n in range(3)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [person.exitcode for person in people] == [0, 0, 0]
    found = read_corrections(directory, "0005.txt")
    assert len(found) == 75
    for n in range(3):
        assert [kept.correction for kept in found if kept.user == f"person-{n}"] == [str(m) for m in range(25)]


def test_correction_does_not_wait_without_end_for_a_process_that_stands_still(
    ended: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.jobs.review._LOCK_SECONDS", 0.0)
    directory = job_dir(ended)
    with open(directory / ".review.lock", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="another process holds the corrections"):
            correct_field(directory, "0004.txt", "total", "1")
    assert read_corrections(directory, "0004.txt") == []


def test_failed_document_without_a_text_is_no_row_to_learn_from(ended: Bench) -> None:
    directory = job_dir(ended)
    assert correct_field(directory, "empty.txt", "total", "4").original is None
    assert "empty.txt" not in {record["document"] for record in corrected_records(directory)}


def test_broken_or_newer_database_is_refused_by_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write_orders(1)
    assert bench.run().returncode == 0
    path = job_dir(bench) / REVIEW_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(ApplianceError, match="has version 9, this program knows 1"):
        correct_field(job_dir(bench), "0000.txt", "total", "1")
    with pytest.raises(ApplianceError, match="has version 9, this program knows 1"):
        read_corrections(job_dir(bench))
    path.write_bytes(b"no database " * 100)
    with pytest.raises(ApplianceError, match="cannot be read"):
        read_corrections(job_dir(bench))
    with pytest.raises(ResourceError, match="cannot be written"):
        correct_field(job_dir(bench), "0000.txt", "total", "1")


def test_first_correction_that_was_cut_short_is_none_and_hinders_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write_orders(1)
    assert bench.run().returncode == 0
    # A full disk and a kill leave this behind.
    (job_dir(bench) / REVIEW_NAME).write_bytes(b"")
    assert read_corrections(job_dir(bench)) == []
    correct_field(job_dir(bench), "0000.txt", "total", "1")
    assert [kept.correction for kept in read_corrections(job_dir(bench))] == ["1"]


@pytest.mark.parametrize("named", ["bad-\\xff.txt", "bad-\udcff.txt"], ids=["as-shown", "as-bytes"])
def test_correction_is_kept_under_the_name_that_the_rows_have(ended: Bench, named: str) -> None:
    kept = correct_field(job_dir(ended), named, "total", "9.99")
    assert kept.document == "bad-\\xff.txt"
    assert read_corrections(job_dir(ended), "bad-\\xff.txt")[-1] == kept


def test_corrections_are_read_on_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    bench = Bench(tmp_path)
    bench.write_orders(1)
    assert bench.run().returncode == 0
    correct_field(job_dir(bench), "0000.txt", "total", "1")
    for path in job_dir(bench).glob("*-shm"):
        path.unlink()
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1"'
    reads = (
        "import sys; from pathlib import Path; from appliance.jobs.review import read_corrections;"
        "print([kept.correction for kept in read_corrections(Path(sys.argv[1]))])"
    )
    words = ["unshare", "-rm", "sh", "-c", script, "sh", str(job_dir(bench)), sys.executable, reads]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert (done.stdout, done.stderr) == ("['1']\n", "")


@pytest.mark.parametrize(
    "value", [["a; b", "c"], ["one"], ["back\\slash", "x"], ["ends\\", "x"], ["a\\;b", "\\\\", ";"], None]
)
def test_typed_list_comes_back_as_it_was(value: list[str] | None) -> None:
    assert parse_value(Field("parts", FieldType.LIST), typed_value(value)) == value


LINES = Field("lines", FieldType.RECORDS, columns=(Field("what"), Field("count", FieldType.INTEGER), Field("net")))


@pytest.mark.parametrize(
    "value",
    [
        [{"what": "nut; bolt", "count": "2", "net": "a|b"}],
        [{"what": None, "count": None, "net": "\\"}, {"what": "x", "count": None, "net": None}],
        None,
    ],
)
def test_typed_records_come_back_as_they_were(value: Value) -> None:
    assert parse_value(LINES, typed_value(value)) == value


def test_cells_that_are_not_typed_are_null_and_those_beyond_the_columns_are_refused() -> None:
    assert parse_value(LINES, "nut ; bolt | 2") == [
        {"what": "nut", "count": None, "net": None},
        {"what": "bolt", "count": "2", "net": None},
    ]
    with pytest.raises(ValueError, match=r"has 4 cells, the columns are what \| count \| net"):
        parse_value(LINES, "1 | 2 | 3 | 4")


def test_typed_text_is_stripped_and_nothing_is_null() -> None:
    assert parse_value(Field("total"), " a; b ") == "a; b"
    assert parse_value(Field("total"), "  ") is None


def test_what_a_script_hands_over_by_mistake_is_refused(ended: Bench) -> None:
    directory = job_dir(ended)
    with pytest.raises(UsageError, match="the id of the job is empty"):
        resolve_job_dir(ended.settings, "")
    with pytest.raises(UsageError, match="cannot be stored"):
        correct_field(directory, "0000.txt", "total", "f\udcfcnf")  # typed in a terminal that is not UTF-8
    result = ended.call("jobs", "correct", directory.name, "0000.txt", "total", "")
    assert (result.returncode, "the value is empty" in result.stderr) == (2, True)


def test_what_the_model_is_unsure_of_goes_to_a_person_whose_word_settles_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("sure.txt", "number: 1\ntotal: 5\n")
    bench.write("unsure.txt", "number: 2\n")  # a field without a line has a confidence of one half
    assert bench.run("--review-below", "0.6").returncode == 0
    rows = {str(row["document"]): row for row in bench.rows()}
    assert (rows["sure.txt"]["route"], rows["sure.txt"]["reasons"]) == ("local", [])
    unsure = rows["unsure.txt"]
    assert (unsure["route"], unsure["error"], unsure["reasons"]) == ("review", "unsure", ["unsure:total"])
    assert unsure["error_message"] == "not sure enough of total"
    assert unsure["fields"] == {"number": "2", "total": None}
    correct_field(job_dir(bench), "unsure.txt", "total", "7", "mara")
    export = ("jobs", "export", job_dir(bench).name, "--out", str(tmp_path / "again"), "--corrected")
    assert bench.call(*export).returncode == 0
    text = (tmp_path / "again" / "rows.jsonl").read_text("utf-8")
    settled = next(row for row in map(json.loads, text.splitlines()) if row["document"] == "unsure.txt")
    assert (settled["route"], settled["error"], settled["fields"]["total"]) == ("person", None, "7")


def test_another_bound_is_another_job_and_none_asks_for_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("unsure.txt", "number: 2\n")
    assert bench.run().returncode == 0
    assert [row["route"] for row in bench.rows()] == ["local"]
    refused = bench.run("--review-below", "1.5")
    assert refused.returncode == 2
    assert "--review-below" in refused.stderr
    assert len([path for path in bench.settings.jobs_dir.iterdir() if not path.name.startswith(".")]) == 1
