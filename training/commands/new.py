"""`stillroom new`: a task folder to start from."""

import json
from importlib.resources import files
from pathlib import Path

import click

from appliance.errors import ResourceError, UsageError
from appliance.tasks.task import TASK_FILE, load_task
from appliance.text import printable

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
    """Writes the task file of this kind, and checks it as every other command will.

    Raises:
        UsageError: There is one already, or the folder's name cannot name a task.
        ResourceError: It cannot be written.
    """
    path = folder / TASK_FILE
    template = files("training").joinpath("templates", f"{kind}.toml").read_text("utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template.replace("NAME", folder.absolute().name))
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", "name another folder, or take the file away") from error
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror}", "name a folder of your own") from error
    try:
        load_task(path)
    except UsageError:
        path.unlink()
        raise
    return path
