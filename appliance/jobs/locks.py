"""The lock of a job's or comparison's folder: one process changes it at a time; others see which, and ask it to stop.

The lock file names its holder while it is held. A request to stop names the holder that it is for, so a request that
comes too late is nobody's: a later run never obeys it.
"""

import contextlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import is_at, write_file
from appliance.ground.json_text import json_text
from appliance.ground.locks import try_lock
from appliance.ground.processes import process_identity
from appliance.ground.users import current_user
from appliance.jobs.states import State

_LOCK_NAME = "lock"
_REQUEST_NAME = "stop-request"
_PATIENCE_SECONDS = 2.0
"""How long to wait for a holder that only changes something; those take milliseconds."""
_POLL_SECONDS = 0.02


class Purpose(StrEnum):
    """Why a process holds a job."""

    RUN = "run"
    CHANGE = "change"


@dataclass(frozen=True)
class Holder:
    """The living process that holds a job."""

    purpose: Purpose
    identity: str
    """Names the process for good: pid, start time and boot."""
    token: str
    """Names this one time that the job is held."""
    user: str = ""
    """Who started it; empty where it was started by an earlier version."""

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self.identity.partition(" ")[0])

    def text(self) -> str:
        """The process for a person, as far as it is known."""
        return f"process {self.pid} of user {self.user}" if self.user else f"process {self.pid}"


class JobLock:
    """A job held by this process; let go by `release`, at the end of a `with`, or by the death of the process."""

    def __init__(self, directory: Path, descriptor: int, token: str) -> None:
        self.directory = directory
        self.token = token
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets the job go."""
        if self._descriptor >= 0:
            # The lock goes with the descriptor; a name that a failing disk keeps counts as long as this process lives.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "JobLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take_lock(directory: Path, purpose: Purpose, noun: str = "job") -> JobLock:
    """Holds the job, or the comparison, for this process.

    Raises:
        ResourceError: Another process runs it.
        UsageError: It was removed.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    identity = process_identity(os.getpid())
    while True:
        descriptor = _open(directory, noun)
        if not try_lock(descriptor):
            os.close(descriptor)
            holder = lock_holder(directory)
            if (holder is not None and holder.purpose is Purpose.RUN) or time.monotonic() > deadline:
                verb = "pause" if noun == "job" else "show"
                whose = f" ({holder.text()})" if holder is not None else ""
                raise ResourceError(
                    f"{noun} {directory.name} is running in another process{whose}",
                    f"wait for it, or `stillroom {noun}s {verb} {directory.name}`",
                )
            time.sleep(_POLL_SECONDS)
            continue
        if is_at(descriptor, directory / _LOCK_NAME):
            token = secrets.token_hex(8)
            _sign(directory, descriptor, {"purpose": purpose, "mark": identity, "token": token, "user": current_user()})
            return JobLock(directory, descriptor, token)
        # The folder was removed while this process waited for its lock.
        os.close(descriptor)


def _sign(directory: Path, descriptor: int, values: dict[str, str]) -> None:
    """Writes into the lock file who holds it; lets the lock go if the disk refuses."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json_text(values, ascii_only=True).encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise _cannot_lock(directory, error) from error


def lock_holder(directory: Path) -> Holder | None:
    """The living process that holds the job; takes no lock, so it never stands in anybody's way."""
    try:
        values = json.loads((directory / _LOCK_NAME).read_bytes())
        holder = Holder(
            Purpose(values["purpose"]), str(values["mark"]), str(values["token"]), str(values.get("user", ""))
        )
        return holder if process_identity(holder.pid) == holder.identity else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def request_stop(directory: Path, holder: Holder, state: State) -> None:
    """Asks the process that runs the job to stop and leave the job in this state."""
    write_file(directory / _REQUEST_NAME, json_text({"token": holder.token, "wanted": state}, ascii_only=True).encode())


def requested_stop(lock: JobLock) -> State | None:
    """The state in which the holder of this lock was asked to leave the job."""
    try:
        values = json.loads((lock.directory / _REQUEST_NAME).read_bytes())
        return State(values["wanted"]) if values["token"] == lock.token else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def clear_request(lock: JobLock) -> None:
    """Takes a request away that was obeyed, or that nobody is there to obey."""
    # One that cannot be taken away names a holder that is gone, so nobody obeys it.
    with contextlib.suppress(OSError):
        (lock.directory / _REQUEST_NAME).unlink()


def _open(directory: Path, noun: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(directory / _LOCK_NAME, flags, 0o600)
    except FileNotFoundError as error:
        raise UsageError(f"there is no {noun} {directory.name}", f"`stillroom {noun}s list` shows all ids") from error
    except OSError as error:
        raise _cannot_lock(directory, error) from error


def _cannot_lock(directory: Path, error: OSError) -> ResourceError:
    return ResourceError(f"cannot lock {directory}: {error.strerror}", "check the rights and the free space")
