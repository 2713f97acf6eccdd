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
from appliance.tasks.folder import TASK_FILE

KINDS = ("extract", "classify")


@click.command("new")
@click.argument("folder", type=NamedPath(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="extract",
    show_default=True,
    help="Whether answers are values from the document, or a label.",
)
@json_option()
def command(folder: Path, kind: str, as_json: bool) -> None:
    """Write a task folder to start from.

    FOLDER/task.toml explains every key; the task has the folder's name.
    """
    path = write_task_folder(folder, kind)
    if as_json:
        print_json({"task": str(path), "kind": kind})
    else:
        note(f"wrote {path}; adapt it to your task, then `stillroom collect {folder} --recorded FILE --documents DIR`")


def write_task_folder(folder: Path, kind: str) -> Path:
    """Writes the task file of this kind, whole or not at all.

    Raises:
        UsageError: There is one already, or the folder's name cannot name a task.
        ResourceError: It cannot be written.
    """
    path, name = folder / TASK_FILE, folder.resolve().name
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"the folder's name {name!r} cannot name a task", NAME_RULE)
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} already exists", "name another folder, or remove the file")
    template = files("training").joinpath("templates", f"{kind}.toml").read_text("utf-8")
    with disk_errors(path, "name a folder of your own"):
        folder.mkdir(parents=True, exist_ok=True)
        with part_of(path) as file:
            file.write(template.replace("NAME", name).encode())
    return path
