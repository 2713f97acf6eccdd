"""What people corrected reaches the output, with both values, in every format; and documents for review are counted."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import stillroom
from appliance.documents.folder import FoundDocument
from appliance.ground.database import open_writer
from appliance.ground.settings import Settings, load_settings
from appliance.jobs.corrected_rows import corrected_row
from appliance.jobs.job import JobConfig, task_path
from appliance.jobs.job_run import export_rows
from appliance.jobs.ledger_writer import Ledger, Outcome
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.review import REVIEW_NAME, Correction, correct_field, in_force, read_corrections
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.tasks.linecode import Answer
from appliance.tasks.spans import FieldSpans
from appliance.tasks.taskfile import load_task
from tests.appliance.batch_fixtures import TASK, job_dir_of

JOB = "orders-0123456789"
TEXT = "number: 7\ntotal: 7.50\n"
TASK_WITH_LIST = TASK + '\n[[fields]]\nname = "items"\ntype = "list"\nrequired = true\n'
ROWS = (
    Row("a.txt", "a" * 64, Route.LOCAL, "m", {"number": "7", "total": "1.50", "items": ["x"]},
        {"number": 0.9, "total": 0.4}, {"number": 8, "total": None}),
    Row("b.txt", "b" * 64, Route.REVIEW, "m", {"number": None, "total": "twelve", "items": None}, {"total": 0.2},
        error="invalid_answer", error_message="items: required, but empty"),
    Row("c.txt", "c" * 64, Route.FAILED, "m", error="too_long", error_message="the document has 9 words"),
    Row("d.txt", "d" * 64, Route.LOCAL, "m", {"number": "4", "total": "4", "items": None}),
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(tmp_path / "home")})


@pytest.fixture
def directory(settings: Settings, tmp_path: Path) -> Path:
    """A job with an answer, one for review, a failure and an answer, of which the first three are corrected."""
    config = JobConfig(JOB, "h", "/d", "/m", "m", "n", False, "all", str(tmp_path / "rows"), "jsonl", 0)
    directory = job_dir_of(settings, config, TASK_WITH_LIST.encode())
    ledger = Ledger(directory, JOB, "orders march", "orders", "m")
    ledger.add_documents(FoundDocument(row.document.encode(), 9, 1) for row in ROWS)
    for document, row in zip(ledger.pending(b"", 9), ROWS, strict=True):
        state = State.FAILED if row.error == "too_long" else State.DONE
        ledger.record([Outcome(document, state, row, TEXT if row.fields else None)])
    ledger.end_run(State.DONE)
    ledger.close()
    correct_field(directory, "a.txt", "total", "7.50", "ann")
    correct_field(directory, "a.txt", "items", ["x", "=y"], "bob")
    correct_field(directory, "b.txt", "total", "12.00", "ann")
    correct_field(directory, "b.txt", "items", ["z"], "ann")
    correct_field(directory, "c.txt", "number", "3", "ann")
    return directory


def stamp(directory: Path, document: str, field: str) -> str:
    """When the field was corrected, as the export says it."""
    import time

    correction = in_force(read_corrections(directory, document), ROWS[ord(document[0]) - ord("a")].sha256)[field]
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(correction.time))


def call(settings: Settings, *words: str) -> Result:
    """The command line in this process."""
    done = CliRunner().invoke(stillroom, words, env={"STILLROOM_HOME": str(settings.home_dir)})
    assert done.exit_code == 0, done.output
    return done


def test_json_rows_have_a_persons_values_with_the_models_beside_them(directory: Path, tmp_path: Path) -> None:
    path = export_rows(directory, tmp_path / "out", OutputFormat.JSONL, corrected=True)
    _, second, failed, plain = map(json.loads, path.read_text("utf-8").splitlines())
    fields: Answer = {"number": "7", "total": "7.50", "items": ["x", "=y"]}
    places: dict[str, int | None] = {"number": 8, "total": 17, "items": None}
    normalised: Answer = {"total": "7.50", "items": ["x", "=y"]}
    spans: dict[str, FieldSpans] = {**ROWS[0].spans, "total": [[17, 21]], "items": [None, None]}
    as_corrected = replace(
        ROWS[0], fields=fields, confidence={"number": 0.9}, evidence=places, spans=spans, normalised=normalised
    )
    assert path.read_text("utf-8").splitlines()[0] == as_corrected.to_json()[:-1] + (
        ',"corrections":{'
        f'"total":{{"answered":"1.50","corrected":"7.50","user":"ann","time":"{stamp(directory, "a.txt", "total")}"}},'
        '"items":{"answered":["x"],"corrected":["x","=y"],"user":"bob",'
        f'"time":"{stamp(directory, "a.txt", "items")}"}}}}}}'
    )
    assert (second["route"], second["error"], second["error_message"]) == ("person", None, "")
    assert second["fields"] == {"number": None, "total": "12.00", "items": ["z"]}
    assert second["corrections"]["total"]["answered"] == "twelve"
    assert (failed["route"], failed["error"]) == ("failed", "too_long"), "nobody has looked at its other fields"
    assert failed["fields"] == {"number": "3", "total": None, "items": None}
    assert plain["corrections"] == {}
    del plain["corrections"]
    assert plain == json.loads(ROWS[3].to_json())


def test_nothing_of_the_models_value_stays_with_a_persons(directory: Path) -> None:
    row = replace(ROWS[0], normalised={"total": "1.50", "number": "7"}, marks={"total": ["order"], "number": ["x"]})
    correction = Correction("a.txt", "a" * 64, "total", "1.50", None, "ann", 0.0)
    corrected = corrected_row(row, {"total": correction}, load_task(task_path(directory)), lambda: TEXT)
    assert corrected.fields == {"number": "7", "total": None, "items": ["x"]}
    assert (corrected.normalised.get("total"), corrected.normalised["number"]) == (None, "7")
    assert (corrected.marks, corrected.confidence) == ({"number": ["x"]}, {"number": 0.9})
    assert corrected.evidence == {"number": 8, "total": None}


def test_answer_that_still_does_not_fit_stays_for_review(directory: Path, tmp_path: Path) -> None:
    with open_writer(directory / REVIEW_NAME) as connection:
        connection.execute("DELETE FROM corrections WHERE document = 'b.txt' AND field = 'items'")
    path = export_rows(directory, tmp_path / "out", OutputFormat.JSONL, corrected=True)
    row = json.loads(path.read_text("utf-8").splitlines()[1])
    assert (row["route"], row["error"], row["fields"]["total"]) == ("review", "invalid_answer", "12.00")
    assert list(row["corrections"]) == ["total"]


def test_csv_has_the_models_answer_who_corrected_it_and_when(directory: Path, tmp_path: Path) -> None:
    path = export_rows(directory, tmp_path / "out", OutputFormat.CSV, corrected=True)
    plain_header = export_rows(directory, tmp_path / "plain", OutputFormat.CSV).read_text().splitlines()[0]
    with open(path, newline="", encoding="utf-8") as file:
        header, first, second, failed, plain = csv.reader(file)
    assert ",".join(header[: header.index("number answered")]) == plain_header
    assert header[header.index("number answered") :] == [
        "number answered", "number corrected by", "number corrected at",
        "total answered", "total corrected by", "total corrected at",
        "items answered", "items corrected by", "items corrected at",
    ]  # fmt: skip
    at = stamp(directory, "a.txt", "total")
    cells = dict(zip(header, first, strict=True))
    assert (cells["total"], cells["total confidence"], cells["items"]) == ("7.50", "", "x; =y")
    assert first[-9:] == ["7", "", "", "1.50", "ann", at, "x", "bob", stamp(directory, "a.txt", "items")]
    assert dict(zip(header, second, strict=True))["route"] == "person"
    assert (failed[1], failed[-9:-7]) == ("3", ["", "ann"])
    assert plain[-9:] == ["4", "", "", "4", "", "", "", "", ""]


def test_parquet_has_them_in_columns_of_the_fields_kind(directory: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    table = parquet.read_table(export_rows(directory, tmp_path / "out", OutputFormat.PARQUET, corrected=True))
    first, _, failed, plain = table.to_pylist()
    assert (first["items"], first["items answered"], first["items corrected by"]) == (["x", "=y"], ["x"], "bob")
    assert (first["total"], first["total answered"], first["total confidence"]) == ("7.50", "1.50", None)
    assert first["total corrected at"] == stamp(directory, "a.txt", "total")
    assert (failed["number"], failed["number answered"], failed["error"]) == ("3", None, "too_long")
    assert (plain["number answered"], plain["number corrected by"]) == ("4", None)


def test_correction_of_other_bytes_is_none_of_the_row(directory: Path, tmp_path: Path) -> None:
    ledger = Ledger(directory, JOB, "orders march", "orders", "m")
    ledger._connection.execute("UPDATE rows SET row = replace(row, ?, ?)", ("a" * 64, "9" * 64))
    ledger.close()
    path = export_rows(directory, tmp_path / "out", OutputFormat.JSONL, corrected=True)
    row = json.loads(path.read_text("utf-8").splitlines()[0])
    assert (row["fields"]["total"], row["corrections"]) == ("1.50", {})


def test_command_tells_of_corrections_and_of_rows_without_them(
    settings: Settings, directory: Path, tmp_path: Path
) -> None:
    plain = call(settings, "jobs", "export", JOB, "--out", str(tmp_path / "plain"))
    assert "people corrected 3 documents; add `--corrected` for rows with the corrections" in plain.stderr
    assert "corrections" not in (tmp_path / "plain" / "rows.jsonl").read_text()
    done = call(settings, "jobs", "export", JOB, "--corrected", "--out", str(tmp_path / "rows"), "--format", "csv")
    assert "3 documents with corrections" in done.stderr
    assert "the next run of this job writes these rows anew, without the corrections" in done.stderr
    exported = call(settings, "jobs", "export", JOB, "--corrected", "--out", str(tmp_path / "x"), "--json")
    assert json.loads(exported.stdout) == {"job": JOB, "output": str(tmp_path / "x" / "rows.jsonl"), "corrected": 3}
    (directory / REVIEW_NAME).write_bytes(b"no database " * 100)
    call(settings, "jobs", "export", JOB, "--out", str(tmp_path / "plain"))
    broken = CliRunner().invoke(
        stillroom, ["jobs", "export", JOB, "--corrected", "--out", str(tmp_path / "y")],
        env={"STILLROOM_HOME": str(settings.home_dir)},
    )  # fmt: skip
    assert "the corrections of job" in str(broken.exception)


def test_documents_for_review_are_counted_in_lists_and_shown(settings: Settings, directory: Path) -> None:
    head, line = call(settings, "jobs", "list").stdout.splitlines()
    assert head.split()[:6] == ["JOB", "STATE", "DONE", "REVIEW", "FAILED", "TOTAL"]
    assert line.split()[:6] == [JOB, "done", "3", "1", "1", "4"]
    assert json.loads(call(settings, "jobs", "list", "--json").stdout)["for_review"] == 1
    shown = call(settings, "jobs", "show", JOB, "--review").stdout
    assert "documents:  4 (3 finished, 1 of them needs a person, 1 failed, 0 of them quarantined)" in shown
    assert "corrected:  by people: 3 documents" in shown
    assert shown.splitlines()[-1] == "b.txt: items: required, but empty (invalid_answer)"
    values = json.loads(call(settings, "jobs", "show", JOB, "--json").stdout)
    assert (values["for_review"], values["corrected"]) == (1, 3)
    assert "reviews" not in values
    values = json.loads(call(settings, "jobs", "show", JOB, "--review", "--json").stdout)
    assert [review["document"] for review in values["reviews"]] == ["b.txt"]
