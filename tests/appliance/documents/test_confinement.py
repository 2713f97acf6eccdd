"""What a confined process cannot do any more, tried in real ones, as root and as an ordinary user."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from appliance.documents import seccomp
from appliance.documents.landlock import landlock_version
from appliance.documents.syscalls import MACHINES, Machine, this_machine
from tests.appliance.documents.confined import CONFINE, Surroundings, printed, run

MACHINE = this_machine()
pytestmark = pytest.mark.skipif(MACHINE is None, reason="the system calls of this machine are not known")
USERS = [
    pytest.param(Surroundings(), id="this-user"),
    pytest.param(Surroundings(unprivileged=True), id="other-user"),
]
INVALID = 0x7FFFFFFF
DENIED_CALLS = {
    # name: (number on x86_64, number on aarch64, arguments that do no harm where the call is allowed)
    "socket": (41, 198, (2, 1, 0)), "connect": (42, 203, (-1, 0, 0)), "bind": (49, 200, (-1, 0, 0)),
    "listen": (50, 201, (-1, 0)), "accept4": (288, 242, (-1, 0, 0, 0)), "sendto": (44, 206, (-1, 0, 0, 0, 0, 0)),
    "sendmsg": (46, 211, (-1, 0, 0)), "socketpair": (53, 199, (99, 0, 0, 0)),
    "execve": (59, 221, (0, 0, 0)), "execveat": (322, 281, (-1, 0, 0, 0, 0)),
    "ptrace": (101, 117, (16, INVALID, 0, 0)),
    "process_vm_readv": (310, 270, (INVALID, 0, 0, 0, 0, 0)), "process_vm_writev": (311, 271, (INVALID, 0, 0, 0, 0, 0)),
    "kill": (62, 129, (0, 0)), "tkill": (200, 130, (INVALID, 0)), "tgkill": (234, 131, (INVALID, INVALID, 0)),
    "rt_sigqueueinfo": (129, 138, (INVALID, 0, 0)), "pidfd_open": (434, 434, (INVALID, 0)),
    "pidfd_send_signal": (424, 424, (-1, 0, 0, 0)), "pidfd_getfd": (438, 438, (-1, 0, 0)),
    "perf_event_open": (298, 241, (0, 0, 0, 0, 0)), "keyctl": (250, 219, (INVALID, 0, 0, 0, 0)),
    "add_key": (248, 217, (0, 0, 0, 0, 0)), "request_key": (249, 218, (0, 0, 0, 0)),
    "io_uring_setup": (425, 425, (0, 0)), "memfd_create": (319, 279, (0, 0)),
    "unshare": (272, 97, (0,)), "setns": (308, 268, (-1, 0)),
    "setrlimit": (160, 164, (INVALID, 0)), "prlimit64": (302, 261, (0, 7, 1, 0)),
    "fchmod": (91, 52, (-1, 0)), "fchown": (93, 55, (-1, 0, 0)), "fsetxattr": (190, 7, (-1, 0, 0, 0, 0)),
    "utimensat": (280, 88, (-1, 0, 0, 0)), "ftruncate": (77, 46, (-1, 0)), "flock": (73, 32, (-1, 0)),
    "fallocate": (285, 47, (-1, 0, 0, 1)), "unlinkat": (263, 35, (-1, 0, 0)), "mkdirat": (258, 34, (-1, 0, 0)),
    "renameat2": (316, 276, (-1, 0, -1, 0, 0)), "linkat": (265, 37, (-1, 0, -1, 0, 0)),
    "symlinkat": (266, 36, (0, -1, 0)), "mknodat": (259, 33, (-1, 0, 0o100000, 0)),
    "inotify_init1": (294, 26, (INVALID,)), "eventfd2": (290, 19, (0, INVALID)), "shmget": (29, 194, (0, 0, 0)),
    "prctl, dumpable": (157, 167, (4, 1, 0, 0, 0)), "fcntl, owner of signals": (72, 25, (0, 8, 0)),
    "setuid": (105, 146, (-1,)),
}  # fmt: skip
ROOT_CALLS = {
    "mount": (165, 40, (0, 0, 0, 0, 0)), "bpf": (321, 280, (INVALID, 0, 0)), "pivot_root": (155, 41, (0, 0)),
    "open_by_handle_at": (304, 265, (-1, 0, 0)), "madvise, poison": (28, 233, (0, 0, 100)),
    "userfaultfd": (323, 282, (INVALID,)), "chroot": (161, 51, (0,)), "sethostname": (170, 161, (0, 100000)),
}  # fmt: skip
"""What the kernel denies to ordinary users by itself."""


def tried_calls(calls: dict[str, tuple[int, int, tuple[int, ...]]], surroundings: Surroundings, begin: str) -> object:
    assert MACHINE is not None
    column = list(MACHINES).index(MACHINE.name)
    listed = {name: (entry[column], *entry[2]) for name, entry in calls.items()}
    source = f"calls = json.loads({json.dumps(json.dumps(listed))})\n"
    source += begin + "print(json.dumps({name: call(*numbers) for name, numbers in calls.items()}))"
    return printed(source, surroundings)


@pytest.mark.parametrize("surroundings", USERS)
def test_every_dangerous_call_is_denied_that_the_kernel_would_allow(surroundings: Surroundings) -> None:
    free = tried_calls(DENIED_CALLS, surroundings, "")
    confined = tried_calls(DENIED_CALLS, surroundings, CONFINE)
    assert isinstance(free, dict)
    assert [name for name, outcome in free.items() if outcome == "EPERM"] == []
    assert confined == dict.fromkeys(DENIED_CALLS, "EPERM")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make these calls at all")
def test_what_only_root_may_do_is_denied_to_a_parser_of_root() -> None:
    free = tried_calls(ROOT_CALLS, Surroundings(), "")
    assert isinstance(free, dict)
    if "EPERM" in free.values():
        pytest.skip("this root is not allowed everything itself")
    assert tried_calls(ROOT_CALLS, Surroundings(), CONFINE) == dict.fromkeys(ROOT_CALLS, "EPERM")


@pytest.mark.parametrize("surroundings", USERS)
def test_neither_processes_nor_programs_start(surroundings: Surroundings) -> None:
    source = (
        CONFINE
        + """
