"""What the compiled files of the wheels need from a server: glibc, other libraries, processor features."""

import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from wheelhouse import BundleError

OPTIONAL = ("onnxruntime_providers_cuda", "onnxruntime_providers_tensorrt")
"""Loaded only where CUDA is installed; what they need is not asked of a server."""
EXPECTED_LIBRARIES = re.compile(r"(lib(c|m|dl|rt|pthread|util)|ld-linux-x86-64|libstdc\+\+|libgcc_s|libz)\.so(\.\d+)?")
CPU_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""As /proc/cpuinfo names them."""
_NEEDED_INSTRUCTIONS = {
    "avx2": r"\bvp(madd|add|mul|shuf|broadcast)\w*\s.*%ymm",
    "fma": r"\bvfn?m(add|sub)\d+\w+\s",
    "f16c": r"\bvcvtph2ps\s",
    "bmi2": r"\b(shlx|shrx|sarx|rorx|mulx|bzhi|pdep|pext)\w?\s",
}
_TOO_NEW = re.compile(r"%zmm|\{%k[0-7]\}|%[xy]mm(1[6-9]|2\d|3[01])\b|\bvpdp|%tmm")
"""AVX-512 in any width, AVX-VNNI, AMX."""


@dataclass(frozen=True)
class Needs:
    """What a server must have for a set of wheels."""

    glibc: str
    libstdcxx: str
    """Newest GLIBCXX version, empty where none is needed."""
    libraries: tuple[str, ...]
    """Shared libraries that the wheels do not bring along."""


def needs_of(wheels: list[Path]) -> Needs:
    """Reads the dynamic sections of every shared library in the wheels.

    Raises:
        BundleError: A library is needed that servers do not have as a rule, such as libgomp.
    """
    versions: dict[str, set[tuple[int, ...]]] = {"GLIBC": set(), "GLIBCXX": set()}
    libraries: dict[str, str] = {}
    for wheel in wheels:
        with TemporaryDirectory() as folder:
            paths = _extract_libraries(wheel, Path(folder))
            brought = {path.name for path in paths}
            for path in paths:
                text = _objdump("-p", path)
                for kind, version in re.findall(r"\b(GLIBC|GLIBCXX)_(\d+(?:\.\d+)+)\b", text):
                    versions[kind].add(tuple(map(int, version.split("."))))
                wanted = set(re.findall(r"NEEDED\s+(\S+)", text)) - brought
                libraries |= {name: wheel.name for name in wanted if not _brought(name, brought)}
    for name, wheel_name in libraries.items():
        if not EXPECTED_LIBRARIES.fullmatch(name):
            raise BundleError(f"{wheel_name} needs {name}, which a server may lack; build it without, or ship it")
    newest = {kind: ".".join(map(str, max(found))) if found else "" for kind, found in versions.items()}
    return Needs(newest["GLIBC"] or "2.17", newest["GLIBCXX"], tuple(sorted(libraries)))


def check_cpu_flags(wheel: Path) -> dict[str, int]:
    """Counts the instructions of each feature in the llama libraries.

    Raises:
        BundleError: A feature of x86-64-v3 was not compiled in, or something newer was.
    """
    with TemporaryDirectory() as folder:
        paths = {path.name: path for path in _extract_libraries(wheel, Path(folder)) if path.name.endswith(".so")}
        if "libggml-cpu.so" not in paths:
            raise BundleError(f"{wheel.name} holds no libggml-cpu.so")
        code = {name: _objdump("-d --no-show-raw-insn", path) for name, path in paths.items()}
    for name, text in code.items():
        if found := _TOO_NEW.search(text):
            line = text[text.rfind("\n", 0, found.start()) + 1 : text.find("\n", found.end())]
            raise BundleError(f"{wheel.name}: {name} needs more than x86-64-v3: {' '.join(line.split())}")
    counts = {flag: len(re.findall(what, code["libggml-cpu.so"])) for flag, what in _NEEDED_INSTRUCTIONS.items()}
    if missing := [flag for flag, count in counts.items() if not count]:
        raise BundleError(f"{wheel.name} was built without {', '.join(missing)}; build it with llama_wheel.sh")
    return counts


def _brought(name: str, brought: set[str]) -> bool:
    """Whether the wheel has the library under a name with a longer version."""
    return any(other.startswith(name + ".") for other in brought)


def _extract_libraries(wheel: Path, folder: Path) -> list[Path]:
    paths = []
    with zipfile.ZipFile(wheel) as archive:
        for number, name in enumerate(archive.namelist()):
            if re.search(r"\.so(\.\d+)*$", name) and not any(optional in name for optional in OPTIONAL):
                path = folder / str(number) / Path(name).name
                path.parent.mkdir()
                path.write_bytes(archive.read(name))
                paths.append(path)
    return paths


def _objdump(options: str, path: Path) -> str:
    try:
        done = subprocess.run(
            ["objdump", *options.split(), str(path)],
            capture_output=True, text=True, errors="replace", check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise BundleError("objdump is missing; apt-get install binutils") from error
    except subprocess.CalledProcessError as error:
        raise BundleError(f"objdump cannot read {path.name}: {error.stderr.strip()}") from error
    return done.stdout
