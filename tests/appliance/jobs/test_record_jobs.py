"""Jobs over documents with tables: each record is in the rows once, or row and exit code say that some are not."""

import csv
import json
from pathlib import Path

import pytest

from appliance.jobs.rows import row_from_json
from appliance.models.manifest import write_artifact
from tests.appliance.batch_fixtures import Bench
from tests.noop_fixtures import noop_manifest

TASK = """version = 2
name = "orders"
kind = "extract"
instruction = "Read the order"

[input]
long = "LONG"

[[fields]]
name = "number"
type = "text"

[[fields]]
name = "net"
type = "amount"

[[fields]]
name = "items"
type = "records"
[[fields.fields]]
name = "what"
[[fields.fields]]
name = "price"
type = "amount"

[[rules]]
name = "adds_up"
check = "sum(items.price) == net"
"""
Lines = list[tuple[str, str]]


def bench_of(root: Path, long: str) -> Bench:
    bench = Bench(root)
    bench.task_path.write_text(TASK.replace("LONG", long))
    files = {"task.toml": bench.task_path, "noop.json": bench.root / "noop.json"}
    write_artifact(bench.root / "with-records", noop_manifest(bench.task_path), files)
    return bench


def run(bench: Bench, *options: str) -> "tuple[int, str]":
    words = ["run", str(bench.task_path), str(bench.documents_dir), "--out", str(bench.out_dir)]
    done = bench.call(*words, "--model", str(bench.root / "with-records"), *options)
    return done.returncode, done.stderr


def lines_of(count: int) -> Lines:
    return [(f"part {number} of {number % 7} sizes", f"{number % 13}.50") for number in range(count)]


def page(lines: Lines, net: str = "") -> str:
    total = net or f"{sum(float(price) for _, price in lines):.2f}"
    head = f"number: 17\nnet: {total}\n"
    return head + "".join(f"items: {what} | {price}\n" for what, price in lines)


def rows_of(bench: Bench) -> list[dict[str, object]]:
    text = (bench.out_dir / "rows.jsonl").read_text("utf-8")
    assert [row_from_json(line).to_json() for line in text.splitlines()] == text.splitlines()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("count", [0, 1, 10, 200, 3000])
def test_all_records_of_a_document_are_in_its_row_however_many_windows_it_takes(tmp_path: Path, count: int) -> None:
    bench, lines = bench_of(tmp_path, "window"), lines_of(count)
    bench.write("a.txt", page(lines))
    assert run(bench)[0] == 0
    (row,) = rows_of(bench)
    fields = row["fields"]
    assert isinstance(fields, dict)
    expected = [{"what": what, "price": price} for what, price in lines] or None
    assert fields["items"] == expected
    assert (row["error"], row["reasons"], row["route"]) == (None, [], "local")


def test_records_without_room_are_told_in_the_row_and_by_the_exit_code(tmp_path: Path) -> None:
    bench, lines = bench_of(tmp_path, "refuse"), lines_of(60)
    bench.write("a.txt", page(lines))
    bench.write("b.txt", page(lines[:3]))
    code, told = run(bench)
    assert code == 3
    assert "1 document of 2 with incomplete lists or records" in told
    cut, whole = rows_of(bench)
    fields = cut["fields"]
    assert isinstance(fields, dict)
    kept = fields["items"]
    assert (cut["error"], cut["route"], whole["error"]) == ("incomplete", "review", None)
    assert 0 < len(kept) < 60
    assert kept == [{"what": what, "price": price} for what, price in lines[: len(kept)]]


def test_a_broken_rule_sends_the_document_to_a_person_with_its_reason(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "refuse")
    bench.write("a.txt", page(lines_of(3), net="99.00"))
    assert run(bench)[0] == 0
    (row,) = rows_of(bench)
    assert (row["route"], row["error"], row["reasons"]) == ("review", "invalid_answer", ["rule:adds_up"])
    assert "adds_up" in str(row["error_message"])
    assert "4.5 and 99" in str(row["error_message"])


def test_rows_say_where_each_cell_stands_and_export_has_a_line_for_each_record(tmp_path: Path) -> None:
    bench, lines = bench_of(tmp_path, "window"), lines_of(3)
    text = page(lines)
    bench.write("a.txt", text)
    assert run(bench)[0] == 0
    (row,) = rows_of(bench)
    spans = row["spans"]
    assert isinstance(spans, dict)
    found = [[text[start:end] for start, end in each.values()] for each in spans["items"]]
    assert found == [list(line) for line in lines]
    listed = bench.call("jobs", "list", "--json")
    (job,) = [json.loads(line) for line in listed.stdout.splitlines()][:1]
    name = job["id"] if isinstance(job, dict) else job[0]["id"]
    done = bench.call("jobs", "export", name, "--out", str(tmp_path / "csv"), "--format", "csv", "--records", "items")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "csv" / "rows.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(line["items what"], line["items price"], line["net"]) for line in table] == [
        (what, price, "4.50") for what, price in lines
    ]


def test_records_are_corrected_on_the_command_line_and_what_a_person_wrote_settles_the_rule(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "refuse")
    bench.write("a.txt", page(lines_of(3), net="99.00"))
    assert run(bench)[0] == 0
    (name,) = (path.name for path in bench.settings.jobs_dir.iterdir() if not path.name.startswith("."))
    refused = bench.call("jobs", "correct", name, "a.txt", "items", "nut | 1 | 2")
    assert refused.returncode == 2
    assert "items has 3 cells, the columns are what | price" in refused.stderr
    assert bench.call("jobs", "correct", name, "a.txt", "items", "nut | 90.00; bolt, long | 9").returncode == 0
    words = ["jobs", "export", name, "--out", str(tmp_path / "out"), "--corrected"]
    done = bench.call(*words)
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "out" / "rows.jsonl").read_text("utf-8"))
    assert row["fields"]["items"] == [{"what": "nut", "price": "90.00"}, {"what": "bolt, long", "price": "9"}]
    assert (row["route"], row["reasons"], row["error"]) == ("person", [], None)