numbers = machine.numbers
threadlike = 0x00010000 | 0x00000100 | 0x00000800
print(json.dumps({
    "os.fork": tried(lambda: os.fork() or os._exit(9)),
    "subprocess": tried(lambda: subprocess.run(["/bin/true"], check=False)),
    "os.execv": tried(lambda: os.execv("/bin/true", ["true"])),
    "posix_spawn": tried(lambda: os.posix_spawn("/bin/true", ["true"], {})),
    "clone of a process": call(numbers["clone"], signal.SIGCHLD, 0, 0, 0, 0),
    "thread in a namespace": call(numbers["clone"], threadlike | 0x40000000, 0, 0, 0, 0),
    "clone3": call(numbers["clone3"], 0, 0),
}))
"""
    )
    assert printed(source, surroundings) == {
        "os.fork": "EPERM", "subprocess": "EPERM", "os.execv": "EPERM", "posix_spawn": "EPERM",
        "clone of a process": "EPERM", "thread in a namespace": "EPERM", "clone3": "ENOSYS",
    }  # fmt: skip


@pytest.mark.parametrize("landlock", [True, False], ids=["landlock", "no-landlock"])
@pytest.mark.parametrize("unprivileged", [False, True], ids=["this-user", "other-user"])
def test_no_file_can_be_opened_but_libraries(tmp_path: Path, landlock: bool, unprivileged: bool) -> None:
    needs_landlock(landlock)
    secret = tmp_path / "secret.txt"
    secret.write_text("a patient's name")
    for path in (secret, tmp_path):
        path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    paths = [str(secret), str(tmp_path), "/etc/passwd", "/", "/proc/self/mem", "/proc/self/environ", "/proc/1/cmdline"]
    source = f"paths = {paths!r}\n" + """
