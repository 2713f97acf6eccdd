"""Files and folders opened below a folder that is held open; no link is followed, and no way leads out of it.

A path is given to the system as a whole where it can promise that (`openat2`, Linux 5.6), else name by name. Either way
a folder on the way that somebody exchanged for a link is an error, never another place.
"""

import ctypes
import errno
import os
import stat
from functools import cache

from appliance.documents.syscalls import this_machine

_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_LONGEST_PATH = 3800
"""Bytes that are given to the system at once; it takes 4,095, and a folder may be deeper than that."""
_TRIES = 8
"""The system asks to try again where a folder was renamed while it looked."""
_FOLDER_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: int, path: bytes, flags: int) -> int:
    """A descriptor of what lies at the path below the folder.

    Args:
        root: Descriptor of the folder.
        path: Relative, of any length, without `..`.
        flags: As for `os.open`; `O_NOFOLLOW` and `O_CLOEXEC` are added.

    Raises:
        OSError: ELOOP where a link stands on the way or at its end; else as `os.open`.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    here = root
    try:
        *folders, rest = _pieces(path)
        for folder in folders:
            below = _open_piece(here, folder, _FOLDER_FLAGS)
            if here != root:
                os.close(here)
            here = below
        return _open_piece(here, rest, flags)
    finally:
        if here != root:
            os.close(here)


def stat_beneath(root: int, path: bytes) -> os.stat_result:
    """What the system knows of the file at the path, of a link as of itself.

    Raises:
        OSError: As `open_beneath`; a link on the way is one, a link at the end is not.
    """
    folder, _, name = path.rpartition(b"/")
    if not folder:
        return os.stat(name, dir_fd=root, follow_symlinks=False)
    descriptor = open_beneath(root, folder, _FOLDER_FLAGS)
    try:
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)


def _pieces(path: bytes) -> list[bytes]:
    """The path cut between names into parts that the system takes."""
    pieces: list[bytes] = []
    while len(path) > _LONGEST_PATH:
        cut = path.rfind(b"/", 0, _LONGEST_PATH)
        if cut <= 0:
            break
        pieces.append(path[:cut])
        path = path[cut + 1 :]
    return [*pieces, path]


def _open_piece(folder: int, path: bytes, flags: int) -> int:
    call = _openat2()
    if call is not None:
        how = _How(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
        for _ in range(_TRIES):
            descriptor = call(folder, path, how)
            if descriptor >= 0:
                return descriptor
            number = ctypes.get_errno()
            if number == errno.ENOTDIR:
                break  # Said of a link, too; name by name the two are told apart.
            if number not in (errno.EAGAIN, errno.EINTR):
                raise OSError(number, os.strerror(number), path)
    return _open_by_names(folder, path, flags)


def _open_by_names(folder: int, path: bytes, flags: int) -> int:
    """The same with one call for each name, none of which may be a link."""
    *folders, name = path.split(b"/")
    here = folder
    try:
        for each in folders:
            try:
                below = os.open(each, _FOLDER_FLAGS, dir_fd=here)
            except NotADirectoryError as error:
                raise _named_link(here, each, error) from error
            if here != folder:
                os.close(here)
            here = below
        try:
            return os.open(name, flags, dir_fd=here)
        except NotADirectoryError as error:
            raise _named_link(here, name, error) from error
    finally:
        if here != folder:
            os.close(here)


def _named_link(folder: int, name: bytes, error: OSError) -> OSError:
    """The error for a name that is no folder: a link there is told apart from a file."""
    try:
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return error
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) if is_link else error


class _Openat2:
    """The system call, which neither Python nor older C libraries have a function for."""

    def __init__(self, number: int) -> None:
        self._number = ctypes.c_long(number)
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long

    def __call__(self, folder: int, path: bytes, how: _How) -> int:
        size = ctypes.c_size_t(ctypes.sizeof(how))
        name = ctypes.c_char_p(path)
        return int(self._syscall(self._number, ctypes.c_int(folder), name, ctypes.byref(how), size))


@cache
def _openat2() -> _Openat2 | None:
    """The call where this kernel has it and nothing forbids it, as an older container does."""
    machine = this_machine()
    if machine is None:
        return None
    call = _Openat2(machine.numbers["openat2"])
    root = os.open("/", _FOLDER_FLAGS)
    try:
        descriptor = call(root, b".", _How(_FOLDER_FLAGS, 0, _RESOLVE_BENEATH))
        if descriptor < 0:
            return None
        os.close(descriptor)
        return call
    finally:
        os.close(root)
