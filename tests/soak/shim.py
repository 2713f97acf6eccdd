"""Builds the library of failing disks and jumping clocks, and says how a process is started with it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("faults.c")


def compiler() -> str | None:
    """The system's C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


def build_shim(directory: Path) -> Path:
    """Compiles the library into the folder."""
    command = compiler()
    assert command is not None
    library = directory / "faults.so"
    subprocess.run([command, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Fault:
    """One failing call, or from it on all of them."""

    at: int
    """Number among the calls that count, from 1."""
    error: int
    lasting: bool
    call: str = ""
    """Only this call counts; empty means all."""
    name: str = ""
    """Only paths that hold this count."""


@dataclass(frozen=True)
class Site:
    """One call that was made: its number, what it was, and on which file."""

    number: int
    call: str
    path: str


def fault_environment(library: Path, root: Path, log_path: Path, fault: Fault | None) -> dict[str, str]:
    """Variables under which the process meets the fault; without one every call is written to the log."""
    variables = {"LD_PRELOAD": str(library), "FAULTS_ROOT": str(root), "FAULTS_LOG": str(log_path)}
    if fault is None:
        return {**variables, "FAULTS_TRACE": "1"}
    variables |= {
        "FAULTS_AT": str(fault.at),
        "FAULTS_ERRNO": str(fault.error),
        "FAULTS_LASTING": str(int(fault.lasting)),
    }
    only = {"FAULTS_CALL": fault.call, "FAULTS_NAME": fault.name}
    return variables | {name: value for name, value in only.items() if value}


def clock_environment(library: Path, every: int) -> dict[str, str]:
    """Variables under which the wall clock jumps after every so many readings."""
    return {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(every)}


def read_log(log_path: Path) -> list[Site]:
    """The calls in the log."""
    if not log_path.exists():
        return []
    parts = (line.split(" ", 2) for line in log_path.read_text().splitlines())
    return [Site(int(number), call, path) for number, call, path in parts]


def edges(sites: list[Site]) -> list[Site]:
    """The first and the last call of each kind on each file."""
    of_kind: dict[tuple[str, str], list[Site]] = {}
    for site in sites:
        of_kind.setdefault((site.call, site.path), []).append(site)
    return [of_kind[kind][at] for kind in of_kind for at in ((0, -1) if len(of_kind[kind]) > 1 else (0,))]
