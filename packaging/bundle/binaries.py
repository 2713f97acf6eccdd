"""What the compiled files of the wheels need from a server: glibc, other libraries, processor features."""

import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from auditwheel.elfutils import elf_find_versioned_symbols, elf_read_dt_needed
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
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
    """What every shared library in the wheels asks of the server.

    auditwheel's report on a whole wheel does not serve: it counts the optional libraries too, resolves names on the
    machine that it runs on, and keeps silent on what manylinux allows, such as libX11.

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
                try:
                    needed = set(elf_read_dt_needed(path)) - brought
                    symbols = set(_versioned_symbols(path))
                except (ELFError, ValueError) as error:
                    raise BundleError(f"{wheel.name}: cannot read {path.name}: {error}") from error
                for symbol in symbols:
                    if match := re.fullmatch(r"(GLIBC|GLIBCXX)_(\d+(?:\.\d+)+)", symbol):
                        versions[match[1]].add(tuple(map(int, match[2].split("."))))
                libraries |= {name: wheel.name for name in needed if not _brought(name, brought)}
    for name, wheel_name in libraries.items():
        if not EXPECTED_LIBRARIES.fullmatch(name):
            raise BundleError(f"{wheel_name} needs {name}, which a server may lack; build it without, or ship it")
    newest = {kind: ".".join(map(str, max(numbers))) if numbers else "" for kind, numbers in versions.items()}
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


def _versioned_symbols(path: Path) -> Iterator[str]:
    """Versions of the symbols that a library takes from others, such as GLIBC_2.34.

    auditwheel leaves out those of the loader, but the loader is a part of glibc too: `__rseq_offset` came with 2.35.
    """
    with path.open("rb") as file:
        elf = ELFFile(file)
        yield from (version for _, version in elf_find_versioned_symbols(elf))
        section = elf.get_section_by_name(".gnu.version_r")
        for library, needs in section.iter_versions() if section else ():
            if library.name.startswith("ld-linux"):
                yield from (need.name for need in needs)


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
