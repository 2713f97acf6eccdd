"""Reads `task.toml`; all that is wrong in one is named at once, by key and with what was probably meant."""

from collections.abc import Mapping
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.toml_text import parse_toml
from appliance.tasks.folder import task_file
from appliance.tasks.task import Task

LARGEST_FILE_BYTES = 1_000_000


def load_task(path: Path) -> Task:
    """Reads a task file, or the `task.toml` of a task folder.

    Raises:
        UsageError: The file is missing, is no TOML, or says what is invalid; names file and keys.
    """
    path = task_file(path)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise UsageError(f"{path} is larger than 1 MB, so it is no task file", "name a task.toml or its folder")
        values = parse_toml(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"cannot read the task file {path}: {error.strerror}",
            "name a task.toml or a folder that holds one; `stillroom new` writes one",
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}", "correct the file at that place") from error
    return task_from_table(values, str(path))


def task_from_table(values: Mapping[str, object], file: str) -> Task:
    """The task that a parsed task file describes.

    Args:
        file: Its name, for messages.

    Raises:
        InvalidFile: With everything that is wrong.
    """
    from appliance.ground.tables import check_table
    from appliance.tasks.task_table import TaskTable

    return check_table(TaskTable, values, file).task()
