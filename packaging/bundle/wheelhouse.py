"""The wheels of the runtime for the minor versions of Python, each by its hash.

    .venv/bin/python packaging/bundle/wheelhouse.py --cache build/bundle                       # fetch by the locks
    .venv/bin/python packaging/bundle/wheelhouse.py --python 3.13 --cache build/bundle --lock  # write one lock anew

`packaging/lock/wheels-py3.11.txt` names every wheel of `runtime.txt`, and pip, with its SHA-256. llama-cpp-python is
not in it, because its wheel is built here; `llama-source.txt` has the hash of its source.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

ROOT_DIR = Path(__file__).resolve().parents[2]
LOCK_DIR = ROOT_DIR / "packaging" / "lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""What servers have; `requires-python` of the project names the first."""
BUILT_HERE = ("llama-cpp-python",)
PURE = ("chardet",)
"""Locked as the wheel without native code: it works on bytes of documents in a parser that serves more than one."""
GLIBC_MINORS = (34, 31, 28, 27, 26, 24, 17, 12, 5)
"""Of the manylinux tags that are accepted; 2.34 is what the llama wheel needs."""
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS),
    *(f"manylinux{tag}_x86_64" for tag in ("2014", "2010", "1")),
)
"""Tags of wheels for the servers that a bundle is for."""


class BundleError(Exception):
    """The bundle cannot be made; the text says why, and what to do."""


@dataclass(frozen=True)
class Locked:
    """One wheel of a lock."""

    name: str
    version: str
    sha256: str

    def line(self) -> str:
        """As pip reads it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n"


def lock_path(python: str, lock_dir: Path = LOCK_DIR) -> Path:
    """The lock for this minor version of Python."""
    return lock_dir / f"wheels-py{python}.txt"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def wheel_name(path: Path) -> tuple[str, str]:
    """Project and version of a wheel, from its file name.

    Raises:
        BundleError: The name is not that of a wheel.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise BundleError(f"{path.name} is no wheel: {error}") from error
    return name, str(version)


def read_lock(path: Path) -> list[Locked]:
    """The wheels of a lock.

    Raises:
        BundleError: There is no lock, or a line is not `name==version --hash=sha256:...`.
    """
    if not path.is_file():
        raise BundleError(f"there is no {path}; `make wheel-lock` writes it")
    locked = []
    for line in path.read_text("utf-8").splitlines():
        found = re.fullmatch(r"([a-z0-9-]+)==(\S+) --hash=sha256:([0-9a-f]{64})", line)
        if not found:
            raise BundleError(f"{path}: cannot read the line {line!r}; write it with wheelhouse.py --lock")
        locked.append(Locked(*found.groups()))
    return locked


def check_lock(python: str, lock_dir: Path = LOCK_DIR) -> list[Locked]:
    """The wheels of the lock for this Python, if it is that of `runtime.txt`.

    Raises:
        BundleError: There is no lock, it cannot be read, or it names other versions.
    """
    if not re.fullmatch(r"3\.[0-9]{1,3}", python):
        raise BundleError(f"{python} is no minor version of Python such as 3.13")
    locked = read_lock(lock_path(python, lock_dir))
    _check_versions(locked, lock_dir)
    return locked


def fetch(python: str, cache_dir: Path, lock_dir: Path = LOCK_DIR) -> list[Path]:
    """The wheels of the lock, from the cache where they are there, else from the package index.

    Raises:
        BundleError: The lock is not that of `runtime.txt`, or a wheel cannot be had.
    """
    locked = check_lock(python, lock_dir)
    wheels_dir = cache_dir / f"wheels-py{python}"
    if _cached(locked, wheels_dir) is None:
        _download(python, wheels_dir, ["--require-hashes", "-r", str(lock_path(python, lock_dir))])
    paths = _cached(locked, wheels_dir)
    if paths is None:
        raise BundleError(f"{wheels_dir} does not hold the wheels of {lock_path(python, lock_dir)}; empty that folder")
    return paths


