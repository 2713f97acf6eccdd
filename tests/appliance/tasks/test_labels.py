"""Labelled rows: one type, read the same from whoever wrote them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.tasks.answer_json import nested_values
from appliance.tasks.folder import RunFolder, TaskFolder, task_file
from appliance.tasks.labels import (
    LabelledRow,
    data_hash,
    read_answers_by_document,
    read_dataset,
    read_json_lines,
    read_labels,
    text_hash,
    without_training_rows,
)
from appliance.tasks.task import Field, Task, TaskKind

TASK = Task(1, "orders", TaskKind.EXTRACT, "Read the order", (Field("number"), Field("total")))
NO_LINE_ENDS = "\u2028 \u2029 \u0085 \x0b \x0c \x1c \x1d \x1e"
"""Characters at which `str.splitlines` cuts, and a JSON string may hold all of those above U+001F as they are."""


def stored(text: str, /, **more: object) -> str:
    record = {"document": "a.txt", "sha256": text_hash(text), "text": text, "answer": {"number": text, "total": None}}
    return json.dumps({**record, **more}, ensure_ascii=False)


def test_only_a_newline_ends_a_row(tmp_path: Path) -> None:
    text = f"one {NO_LINE_ENDS} row"
    path = tmp_path / "rows.jsonl"
    path.write_bytes((stored(text) + "\r\n\n \u2028\n" + stored("second", document="b.txt")).encode())
    assert [number for number, _ in read_json_lines(path)] == [1, 4]
    for rows in (read_dataset(path), read_labels(path)):
        assert [row.text for row in rows] == [text, "second"]
        assert rows[0].answer == {"number": text, "total": None}
    assert read_answers_by_document(path, TASK)["a.txt"]["number"] == text
    assert [row.text for row in without_training_rows([replace(rows[0], text="new")], path)] == ["new"]
    with pytest.raises(UsageError, match="every labelled row is a training row"):
        without_training_rows(rows[:1], path)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        LabelledRow("a.txt", "x", {"number": "5", "total": None}, "ab", {"a": 0.25, "b": 1.0}, "gpt", "g", "person"),
        LabelledRow("b\udce4r.txt", f"y {NO_LINE_ENDS}", {"number": ["1", "2"]}, "cd"),
    ]
    write_lines(tmp_path / "deep" / "rows.jsonl", map(LabelledRow.line, rows))
    assert read_dataset(tmp_path / "deep" / "rows.jsonl") == rows
    assert read_labels(tmp_path / "deep" / "rows.jsonl") == rows
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["rows.jsonl"]


def test_a_stored_row_has_its_keys_in_order() -> None:
    row = LabelledRow("a", "x", {"n": "1"}, "ab", teacher_answer={"n": "2"})
    assert row.line(reasons=["r"]) == (
        '{"document": "a", "sha256": "ab", "text": "x", "answer": {"n": "1"}, "labels": null, "teacher": "",'
        ' "group": null, "source": "teacher", "teacher_answer": {"n": "2"}, "reasons": ["r"]}'
    )


def test_the_hash_of_data_is_the_same_in_any_order_and_version() -> None:
    rows = [LabelledRow("a", "x", {"n": "1"}, "ab"), LabelledRow("b", "y", {"n": None}, "cd", {"p": 0.5})]
    assert data_hash(rows) == data_hash(rows[::-1])
    assert data_hash(rows) == "4c31316c8c86d9a8e15ffc3936413a93837cf1cabb925d5c1cf0ff0cdb5673bb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("{}\n", "rows.jsonl:1: a row needs text and answer"),
        ('{"text": "x", "answer": {}}\n{"text"\n', "rows.jsonl:2: not JSON"),
        ('{"text": "x", "answer": {}, "teacher_answer": 3}\n', "rows.jsonl:1: teacher_answer is not an object"),
        ('{"text": "x", "answer": {"total": [[5]]}}\n', "rows.jsonl:1: answer: total is neither text nor null"),
        ('{"text": "x", "answer": {"a": ["b", {"c": "d"}]}}\n', "rows.jsonl:1: answer: a has texts and records in one"),
        ('{"text": "half \\ud800", "answer": {}}\n', "rows.jsonl:1: a value contains half of a surrogate pair"),
    ],
    ids=["empty", "no row", "broken", "teacher", "list in a list", "texts and records", "surrogate"],
)
def test_rows_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_labels(tmp_path / "rows.jsonl")


def test_objects_records_and_truths_are_read_as_the_program_has_them(tmp_path: Path) -> None:
    answer = {
        "seller": {"name": "ACME", "vat": {"id": None}}, "paid": True,
        "items": [{"what": "nut", "count": 2}, {"what": " "}],
    }  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "x", "answer": answer}))
    (row,) = read_labels(tmp_path / "rows.jsonl")
    items = [{"what": "nut", "count": "2"}]
    assert row.answer == {"seller.name": "ACME", "seller.vat.id": None, "paid": "yes", "items": items}
    assert nested_values(row.answer) == {
        "seller": {"name": "ACME", "vat": {"id": None}}, "paid": "yes", "items": items,
    }  # fmt: skip


def test_rows_with_a_mark_before_them_and_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "x", "answer": {"total": 5.5, "number": null}}\n')
    (row,) = read_labels(tmp_path / "rows.jsonl")
    assert row.answer == {"total": "5.5", "number": None}


@pytest.mark.parametrize(
    ("digits", "text"),
    [("5.00", "5.00"), ("12345678901234567890.10", "12345678901234567890.10"), ("1e5", "100000.0"), ("-7", "-7")],
)
def test_numbers_are_read_as_they_are_written(tmp_path: Path, digits: str, text: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "x", "answer": {{"total": {digits}}}}}')
    (row,) = read_labels(tmp_path / "rows.jsonl")
    assert row.answer == {"total": text}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"document": "a.txt"}', "the row has no sha256"),
        (stored("x", text=5), "text is not a string"),
        (stored("x", answer=[]), "answer is not an object"),
        (stored("x", labels=["a"]), "labels does not give each label a number"),
        (stored("x", labels={"a": "much"}), "labels does not give each label a number"),
        (stored("x", answer={"total": [[]]}), "answer: total is neither text nor null"),
        ('{"document": "a", "sha256": "", "text": "\\ud800", "answer": {}}', "half of a surrogate pair"),
        ('{"document": "a", "sha256": "", "text": "", "answer": {"n": ["\\udfff"]}}', "half of a surrogate pair"),
        ("[" * 100_000, "not JSON"),
        ("7", "not a JSON object"),
    ],
)
def test_a_dataset_row_that_is_none_is_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(stored("good") + "\n" + line + "\n")
    with pytest.raises(UsageError, match=rf"train\.jsonl:2: .*{message}"):
        read_dataset(path)


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(stored("good").encode() + b'\n{"text": "\xe4"}\n')
    with pytest.raises(UsageError, match=r"rows\.jsonl:2: not UTF-8"):
        read_labels(path)


def test_two_answers_to_one_document_are_refused_where_one_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text('{"document": "a", "answer": {"number": "1"}}\n' * 2)
    assert read_answers_by_document(path, TASK) == {"a": {"number": "1"}}
    path.write_text('{"document": "a", "answer": {"number": "1"}}\n{"document": "a", "answer": {"number": "2"}}\n')
    with pytest.raises(UsageError, match=r"gold\.jsonl:2: a has two different answers"):
        read_answers_by_document(path, TASK)


def test_a_mark_before_the_answers_of_documents_is_no_part_of_them(tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_bytes(b'\xef\xbb\xbf{"document": "a", "answer": {"number": "1"}}')
    assert read_answers_by_document(tmp_path / "gold.jsonl", TASK) == {"a": {"number": "1"}}


def test_the_layout_of_task_and_run_folders(tmp_path: Path) -> None:
    folder = TaskFolder(tmp_path)
    (tmp_path / "task.toml").touch()
    assert task_file(tmp_path) == task_file(tmp_path / "task.toml") == folder.task_path
    assert TaskFolder.of(tmp_path / "task.toml") == TaskFolder.of(tmp_path) == folder
    assert folder.split_path("test") == tmp_path / "dataset" / "test.jsonl"
    for name in ("2", "1", "3"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "task.toml").touch()
    (tmp_path / "runs" / "2" / "record.json").touch()
    assert [run.path.name for run in folder.runs()] == ["1", "2", "3"]
    assert [run.path.name for run in folder.finished_runs()] == ["2"]
    assert folder.runs()[0].task_folder == folder
    assert RunFolder(tmp_path / "moved").task_folder is None
