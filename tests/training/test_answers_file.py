"""The answers of a task folder: what a killed call left in them hinders nobody, and two calls never write at once."""

import json
from pathlib import Path

import pytest
from decoder_fixtures import TASK, cli, order, order_row, write_rows

from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from training.answers_file import alone, read_answers

ROWS = 12


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    """With answers of which the last is not written to its end."""
    (tmp_path / "task.toml").write_text(TASK.format(base="stillroom-base"))
    found = TaskFolder(tmp_path)
    write_rows(found.answers_path, [order_row(number) for number in range(ROWS)])
    with found.answers_path.open("ab") as file:
        file.write(order_row(ROWS).line().encode()[:-20])
    return found


def test_an_unfinished_answer_is_passed_over_and_a_broken_one_is_named(folder: TaskFolder) -> None:
    assert len(read_answers(folder.answers_path)) == ROWS
    assert cli("curate", folder.path).returncode == 0
    with folder.answers_path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(UsageError, match=rf"answers\.jsonl:{ROWS + 1}: not JSON"):
        read_answers(folder.answers_path)


def test_the_next_import_takes_it_away_and_adds_behind_it(folder: TaskFolder, tmp_path: Path) -> None:
    text, answer = order(ROWS + 1)
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"text": text, "answer": answer}) + "\n")
    done = cli("collect", folder.path, "--recorded", path)
    assert done.returncode == 0, done.stderr
    assert [row.text for row in read_dataset(folder.answers_path)[-2:]] == [order_row(ROWS - 1).text, text]


def test_an_import_waits_for_no_other_call(folder: TaskFolder, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"text": "a", "answer": {}}) + "\n")
    with alone(folder):
        refused = cli("collect", folder.path, "--recorded", path)
    assert refused.returncode == 2
    assert "another `stillroom collect` writes the answers" in refused.stderr
