"""Memory that a new process could take now: the kernel's estimate, within the limits of the control groups."""

from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def available_memory_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """The least of the machine's free memory and what each control group around this process leaves.

    A group's file cache counts as free, as the kernel gives it up before it ends a process: a model that was just read
    would otherwise stand in its own way.

    Returns:
        None where the kernel says nothing.
    """
    try:
        lines = (proc / "meminfo").read_text("ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    for limit_path, used_path, cache_key in _limits(proc, cgroups):
        try:
            limit, used = limit_path.read_text("ascii").strip(), int(used_path.read_text("ascii"))
            if limit.isdecimal():  # Otherwise `max`.
                available = min(available, int(limit) - used + _cache_bytes(used_path.parent, cache_key))
        except (OSError, ValueError):
            continue
    return max(0, available)


def _limits(proc: Path, cgroups: Path) -> Iterator[tuple[Path, Path, str]]:
    """Files with the limit and the use of each group around this process, and the name of its file cache."""
    try:
        lines = (proc / "self" / "cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if number == "0" and not controllers:
            root, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = cgroups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the path may be the one of the host, which is not there; the root then is the container's.
        group = root / name.strip().lstrip("/")
        for directory in (group, *group.parents):
            if directory == root or root in directory.parents:
                yield directory / names[0], directory / names[1], names[2]


def _cache_bytes(group: Path, key: str) -> int:
    for line in (group / "memory.stat").read_text("ascii").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