def write_lock(python: str, cache_dir: Path, lock_dir: Path = LOCK_DIR) -> list[Locked]:
    """Downloads what `runtime.txt` and pip's line in `build.txt` name, and writes down what came."""
    wanted = _wanted(lock_dir)
    wheels_dir = cache_dir / f"wheels-py{python}"
    for path in wheels_dir.glob("*.whl"):
        if wheel_name(path)[0] in PURE:
            path.unlink()
    exact = {name: f"{name}=={version}" for name, version in sorted(wanted.items())}
    _download(python, wheels_dir, [line for name, line in exact.items() if name not in PURE])
    _download(python, wheels_dir, [line for name, line in exact.items() if name in PURE], pure=True)
    found = {wheel_name(path): path for path in wheels_dir.glob("*.whl")}
    locked = [
        Locked(name, version, file_sha256(found[name, version]))
        for name, version in sorted(wanted.items())
        if (name, version) in found
    ]
    if missing := set(wanted) - {wheel.name for wheel in locked}:
        raise BundleError(f"no wheel came for {', '.join(sorted(missing))}")
    lock_path(python, lock_dir).write_text("".join(wheel.line() for wheel in locked), "utf-8")
    return locked


def _wanted(lock_dir: Path) -> dict[str, str]:
    """Version of every project that a lock must name."""
    lines = (lock_dir / "runtime.txt").read_text("utf-8").split()
    lines += [line for line in (lock_dir / "build.txt").read_text("utf-8").split() if line.startswith("pip==")]
    wanted = dict(line.split("==") for line in lines)
    return {name: version for name, version in wanted.items() if name not in BUILT_HERE}


def _check_versions(locked: list[Locked], lock_dir: Path) -> None:
    wanted = _wanted(lock_dir)
    versions = {wheel.name: wheel.version for wheel in locked}
    if versions == wanted:
        return
    other = sorted(name for name in {*wanted, *versions} if wanted.get(name) != versions.get(name))
    raise BundleError(
        f"the hashes are not those of {lock_dir / 'runtime.txt'}: {', '.join(other)};"
        " write them anew with packaging/bundle/wheelhouse.py --lock"
    )


def _cached(locked: list[Locked], wheels_dir: Path) -> list[Path] | None:
    """The path of every locked wheel, or None where one is missing or has another hash."""
    found = {wheel_name(path): path for path in wheels_dir.glob("*.whl")}
    paths = [found.get((wheel.name, wheel.version)) for wheel in locked]
    whole = [path for path, wheel in zip(paths, locked, strict=True) if path and file_sha256(path) == wheel.sha256]
    return whole if len(whole) == len(locked) else None


def _download(python: str, wheels_dir: Path, what: list[str], pure: bool = False) -> None:
    if not what:
        return
    wheels_dir.mkdir(parents=True, exist_ok=True)
    platforms = ["--platform=any"] if pure else [f"--platform={name}" for name in PLATFORMS]
    abis = ["--abi=none"] if pure else [f"--abi=cp{python.replace('.', '')}", "--abi=abi3", "--abi=none"]
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps",
        "--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms, *abis,
        "--dest", str(wheels_dir), *what,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1].removeprefix("ERROR: ")
        raise BundleError(f"pip cannot fetch the wheels for Python {python}: {reason}")


def main() -> int:
    """Fetches, or writes the lock."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", metavar="3.N", help="minor version of Python, can be repeated")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the wheels")
    parser.add_argument("--lock", action="store_true", help="write the lock from what the package index has")
    given = parser.parse_args()
    try:
        for python in given.python or PYTHONS:
            if given.lock:
                print(f"{len(write_lock(python, given.cache))} wheels: {lock_path(python)}")
            else:
                print(f"{len(fetch(python, given.cache))} wheels for Python {python} in {given.cache}")
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
