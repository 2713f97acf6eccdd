"""Files and folders that appear whole or not at all: written beside the target, synced, and renamed onto it."""

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ResourceError
from appliance.ground.locks import try_lock_for

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LONGEST_TURN_SECONDS = 300.0
"""A million rows are written in less than one minute."""
_OPEN_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""A pipe of this name would otherwise wait for its reader."""


def write_file(path: Path, data: bytes, private: bool = False) -> None:
    """Writes a file that appears whole or not at all, and stays after a power cut.

    Args:
        private: Only its owner can read it.

    Raises:
        ResourceError: The disk is full, or the place cannot be written.
    """
    with disk_errors(path), part_of(path, private) as file:
        file.write(data)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines to a file that appears whole or not at all, and makes its folder.

    Half pairs of surrogates, which stand for a file name that is no UTF-8, are stored as such.

    Raises:
        ResourceError: It cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_of(path) as file:
            file.writelines(f"{line}\n".encode("utf-8", "surrogatepass") for line in lines)


@contextmanager
def disk_errors(path: Path, hint: str = "check the free space and the permissions") -> Iterator[None]:
    """Around the writing of a file or folder.

    Raises:
        ResourceError: The disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror or error}", hint) from error


@contextmanager
def part_of(target: Path, private: bool = False) -> Iterator[BinaryIO]:
    """A file beside the target that takes its place when it is whole and on the disk.

    Two writers of the same target take turns; what a killed one left is used again.

    Args:
        private: Only its owner can read it.

    Raises:
        OSError: The disk is full, or the place cannot be written; the target is as before.
    """
    beside = part_path(target)
    with _empty_and_locked(beside, private) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):  # The first error is the one to show; a read-only disk refuses this too.
                beside.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)


@contextmanager
def part_for_library(target: Path) -> Iterator[Path]:
    """The path that a library writes to; what it wrote takes the target's place, synced.

    A library opens by name and would follow a link: the file lies in a folder of its own, into which nobody else can
    put one.

    Raises:
        OSError: As `part_of`.
    """
    own_dir = part_path(target)
    beside = own_dir / target.name
    try:
        fresh_directory(own_dir, 0o700)
        yield beside
        sync_file(beside)
        os.replace(beside, target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(own_dir, ignore_errors=True)


@contextmanager
def new_file(target: Path, private: bool = False) -> Iterator[BinaryIO]:
    """A file that appears whole under a name that nothing has yet.

    Raises:
        FileExistsError: There is something of this name, also if it came while this was written.
        OSError: As `part_of`.
    """
    beside = part_path(target)
    with _empty_and_locked(beside, private) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.link(beside, target)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        sync_directory(target.parent)


def part_path(target: Path) -> Path:
    """Where the file is while it is being written."""
    return target.with_name(f".{target.name}.part")


@contextmanager
def _empty_and_locked(path: Path, private: bool) -> Iterator[BinaryIO]:
    while True:
        refuse_taken_part(path)
        with open(path, "ab", opener=_open_private if private else open_no_link) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                raise _taken(path)
            _wait_for_turn(file, path)
            if not is_at(file.fileno(), path):  # Another writer has put it in its place.
                continue
            if private:
                os.fchmod(file.fileno(), 0o600)
            file.truncate(0)
            yield file
            return


def refuse_taken_part(path: Path) -> None:
    """Checks that nothing lies at the name of a temporary file but what a killed writer may have left there.

    Raises:
        OSError: A link, a pipe, a folder or a file with a second name does.
    """
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
        return
    target = path.with_name(path.name.removeprefix(".").removesuffix(".part"))
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(facts.st_mode) and os.path.samestat(facts, os.lstat(target)):
            path.unlink()  # A new file was given its name, and the writer was killed before it took this one away.
            return
    raise _taken(path)


def _taken(path: Path) -> OSError:
    what = "something that is no file of its own, such as a link or a pipe"
    return OSError(errno.EEXIST, f"the name of the temporary file {path.name} is taken by {what}", str(path))


def _wait_for_turn(file: BinaryIO, path: Path) -> None:
    """Waits for another writer, but not for one that never ends."""
    if not try_lock_for(file.fileno(), _LONGEST_TURN_SECONDS):
        raise OSError(errno.EBUSY, f"another program keeps {path.name}, its temporary file", str(path))


def fresh_directory(path: Path, mode: int = 0o777) -> None:
    """Makes an empty folder of this name; what a killed writer left there goes, and a link goes, not what it names.

    Raises:
        OSError: It cannot be made, or something came to this name in between.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    path.mkdir(mode, parents=True)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one of this name, and not one that was removed or renamed."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def open_no_link(path: str, flags: int) -> int:
    """Opens a file, but none that a link leads to: a folder of rows may be one that others can write, too."""
    return os.open(path, flags | _OPEN_FLAGS, 0o666)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS, 0o600)


def sync_file(path: Path) -> None:
    """Waits until what a library wrote is on the disk."""
    _sync(path, os.O_RDONLY)


def sync_directory(directory: Path) -> None:
    """Makes a rename in the folder durable."""
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(beside: Path, directory: Path) -> None:
    """Renames a complete folder to its place; at each moment the previous one or the new one is there.

    Where the file system cannot exchange two names at once, there is none for a moment.
    """
    sync_directory(beside)
    previous = directory.with_name(f".{directory.name}.former")
    if previous.is_symlink() or previous.is_file():
        previous.unlink()
    shutil.rmtree(previous, ignore_errors=True)
    if not os.path.lexists(directory):
        os.rename(beside, directory)
    elif exchange_names(beside, directory):
        previous = beside
    else:
        os.rename(directory, previous)
        os.rename(beside, directory)
    sync_directory(directory.parent)
    if previous.is_symlink() or previous.is_file():
        previous.unlink()
    shutil.rmtree(previous, ignore_errors=True)


def exchange_names(first: Path, second: Path) -> bool:
    """Gives two folders each other's name in one step; says whether that could be done."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(second))
