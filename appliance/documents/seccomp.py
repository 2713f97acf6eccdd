"""A seccomp filter that leaves a parser nothing but computing, its own memory, and the files that it may read.

The filter is a list of what is allowed; any call that is not on it fails with EPERM. So whatever the kernel learns
later is denied too. Threads are allowed, because text recognition computes in them; processes are not.

Source: Linux, Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/{filter,seccomp,audit}.h.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from functools import cache

from appliance.documents.syscalls import MACHINES, Machine

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value: one instruction of classic BPF."""

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST = 0x15, 0x35
_OFFSET_NUMBER, _OFFSET_MACHINE, _OFFSET_ARGUMENTS = 0, 4, 16
_ALLOW: Instruction = (_RETURN, 0, 0, 0x7FFF0000)
_KILL: Instruction = (_RETURN, 0, 0, 0x80000000)
_ERROR = 0x00050000
_X32_BIT = 0x40000000
"""On x86_64, calls of the x32 family carry this bit and would get past a list of plain numbers."""

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which has signals sent to others."""
_HIGHEST_ADVICE = 99
"""From 100 on, `madvise` takes pages of memory out of the machine's use."""
_THREAD_FLAGS = 0x00010000 | 0x00000100 | 0x00000800
"""CLONE_THREAD, CLONE_VM, CLONE_SIGHAND: all of them, or it is a process."""
_NAMESPACE_FLAGS = 0x7E020000 | 0x00002000
"""CLONE_NEW* and CLONE_PTRACE."""
_WRITING_FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0x00400000
"""The last is the bit of O_TMPFILE that no other flag has."""

_INSTRUCTION_BYTES = 8
_ANY_PROCESS = 0x7FFFFFFF
"""Stands for the number of the process until that is known; no process has it."""

_FREE = """
read write readv writev pread64 preadv lseek close dup fadvise64 fstat newfstatat statx stat lstat access faccessat
faccessat2 readlink readlinkat getcwd getdents64 poll ppoll select pselect6 recvmsg mmap mprotect munmap mremap brk
futex membarrier rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall set_robust_list rseq
set_tid_address exit exit_group getrlimit getrusage sysinfo uname getrandom getpid getppid gettid getuid geteuid
getgid getegid getresuid getresgid getcpu sched_yield sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
times
""".split()
"""Allowed with any argument: none of them reaches beyond this process but for reading what is open to it."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def filter_program(machine: Machine, process_id: int, may_open: bool) -> list[Instruction]:
    """The filter as instructions.

    Args:
        process_id: The one process whose threads may be signalled, as `abort` does.
        may_open: Whether files may be opened for reading; Landlock then says which ones.
    """
    deny = _fail(errno.EPERM)
    bodies: dict[str, list[Instruction]] = {name: [_ALLOW] for name in _FREE}
    opening = _masked(2, _WRITING_FLAGS, 0, errno.EACCES) if may_open else [_fail(errno.EACCES)]
    bodies |= {
        "open": _masked(1, _WRITING_FLAGS, 0, errno.EACCES) if may_open else [_fail(errno.EACCES)],
        "openat": opening,
        # Their flags lie in memory, where a filter cannot look; libraries fall back to the older calls.
        "openat2": [_fail(errno.ENOSYS)],
        "clone3": [_fail(errno.ENOSYS)],
        "clone": _masked(0, _THREAD_FLAGS | _NAMESPACE_FLAGS, _THREAD_FLAGS, errno.EPERM),
        "tgkill": _one_of(0, [process_id]),
        "fcntl": _one_of(1, _FCNTL_COMMANDS),
        # What a file answers that is no terminal.
        "ioctl": [_fail(errno.ENOTTY)],
        "prctl": _one_of(0, [_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA]),
        "prlimit64": _null(2),
        "madvise": [_load(2), (_AT_LEAST, 1, 0, _HIGHEST_ADVICE + 1), _ALLOW, deny],
    }
    program: list[Instruction] = [
        (_LOAD, 0, 0, _OFFSET_MACHINE), (_EQUAL, 1, 0, machine.audit_mark), _KILL,
        (_LOAD, 0, 0, _OFFSET_NUMBER), (_AT_LEAST, 0, 1, _X32_BIT), deny,
    ]  # fmt: skip
    for name, body in bodies.items():
        if name in machine.numbers:
            program += [(_EQUAL, 0, len(body), machine.numbers[name]), *body]
    return [*program, deny]


def install(machine: Machine, process_id: int, may_open: bool) -> None:
    """Puts the filter on this thread and all that it starts; there is no way back.

    The caller has set no-new-privileges.

    Raises:
        OSError: The kernel takes no filter.
    """
    data, place = packed_program(machine.name, may_open)
    packed = ctypes.create_string_buffer(data[:place] + process_id.to_bytes(4, "little") + data[place + 4 :])
    described = _Program(len(data) // _INSTRUCTION_BYTES, ctypes.addressof(packed))
    if libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(described), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def packed_program(machine_name: str, may_open: bool) -> tuple[bytes, int]:
    """The filter as the kernel takes it, and where the number of the process belongs.

    Kept, so that a process that forks many parsers builds it once.
    """
    program = filter_program(MACHINES[machine_name], _ANY_PROCESS, may_open)
    place = next(number for number, instruction in enumerate(program) if instruction[3] == _ANY_PROCESS)
    data = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    return data, place * _INSTRUCTION_BYTES + _INSTRUCTION_BYTES - 4


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def _load(argument: int) -> Instruction:
    """Loads the low word of an argument, which is all of it where the kernel takes an int."""
    return (_LOAD, 0, 0, _OFFSET_ARGUMENTS + 8 * argument)


def _fail(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERROR | number)


def _masked(argument: int, mask: int, value: int, number: int) -> list[Instruction]:
    """Allows the call where the masked argument has the value."""
    return [_load(argument), (_AND, 0, 0, mask), (_EQUAL, 0, 1, value), _ALLOW, _fail(number)]


def _one_of(argument: int, values: Iterable[int]) -> list[Instruction]:
    """Allows the call where the argument is one of the values."""
    checks = [step for value in values for step in ((_EQUAL, 0, 1, value), _ALLOW)]
    return [_load(argument), *checks, _fail(errno.EPERM)]


def _null(argument: int) -> list[Instruction]:
    """Allows the call where a pointer is null, in both its words."""
    low = _OFFSET_ARGUMENTS + 8 * argument
    return [
        (_LOAD, 0, 0, low), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, low + 4), (_EQUAL, 0, 1, 0), _ALLOW, _fail(errno.EPERM),
    ]  # fmt: skip
