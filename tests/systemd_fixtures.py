"""A machine of its own for a test: the real systemd as process 1 in namespaces, upon a copy-on-write view of this root.

Nothing that happens there changes this machine: its files lie in memory, its control groups in a group of their own,
and it has no network. What is to be seen afterwards is in the folders that a test mounts.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SYSTEMD_PATH = Path("/lib/systemd/systemd")
SHARE = "/run-of-a-test"
"""Where the machine has the folder that it shares with the test."""
LAST_SECONDS = 240
BOOT = """set -eu
top=$1 units=$2
shift 2
mount --make-rprivate /
mount -t tmpfs none "$top"
mkdir "$top/upper" "$top/work" "$top/root"
root=$top/root
mount -t overlay -o lowerdir=/,upperdir="$top/upper",workdir="$top/work" none "$root"
mount -t proc none "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -o remount,ro "$root/sys"
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs -o mode=755 none "$root/dev"
for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none "$root/dev/pts"
mount -t tmpfs none "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
while [ $# -gt 0 ]; do
    [ -e "$root$2" ] || mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
rm -rf "$root"/lib/systemd/system/*.wants "$root/etc/systemd/system"
mkdir -p "$root/etc/systemd/system" "$root/old"
cp -R "$units/." "$root/etc/systemd/system/"
cd "$root"
pivot_root . old
umount -l /old
export container=other
exec /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=0 </dev/null
"""
UNITS = {
    "test.target": "[Unit]\nDefaultDependencies=no\nWants=test.service\n",
    "test.service": f"""[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ExecStart=/bin/sh {SHARE}/script
ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS >{SHARE}/status'
StandardOutput=file:{SHARE}/stdout
StandardError=file:{SHARE}/stderr
TimeoutStartSec={LAST_SECONDS}
""",
    # There is no journal: what the batch units say goes to a file.
    "stillroom-batch-.service.d/log.conf": f"[Service]\nStandardOutput=append:{SHARE}/said\n"
    f"StandardError=append:{SHARE}/said\n",
}
WAITING = f"""mkfifo {SHARE}/pipe
cd /etc/systemd/system
printf '[Path]\\nPathExists=/srv/bills/rows/rows.jsonl\\n' >come.path
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "echo >{SHARE}/pipe"\\n' >come.service
systemctl daemon-reload
systemctl start come.path
"""
"""Afterwards `read` from the pipe returns when there are rows."""


@dataclass(frozen=True)
class SystemdMachine:
    """What is mounted where when a script is run under the real systemd."""

    root: Path
    mounts: dict[str, Path] = field(default_factory=dict)
    """Place in the machine -> folder of this one, or file for one that is there already."""

    @property
    def said(self) -> str:
        """All that the batch units have printed."""
        path = self.root / "share" / "said"
        return path.read_text() if path.exists() else ""

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Boots, runs the script as root, and powers off; a unit that the script made may run as well."""
        top, units, share = (self.root / name for name in ("top", "units", "share"))
        for name, text in UNITS.items():
            (units / name).parent.mkdir(parents=True, exist_ok=True)
            (units / name).write_text(text)
        for folder in (top, share):
            folder.mkdir(exist_ok=True)
        (share / "script").write_text(script)
        places = [part for place, folder in {**self.mounts, SHARE: share}.items() for part in (str(folder), place)]
        with control_group() as group:
            enter = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
            command = ["sh", "-c", enter, "sh", str(group), *NAMESPACES, "sh", "-c", BOOT, "sh", str(top), str(units)]
            booted = subprocess.run(
                [*command, *places], capture_output=True, text=True, check=False, timeout=LAST_SECONDS + 30
            )
        status_path = share / "status"
        assert status_path.exists(), f"the machine did not boot: {booted.stdout}{booted.stderr}"
        status = int(status_path.read_text())
        return subprocess.CompletedProcess(
            command, status, (share / "stdout").read_text(), (share / "stderr").read_text()
        )


NAMESPACES = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup")


@contextmanager
def control_group() -> Iterator[Path]:
    """A control group of its own, below the one of this process."""
    found = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", Path("/proc/self/mountinfo").read_text(), re.MULTILINE)
    own = re.search(r"^0::(/.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    assert found is not None
    assert own is not None
    group = Path(found[1]) / own[1].lstrip("/") / f"stillroom-test-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)


def why_no_systemd() -> str:
    """Why systemd cannot be started here; empty where it can."""
    if os.geteuid() != 0:
        return "only root can start a systemd of its own"
    if not SYSTEMD_PATH.is_file() or shutil.which("systemctl") is None:
        return "systemd is not installed"
    try:
        with control_group():
            pass
    except (OSError, AssertionError):
        return "this machine lets nobody make a control group"
    done = subprocess.run([*NAMESPACES, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this machine lets nobody make namespaces"
