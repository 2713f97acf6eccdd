"""`stillroom run` and `stillroom jobs` as processes: rows, exit codes, messages, bad input."""

import csv
import json
import os
import sqlite3
import stat

import pytest

from tests.appliance.batch_fixtures import Bench


def test_run_writes_one_row_per_document_in_path_order(bench: Bench) -> None:
    bench.write_orders(30)
    bench.write("sub/z.txt")
    done = bench.run("--json")
    assert done.returncode == 0, done.stderr
    rows = bench.rows()
    assert [row["document"] for row in rows] == [*(f"{number:04}.txt" for number in range(30)), "sub/z.txt"]
    assert rows[0]["fields"] == {"number": b"0000.txt".hex(), "total": "12.50"}
    assert rows[0]["evidence"] == {"number": 17, "total": 41}
    assert rows[0]["unsafe"] is True
    told = json.loads(done.stdout)
    assert (told["state"], told["total"], told["done"], told["failed"], told["new_documents"]) == (
        "done",
        31,
        31,
        0,
        31,
    )


def test_without_json_stdout_is_empty(bench: Bench) -> None:
    bench.write_orders(2)
    done = bench.run()
    assert done.stdout == ""
    assert "2 of 2 documents finished" in done.stderr


def test_empty_folder_is_zero_documents_and_says_so(bench: Bench) -> None:
    done = bench.run()
    assert done.returncode == 0
    assert "the folder holds no documents" in done.stderr
    assert bench.rows() == []


