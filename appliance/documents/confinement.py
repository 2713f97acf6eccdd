"""Takes from a parser everything but the document in its hands, and says which walls stand.

Three walls, each by the kernel: limits on resources, a filter of system calls, and Landlock. The first two are
required where the filter is known (x86_64 and aarch64); Landlock depends on the kernel's configuration. Where it is
missing, the filter denies every opening of a file instead.
"""

import ctypes
import errno
import os
import resource
import struct
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.documents import landlock, seccomp
from appliance.documents.syscalls import Machine, this_machine

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CAPABILITIES_VERSION = 0x20080522
_DESCRIPTORS = 64
_LIBRARY_DIRS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_REASONS = {
    errno.ENOSYS: "the kernel does not have it",
    errno.EOPNOTSUPP: "the kernel has it turned off: boot with landlock in `lsm=`",
    errno.EPERM: "it is forbidden here, for example by the security profile of a container",
}


@dataclass(frozen=True)
class ParserLimits:
    """What one document may cost."""

    timeout_seconds: float = 60.0
    """Wall clock for one document; large scans of a thousand pages need about 5 s."""
    memory_bytes: int = 2 << 30
    """Address space on top of the program's own; PDFium and a 64 MB file fit well."""
    recognition_seconds: float = 1800.0
    """Wall clock for one document in which text has to be recognised: 6 s for a full page, at most 200 pages."""


@dataclass(frozen=True)
class Wall:
    """One part of the sandbox."""

    in_force: bool
    detail: str
    """What it does, or why it is missing."""


@dataclass(frozen=True)
class SandboxLevel:
    """The walls around a parser, as the parser itself found them."""

    rlimits: Wall
    seccomp: Wall
    landlock: Wall
    landlock_abi: int = 0
    """0 where Landlock is missing."""

    @property
    def required_missing(self) -> str:
        """Why documents must not be read here; empty where they may be."""
        if not self.rlimits.in_force:
            return f"resource limits ({self.rlimits.detail})"
        if not self.seccomp.in_force and this_machine() is not None:
            return f"system call filter ({self.seccomp.detail})"
        return ""


def level_from_values(values: Mapping[str, Any]) -> SandboxLevel:
    """The level out of what `dataclasses.asdict` made of it."""
    return SandboxLevel(
        Wall(**values["rlimits"]), Wall(**values["seccomp"]), Wall(**values["landlock"]), int(values["landlock_abi"])
    )


def library_paths() -> list[Path]:
    """What a parser may still read: Python, its installed libraries with their model files, and the system's."""
    import appliance

    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*map(Path, dict.fromkeys(named)), Path(appliance.__path__[0]), *map(Path, _LIBRARY_DIRS)]


def wall_off_files(readable: Iterable[Path]) -> tuple[Wall, int]:
    """Puts up Landlock around this process; gives the wall and the ABI.

    The process must not have parsed anything yet, and its other threads stay outside.
    """
    machine = this_machine()
    if machine is None:
        return Wall(False, f"the system calls of {os.uname().machine} are not known"), 0
    try:
        version = landlock.landlock_version(machine)
        _no_new_privileges()
        landlock.restrict(machine, version, readable)
    except OSError as error:
        return Wall(False, _reason(error)), 0
    return Wall(True, f"ABI {version}; only libraries can be opened, for reading"), version


def prepare_parsers(files: Wall) -> None:
    """Builds, in a process that will fork parsers, what they would otherwise build one by one."""
    machine = this_machine()
    if machine is not None:
        seccomp.packed_program(machine.name, files.in_force)
        seccomp.libc()


def confine_parser(limits: ParserLimits, files: Wall, abi: int, base_bytes: int) -> SandboxLevel:
    """Confines this process, which has one thread and has parsed nothing yet, for good.

    Args:
        files: The wall that `wall_off_files` put up in this process or its parent, with its ABI.
        base_bytes: Address space that the program had before any document.
    """
    # A crash handler of the system would keep the document's text in a core file.
    seccomp.libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    machine = this_machine()
    # A service manager may end a process of an ordinary user for asking.
    if machine is not None and os.geteuid() == 0:
        _drop_capabilities(machine)
    rlimits = _limit_resources(limits, base_bytes)
    return SandboxLevel(rlimits, _filter_calls(machine, files.in_force), files, abi)


def _limit_resources(limits: ParserLimits, base_bytes: int) -> Wall:
    # The wall clock is the parent's; this ends a parser whose parent was stopped.
    cpu_seconds = int(max(limits.timeout_seconds, limits.recognition_seconds) + 1) * (os.cpu_count() or 1)
    limit_values = {
        resource.RLIMIT_AS: base_bytes + limits.memory_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    try:
        for name, value in limit_values.items():
            _, hard = resource.getrlimit(name)
            capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (capped, capped))
    except (OSError, ValueError) as error:
        return Wall(False, str(error))
    return Wall(True, f"{limits.memory_bytes >> 20} MB of memory, {limits.timeout_seconds:g} s, no file written")


def _filter_calls(machine: Machine | None, may_open: bool) -> Wall:
    if machine is None:
        return Wall(False, f"the system calls of {os.uname().machine} are not known")
    try:
        _no_new_privileges()
        seccomp.install(machine, os.getpid(), may_open)
    except OSError as error:
        return Wall(False, _reason(error))
    opening = "files opened for reading only" if may_open else "no file opened"
    return Wall(True, f"no sockets, no new processes, no programs; {opening}")


def _no_new_privileges() -> None:
    if seccomp.libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _drop_capabilities(machine: Machine) -> None:
    """Leaves a parser that root started no right beyond those of the files' owner."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    seccomp.libc().syscall(ctypes.c_long(machine.numbers["capset"]), header, bytes(24))


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or str(error))
