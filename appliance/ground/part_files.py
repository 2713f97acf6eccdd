"""Large files that appear whole: written beside the target, one process at a time, and renamed onto it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.jobs.job import no_link, sync_directory


@contextmanager
def part_of(target: Path) -> Iterator[BinaryIO]:
    """A file beside the target that takes its place when it is whole and on the disk.

    Two processes that write the same target at once take turns; what a killed one left is used again.
    """
    beside = part_path(target)
    with _own(beside) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):  # The first error is the one to show.
                beside.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)


def part_path(target: Path) -> Path:
    """Where the file is while it is being written."""
    return target.with_name(f".{target.name}.part")


@contextmanager
def _own(path: Path) -> Iterator[BinaryIO]:
    """The file, empty and locked for this process."""
    while True:
        with open(path, "ab", opener=no_link) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):  # The other process has put it in its place.
                continue
            file.truncate(0)
            yield file
            return


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
