"""Landlock: the kernel's own list of what a process may still open, bind, connect to and signal.

Source: Linux, Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from appliance.documents.syscalls import Machine

_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI from which on -> how many rights on files the kernel knows."""
_ABI_NETWORK, _NETWORK_RIGHTS = 4, 0b11
_ABI_SCOPES, _SCOPES = 6, 0b11


def landlock_version(machine: Machine) -> int:
    """The ABI that the kernel offers.

    Raises:
        OSError: It has none, or it is turned off.
    """
    return _call(machine, "landlock_create_ruleset", None, 0, _VERSION_FLAG)


def restrict(machine: Machine, version: int, readable: Iterable[Path]) -> None:
    """Leaves this thread and all that it starts nothing but reading what lies below the paths.

    The caller has set no-new-privileges.

    Raises:
        OSError: The kernel refuses.
    """
    rights = (1 << _FILE_RIGHTS[max(abi for abi in _FILE_RIGHTS if abi <= version)]) - 1
    network = _NETWORK_RIGHTS if version >= _ABI_NETWORK else 0
    scopes = _SCOPES if version >= _ABI_SCOPES else 0
    # A kernel that knows fewer members takes the longer structure as long as what it does not know is zero.
    described = struct.pack("=QQQ", rights, network, scopes)
    ruleset = _call(machine, "landlock_create_ruleset", described, len(described), 0)
    try:
        for path in readable:
            _allow_reading(machine, ruleset, path)
        _call(machine, "landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_reading(machine: Machine, ruleset: int, path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # What is not there, or not for this user, needs no leave.
        return
    try:
        rule = struct.pack("=Qi", _READ_FILE | (_READ_DIRECTORY if path.is_dir() else 0), descriptor)
        _call(machine, "landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _call(machine: Machine, name: str, *arguments: int | bytes | None) -> int:
    # A library object of its own: the type of the result is set on it.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    widened = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = int(libc.syscall(ctypes.c_long(machine.numbers[name]), *widened))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
