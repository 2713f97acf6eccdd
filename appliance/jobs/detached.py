"""Starts the command line in a process session of its own, so that a job outlives the terminal it was started from."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.processes import process_identity
from appliance.ground.settings import HOME_VARIABLE, THREADS_VARIABLE, Settings
from appliance.jobs.ledger import open_readonly
from appliance.jobs.locks import Purpose, lock_holder
from appliance.jobs.states import State

LOG_NAME = "run.log"
_LOG_BYTES = 1 << 20
"""A longer log of previous runs is begun anew."""
_LAUNCH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
"""The shell ends at once, so that the job is nobody's child and leaves no zombie in a screen that started it."""
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05


def log_path(directory: Path) -> Path:
    """Where a job in the background writes what it would say on a terminal."""
    return directory / LOG_NAME


def refuse_running(directory: Path, noun: str = "job") -> None:
    """Checks that nobody runs the job, or the comparison.

    Raises:
        ResourceError: Somebody does.
    """
    holder = lock_holder(directory)
    if holder is not None and holder.purpose is Purpose.RUN:
        raise ResourceError(
            f"{noun} {directory.name} is running already, as {holder.text()}",
            f"`stillroom {noun}s show {directory.name}` shows how far it is",
        )


def start_and_wait(
    settings: Settings, directory: Path, arguments: list[str], is_done: Callable[[Path], bool] | None = None
) -> None:
    """Starts `stillroom` with these arguments for the job of this folder, and waits until it has the job in hand.

    Args:
        is_done: Whether a process that has ended already has done all its work; by default, whether the job is done.

    Raises:
        ApplianceError: The process ended with an error before that.
    """
    log = log_path(directory)
    log_bytes_before = _prepare_log(log)
    pid = _launch(settings, log, arguments)
    identity = process_identity(pid)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        holder = lock_holder(directory)
        if holder is not None and holder.pid == pid:
            return
        if not identity or process_identity(pid) != identity:
            if not (is_done or _is_done)(directory):
                _refuse_failed(log, log_bytes_before)
            return
        time.sleep(_POLL_SECONDS)


def _prepare_log(log: Path) -> int:
    """Makes the log, readable only by its owner; gives its length."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ResourceError(f"cannot write {log}: {error.strerror}", "check the free space and the rights") from error
    try:
        if os.fstat(descriptor).st_size > _LOG_BYTES:
            os.ftruncate(descriptor, 0)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _launch(settings: Settings, log: Path, arguments: list[str]) -> int:
    environment = {
        **os.environ,
        HOME_VARIABLE: str(settings.home_dir),
        THREADS_VARIABLE: str(settings.threads),
    }
    # -P: never a module of the folder that somebody happened to stand in.
    command = [sys.executable, "-P", "-m", "appliance.cli", *arguments]
    started = subprocess.run(
        ["/bin/sh", "-c", _LAUNCH, "sh", str(log), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=settings.home_dir,
        env=environment,
        start_new_session=True,
    )
    if not started.stdout.strip().isdigit():
        problem = f"the background process cannot be started: {started.stderr.strip()}"
        raise ResourceError(problem, "check the free memory and the limit of processes (`ulimit -u`)")
    return int(started.stdout)


def _is_done(directory: Path) -> bool:
    with contextlib.suppress(ApplianceError), open_readonly(directory) as reader:
        return reader.summary().state is State.DONE
    return False


def _refuse_failed(log: Path, log_bytes_before: int) -> None:
    """Says what the last words of a process say that ended without its work.

    Raises:
        ApplianceError: Always.
    """
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(log_bytes_before)
        lines = file.read().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    raise ApplianceError(
        errors[-1] if errors else "the background process ended right after its start",
        hints[-1] if hints else f"its log is {log}",
    )
