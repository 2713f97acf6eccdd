"""JSON from outside: within bounds, with one meaning, and errors that name file and line."""

from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.ground.json_input import DEEPEST, NotJson, RefusedJson, parse_json
from appliance.tasks.labels import read_labels
from training.records import RecordFile, read_records

GOOD = '{"text": "x\u2028y\u0085z", "answer": {"a": "1"}}'
REFUSED = {
    "deep": ('{"text": "x", "answer": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested more than 200 deep"),
    "deep and open": ('{"text": "x", "answer": ' + '{"a":' * 5_000, "nested more than 200 deep"),
    "rather deep": ('{"text": "x", "answer": {"a": ' + "[[" * 400 + "]]" * 400 + "}}", "nested more than 200 deep"),
    "nan": ('{"text": "x", "answer": {"a": NaN}}', "NaN is no number"),
    "infinity": ('{"text": "x", "answer": {"a": -Infinity}}', "-Infinity is no number"),
    "beyond": ('{"text": "x", "answer": {"a": 1e999}}', "1e999 is beyond"),
    "long number": ('{"text": "x", "answer": {"a": ' + "9" * 5000 + "}}", "5,000 digits"),
    "long share": ('{"text": "x", "answer": {}, "labels": {"a": ' + "9" * 400 + "}}", "400 digits"),
    "key twice": ('{"text": "x", "answer": {"a": "1", "a": "2"}}', "key 'a' stands there twice"),
    "outer key twice": ('{"text": "x", "text": "y", "answer": {}}', "key 'text' stands there twice"),
    "half pair": ('{"text": "x \\ud83d", "answer": {}}', "half of a surrogate pair"),
    "half pair as a key": ('{"text": "x", "answer": {"\\ud800": "1"}}', "half of a surrogate pair"),
    "half pair as a group": ('{"text": "x", "answer": {}, "group": "\\udfff"}', "half of a surrogate pair"),
    "half pair in bytes": (b'{"text": "\xed\xa0\x80", "answer": {}}', "half of a surrogate pair"),
    "not JSON": ("{'text': 'x'}", "not JSON"),
    "cut": ('{"text": "x", "answ', "not JSON"),
    "list": ('["text"]', "not a JSON object"),
    "Latin 1": ('{"text": "ä", "answer": {}}'.encode("latin-1"), "not UTF-8"),
    "zero bytes": ("\0\0", "not JSON"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED)
def test_line_that_is_refused_is_named_with_its_file(tmp_path: Path, line: str | bytes, reason: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(GOOD.encode() + b"\r\n" + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(UsageError) as refused:
        read_labels(path)
    assert refused.value.message.startswith(f"{path}:2: ")
    assert reason in refused.value.message
    assert refused.value.hint


def test_file_in_utf_16_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(UsageError, match=":1: UTF-16"):
        read_labels(path)


def test_marks_line_ends_and_separators_within_texts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n" + GOOD.encode())
    assert [row.text for row in read_labels(path)] == ["x\u2028y\u0085z"] * 2


def test_brackets_within_texts_are_no_nesting() -> None:
    assert parse_json('{"a": "' + "[{" * 500 + '"}') == {"a": "[{" * 500}
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    assert parse_json("[" + "[]," * 1000 + "1]")
    with pytest.raises(RefusedJson):
        parse_json("[" * (DEEPEST + 1))
    with pytest.raises(NotJson, match="at character 2"):
        parse_json("[")


@pytest.mark.parametrize(
    "cell",
    ["[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', "[" + "9" * 4500 + "]"],
    ids=["deep", "nan", "twice", "long"],
)
def test_cell_of_a_table_is_named_with_file_and_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "answers.csv"
    path.write_text('text,answer\nx,plain\ny,"' + cell.replace('"', '""') + '"\n')
    with pytest.raises(UsageError, match=f"^{path}:3: "):
        list(read_records(path, ["a"], RecordFile()))


def test_line_of_a_table_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_bytes("text,a\nx,y\nä,z\n".encode("latin-1"))
    with pytest.raises(UsageError, match=f"^{path}:3: not UTF-8"):
        list(read_records(path, ["a"], RecordFile()))


def test_cell_that_only_looks_like_json_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("text,a\nx,[draft\n")
    assert [record["answer"] for _, record in read_records(path, ["a"], RecordFile())] == [{"a": "[draft"}]
