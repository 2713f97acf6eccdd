"""One shard of a job on one node: `stillroom run --shard` in a process of its own, with its state on the node's disk.

The shard's output folder, on storage that all nodes see, gets the rows and a copy of the ledger, so the state may go
when the process ends. Nothing here knows which scheduler asks for the shard.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass

from appliance.ground.json_text import json_text
from appliance.ground.settings import HOME_VARIABLE, THREADS_VARIABLE

# The run ends gently when the worker that started it dies: nobody would wait for it any more.
_START = (
    "import ctypes, json, signal, sys; ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0);"
    " sys.path[:] = json.loads(sys.argv.pop(1)); from appliance.cli import main; sys.exit(main())"
)
_STDERR_BYTES = 4000


@dataclass(frozen=True)
class ShardEnd:
    """How the process of a shard ended."""

    exit_code: int
    documents: int
    failed: int
    message: str
    """The error where there was one."""
    hint: str
    node: str


class ShardProcess:
    """Runs one shard at a time and can be asked from another thread to stop it."""

    def __init__(self, state_dir: str | None, threads: int) -> None:
        """Makes nothing yet.

        Args:
            state_dir: Folder on the node's own disk; None means the one for temporary files.
            threads: Threads of the engine.
        """
        self._state_dir = state_dir
        self._threads = threads
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self, arguments: list[str]) -> ShardEnd:
        """Runs `stillroom` with these arguments and an empty home of its own; waits for its end."""
        try:
            return self._run(arguments)
        except OSError as error:
            where = self._state_dir or tempfile.gettempdir()
            message = f"the state of a shard cannot be kept in {where}: {error.strerror}"
            return ShardEnd(4, 0, 0, message, "name another folder with `--state`", platform.node())

    def _run(self, arguments: list[str]) -> ShardEnd:
        with tempfile.TemporaryDirectory(prefix="stillroom-shard-", dir=self._state_dir) as home:
            with self._lock:
                if self._stopped:
                    return ShardEnd(130, 0, 0, "stopped before it began", "", platform.node())
                self._process = subprocess.Popen(
                    # -P: never a module of the folder that somebody happened to stand in.
                    [sys.executable, "-P", "-c", _START, json_text(sys.path, ascii_only=True), *arguments],
                    env={**os.environ, HOME_VARIABLE: home, THREADS_VARIABLE: str(self._threads)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="backslashreplace",
                    start_new_session=True,
                )
            stdout, stderr = self._process.communicate()
            return _end(self._process.returncode, stdout, stderr)

    def stop(self) -> None:
        """Lets the shard in work finish what is in flight; later ones do not begin."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)


def _end(exit_code: int, stdout: str, stderr: str) -> ShardEnd:
    report = {"error": "", "hint": ""}
    for line in stderr.splitlines():
        kind, separator, text = line.partition(": ")
        if separator and kind in report:
            report[kind] = text
    if exit_code < 0:
        report["error"] = f"killed by signal {-exit_code}"
    try:
        summary = json.loads(stdout)
        documents, failed = int(summary["total"]), int(summary["failed"])
    except (ValueError, KeyError, TypeError):
        documents = failed = 0
    message = report["error"] or ("" if exit_code in (0, 3) else stderr[-_STDERR_BYTES:].strip())
    return ShardEnd(exit_code, documents, failed, message, report["hint"], platform.node())
