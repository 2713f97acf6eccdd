"""Writes the lock files from the environment that this runs in: what is installed becomes what is locked.

    .venv/bin/python packaging/lock/write.py

`development.txt` holds everything for building, training and testing; `runtime.txt` what the wheel needs without an
extra; `build.txt` what builds the wheel.
"""

from collections.abc import Iterable
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
BUILD = ("pip", "hatchling")


def closure(names: Iterable[str]) -> set[str]:
    """The named distributions and all that they need here."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in needed:
            continue
        needed.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return needed


def write(path: Path, names: Iterable[str], versions: dict[str, str]) -> None:
    """One line for each distribution."""
    path.write_text("".join(f"{name}=={versions[name]}\n" for name in sorted(names)))


def main() -> None:
    """All files."""
    versions: dict[str, str] = {canonicalize_name(one.name): one.version.partition("+")[0] for one in distributions()}
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
