"""Writes the lock files: uv resolves what `pyproject.toml` asks for, and leaves every version that is locked already.

    .venv/bin/python packaging/lock/write.py                              # after a change of pyproject.toml
    .venv/bin/python packaging/lock/write.py --upgrade-package click      # click, and what it needs to be newer
    .venv/bin/python packaging/lock/write.py --upgrade                    # everything

`development.txt` holds everything for building, training and testing; `runtime.txt` what the wheel needs without an
extra; `build.txt` what builds the wheel. The last two are resolved within the first, so that no two files name two
versions. Hashes are not written here: uv would list those of every wheel of a version, and a bundle must hold one
certain wheel, which `packaging/bundle/wheelhouse.py --lock` names.
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

LOCK_DIR = Path(__file__).resolve().parent
PYPROJECT = LOCK_DIR.parents[1] / "pyproject.toml"
PYTHON_VERSION = "3.11"
PLATFORM = "x86_64-manylinux_2_34"
"""The oldest server that a bundle serves; a version without a wheel for it is not chosen."""
COMPILED_HERE = "llama-cpp-python"


def compile_lock(name: str, requirements: list[str], *options: str) -> None:
    """Has uv write one lock."""
    command = [
        sys.executable, "-m", "uv", "--quiet", "pip", "compile", "--python-version", PYTHON_VERSION,
        "--python-platform", PLATFORM, "--only-binary", ":all:", "--no-binary", COMPILED_HERE,
        # A header would name the package index and the paths of this machine.
        "--no-header", "--no-annotate", "--no-emit-index-url", "--output-file", str(LOCK_DIR / name), *options, "-",
    ]  # fmt: skip
    if code := subprocess.run(command, input="\n".join(requirements), text=True, check=False).returncode:
        raise SystemExit(code)


def main() -> None:
    """Writes the three files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade-package", metavar="NAME", action="append", default=[], help="may become newer")
    parser.add_argument("--upgrade", action="store_true", help="every package may become newer")
    arguments = parser.parse_args()
    upgrades = [f"--upgrade-package={name}" for name in arguments.upgrade_package]
    upgrades += ["--upgrade"] if arguments.upgrade else []
    settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    build = ["pip", *settings["build-system"]["requires"]]
    runtime = settings["project"]["dependencies"]
    extras = [line for lines in settings["project"]["optional-dependencies"].values() for line in lines]
    # The lock is that of torch for the CPU; what its build for CUDA needs besides is left out.
    excludes = ("--excludes", str(LOCK_DIR / "cuda.txt"))
    compile_lock("development.txt", [*build, *runtime, *extras], *excludes, *upgrades)
    within = ("--constraints", str(LOCK_DIR / "development.txt"))
    compile_lock("runtime.txt", runtime, *within)
    compile_lock("build.txt", build, *within)


if __name__ == "__main__":
    main()