read = lambda path: tried(lambda: os.close(os.open(path, os.O_RDONLY)))
parent = f"/proc/{os.getppid()}/environ"
before = {path: read(path) for path in paths[:2]}
""" + CONFINE + """
after = {path: read(path) for path in [*paths, parent]}
print(json.dumps([before, after, read(hashlib.__file__)]))
"""  # fmt: skip
    before, after, library = printed(source, Surroundings(landlock=landlock, unprivileged=unprivileged))  # type: ignore[misc]
    assert set(before.values()) == {"done"}
    assert set(after.values()) == {"EACCES"}
    # The other user may have no right to the folder of the interpreter in the first place.
    assert library == ("done" if landlock else "EACCES") or unprivileged


@pytest.mark.parametrize("landlock", [True, False], ids=["landlock", "no-landlock"])
def test_nothing_is_written_or_changed(tmp_path: Path, landlock: bool) -> None:
    needs_landlock(landlock)
    kept = tmp_path / "document.txt"
    kept.write_text("text")
    source = f"folder = {str(tmp_path)!r}\n" + """
document = os.open(folder + "/document.txt", os.O_RDONLY)
writable = os.open(folder + "/other.txt", os.O_WRONLY | os.O_CREAT)
""" + CONFINE + """
print(json.dumps({
    "create": tried(lambda: open(folder + "/new", "w")),
    "append": tried(lambda: open(folder + "/document.txt", "a")),
    "temporary": tried(lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR)),
    "truncate": tried(lambda: os.truncate(folder + "/document.txt", 0)),
    "delete": tried(lambda: os.unlink(folder + "/document.txt")),
    "rename": tried(lambda: os.rename(folder + "/document.txt", folder + "/b")),
    "folder": tried(lambda: os.mkdir(folder + "/made")),
    "rights": tried(lambda: os.fchmod(document, 0o777)),
    "times": tried(lambda: os.utime(document)),
    "reopen": tried(lambda: os.open(f"/proc/self/fd/{document}", os.O_RDWR)),
    "read": os.read(document, 10).decode(),
}))
"""  # fmt: skip
    outcomes = printed(source, Surroundings(landlock=landlock))
    assert isinstance(outcomes, dict)
    assert outcomes.pop("read") == "text"
    assert set(outcomes.values()) <= {"EPERM", "EACCES"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["document.txt", "other.txt"]
    assert kept.read_text() == "text"


def test_a_descriptor_that_is_open_for_writing_takes_no_byte(tmp_path: Path) -> None:
    source = f"writable = os.open({str(tmp_path / 'other.txt')!r}, os.O_WRONLY | os.O_CREAT)\n" + CONFINE + """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(json.dumps(tried(lambda: os.write(writable, b"text"))))
"""  # fmt: skip
    assert printed(source) == "EFBIG"
    assert (tmp_path / "other.txt").read_bytes() == b""


@pytest.mark.parametrize("surroundings", USERS)
def test_memory_ends_where_the_limit_says(surroundings: Surroundings) -> None:
    source = (
        CONFINE
        + """
blocks = []
try:
    while True:
        blocks.append(bytearray(1 << 20))
except MemoryError:
    taken = len(blocks)
    del blocks
print(json.dumps([taken, tried(lambda: bytearray(options["memory_bytes"] + (64 << 20))),
    tried(lambda: mmap.mmap(-1, options["memory_bytes"] + (64 << 20))),
    call(machine.numbers["prlimit64"], 0, resource.RLIMIT_AS, 1, 0)]))
"""
    )
    taken, immediate, mapped, raised = printed(source, surroundings)  # type: ignore[misc]
    assert 200 <= taken <= 256
    assert (immediate, mapped, raised) == ("MemoryError", "ENOMEM", "EPERM")


@pytest.mark.parametrize("surroundings", USERS)
def test_threads_work(surroundings: Surroundings) -> None:
    source = (
        CONFINE
        + """
sums = {}
threads = [threading.Thread(target=lambda n=n: sums.__setitem__(n, hashlib.sha256(bytes(1 << 20)).hexdigest()))
    for n in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([len(sums), len(set(sums.values()))]))
"""
    )
    assert printed(source, surroundings) == [6, 1]


@pytest.mark.skipif(MACHINE is None or MACHINE.name != "x86_64", reason="x86_64 has three families of calls")
def test_calls_of_the_other_families_of_x86_get_nowhere() -> None:
    int_80 = """
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b814000000 cd80 c3"))
getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
"""
    x32 = printed(CONFINE + "print(json.dumps(call(0x40000000 | 39)))")
    assert x32 == "EPERM"
    if run(int_80 + "getpid()").returncode != 0:
        pytest.skip("this kernel has no 32-bit calls at all")
    assert run(int_80 + CONFINE + "getpid()").returncode == -signal.SIGSYS


def test_crash_leaves_no_core_and_confinement_reports_itself() -> None:
    source = (
        CONFINE
        + """
