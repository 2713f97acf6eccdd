"""`stillroom collect --recorded`: JSON Lines and CSV, documents, what cannot be used."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from decoder_fixtures import FIELDS, TASK, cli, order

from appliance.ground.errors import UsageError
from appliance.tasks.folder import ANSWERS_FILE
from appliance.tasks.labels import read_dataset
from appliance.tasks.taskfile import load_task
from tests.appliance.documents.hostile_documents import docx, word_body, zip_bomb
from training.collect import Documents, collect_recorded
from training.records import RecordFile, read_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "orders"
    path.mkdir()
    (path / "task.toml").write_text(TASK.format(base="stillroom-base"))
    return path


def recorded(path: Path, records: list[object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answers(folder: Path) -> list[tuple[str, str, dict[str, object]]]:
    return [(row.document, row.text, dict(row.answer)) for row in read_dataset(folder / ANSWERS_FILE)]


def test_records_with_texts_are_imported_once(folder: Path, tmp_path: Path) -> None:
    orders = [order(number) for number in range(3)]
    records = [{"id": str(n), "text": text, "answer": answer} for n, (text, answer) in enumerate(orders)]
    path = recorded(tmp_path / "answers.jsonl", records)
    first = cli("collect", folder, "--recorded", path, "--teacher", "gpt-4", "--json")
    again = cli("collect", folder, "--recorded", path, "--teacher", "gpt-4", "--json")
    assert (first.returncode, json.loads(first.stdout)) == (0, {"imported": 3, "known": 0, "bad": [], "ignored": {}})
    assert (again.returncode, json.loads(again.stdout)) == (0, {"imported": 0, "known": 3, "bad": [], "ignored": {}})
    assert answers(folder) == [(str(n), text, answer) for n, (text, answer) in enumerate(orders)]
    assert {row.teacher for row in read_dataset(folder / ANSWERS_FILE)} == {"gpt-4"}


def test_documents_are_read_from_their_folder(folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    (documents / "in").mkdir(parents=True)
    (documents / "in" / "a.txt").write_text("Order number: 17\n")
    (documents / "b.html").write_text("<html><body><p>Order number: 18</p></body></html>")
    answer = {"order_number": "17"}
    path = recorded(
        tmp_path / "answers.jsonl",
        [{"document": "in/a.txt", "answer": answer}, {"document": "b.html", "answer": {"order_number": 18}}],
    )
    done = collect_recorded(load_task(folder), folder, path, Documents(documents))
    assert done.bad == []
    found = answers(folder)
    assert [(name, text.strip()) for name, text, _ in found] == [
        ("in/a.txt", "Order number: 17"),
        ("b.html", "Order number: 18"),
    ]
    assert found[1][2] == {"order_number": "18"}  # numbers become texts, as the line code has them


COLLECT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from appliance.tasks.taskfile import load_task
from training.collect import Documents, collect_recorded
from training.records import RecordFile, read_records
folder = Path({folder!r})
done = collect_recorded(load_task(folder), folder, Path({recorded!r}), Documents(Path({documents!r})))
parsers = ["archive", "html", "word", "xml.etree"]
print(json.dumps([done.bad, [name for name in parsers if {{name, "appliance.documents." + name}} & set(sys.modules)]]))
"""


