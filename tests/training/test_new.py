"""`stillroom new`: a task folder that every other verb accepts."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from appliance.ground.errors import ResourceError, UsageError
from appliance.tasks.field_table import FieldTable
from appliance.tasks.task import TaskKind
from appliance.tasks.task_table import BudgetTable, InputTable, ReadinessTable, RuleTable, StudentTable, TaskTable
from appliance.tasks.taskfile import load_task, task_from_table
from tests.appliance.model_fixtures import file_size_limit
from training.commands.new import KINDS, write_task_folder


def new(*arguments: str | Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", "new", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_written_task_is_good_and_has_the_folder_s_name(tmp_path: Path, kind: str) -> None:
    task = load_task(write_task_folder(tmp_path / "deep" / "my-task", kind))
    assert (task.name, task.kind) == ("my-task", TaskKind(kind))
    assert [path.name for path in (tmp_path / "deep" / "my-task").iterdir()] == ["task.toml"]


def test_template_shows_every_type_that_needs_a_word(tmp_path: Path) -> None:
    task = load_task(write_task_folder(tmp_path / "orders", "extract"))
    assert [field.type.value for field in task.fields] == ["text", "date", "amount", "enum"]
    text = (tmp_path / "orders" / "task.toml").read_text()
    assert '# evidence = "literal" (the default)' in text
    assert '# evidence = "derived" (the default of an enum and a boolean)' in text


def test_every_key_of_a_task_file_is_in_a_template(tmp_path: Path) -> None:
    texts = [write_task_folder(tmp_path / kind, kind).read_text("utf-8") for kind in KINDS]
    written = "\n".join(texts)
    tables = {"input": InputTable, "readiness": ReadinessTable, "student": StudentTable, "fields": FieldTable}
    tables |= {"rules": RuleTable, "budget": BudgetTable}
    keys = {*TaskTable.model_fields, *(key for table in tables.values() for key in table.model_fields)} - {*tables}
    missing = [key for key in sorted(keys) if not re.search(rf"^(?:# )?{key} = ", written, re.MULTILINE)]
    assert missing == []
    for kind, text in zip(KINDS, texts, strict=True):
        switched_on = re.sub(r"^# (?=\[\[|[a-z_]+ = (?:\".*\"|[\d.]+|\[.*\])$)", "", text, flags=re.MULTILINE)
        task = task_from_table(tomllib.loads(switched_on), kind)
        assert kind != "extract" or (task.teacher, task.slices, task.fields[0].locale) == (
            "gpt-large",
            ("payment",),
            "de",
        )


def test_command_says_what_comes_next(tmp_path: Path) -> None:
    done = new("orders", directory=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "wrote orders/task.toml; adapt it to your task, then"
        " `stillroom collect orders --recorded FILE --documents DIR`\n"
    )


def test_present_folder_can_be_made_a_task_folder(tmp_path: Path) -> None:
    (tmp_path / "mails").mkdir()
    done = new(".", "--kind", "classify", "--json", directory=tmp_path / "mails")
    assert json.loads(done.stdout) == {"task": "task.toml", "kind": "classify"}
    assert load_task(tmp_path / "mails").name == "mails"


def test_task_file_that_is_there_stays(tmp_path: Path) -> None:
    path = write_task_folder(tmp_path / "orders", "extract")
    path.write_text("mine")
    done = new("orders", directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: orders/task.toml already exists\nhint: name another folder")
    assert path.read_text() == "mine"


def test_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "task.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="already exists"):
        write_task_folder(tmp_path / "orders", "extract")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["my task", "1st", 'a"b', 'a"\nb = "c', "a\x1b[31m", "ä", "a" * 65])
def test_folder_name_that_cannot_name_a_task_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a task") as caught:
        write_task_folder(tmp_path / name, "extract")
    assert "letters, digits" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot write .*orders/task\.toml: Not a directory"):
        write_task_folder(tmp_path / "file" / "orders", "extract")


def test_full_disk_leaves_no_task_file(tmp_path: Path) -> None:
    with file_size_limit(10), pytest.raises(ResourceError, match="File too large"):
        write_task_folder(tmp_path / "orders", "extract")
    assert list((tmp_path / "orders").iterdir()) == []


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    done = new("orders", "--kind", "extrakt", directory=tmp_path)
    assert done.returncode == 2
    assert "error: Invalid value for '--kind': 'extrakt' is not one of 'extract', 'classify'" in done.stderr
