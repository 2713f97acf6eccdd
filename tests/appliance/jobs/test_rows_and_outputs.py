"""The published row, and cells that a spreadsheet must not run."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from appliance.ground.errors import ResourceError
from appliance.ground.files import part_path
from appliance.jobs.outputs import OutputFormat, neutral_cell, write_rows
from appliance.jobs.rows import Route, Row, row_from_json, row_schema
from appliance.models.manifest import write_artifact
from appliance.tasks.linecode import Answer, Record
from appliance.tasks.task import Field, FieldType
from tests.appliance.batch_fixtures import Bench
from tests.appliance.model_fixtures import file_size_limit
from tests.noop_fixtures import noop_manifest

REPOSITORY = Path(__file__).parents[3]


def test_published_schema_is_the_code_s() -> None:
    text = json.dumps(row_schema(), indent=2, ensure_ascii=False) + "\n"
    assert (REPOSITORY / "docs" / "row.schema.json").read_text("utf-8") == text


def test_row_as_bytes() -> None:
    row = Row("ä.txt", "0" * 64, Route.LOCAL, "m", {"total": "1", "items": ["a"]}, {"total": 0.5}, {"total": 3},
        {"total": [[3, 4]]}, {"total": "1"}, {"total": ["unread"]}, reasons=["rule:adds_up"])  # fmt: skip
    assert row.to_json() == (
        '{"document":"ä.txt","sha256":"' + "0" * 64 + '","route":"local","model":"m",'
        '"fields":{"total":"1","items":["a"]},"confidence":{"total":0.5},"evidence":{"total":3},'
        '"spans":{"total":[[3,4]]},"normalised":{"total":"1"},'
        '"marks":{"total":["unread"]},"unsafe":false,'
        '"prompt_tokens":0,"completion_tokens":0,"reasoning_tokens":0,"seconds":0.0,"error":null,"error_message":"",'
        '"reasons":["rule:adds_up"],"escalated":[],"former_document":null,"version":3}'
    )
    assert row_from_json(row.to_json()) == row


def test_working_is_in_a_row_only_where_it_is_kept() -> None:
    row = Row("a", None, Route.LOCAL, "m", working="first the total")
    assert json.loads(row.to_json())["working"] == "first the total"
    assert row_from_json(row.to_json()) == row
    assert set(json.loads(row.to_json())) - set(row_schema()["required"]) == {"working"}  # type: ignore[call-overload]


def test_row_has_the_keys_of_the_schema() -> None:
    row = Row("a", None, Route.FAILED, "m", error="empty")
    assert list(json.loads(row.to_json())) == row_schema()["required"]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd", "-a", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-2+3", "-1-1", "+1*A1", "-", "\uff1d1+1", "-5 EURO"],
)
def test_formula_is_neutralised(text: str) -> None:
    assert neutral_cell(text) == "'" + text


@pytest.mark.parametrize(
    "text", ["-12.50", "+1,000.00", "-5.00 EUR", "-5 %", "-1'000.50 \u20ac", "+49 30 123", "12", "a=b", ""]
)
def test_plain_value_stays(text: str) -> None:
    assert neutral_cell(text) == text


ASKED = (Field("total", FieldType.AMOUNT), Field("items", FieldType.LIST), Field("document"))


def some_rows(count: int) -> list[Row]:
    values: Answer = {"total": "=1", "items": ["a", "b"], "document": "invoice"}
    answered = [
        Row(f"{number:05}.txt", "0" * 64, Route.LOCAL, "m", values, {"total": 0.25}, {"total": 3, "items": None})
        for number in range(count)
    ]
    return [*answered, Row("z.txt", None, Route.FAILED, "m", error="empty", error_message="the file is empty")]


def test_parquet_holds_what_the_rows_hold(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    table = parquet.read_table(write_rows(some_rows(2), ASKED, tmp_path, OutputFormat.PARQUET))
    assert table.column_names == [
        "document", "sha256", "route", "model", "total", "total confidence", "total evidence",
        "total normalised", "total marks", "items", "items confidence", "items evidence", "items normalised",
        "items marks", "field document", "field document confidence", "field document evidence",
        "field document normalised", "field document marks",
        "unsafe", "prompt_tokens", "completion_tokens", "reasoning_tokens", "seconds",
        "error", "error_message", "reasons", "escalated", "former_document", "version",
    ]  # fmt: skip
    first, _, failed = table.to_pylist()
    assert (first["document"], first["route"], first["total"], first["items"], first["field document"]) == (
        "00000.txt", "local", "=1", ["a", "b"], "invoice",
    )  # fmt: skip
    assert (first["total confidence"], first["total evidence"], first["items evidence"]) == (0.25, 3, None)
    assert (failed["document"], failed["error"], failed["total"], failed["items"]) == ("z.txt", "empty", None, None)


def escalated_rows() -> list[Row]:
    """One row that the fallback answered in part, one that the local model answered alone."""
    values: Answer = {"total": "7", "items": ["a"], "document": "invoice"}
    outside = Row("a.txt", "0" * 64, Route.FRONTIER, "m+f", values, escalated=["items", "document"])
    return [outside, Row("b.txt", "0" * 64, Route.LOCAL, "m", values)]


def test_csv_says_which_fields_a_frontier_answered_and_no_column_has_the_name_of_another(tmp_path: Path) -> None:
    with open(write_rows(escalated_rows(), ASKED, tmp_path, OutputFormat.CSV), newline="") as file:
        header, outside, local = csv.reader(file)
    assert header == [
        "document", "total", "items", "field document", "total confidence", "items confidence",
        "field document confidence", "total normalised", "items normalised", "field document normalised", "marks",
        "route", "error", "error_message", "model", "unsafe", "sha256", "reasons", "escalated",
        "former_document",
    ]  # fmt: skip
    assert (outside[0], outside[3], outside[-2]) == ("a.txt", "invoice", "items; document")
    assert (local[0], local[-2]) == ("b.txt", "")


def test_parquet_says_which_fields_a_frontier_answered(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    table = parquet.read_table(write_rows(escalated_rows(), ASKED, tmp_path, OutputFormat.PARQUET))
    assert table.column("escalated").to_pylist() == [["items", "document"], []]


LINES = Field("lines", FieldType.RECORDS, columns=(Field("what"), Field("net", FieldType.AMOUNT)))


def rows_with_records() -> list[Row]:
    """A document with two lines, one without any, one that failed."""
    lines: list[Record] = [{"what": "=nut", "net": "$5"}, {"what": "bolt", "net": None}]
    normalised: list[Record] = [{"what": "=nut", "net": "5"}, {"what": "bolt", "net": None}]
    return [
        Row("a.txt", "0" * 64, Route.REVIEW, "m", {"lines": lines, "total": "5"}, normalised={"lines": normalised},
            reasons=["rule:adds_up", "pattern:total"]),
        Row("b.txt", "0" * 64, Route.LOCAL, "m", {"lines": None, "total": "1"}),
        Row("c.txt", None, Route.FAILED, "m", error="empty"),
    ]  # fmt: skip


def test_csv_has_a_row_for_each_record_or_all_of_them_in_one_cell(tmp_path: Path) -> None:
    fields = (LINES, ASKED[0])
    by_record = write_rows(rows_with_records(), fields, tmp_path, OutputFormat.CSV, by_record="lines")
    with open(by_record, newline="") as file:
        header, *lines = csv.reader(file)
    assert header[:7] == [
        "document", "lines number", "lines what", "lines net", "lines what normalised", "lines net normalised", "total",
    ]  # fmt: skip
    assert [line[:7] for line in lines] == [
        ["a.txt", "1", "'=nut", "$5", "'=nut", "5", "5"],
        ["a.txt", "2", "bolt", "", "bolt", "", "5"],
        ["b.txt", "", "", "", "", "", "1"],
        ["c.txt", "", "", "", "", "", ""],
    ]
    assert lines[0][header.index("reasons")] == "rule:adds_up; pattern:total"
    with open(write_rows(rows_with_records(), fields, tmp_path, OutputFormat.CSV), newline="") as file:
        by_name = list(csv.DictReader(file))
    assert by_name[0]["lines"] == "'=nut | $5; bolt | -"
    assert by_name[0]["lines normalised"] == "'=nut | 5; bolt | -"


def test_parquet_holds_records_as_lists_of_structures(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    rows = rows_with_records()
    table = parquet.read_table(write_rows(rows, (LINES, ASKED[0]), tmp_path, OutputFormat.PARQUET))
    assert str(table.schema.field("lines").type) == "list<element: struct<what: string, net: string>>"
    first, second, failed = table.to_pylist()
    assert first["lines"] == (rows[0].fields or {})["lines"]
    assert first["lines normalised"] == rows[0].normalised["lines"]
    assert (first["reasons"], second["lines"], failed["lines"]) == (["rule:adds_up", "pattern:total"], None, None)


def test_parquet_of_many_rows_is_written_in_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    path = write_rows(some_rows(25_000), ASKED, tmp_path, OutputFormat.PARQUET)
    file = parquet.ParquetFile(path)
    assert (file.num_row_groups, file.metadata.num_rows) == (3, 25_001)
    again = tmp_path / "again"
    assert write_rows(some_rows(25_000), ASKED, again, OutputFormat.PARQUET).read_bytes() == path.read_bytes()


def test_empty_job_is_a_parquet_file_without_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    assert parquet.read_table(write_rows([], ASKED, tmp_path, OutputFormat.PARQUET)).num_rows == 0


def test_missing_parquet_extra_is_named_before_any_work(bench: Bench) -> None:
    bench.write_orders(1)
    code = (
        "import sys, importlib.util as util; find = util.find_spec; "
        "util.find_spec = lambda name, *rest: None if name == 'pyarrow' else find(name, *rest); "
        "from appliance.cli import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", code, *bench.run_arguments("--format", "parquet")]
    done = subprocess.run(words, env=bench.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert 'pip install "stillroom[parquet]"' in done.stderr
    assert not (bench.home_dir / "jobs").exists()


@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_full_disk_leaves_the_former_rows_and_no_part(tmp_path: Path, output_format: OutputFormat) -> None:
    if output_format is OutputFormat.PARQUET:
        pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    path = write_rows(some_rows(1), ASKED, tmp_path, output_format)
    before = path.read_bytes()
    with file_size_limit(1000), pytest.raises(ResourceError, match="cannot write") as full:
        write_rows(some_rows(5000), ASKED, tmp_path, output_format)
    assert full.value.exit_code == 4
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_part_that_a_killed_export_left_is_used_again(tmp_path: Path) -> None:
    part = part_path(tmp_path / "rows.jsonl")
    part.write_text("half a row" * 1000)
    path = write_rows(some_rows(0), ASKED, tmp_path, OutputFormat.JSONL)
    assert path.read_text() == some_rows(0)[0].to_json() + "\n"
    assert not part.exists()


def test_link_that_lies_where_rows_are_written_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody's")
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    part_path(out_dir / "rows.jsonl").symlink_to(other)
    with pytest.raises(ResourceError, match="cannot write"):
        write_rows(some_rows(1), ASKED, out_dir, OutputFormat.JSONL)
    assert other.read_text() == "somebody's"


def test_two_exports_to_one_folder_take_turns(tmp_path: Path) -> None:
    def slow_rows() -> Iterator[Row]:
        """In the midst of writing these the other export begins."""
        yield from some_rows(3)
        other.start()
        yield from some_rows(4)

    other = Thread(target=write_rows, args=(some_rows(1), ASKED, tmp_path, OutputFormat.JSONL))
    write_rows(slow_rows(), ASKED, tmp_path, OutputFormat.JSONL)
    other.join(60)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["document"] for line in lines] == ["00000.txt", "z.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


TYPED = """
version = 1
name = "orders"
kind = "extract"
instruction = "Read the order"
fields = [
  {name = "total", type = "amount"}, {name = "ordered", type = "date"}, {name = "paid", type = "date"},
  {name = "sent", type = "date", date_order = "day_first"}, {name = "weight", type = "number", locale = "de"},
  {name = "note", type = "text"},
]
"""


def test_rows_of_a_job_hold_values_as_programs_read_them_and_what_is_in_doubt(bench: Bench) -> None:
    bench.task_path.write_text(TYPED)
    artifact_dir = bench.root / "typed"
    files = {"task.toml": bench.task_path, "noop.json": bench.artifact_dir / "noop.json"}
    write_artifact(artifact_dir, noop_manifest(bench.task_path), files)
    written = {
        "total": "(1.234,50 \u20ac)", "ordered": "4. marca 2024", "paid": "03/04/2024", "sent": "03/04/2024",
        "weight": "1.234", "note": "Jo\u0308rg \u00ad 2",
    }  # fmt: skip
    bench.write("a.txt", "\n".join(f"{name}: {value}" for name, value in written.items()))
    bench.write("b.txt", "total: 1.234\npaid: 4 March 24\nweight: two")
    done = bench.run("--model", str(artifact_dir))
    assert done.returncode == 0, done.stderr
    first, second = sorted(bench.rows(), key=lambda row: str(row["document"]))
    assert first["fields"] == written
    assert first["normalised"] == {
        "total": "-1234.5", "ordered": "2024-03-04", "paid": None, "sent": "2024-04-03", "weight": "1234",
        "note": "J\u00f6rg 2",
    }  # fmt: skip
    assert first["marks"] == {"paid": ["date_order"]}
    assert (second["normalised"], second["marks"]) == (
        {**dict.fromkeys(written), "total": "1234", "paid": "2024-03-04"},
        {"total": ["decimal_mark"], "paid": ["century"], "weight": ["unread"]},
    )
