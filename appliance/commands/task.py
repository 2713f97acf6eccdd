"""`stillroom task`: what a task file asks for, and rewriting one of an older version."""

import re
from pathlib import Path

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option
from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, write_file
from appliance.ground.output import note, print_json, print_lines

_VERSION_LINE = re.compile(r"^(\s*version\s*=\s*)(\d+)", re.MULTILINE)


@click.group("task", cls=CommandGroup)
def command() -> None:
    """Show what a task asks for, and rewrite task files of older versions.

    TASK is a task.toml or the folder that holds one.
    """


@command.command("schema")
@click.argument("task", type=NamedPath(path_type=Path))
def schema_command(task: Path) -> None:
    """Print the JSON Schema of the task's answers."""
    from appliance.tasks.schema import answer_schema
    from appliance.tasks.taskfile import load_task

    print_json(answer_schema(load_task(task)), indent=2)


@command.command("check")
@click.argument("task", type=NamedPath(path_type=Path))
@json_option("name, kind, fields and rules as one JSON object")
def check_command(task: Path, as_json: bool) -> None:
    """Check a task file and list what it asks for."""
    from appliance.tasks.taskfile import load_task

    checked = load_task(task)
    if as_json:
        fields = [
            {"name": each.name, "type": each.type.value, "columns": list(each.column_names)}
            for each in checked.output_fields
        ]
        print_json(
            {
                "name": checked.name, "kind": checked.kind.value, "version": checked.version, "fields": fields,
                "rules": [rule.name for rule in checked.rules],
            }
        )  # fmt: skip
        return
    width = max(len(each.name) for each in checked.output_fields)
    for each in checked.output_fields:
        columns = f": {', '.join(each.column_names)}" if each.columns else ""
        print_lines(f"{each.name:{width}}  {each.type.value}{columns}")
    for rule in checked.rules:
        print_lines(f"rule {rule.name}: {rule.check}")
    note(f"{checked.name} is a good task file of version {checked.version}")


@command.command("keys")
def keys_command() -> None:
    """Print every key of a task file with what it means, as Markdown."""
    from appliance.tasks.task_reference import task_reference

    print_lines(*task_reference().splitlines())


@command.command("migrate")
@click.argument("task", type=NamedPath(path_type=Path))
def migrate_command(task: Path) -> None:
    """Rewrite a task file for this version of the program.

    What it asks for stays the same, and so do its models: only the version changes, every comment stays.
    """
    from appliance.ground.toml_text import parse_toml
    from appliance.tasks.folder import task_file
    from appliance.tasks.task import TASK_VERSION, task_hash
    from appliance.tasks.taskfile import load_task, task_from_table

    path = task_file(task)
    before = load_task(path)
    if before.version == TASK_VERSION:
        note(f"{path} is of version {TASK_VERSION} already")
        return
    text = path.read_bytes().decode()  # with its own line ends
    rewritten = _VERSION_LINE.sub(rf"\g<1>{TASK_VERSION}", text, count=1)
    if task_hash(task_from_table(parse_toml(rewritten.encode()), str(path))) != task_hash(before):
        raise UsageError(f"{path} cannot be rewritten", f"write version = {TASK_VERSION} in it")
    with disk_errors(path, "make the folder writable"):
        write_file(path, rewritten.encode())
    note(f"{path} is of version {TASK_VERSION} now; its models answer it as before")
