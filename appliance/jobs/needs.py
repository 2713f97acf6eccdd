"""Which comparisons need the rows of a job: while one does, nobody may remove the job.

A need is a file in the job's folder, called after the comparison, that holds the path of the comparison's folder. A
need whose folder is gone is void, so a comparison that was removed by hand blocks nothing.
"""

import os
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, write_file

_FOLDER = "needed-by"


def add_need(directory: Path, comparison_dir: Path) -> None:
    """Notes that the comparison in this folder needs the job's rows.

    Raises:
        ResourceError: It cannot be written.
    """
    folder = directory / _FOLDER
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_file(folder / comparison_dir.name, os.fsencode(comparison_dir.absolute()))


def drop_need(directory: Path, comparison_dir: Path) -> None:
    """Notes that the comparison needs the job no more."""
    path = directory / _FOLDER / comparison_dir.name
    with disk_errors(path):
        path.unlink(missing_ok=True)


def needed_by(directory: Path) -> list[str]:
    """Ids of the comparisons that need the job's rows."""
    folder = directory / _FOLDER
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path.name for path in paths if os.path.isdir(path.read_bytes())]


def refuse_needed(directory: Path) -> None:
    """Checks that no comparison needs the job's rows.

    Raises:
        UsageError: One does.
    """
    if names := needed_by(directory):
        raise UsageError(
            f"comparison {names[0]} needs the rows of job {directory.name}",
            f"remove the comparison first: `stillroom comparisons remove {names[0]}`",
        )
