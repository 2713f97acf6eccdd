"""The lease of the machine's one engine: who holds it, who waits for it, and handing it over in turn.

Whoever opens a local engine holds the lease. Others wait in the order in which they came. A holder that stays for long,
such as a server, sees that somebody waits (`has_waiters`) and hands the lease over between two documents; it gets it
back after those who waited. All of it rests on file locks, so the death of a holder or of a waiter frees what it had.
The lock file says who holds the engine, what for and since when, so that whoever waits can tell for whom.
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.json_text import json_text
from appliance.ground.locks import open_lock, try_lock, unlock, wait_for_lock
from appliance.ground.processes import is_alive, process_identity
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop
from appliance.ground.users import current_user

OnWait = Callable[[str], None]
"""Called with one sentence that says who has the engine, once for each that has it while this one waits."""
QUEUED_PREFIX = "queued: "
_LOCK_NAME = "engine.lock"
_POLL_SECONDS = 0.2


def ignore_wait(reason: str) -> None:
    """For callers that say nothing of it."""


@dataclass(frozen=True)
class LeaseHolder:
    """The living process that has the engine of this machine."""

    purpose: str
    """What it does, such as `job orders-0123456789`."""
    identity: str
    """Names the process for good: pid, start time and boot."""
    user: str
    since: float
    """Seconds since the epoch."""

    def text(self) -> str:
        """One sentence for whoever waits."""
        today, began = time.strftime("%Y-%m-%d"), time.localtime(self.since)
        moment = time.strftime("%H:%M" if time.strftime("%Y-%m-%d", began) == today else "%Y-%m-%d %H:%M", began)
        pid = self.identity.partition(" ")[0]
        return f"{self.purpose} has the engine of this machine (process {pid} of user {self.user}, since {moment})"


def lease_holder(settings: Settings) -> LeaseHolder | None:
    """Who has the engine; None where nobody has it, or where its process says nothing of itself. Takes no lock."""
    try:
        values = json.loads((settings.home_dir / _LOCK_NAME).read_bytes())
        holder = LeaseHolder(
            str(values["purpose"]), str(values["mark"]), str(values["user"]), float(values["since"])
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return holder if is_alive(holder.identity) else None


def waiting_text(settings: Settings) -> str:
    """One sentence that says for whom a process that needs the engine waits."""
    holder = lease_holder(settings)
    return f"{QUEUED_PREFIX}{holder.text() if holder else 'another process has the engine of this machine'}"


class Lease:
    """The engine of this machine, held by this process."""

    def __init__(self, descriptor: int, settings: Settings, purpose: str) -> None:
        self._descriptor = descriptor
        self._settings = settings
        self._queue_dir = settings.home_dir / "engine.queue"
        self._purpose = purpose
        self._is_held = False

    @property
    def has_waiters(self) -> bool:
        """Whether somebody waits for the engine."""
        return bool(_waiting(self._queue_dir))

    def hand_over(self, stop: Stop) -> bool:
        """Lets those who wait have the engine, and waits for it behind them; False where the stop came first.

        The caller has closed its engine: two of them may not fit into the memory.
        """
        with _ticket(self._queue_dir) as ticket:
            self._sign({})
            self._is_held = False
            unlock(self._descriptor)
            return self._wait_for_turn(ticket, stop, ignore_wait)

    def wait(self, stop: Stop, on_wait: OnWait) -> bool:
        """Waits in turn until this process has the engine; False where the stop came first."""
        with _ticket(self._queue_dir) as ticket:
            return self._wait_for_turn(ticket, stop, on_wait)

    def take_free(self) -> bool:
        """Takes the engine where nobody has it and nobody waits for it."""
        if self.has_waiters or not try_lock(self._descriptor):
            return False
        self._sign_as_holder()
        return True

    def _wait_for_turn(self, ticket: str, stop: Stop, on_wait: OnWait) -> bool:
        """Waits until nobody has the engine and nobody came earlier; whether it is held now."""
        reason = ""
        while not stop.graceful:
            if not any(other < ticket for other in _waiting(self._queue_dir)) and try_lock(self._descriptor):
                self._sign_as_holder()
                return True
            # Between two holders nobody is named: that is no news.
            now = waiting_text(self._settings)
            if now != reason and (not reason or lease_holder(self._settings) is not None):
                on_wait(now)
                reason = now
            time.sleep(_POLL_SECONDS)
            stop.poll()
        return False

    def _sign_as_holder(self) -> None:
        """Writes into the lock file who holds it."""
        self._is_held = True
        identity = process_identity(os.getpid())
        self._sign({"purpose": self._purpose, "mark": identity, "user": current_user(), "since": time.time()})

    def _sign(self, values: dict[str, object]) -> None:
        # Only a help for those who wait: a disk that refuses it stops no work.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json_text(values).encode() if values else b"", 0)

    def check(self) -> None:
        """Refuses to be used after its end: two engines at once may not fit into the memory."""
        if self._descriptor < 0:
            raise ValueError("the lease of the engine has ended")

    def release(self) -> None:
        """Gives the engine up."""
        if self._descriptor >= 0:
            if self._is_held:
                self._sign({})
            os.close(self._descriptor)
            self._descriptor, self._is_held = -1, False


@contextmanager
def engine_lease(settings: Settings, stop: Stop, purpose: str, on_wait: OnWait = ignore_wait) -> Iterator[Lease | None]:
    """Waits for the engine and holds it; None where the stop came first.

    Args:
        purpose: What the engine is held for, as those who wait read it.

    Raises:
        ResourceError: The home folder cannot be written.
    """
    lease = _open_lease(settings, purpose)
    try:
        yield lease if lease.wait(stop, on_wait) else None
    finally:
        lease.release()


@contextmanager
def free_engine(settings: Settings, purpose: str) -> Iterator[Lease]:
    """Holds the engine where nobody has it: a person who looks at three rows does not want to queue.

    Raises:
        ResourceError: Another process has the engine or waits for it.
    """
    lease = _open_lease(settings, purpose)
    try:
        if not lease.take_free():
            raise ResourceError(
                waiting_text(settings).removeprefix(QUEUED_PREFIX), "try again when it has ended or is paused"
            )
        yield lease
    finally:
        lease.release()


def _open_lease(settings: Settings, purpose: str) -> Lease:
    return Lease(open_lock(settings.home_dir / _LOCK_NAME), settings, purpose)


@contextmanager
def _ticket(queue_dir: Path) -> Iterator[str]:
    """A place in the queue: a file that is locked as long as its owner lives."""
    try:
        queue_dir.mkdir(mode=0o700, exist_ok=True)
        path, descriptor = _take_place(queue_dir)
    except OSError as error:
        raise ResourceError(
            f"cannot wait in {queue_dir}: {error.strerror}", "check the permissions and the free space"
        ) from error
    try:
        yield path.name
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _take_place(queue_dir: Path) -> tuple[Path, int]:
    """A new ticket and its descriptor; it is locked before others see it, as one without a lock is a dead process's."""
    while True:
        name = f"{time.monotonic_ns():020}-{secrets.token_hex(4)}"
        hidden, path = queue_dir / f".{name}", queue_dir / name
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            wait_for_lock(descriptor)
            os.rename(hidden, path)
        except FileNotFoundError:
            # Somebody who looked in between took it for that of a dead process.
            os.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                hidden.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        else:
            return path, descriptor


def _waiting(queue_dir: Path) -> list[str]:
    """Tickets of living processes, the earliest first; those of dead ones are taken away."""
    names: list[str] = []
    try:
        entries = sorted(os.listdir(queue_dir))
    except FileNotFoundError:
        return names
    for name in entries:
        try:
            descriptor = os.open(queue_dir / name, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if try_lock(descriptor, shared=True):
                with contextlib.suppress(OSError):
                    (queue_dir / name).unlink(missing_ok=True)
            elif not name.startswith("."):
                names.append(name)
        finally:
            os.close(descriptor)
    return names
