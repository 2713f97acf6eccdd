"""Files that appear whole or not at all: written beside the target, synced, and renamed onto it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ResourceError


def write_file(path: Path, data: bytes) -> None:
    """Writes a file that appears whole or not at all, and stays after a power cut."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with open(beside, "wb", opener=open_no_link) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_directory(path.parent)
    except OSError as error:
        # A disk that has become read-only refuses even this.
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ResourceError(f"cannot write {path}: {error.strerror}", "check the free space and the rights") from error


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
        with open(path, "ab", opener=open_no_link) as file:
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


def open_no_link(path: str, flags: int) -> int:
    """Opens a file, but none that a link leads to: a folder of rows may be one that others can write, too."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def sync_directory(directory: Path) -> None:
    """Makes a rename in the folder durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
