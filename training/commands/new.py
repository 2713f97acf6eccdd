"""`stillroom new`: a task folder to start from."""

import re
from importlib.resources import files
from pathlib import Path

import click

from appliance.ground.command_line import NamedPath, json_option
from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, part_of
from appliance.ground.output import note, print_json
from appliance.ground.spelling import NAME_PATTERN, NAME_RULE
from appliance.ground.toml_text import parse_toml
from appliance.tasks.folder import TASK_FILE
from appliance.tasks.taskfile import task_from_table

KINDS = ("extract", "classify")
_FIELDS_BEGIN, _FIELDS_END = "# Each field is asked for", "# What must hold between"
"""Of the template: what a schema's fields take the place of."""


@click.command("new")
@click.argument("folder", type=NamedPath(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="extract",
    show_default=True,
    help="Whether answers are values from the document, or a label.",
)
@click.option(
    "--from-schema",
    "schema",
    metavar="FILE",
    help="JSON Schema of the answers, or FILE.py:CLASS for a class of Pydantic, whose file is run: its properties"
    " become the fields.",
)
@json_option()
def command(folder: Path, kind: str, schema: str | None, as_json: bool) -> None:
    """Write a task folder to start from.

    FOLDER/task.toml explains every key; the task has the folder's name.
    """
    if schema and kind != "extract":
        raise UsageError("a schema describes fields, and a classification has none", "leave out `--kind`")
    path = write_task_folder(folder, kind, schema)
    if as_json:
        print_json({"task": str(path), "kind": kind})
    else:
        note(f"wrote {path}; adapt it to your task, then `stillroom collect {folder} --recorded FILE --documents DIR`")


def write_task_folder(folder: Path, kind: str, schema: str | None = None) -> Path:
    """Writes the task file of this kind, whole or not at all.

    Args:
        schema: Where its fields come from, instead of examples.

    Raises:
        UsageError: There is one already, the folder's name cannot name a task, or the schema cannot be asked for.
        ResourceError: It cannot be written.
    """
    path, name = folder / TASK_FILE, folder.resolve().name
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"the folder's name {name!r} cannot name a task", NAME_RULE)
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} already exists", "name another folder, or remove the file")
    template = files("training").joinpath("templates", f"{kind}.toml").read_text("utf-8")
    text = template.replace("NAME", name)
    if schema:
        from training.schema_import import imported_fields

        tables = "\n".join(line for each in imported_fields(schema) for line in each.lines())
        fields, rest = text.index(_FIELDS_BEGIN), text.index(_FIELDS_END)
        text = f"{text[:fields].rstrip()}\n{tables}\n\n{text[rest:]}"
        task_from_table(parse_toml(text.encode()), f"what {schema} becomes")
    with disk_errors(path, "name a folder of your own"):
        folder.mkdir(parents=True, exist_ok=True)
        with part_of(path) as file:
            file.write(text.encode())
    return path
