"""Names processes for good, so that a pid which is used again is not taken for the process that is gone."""

from pathlib import Path


def process_identity(pid: int) -> str:
    """Names one process for good: pid, start time and boot, as pids are used again; empty if it is gone."""
    try:
        # A program's name in there may be any bytes.
        facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
        if facts[0] in "ZX":  # It ended, and its parent has not noticed yet.
            return ""
        start = facts[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError):
        return ""
    return f"{pid} {start} {boot}"


def is_alive(identity: str) -> bool:
    """Whether the process that was named so still runs."""
    pid = identity.partition(" ")[0]
    return pid.isdigit() and process_identity(int(pid)) == identity