def test_documents_are_parsed_outside_of_the_process_that_collects(folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.html").write_text("<html><body><p>Total: 17</p></body></html>")
    (documents / "b.docx").write_bytes(docx(word_body("<w:p><w:r><w:t>Total: 18</w:t></w:r></w:p>")))
    (documents / "bomb.docx").write_bytes(zip_bomb())
    names = ["a.html", "b.docx", "bomb.docx", "a.html"]
    records: list[object] = [{"document": name, "answer": {"total": str(n)}} for n, name in enumerate(names)]
    path = recorded(tmp_path / "answers.jsonl", records)
    code = COLLECT.format(folder=str(folder), recorded=str(path), documents=str(documents))
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(sys.path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    bad, parsers = json.loads(done.stdout)
    assert bad == ["answers.jsonl:3: bomb.docx: word/document.xml unpacks to more than 64 MB"]
    assert parsers == []
    assert [(name, text.strip()) for name, text, _ in answers(folder)] == [
        ("a.html", "Total: 17"), ("b.docx", "Total: 18"), ("a.html", "Total: 17"),
    ]  # fmt: skip


def test_link_inside_the_folder_is_followed_and_one_that_leaves_it_is_not(folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (tmp_path / "secret.txt").write_text("Total: 1")
    (documents / "a.txt").write_text("Total: 17")
    (documents / "inside").symlink_to("a.txt")
    (documents / "outside").symlink_to("../secret.txt")
    records: list[object] = [{"document": name, "answer": {"total": "17"}} for name in ("inside", "outside")]
    path = recorded(tmp_path / "answers.jsonl", records)
    done = collect_recorded(load_task(folder), folder, path, Documents(documents))
    assert [name for name, _, _ in answers(folder)] == ["inside"]
    assert done.bad == ["answers.jsonl:2: outside is not a file below documents"]


def test_csv_columns_of_fields_become_the_answer(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    rows = [order(number) for number in range(4)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["document", "text", *FIELDS])
        writer.writerows(
            [f"{n}.txt", text, *(answer[name] or "" for name in FIELDS)] for n, (text, answer) in enumerate(rows)
        )
    assert cli("collect", folder, "--recorded", path).returncode == 0
    assert answers(folder) == [(f"{n}.txt", text, answer) for n, (text, answer) in enumerate(rows)]


TWO_MEANINGS = {
    "the column 'total' stands there twice": "text,total,total\nTotal: 5 6,5,6\n",
    "the column 'group' may be a field of the task": "text,group,total\nA 5,A,5\n",
}


@pytest.mark.parametrize("problem", TWO_MEANINGS)
def test_a_csv_column_that_could_be_two_things_is_refused(folder: Path, tmp_path: Path, problem: str) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(TWO_MEANINGS[problem])
    with pytest.raises(UsageError) as refused:
        list(read_records(path, ["group", "total"], RecordFile()))
    assert problem in str(refused.value)
    path.write_text('text,group,answer\nA 5,g,"{""group"": ""A""}"\n')
    assert [record for _, record in read_records(path, ["group", "total"], RecordFile())] == [
        {"text": "A 5", "group": "g", "answer": {"group": "A"}}
    ]


def test_an_answer_beside_other_cells_of_fields_is_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text('text,answer,total\nTotal: 5 6,"{""total"": ""5""}",6\nTotal: 7,,7\n')
    done = collect_recorded(load_task(folder), folder, path)
    assert [name for _, _, name in answers(folder)] == [{"total": "7"}]
    assert len(done.bad) == 1
    assert "answer beside cells of fields" in done.bad[0]


def test_values_keep_the_digits_and_words_of_the_record(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"text": "x", "answer": {"total": 5.00, "items": [7.10, 12, null, true], "none": [null]}}')
    collect_recorded(load_task(folder), folder, path)
    cells = tmp_path / "answers.csv"
    cells.write_text('text,answer\ny,"{""total"": 5.00}"\n')
    collect_recorded(load_task(folder), folder, cells)
    assert [answer for _, _, answer in answers(folder)] == [
        {"total": "5.00", "items": ["7.10", "12", "yes"], "none": None},
        {"total": "5.00"},
    ]


def test_objects_become_fields_with_a_dot_and_lists_of_objects_records(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    lines = [
        {"text": "x", "answer": {"seller": {"name": "Ann", "at": {"zip": 1}}, "lines": [{"net": 5, "paid": False}]}},
        {"text": "y", "answer": {"lines": [{"net": None}], "parts": [["a"], "b"]}},
        {"text": "z", "answer": {"lines": ["a", {"net": 5}]}},
    ]
    collected = collect_recorded(load_task(folder), folder, recorded(path, lines))
    assert [answer for _, _, answer in answers(folder)] == [
        {"seller.name": "Ann", "seller.at.zip": "1", "lines": [{"net": "5", "paid": "no"}]},
        {"lines": None, "parts": ['["a"]', "b"]},
    ]
    assert collected.bad == ["answers.jsonl:3: lines has texts and records in one list"]


def test_labels_and_shares_of_a_classification_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / "task.toml").write_text(
        'version = 1\nname = "requests"\nkind = "classify"\ninstruction = "What?"\nlabels = ["a", "b"]\n'
    )
    records = [{"text": "one", "label": "a"}, {"text": "two", "labels": {"a": 0.25, "b": 0.75}}]
    collect_recorded(load_task(folder), folder, recorded(tmp_path / "answers.jsonl", records))
    found = [(row.answer, row.labels) for row in read_dataset(folder / ANSWERS_FILE)]
    assert found == [({"label": "a"}, None), ({"label": "b"}, {"a": 0.25, "b": 0.75})]


BAD = {
    "unknown key": {"text": "x", "answer": {}, "anwser": {}},
    "neither document nor text": {"answer": {"total": "1"}},
    "neither answer nor label": {"text": "x"},
    "sum to 1.500": {"text": "x", "labels": {"a": 0.75, "b": 0.75}},
    "is not a file below": {"document": "../secret.txt", "answer": {"total": "1"}},
    "cannot be read": {"document": "gone.txt", "answer": {"total": "1"}},
    "text is not a text": {"text": 5, "answer": {"total": "1"}},
    r"'a\x00b' is not a file name": {"document": "a\0b", "answer": {"total": "1"}},
    r"'\ud800' is not a file name": {"document": "\ud800", "answer": {"total": "1"}},
}


@pytest.mark.parametrize("problem", BAD)
def test_a_record_that_cannot_be_used_is_named_and_the_others_are_imported(
    folder: Path, tmp_path: Path, problem: str
) -> None:
    (tmp_path / "secret.txt").write_text("Total: 1")
    documents = tmp_path / "documents"
    documents.mkdir()
    path = recorded(tmp_path / "answers.jsonl", [BAD[problem], {"text": "Total: 1", "answer": {"total": "1"}}])
    done = collect_recorded(load_task(folder), folder, path, Documents(documents))
    assert done.imported == 1
    assert len(done.bad) == 1
    assert done.bad[0].startswith("answers.jsonl:1: ")
    assert problem in done.bad[0]


def test_bad_records_exit_3_and_neither_kind_of_broken_file_leaves_answers(folder: Path, tmp_path: Path) -> None:
    path = recorded(tmp_path / "answers.jsonl", [{"text": "x\x1b[2J"}, {"text": "Total: 1", "answer": {"total": "1"}}])
    found = cli("collect", folder, "--recorded", path)
    assert found.returncode == 3
    assert "1 answer imported, 0 already there, 1 not usable" in found.stdout
    assert "\x1b" not in found.stderr

    columns = tmp_path / "columns.csv"
    columns.write_text("text,totl\nx,1\n")
    assert "the column 'totl' is unknown" in (refused := cli("collect", folder, "--recorded", columns)).stderr
    assert refused.returncode == 2


def test_a_broken_line_is_named_and_the_others_are_imported(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    good = json.dumps({"text": "Total: 5.00", "answer": {"total": 5.00}, "reviewed_in": "2026"})
    path.write_text(f'{good}\n{{"text": "x", \n[1]\n\n{good.replace("5.00", "6.00")}\n')
    done = cli("collect", folder, "--recorded", path)
    assert done.returncode == 3
    assert "2 answers imported" in done.stdout
    assert "answers.jsonl:2: not JSON" in done.stderr
    assert "answers.jsonl:3: not a JSON object" in done.stderr
    assert "passed over: reviewed_in (2)" in done.stderr


def test_rows_that_run_wrote_are_imported_as_a_persons_where_one_corrected_them(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"document": "a.txt", "text": "Total: 1", "fields": {"total": "1"}, "route": "person", "model": "m"},
        {"document": "b.txt", "text": "Total: 2", "fields": {"total": "2"}, "route": "local", "model": "m"},
        {"document": "c.txt", "text": "Total: 3", "fields": {"total": "3"}, "route": "local", "model": "m",
         "corrections": {"total": {"answered": "4", "corrected": "3", "user": "eve", "time": "2026-01-01T00:00:00Z"}}},
    ]  # fmt: skip
    done = collect_recorded(load_task(folder), folder, recorded(tmp_path / "rows.jsonl", list(rows)))
    assert (done.imported, done.bad) == (3, [])
    sources = {row.document: (row.source, row.teacher) for row in read_dataset(folder / ANSWERS_FILE)}
    assert sources == {"a.txt": ("person", ""), "b.txt": ("teacher", "m"), "c.txt": ("person", "")}


def test_half_a_surrogate_pair_spoils_its_record_and_no_other(folder: Path, tmp_path: Path) -> None:
    good = {"text": "Total: 5.00", "answer": {"total": "5.00"}}
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"text": "Total: 1.00 \ud800", "answer": {}}) + "\n" + json.dumps(good) + "\n")
    done = collect_recorded(load_task(folder), folder, path)
    assert done.bad == ["answers.jsonl:1: it holds half of a surrogate pair, which is no character"]
    assert [row.text for row in read_dataset(folder / ANSWERS_FILE)] == ["Total: 5.00"]


def test_a_name_that_is_no_utf8_on_disk_comes_back_from_the_file(folder: Path, tmp_path: Path) -> None:
    record = {"document": "b\udce4r.txt", "text": "Total: 5.00", "answer": {"total": "5.00"}}
    path = recorded(tmp_path / "answers.jsonl", [record])
    assert collect_recorded(load_task(folder), folder, path).imported == 1
    assert [row.document for row in read_dataset(folder / ANSWERS_FILE)] == ["b\udce4r.txt"]
    assert collect_recorded(load_task(folder), folder, path).known == 1


def test_a_file_with_a_mark_before_it_is_read(folder: Path, tmp_path: Path) -> None:
    path = recorded(tmp_path / "answers.jsonl", [{"text": "Total: 5.00", "answer": {"total": "5.00"}}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert collect_recorded(load_task(folder), folder, path).imported == 1
