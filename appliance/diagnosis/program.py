"""The program itself: interpreter, libraries, SQLite, and whether the compiled parts fit this processor."""

import importlib.metadata
import json
import platform
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from appliance.diagnosis.check import Check, CheckState, ok
from appliance.ground.child import ChildDied
from appliance.ground.processor import CPU_INFO_PATH, cpu_flags

_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 35, 0)
"""RETURNING and the rest of what the ledger uses."""
_WAL_RESET_FIXED = (3, 51, 3)
_LIBRARY_SECONDS = 60
_CPU_FLAGS = {
    "SSE3": "pni", "SSSE3": "ssse3", "AVX": "avx", "AVX_VNNI": "avx_vnni", "AVX2": "avx2", "F16C": "f16c",
    "FMA": "fma", "BMI2": "bmi2", "AVX512": "avx512f", "AVX512_VBMI": "avx512vbmi", "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16", "AMX_INT8": "amx_int8", "NEON": "asimd", "ARM_FMA": "asimd", "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm", "SVE": "sve", "SVE2": "sve2", "SME": "sme",
}  # fmt: skip
"""What llama.cpp calls a processor's feature -> what Linux calls it."""
_WORTH_HAVING = ("AVX2", "FMA", "F16C", "DOTPROD")
"""Without these a build is several times slower than the processor."""
_BUILD_PROGRAM = """
import json, os
os.environ["GGML_NO_BACKTRACE"] = "1"
import llama_cpp.llama_cpp as library
print(json.dumps(library.llama_print_system_info().decode()))
"""


def check_interpreter() -> Check:
    """Python: version, word size, where it is."""
    version = platform.python_version()
    message = f"Python {version} ({platform.machine()}, {sys.executable})"
    if sys.version_info < _OLDEST_PYTHON or sys.maxsize < 1 << 32:
        return Check("interpreter", CheckState.FAIL, message, "install a 64-bit Python 3.11 or newer")
    return ok("interpreter", message)


def check_libraries() -> Check:
    """The runtime's libraries: installed, and in versions that this program was made for."""
    try:
        required = importlib.metadata.requires("stillroom") or []
        version = importlib.metadata.version("stillroom")
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "libraries", CheckState.WARN, "Stillroom is not installed as a package, so its requirements are not known",
            "install the wheel instead of running from a folder",
        )  # fmt: skip
    problems, versions = [], [f"stillroom {version}"]
    for requirement in required:
        if "extra ==" in requirement:
            continue
        name, problem = _library(requirement)
        problems += [problem] if problem else []
        versions.append(name)
    if _is_installed("onnxruntime") and _is_installed("onnxruntime-gpu"):
        problems.append("onnxruntime and onnxruntime-gpu are both installed and overwrite each other")
    if problems:
        advice = "install the release again; its lock file names versions that fit"
        return Check("libraries", CheckState.FAIL, "; ".join(problems), advice)
    return ok("libraries", ", ".join(versions))


def _library(requirement: str) -> tuple[str, str]:
    """Name and version of an installed library, and what is wrong with it."""
    match = re.match(r"([A-Za-z0-9._-]+)\s*\(?([^;)]*)", requirement)
    assert match is not None
    name, condition = match.group(1), match.group(2).strip()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} -", f"{name} is missing"
    if not _satisfies(version, condition):
        return f"{name} {version}", f"{name} is {version}, but {condition} is needed"
    return f"{name} {version}", ""


def _satisfies(version: str, conditions: str) -> bool:
    """Whether a release satisfies conditions such as `>=2,<3`; the few operators that this program uses."""
    have = _release(version)
    for condition in filter(None, conditions.split(",")):
        match = re.match(r"\s*(==|>=|<)\s*([0-9.]+)", condition)
        if match is None:
            continue
        limit = _release(match.group(2))
        size = max(len(have), len(limit))
        left, right = (numbers + (0,) * (size - len(numbers)) for numbers in (have, limit))
        if not {"==": left == right, ">=": left >= right, "<": left < right}[match.group(1)]:
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_sqlite() -> Check:
    """The SQLite that Python was built with."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return Check(
            "sqlite", CheckState.FAIL, f"SQLite {version} is too old", "use a Python with SQLite 3.35 or newer"
        )
    if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
        # Its bug needs two writers of a write-ahead log, and a ledger has one.
        return ok("sqlite", f"SQLite {version} (a known bug does not affect Stillroom)")
    return ok("sqlite", f"SQLite {version}")


def check_processor(cpu_info_path: Path = CPU_INFO_PATH) -> Check:
    """What llama.cpp was compiled for against what this processor can do."""
    # A library for another processor dies on its first instruction, so it is asked in a process of its own.
    try:
        query = subprocess.run(
            # -P: never a module of the folder that somebody happened to stand in.
            [sys.executable, "-P", "-c", _BUILD_PROGRAM], capture_output=True, timeout=_LIBRARY_SECONDS, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _does_not_start(f"no answer in {_LIBRARY_SECONDS} s")
    try:
        build = json.loads(query.stdout)
    except ValueError:
        return _does_not_start(ChildDied(query.returncode).reason())
    return compare_processor(str(build), cpu_flags(cpu_info_path))


def _does_not_start(how: str) -> Check:
    advice = "install a release made for this processor; x86-64-v3 is the least for the portable one"
    return Check("processor", CheckState.FAIL, f"llama.cpp does not start here: {how}", advice)


def compare_processor(build: str, flags: frozenset[str]) -> Check:
    """The finding for a build and a processor.

    Args:
        build: llama.cpp's own list: `CPU : AVX2 = 1 | ...`.
        flags: The processor's features as Linux names them.
    """
    compiled = {name for name, value in re.findall(r"(\w+) = (\w+)", build) if value != "0"} & set(_CPU_FLAGS)
    if not flags:
        return Check(
            "processor", CheckState.WARN, "llama.cpp starts, but what this processor can do is not known",
            "check that /proc is mounted",
        )  # fmt: skip
    missing = sorted(name for name in compiled if _CPU_FLAGS[name] not in flags)
    if missing:
        return Check(
            "processor", CheckState.FAIL, f"llama.cpp uses {', '.join(missing)}, which this processor does not have",
            "install a release made for this processor",
        )  # fmt: skip
    unused = sorted(name for name, flag in _CPU_FLAGS.items() if flag in flags and name not in compiled)
    slow = [name for name in _WORTH_HAVING if name in unused]
    if slow:
        return Check(
            "processor", CheckState.WARN, f"llama.cpp was compiled without {', '.join(slow)} and will be slow",
            "install a release made for this processor, or compile llama-cpp-python here",
        )  # fmt: skip
    spare = f"; the processor also has {', '.join(unused)}" if unused else ""
    return ok("processor", f"llama.cpp uses {', '.join(sorted(compiled)) or 'no special instructions'}{spare}")
