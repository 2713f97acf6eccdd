"""Writes the lock files from the environment that this runs in: what is installed becomes what is locked.

    .venv/bin/python packaging/lock/write.py

`development.txt` holds everything for building, training and testing; `runtime.txt` what the wheel needs without an
extra; `build.txt` what builds the wheel.
"""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).parent
BUILD = ("pip", "hatchling")


def name_of(found: Distribution) -> str:
    """The normalised name."""
    return re.sub(r"[-_.]+", "-", found.name).lower()


def closure(names: Iterable[str]) -> set[str]:
    """The named distributions and all that they need here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def write(path: Path, names: Iterable[str], versions: dict[str, str]) -> None:
    """One line for each distribution."""
    path.write_text("".join(f"{name}=={versions[name]}\n" for name in sorted(names)))


def main() -> None:
    """All files."""
    versions = {name_of(found): found.version.partition("+")[0] for found in distributions()}
    ours = versions.pop("stillroom", None)
    if ours is None:
        raise SystemExit("error: stillroom is not installed here\nhint: run make first")
    runtime = closure(["stillroom"]) - {"stillroom"}
    build = closure(BUILD)
    write(FOLDER / "build.txt", build, versions)
    write(FOLDER / "runtime.txt", runtime, versions)
    write(FOLDER / "development.txt", versions, versions)


if __name__ == "__main__":
    main()
