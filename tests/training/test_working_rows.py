"""A teacher's working in recorded answers and in training rows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from decoder_fixtures import order_row, write_base, write_rows, write_task_folder

from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from appliance.tasks.taskfile import load_task
from training.collect import collect_recorded
from training.curate.pipeline import CurationOptions, curate
from training.records import RecordFile, read_records
from training.row_notes import row_notes
from training.students.decoder.examples import TokenExample, pack
from training.students.decoder.field_dropout import without_value
from training.students.decoder.forward import whole_values
from training.students.decoder.training_data import WorkingFacts, read_training_data

TASK = 'version = 1\nname = "n"\nkind = "extract"\ninstruction = "Read"\n[[fields]]\nname = "{}"\n'


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny")


def test_recorded_working_comes_into_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TASK.format("total"))
    records = [
        {"id": "a", "text": "Total: 12", "answer": {"total": "12"}, "working": " it says\n12 "},
        {"id": "b", "text": "Total: 13", "answer": {"total": "13"}},
        {"id": "c", "text": "Total: 14", "answer": {"total": "14"}, "working": 5},
        {"id": "d", "text": "Total: 15", "answer": {"total": "15"}, "working": "half \ud800"},
    ]
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text("\n".join(json.dumps(record) for record in records))
    task = load_task(tmp_path)
    result = collect_recorded(task, tmp_path, recorded)
    assert result.imported == 2
    assert next(bad.partition(": ")[2] for bad in result.bad) == "working is not a text"
    curate(task, tmp_path, CurationOptions(0.0, 0.0))
    rows = {row.document: row.working for row in read_dataset(TaskFolder(tmp_path).split_path("train"))}
    assert rows == {"a": "it says\n12", "b": ""}
    assert collect_recorded(task, tmp_path, recorded).imported == 0


def test_a_column_called_working_stays_a_field_where_the_task_has_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,working\nTotal: 12,yes\n")
    assert [record for _, record in read_records(path, ["working"], RecordFile())] == [
        {"text": "Total: 12", "answer": {"working": "yes"}}
    ]
    path.write_text("text,total,working\nTotal: 12,12,it says so\n")
    assert [record for _, record in read_records(path, ["total"], RecordFile())] == [
        {"text": "Total: 12", "answer": {"total": "12"}, "working": "it says so"}
    ]


def test_a_task_with_working_needs_rows_that_have_some(base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir, rows=8)
    (folder / "task.toml").write_text((folder / "task.toml").read_text() + "working = 6\n")
    with pytest.raises(UsageError, match=r"student\.working is 6, but no training row has a `working`"):
        read_training_data(load_task(folder), folder, base_dir, 256)
    rows = [replace(order_row(number), working="it is said here" if number else "") for number in range(4)]
    write_rows(folder / "dataset" / "train.jsonl", rows)
    data = read_training_data(load_task(folder), folder, base_dir, 256)
    taught = [sum(each.is_value[: each.prompt_tokens + each.working_tokens]) for each in data.train]
    assert taught[0] == 0, "nobody said how to work there"
    assert all(0 < count <= 7 for count in taught[1:])
    assert data.facts["train"].working == WorkingFacts(working_tokens=6, working_cut=3, without_working=1)
    assert list(row_notes({"splits": {"train": data.facts["train"].record}, "max_tokens": 256})) == [
        "train: 3 of 4 rows (75%) are taught only the first 6 tokens of a longer working; raise student.working",
        "train: 1 of 4 rows (25%) is without a working and taught the answer alone",
    ]
    (folder / "task.toml").write_text((folder / "task.toml").read_text().replace("working = 6\n", ""))
    plain = read_training_data(load_task(folder), folder, base_dir, 256)
    assert all(each.working_tokens == 0 for each in plain.train), "without student.working the rows' is not read"


def test_working_counts_in_no_value(base_dir: Path) -> None:
    example = TokenExample([9, 9, 5, 6, 7, 1, 8, 2], [False] * 2 + [True] * 3 + [False, False, True], 1.0, 2, 3)
    batch = pack([example, TokenExample([9, 4], [False, True])])
    assert batch.labels.tolist() == [5, 6, 7, 2, 4]
    assert batch.values.tolist() == [-1, -1, -1, 0, 1]
    assert whole_values(batch.values, torch.tensor([False, False, False, True, False])) == (1, 2)


def test_a_document_without_a_value_has_no_working_about_it(base_dir: Path, tmp_path: Path) -> None:
    task = load_task(write_task_folder(tmp_path / "task", base_dir, rows=1))
    row = replace(order_row(0), working="the total is there")
    emptied = without_value(task, row, "total")
    assert emptied is not None
    assert emptied.working == ""


@pytest.mark.parametrize("tokens", ["-1", "4096", '"many"'])
def test_a_task_file_bounds_the_working(tmp_path: Path, tokens: str) -> None:
    (tmp_path / "task.toml").write_text(TASK.format("total") + f"[student]\nworking = {tokens}\n")
    with pytest.raises(UsageError, match=r"student\.working"):
        load_task(tmp_path)


def test_an_encoder_writes_no_working(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'version = 1\nname = "n"\nkind = "classify"\ninstruction = "Which?"\nlabels = ["a", "b"]\n'
        '[student]\nfamily = "encoder"\nworking = 8\n'
    )
    with pytest.raises(UsageError, match=r"student\.working: given, but an encoder writes nothing"):
        load_task(tmp_path)
