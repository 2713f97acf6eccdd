"""Several processes that train one run on this machine: started together, ended together."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from appliance.ground.errors import ResourceError
from training.ranks import LAUNCHED_VARIABLE

SECONDS_TO_END = 15.0
"""What the others have, after one has ended early, to notice it and say so."""


@dataclass
class _Rank:
    number: int
    process: "subprocess.Popen[bytes]"
    stderr: IO[bytes] | None
    """Of all but the first: shown where one of them is the first to fail."""


def launch(processes: int, arguments: Sequence[str], oom_kills_path: Path = Path("/proc/vmstat")) -> int:
    """Runs the command line in several processes that find one another; what the first writes is seen.

    Args:
        arguments: Of `stillroom`, without its name.
        oom_kills_path: Where the kernel counts the processes that it killed for want of memory.

    Returns:
        The exit code.

    Raises:
        ResourceError: A process was killed.
    """
    kills_before, meeting_dir = _oom_kills(oom_kills_path), Path(tempfile.mkdtemp(prefix="stillroom-"))
    ranks = [_start(number, processes, arguments, meeting_dir / "ranks") for number in range(processes)]
    ended: queue.Queue[_Rank] = queue.Queue()
    for each in ranks:
        threading.Thread(target=_wait, args=(each, ended), daemon=True).start()
    first_failed: _Rank | None = None
    try:
        for _ in ranks:
            try:
                each = ended.get(timeout=SECONDS_TO_END if first_failed else None)
            except queue.Empty:
                break
            if each.process.returncode and first_failed is None:
                first_failed = each
    except KeyboardInterrupt:  # the terminal sends it to all of them; each says how it goes on
        for _ in ranks:
            ranks[0].process.wait()
        return ranks[0].process.returncode or 130
    else:
        if first_failed is None:
            return 0
        _end(ranks)
        return _ending(first_failed, len(ranks), _oom_kills(oom_kills_path) > kills_before)
    finally:
        _end(ranks)
        for each in ranks:
            if each.stderr:
                each.stderr.close()
        shutil.rmtree(meeting_dir, ignore_errors=True)


def rank_environment(number: int, count: int, meeting_path: Path) -> dict[str, str]:
    """The environment of one of so many processes of this machine, which meet in a file that is not there yet."""
    threads = max(1, (os.cpu_count() or 1) // count)
    # They are on one machine, so nothing needs to listen on its network.
    loopback = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    return {"OMP_NUM_THREADS": str(threads)} | os.environ | loopback | {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        LAUNCHED_VARIABLE: str(meeting_path),
    }  # fmt: skip


def _start(number: int, count: int, arguments: Sequence[str], meeting_path: Path) -> _Rank:
    stderr = tempfile.TemporaryFile() if number else None  # noqa: SIM115 (it lives as long as the process)
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", *arguments],
        env=rank_environment(number, count, meeting_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if number else None,
        stderr=stderr,
    )
    return _Rank(number, process, stderr)


def _end(ranks: Sequence[_Rank]) -> None:
    for each in ranks:
        each.process.kill()
        each.process.wait()


def _wait(each: _Rank, ended: "queue.Queue[_Rank]") -> None:
    each.process.wait()
    ended.put(each)


def _ending(failed: _Rank, count: int, is_kernels: bool) -> int:
    """What the first process that failed says to a person, or its exit code where it said it itself."""
    code = failed.process.returncode
    if code < 0:
        number = -code
        name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
        who = "the kernel killed it because memory ran out" if is_kernels else f"it was killed by {name}"
        raise ResourceError(
            f"process {failed.number + 1} of {count} of this run ended: {who}",
            "use --micro-batch-tokens 256, --checkpointing or fewer --processes" if is_kernels else "find out who did",
        )
    if failed.stderr:
        failed.stderr.seek(0)
        sys.stderr.write(failed.stderr.read().decode("utf-8", "replace"))
    return code


def _oom_kills(path: Path) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
