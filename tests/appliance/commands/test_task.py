"""`stillroom task`: schema, check, keys and migration of a task file."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import stillroom
from appliance.ground.errors import ApplianceError
from appliance.tasks.rule_language import CHECK_DIGITS, FUNCTIONS
from appliance.tasks.task import task_hash
from appliance.tasks.task_reference import task_reference
from appliance.tasks.taskfile import load_task

ROOT_DIR = Path(__file__).parents[3]
PAGE = (ROOT_DIR / "docs" / "task-file.md").read_text("utf-8")
OLD = """# what we read
version = 1  # of the file
name = "orders"
kind = "extract"
instruction = "Read the order"

[[fields]]  # the only one
name = "total"
"""


def task(*words: "str | Path") -> Result:
    return CliRunner().invoke(stillroom, ["task", *map(str, words)], catch_exceptions=True)


def test_the_page_of_the_task_file_ends_with_its_keys_and_names_every_function() -> None:
    assert PAGE.endswith(task_reference())
    assert task("keys").stdout == task_reference()
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in FUNCTIONS.items())
    assert rows in PAGE
    assert ", ".join(f"`{kind}`" for kind in CHECK_DIGITS) in PAGE


def test_the_example_of_the_page_is_a_good_task_file_with_the_answer_that_stands_below_it(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    checked = json.loads(task("check", tmp_path, "--json").stdout)
    assert [field["name"] for field in checked["fields"]] == [
        "order_number", "seller.name", "seller.vat_id", "lines", "total",
    ]  # fmt: skip
    assert checked["rules"] == ["lines_add_up"]
    answer = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    schema = json.loads(task("schema", tmp_path).stdout)
    assert set(answer) == set(schema["properties"])
    assert set(answer["seller"]) == set(schema["properties"]["seller"]["properties"])
    assert set(answer["lines"][0]) == set(schema["properties"]["lines"]["items"]["properties"])


def test_check_lists_fields_columns_and_rules_for_people(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    lines = task("check", tmp_path).stdout.splitlines()
    assert lines == [
        "order_number   text",
        "seller.name    text",
        "seller.vat_id  text",
        "lines          records: article, amount",
        "total          amount",
        "rule lines_add_up: sum(lines.amount) == total",
    ]


def test_a_migrated_file_keeps_comments_and_models(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text(OLD)
    before = task_hash(load_task(path))
    done = task("migrate", tmp_path)
    assert (done.exit_code, done.stderr.strip()) == (
        0, f"{path} is of version 2 now; its models answer it as before",
    )  # fmt: skip
    assert path.read_text() == OLD.replace("version = 1", "version = 2")
    path.write_bytes(OLD.replace("\n", "\r\n").encode())
    task("migrate", tmp_path)
    assert path.read_bytes() == OLD.replace("version = 1", "version = 2").replace("\n", "\r\n").encode()
    assert task_hash(load_task(path)) == before
    assert task("migrate", tmp_path).stderr.strip() == f"{path} is of version 2 already"


@pytest.mark.parametrize(
    "more",
    ['type = "integer"\n', 'description = "d"\n', 'pattern = "a"\n', 'examples = ["a"]\n'],
    ids=lambda text: text,
)
def test_what_the_old_version_lacks_is_named_with_the_command_that_helps(tmp_path: Path, more: str) -> None:
    (tmp_path / "task.toml").write_text(OLD + more)
    done = task("check", tmp_path)
    assert isinstance(done.exception, ApplianceError)
    assert f"fields[1].{more.split()[0]}" in done.exception.message
    assert "stillroom task migrate" in done.exception.message + done.exception.hint
