"""`stillroom new`: a task folder to start from."""

import contextlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path

import click

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.text import printable
from appliance.tasks.table import NAME_PATTERN, NAME_RULE
from appliance.tasks.task import TASK_FILE

KINDS = ("extract", "classify")


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(KINDS), default="extract", show_default=True, help="What an answer is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(folder: Path, kind: str, as_json: bool) -> None:
    """Write FOLDER/task.toml with comments on every key; the folder's name becomes the task's."""
    path = write_task_folder(folder, kind)
    if as_json:
        click.echo(json.dumps({"task": str(path), "kind": kind}))
    else:
        click.echo(
            f"{printable(str(path))} is written; change it to your task, then"
            f" `stillroom collect {printable(str(folder))} --recorded FILE --documents DIR`",
            err=True,
        )


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
        raise UsageError(f"{path} is there already", "name another folder, or take the file away")
    template = files("training").joinpath("templates", f"{kind}.toml").read_text("utf-8")
    beside = folder / f".{TASK_FILE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(template.replace("NAME", name))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ResourceError(f"cannot write {path}: {error.strerror}", "name a folder of your own") from error
    return path