def test_bad_documents_fail_and_the_others_get_their_rows(bench: Bench) -> None:
    bench.write_orders(5)
    (bench.documents_dir / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (bench.documents_dir / "empty.txt").write_bytes(b"")
    bench.write("long.txt", "word " * 1001)
    done = bench.run()
    assert done.returncode == 3
    assert "3 of 8 documents failed" in done.stderr
    assert "hint: `stillroom jobs show" in done.stderr
    errors = {str(row["document"]): (row["route"], row["error"]) for row in bench.rows()}
    assert errors["broken.pdf"] == ("failed", "unreadable")
    assert errors["empty.txt"] == ("failed", "empty")
    assert errors["long.txt"] == ("failed", "too_long")
    assert sum(1 for route, error in errors.values() if (route, error) == ("local", None)) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_the_right_to_read_is_unreadable(bench: Bench) -> None:
    bench.write("a.txt")
    bench.write("b.txt")
    (bench.documents_dir / "a.txt").chmod(0)
    assert bench.run().returncode == 3
    assert [row["error"] for row in bench.rows()] == ["unreadable", None]


def test_task_with_a_typo_is_a_usage_error(bench: Bench) -> None:
    bench.task_path.write_text(bench.task_path.read_text().replace("instruction", "instuction"))
    done = bench.run()
    assert done.returncode == 2
    assert "instuction" in done.stderr
    assert "instruction" in done.stderr


def test_missing_folder_is_a_usage_error(bench: Bench) -> None:
    bench.documents_dir.rmdir()
    done = bench.run()
    assert done.returncode == 2
    assert "no folder of documents" in done.stderr


def test_flipped_byte_in_the_model_stops_before_loading(bench: Bench) -> None:
    bench.write_orders(1)
    path = bench.artifact_dir / "noop.json"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    done = bench.run()
    assert done.returncode == 1
    assert "noop.json" in done.stderr
    assert not bench.out_dir.exists()


def test_hostile_names_survive_and_never_reach_the_terminal_raw(bench: Bench) -> None:
    names = [b"a[/b].txt", b"\x1b[2Jclear.txt", b"line\nbreak.txt", b"bad-\xff.txt"]
    for name in names:
        bench.write(name, "word " * 1001)
    assert bench.run().returncode == 3
    assert {row["document"] for row in bench.rows()} == {
        "a[/b].txt", "\x1b[2Jclear.txt", "line\nbreak.txt", "bad-\\xff.txt",
    }  # fmt: skip
    shown = bench.call("jobs", "show", "orders", "--failed")
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout
    assert "a[/b].txt" in shown.stdout
    assert len(shown.stdout.splitlines()) == 8 + len(names)


def test_csv_neutralises_formulas_and_keeps_numbers(bench: Bench) -> None:
    bench.write("a.txt", "number: =HYPERLINK(1)\ntotal: -12.50\n")
    assert bench.run("--format", "csv").returncode == 0
    with open(bench.out_dir / "rows.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["number"], row["total"], row["unsafe"]) == ("'=HYPERLINK(1)", "-12.50", "yes")


def test_rerun_on_a_grown_folder_does_only_the_new_documents(bench: Bench) -> None:
    bench.write_orders(5)
    bench.run()
    before = bench.rows()
    bench.write("new.txt")
    told = json.loads(bench.run("--json").stdout)
    assert (told["total"], told["new_documents"]) == (6, 1)
    assert bench.rows()[:5] == before


def test_changed_document_gets_a_new_row(bench: Bench) -> None:
    bench.write_orders(3)
    bench.run()
    bench.write("0001.txt", "number: changed\n")
    told = json.loads(bench.run("--json").stdout)
    assert (told["total"], told["done"], told["new_documents"]) == (3, 3, 1)
    assert bench.rows()[1]["fields"] == {"number": "changed", "total": None}


def test_touched_document_keeps_its_row(bench: Bench) -> None:
    bench.write_orders(3)
    bench.run()
    os.utime(bench.documents_dir / "0001.txt", (1, 1))
    assert json.loads(bench.run("--json").stdout)["new_documents"] == 0


def test_limit_takes_the_first_documents(bench: Bench) -> None:
    bench.write_orders(5)
    bench.run("--limit", "2")
    assert [row["document"] for row in bench.rows()] == ["0000.txt", "0001.txt"]


def test_limit_holds_for_documents_that_an_earlier_run_has_listed(bench: Bench) -> None:
    bench.write_orders(30)
    bench.write("0000.txt", "HOLD THE ENGINE\nnumber: 1\n")
    process = bench.start(*bench.run_arguments("--workers", "1"))
    bench.wait_until_held()
    process.kill()
    process.communicate()
    bench.write("0000.txt")
    told = json.loads(bench.run("--limit", "2", "--json").stdout)
    assert (told["state"], told["total"], told["done"], told["new_documents"]) == ("done", 30, 2, 2)
    assert told["message"] == "28 documents beyond the first 2 left out"
    assert [row["document"] for row in bench.rows()] == ["0000.txt", "0001.txt"]


@pytest.mark.slow
def test_jobs_list_show_export_and_remove(bench: Bench) -> None:
    bench.write_orders(3)
    bench.run()
    (line,) = bench.call("jobs", "list", "--json").stdout.splitlines()
    job = json.loads(line)
    assert (job["task"], job["state"], job["total"], job["done"]) == ("orders", "done", 3, 3)
    assert job["id"] in bench.call("jobs", "list").stdout
    assert json.loads(bench.call("jobs", "show", job["id"], "--json").stdout)["config"]["model"] == bench.identity
    other_dir = bench.root / "other"
    assert bench.call("jobs", "export", job["id"], "--out", str(other_dir)).returncode == 0
    assert (other_dir / "rows.jsonl").read_bytes() == (bench.out_dir / "rows.jsonl").read_bytes()
    assert bench.call("jobs", "remove", job["id"], "--yes").returncode == 0
    assert bench.call("jobs", "list", "--json").stdout == ""
    assert list((bench.home_dir / "jobs").iterdir()) == []


def test_unknown_job_is_a_usage_error(bench: Bench) -> None:
    done = bench.call("jobs", "show", "nothing")
    assert done.returncode == 2
    assert "there is no job nothing" in done.stderr


def test_job_folder_is_private_and_text_can_be_left_out(bench: Bench) -> None:
    bench.write_orders(2)
    bench.run("--keep-text", "none")
    (directory,) = (bench.home_dir / "jobs").iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    connection = sqlite3.connect(directory / "job.db")
    assert connection.execute("SELECT count(*) FROM texts").fetchone() == (0,)
    connection.close()


def test_rows_that_cannot_be_written_are_a_resource_error(bench: Bench) -> None:
    bench.write_orders(1)
    (bench.out_dir / "rows.jsonl" / "a folder where the file should be").mkdir(parents=True)
    done = bench.run()
    assert done.returncode == 4, done.stderr
    assert "jobs export" in done.stderr
