"""Free memory: the machine's, and what control groups of both versions leave of it."""

from pathlib import Path

import pytest

from appliance.ground.memory import available_memory_bytes

FREE = 8_000_000 * 1024


class Machine:
    """A machine's `/proc` and `/sys/fs/cgroup` in a folder."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroups = root / "proc", root / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroups.mkdir()
        (self.proc / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")

    def member_of(self, line: str) -> None:
        (self.proc / "self" / "cgroup").write_text(f"{line}\n")

    def group(self, name: str, **files: object) -> None:
        directory = self.cgroups / name
        directory.mkdir(parents=True, exist_ok=True)
        for file, value in files.items():
            (directory / file.replace("__", ".")).write_text(f"{value}\n")

    def available(self) -> int | None:
        return available_memory_bytes(self.proc, self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_group_the_machine_counts(machine: Machine) -> None:
    assert machine.available() == FREE


def test_unreadable_proc_is_unknown(machine: Machine) -> None:
    (machine.proc / "meminfo").unlink()
    assert machine.available() is None


def test_limit_of_version_2_counts_and_the_file_cache_is_free(machine: Machine) -> None:
    machine.member_of("0::/app/worker")
    machine.group("app/worker", memory__max="max", memory__current=900, memory__stat="inactive_file 0")
    machine.group("app", memory__max=1000, memory__current=900, memory__stat="anon 100\ninactive_file 300")
    assert machine.available() == 400


def test_limit_of_version_1_counts(machine: Machine) -> None:
    machine.member_of("5:cpu:/x\n4:memory,hugetlb:/box\n0::/")
    machine.group(
        "memory/box", memory__limit_in_bytes=2000, memory__usage_in_bytes=500, memory__stat="total_inactive_file 100"
    )
    unlimited = 9223372036854771712
    machine.group("memory", memory__limit_in_bytes=unlimited, memory__usage_in_bytes=0, memory__stat="x 0")
    assert machine.available() == 1600


def test_path_of_the_host_falls_back_to_the_containers_root(machine: Machine) -> None:
    machine.member_of("0::/system.slice/docker-1.scope")
    machine.group("", memory__max=700, memory__current=100, memory__stat="inactive_file 0")
    assert machine.available() == 600


def test_more_use_than_the_limit_leaves_nothing(machine: Machine) -> None:
    machine.member_of("0::/app")
    machine.group("app", memory__max=100, memory__current=200, memory__stat="inactive_file 0")
    assert machine.available() == 0
