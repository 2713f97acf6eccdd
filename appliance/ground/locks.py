"""Locks between processes: a file that one process at a time holds, and that its death frees."""

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError

_RETRY_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """A descriptor of the file to lock, which is made where it is missing.

    Raises:
        ResourceError: It cannot be opened.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ResourceError(
            f"cannot open {path}: {error.strerror}", "check the permissions and the free space"
        ) from error


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Takes the lock if nobody has it; it goes with the descriptor.

    Args:
        shared: Others that take it shared may have it, too.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock_for(descriptor: int, seconds: float) -> bool:
    """Takes the lock, waiting for whoever has it for so long and no longer."""
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_RETRY_SECONDS)
    return True


def wait_for_lock(descriptor: int) -> None:
    """Takes the lock, waiting as long as it takes; it goes with the descriptor."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def unlock(descriptor: int) -> None:
    """Gives the lock up; the descriptor stays open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def try_lock_place(descriptor: int, place: int) -> bool:
    """Takes the lock of one place in the file if no other descriptor has it; it goes with the descriptor.

    Args:
        place: From 0 to 2^63 - 1, also beyond the end of the file.

    Raises:
        OSError: The file system knows no such locks.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _place_lock(fcntl.F_WRLCK, place))
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock_place(descriptor: int, place: int) -> None:
    """Gives the lock of one place up."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _place_lock(fcntl.F_UNLCK, place))


def _place_lock(kind: int, place: int) -> bytes:
    """The `struct flock` of fcntl(2): kind, from the beginning, start, length, and no process."""
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, place, 1, 0)


@contextmanager
def exclusive_lock(path: Path, busy: ApplianceError | None = None, wait_seconds: float = 0.0) -> Iterator[None]:
    """Holds the file for this process.

    Args:
        busy: The error where another process has it; without one this waits as long as it takes.
        wait_seconds: How long to wait before that error: a holder that only changes something takes milliseconds.

    Raises:
        ResourceError: The file cannot be opened.
        ApplianceError: `busy`.
    """
    descriptor = open_lock(path)
    try:
        if busy is None:
            wait_for_lock(descriptor)
        elif not try_lock_for(descriptor, wait_seconds):
            raise busy
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Holds the lock of a descriptor that stays open, waiting as long as it takes."""
    wait_for_lock(descriptor)
    try:
        yield
    finally:
        unlock(descriptor)