from dataclasses import asdict
print(json.dumps([asdict(level), libc.prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[1]]))
"""
    )
    level, dumpable, core = printed(source, Surroundings(landlock=False))  # type: ignore[misc]
    assert level["rlimits"]["in_force"]
    assert level["seccomp"]["in_force"]
    assert (level["landlock"], level["landlock_abi"]) == ({"in_force": False, "detail": "left out"}, 0)
    # Asking is denied too: the answer would be 0 or 1.
    assert (dumpable, core) == (-1, 0)


def test_numbers_are_those_of_the_kernel_headers() -> None:
    headers = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    present = {name: path.read_text() for name, path in headers.items() if path.is_file()}
    if not present:
        pytest.skip("the kernel's headers are not installed")
    for name, text in present.items():
        known = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", text, re.MULTILINE))
        for call, number in MACHINES[name].numbers.items():
            # The generic list has the first name for two calls of which 64-bit machines have the second.
            generic = "fstatat" if call == "newfstatat" and name != "x86_64" else call
            assert known[generic] == str(number), f"{call} on {name}"


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_filter_decides_alike_on_every_machine(machine: Machine) -> None:
    allow, eperm, eacces, enosys, kill = 0x7FFF0000, 0x50001, 0x5000D, 0x50026, 0x80000000
    numbers = machine.numbers
    program = seccomp.filter_program(machine, process_id=77, may_open=True)
    closed = seccomp.filter_program(machine, process_id=77, may_open=False)

    def decided(name: str, *arguments: int) -> int:
        return interpreted(program, numbers[name], machine.audit_mark, arguments)

    assert decided("read", 3, 0, 10) == allow
    assert decided("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == allow
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND, 0x400000):
        assert decided("openat", 0, 0, flags) == eacces
    assert interpreted(closed, numbers["openat"], machine.audit_mark, (0, 0, 0)) == eacces
    assert decided("openat2") == enosys
    assert decided("clone3") == enosys
    # What glibc and musl ask for when they start a thread.
    assert decided("clone", 0x3D0F00) == allow
    assert decided("clone", 0x7D0F00) == allow
    for flags in (17, 0x4111, 0x3D0F00 & ~0x10000, 0x3D0F00 | 0x40000000):
        assert decided("clone", flags) == eperm
    assert decided("tgkill", 77, 78, 6) == allow
    assert decided("tgkill", 76, 76, 9) == eperm
    assert decided("prlimit64", 0, 7, 0, 1) == allow
    assert decided("prlimit64", 0, 7, 1 << 32, 1) == eperm
    assert decided("madvise", 0, 0, 4) == allow
    assert decided("madvise", 0, 0, 100) == eperm
    assert decided("fcntl", 3, 8) == eperm
    assert decided("capset") == eperm
    assert decided("landlock_restrict_self") == eperm
    assert interpreted(program, numbers["read"], 0x40000003, ()) == kill
    assert interpreted(program, 0x40000000 | numbers["read"], machine.audit_mark, ()) == eperm
    assert interpreted(program, 5000, machine.audit_mark, ()) == eperm


def interpreted(program: list[seccomp.Instruction], number: int, mark: int, arguments: tuple[int, ...]) -> int:
    """What the kernel would decide: the few instructions of classic BPF that the filter uses."""
    data = number.to_bytes(4, "little") + mark.to_bytes(4, "little") + bytes(8)
    data += b"".join(value.to_bytes(8, "little") for value in (*arguments, *[0] * 6)[:6])
    place, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x20:
            accumulator = int.from_bytes(data[value : value + 4], "little")
        elif code == 0x54:
            accumulator &= value
        elif code in (0x15, 0x35):
            holds = accumulator == value if code == 0x15 else accumulator >= value
            place += if_true if holds else if_false
        else:
            assert code == 0x06
            return value


def needs_landlock(wanted: bool) -> None:
    assert MACHINE is not None
    try:
        landlock_version(MACHINE)
    except OSError:
        if wanted:
            pytest.skip("this kernel has no Landlock")
