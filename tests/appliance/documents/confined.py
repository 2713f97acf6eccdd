"""Runs a piece of Python in a real confined process, as the parsers are, and gives the JSON value that it printed."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

import pytest

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import ctypes, errno, hashlib, mmap, os, resource, signal, socket, subprocess, threading
from appliance.documents import confinement
from appliance.documents.syscalls import this_machine

options = json.loads(sys.argv[2])
machine = this_machine()
libc = ctypes.CDLL(None, use_errno=True)
libraries = confinement.library_paths()


def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"


def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    except (MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "done"


def confine():
    base_bytes = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    files = (confinement.Wall(False, "left out"), 0)
    if options["landlock"]:
        files = confinement.wall_off_files(libraries)
    return confinement.confine_parser(confinement.ParserLimits(30.0, options["memory_bytes"]), *files, base_bytes)


if options["unprivileged"]:
    # Not from the start, as another user may not be able to read the interpreter.
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
exec(options["source"], globals())
"""
CONFINE = "level = confine()\n"


@dataclass(frozen=True)
class Surroundings:
    """How the process is started."""

    landlock: bool = True
    memory_bytes: int = 256 << 20
    unprivileged: bool = False
    """As another user, where the tests run as root, whom the kernel lets do much that it denies to others."""


def run(source: str, surroundings: Surroundings | None = None) -> "subprocess.CompletedProcess[str]":
    """Runs the source, which calls `confine()` where it wants to."""
    chosen = surroundings or Surroundings()
    if chosen.unprivileged and os.geteuid() != 0:
        pytest.skip("the tests do not run as root, so the other case is this one")
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), json.dumps({"source": source, **asdict(chosen)})],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def printed(source: str, surroundings: Surroundings | None = None) -> object:
    """The JSON value that the source printed."""
    done = run(source, surroundings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
