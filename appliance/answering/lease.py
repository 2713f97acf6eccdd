"""The lease of the machine's one engine: who holds it, who waits for it, and handing it over in turn.

Whoever opens a local engine holds the lease. Others wait in the order in which they came. A holder that stays for long,
such as a server, sees that somebody waits (`has_waiters`) and hands the lease over between two documents; it gets it
back after those who waited. All of it rests on file locks, so the death of a holder or of a waiter frees what it had.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.locks import open_lock, try_lock, unlock, wait_for_lock
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop

ENGINE_QUEUED = "queued: another process has the engine of this machine"
_POLL_SECONDS = 0.2


class Lease:
    """The engine of this machine, held by this process."""

    def __init__(self, descriptor: int, queue_dir: Path) -> None:
        self._descriptor = descriptor
        self._queue_dir = queue_dir

    @property
    def has_waiters(self) -> bool:
        """Whether somebody waits for the engine."""
        return bool(_waiting(self._queue_dir))

    def hand_over(self, stop: Stop) -> bool:
        """Lets those who wait have the engine, and waits for it behind them; False where the stop came first.

        The caller has closed its engine: two of them may not fit into the memory.
        """
        with _ticket(self._queue_dir) as ticket:
            unlock(self._descriptor)
            return _wait_for_turn(self._descriptor, self._queue_dir, ticket, stop)

    def check(self) -> None:
        """Refuses to be used after its end: two engines at once may not fit into the memory."""
        if self._descriptor < 0:
            raise ValueError("the lease of the engine has ended")

    def release(self) -> None:
        """Gives the engine up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def engine_lease(settings: Settings, stop: Stop, on_wait: Callable[[], None] = lambda: None) -> Iterator[Lease | None]:
    """Waits for the engine and holds it; None where the stop came first.

    Args:
        on_wait: Called once where another one has the engine.

    Raises:
        ResourceError: The home folder cannot be written.
    """
    lease = _open_lease(settings)
    try:
        with _ticket(lease._queue_dir) as ticket:
            is_held = _wait_for_turn(lease._descriptor, lease._queue_dir, ticket, stop, on_wait)
        yield lease if is_held else None
    finally:
        lease.release()


@contextmanager
def free_engine(settings: Settings) -> Iterator[Lease]:
    """Holds the engine where nobody has it: a person who looks at three rows does not want to queue.

    Raises:
        ResourceError: Another process has the engine or waits for it.
    """
    lease = _open_lease(settings)
    try:
        if lease.has_waiters or not try_lock(lease._descriptor):
            raise ResourceError(
                "another process has the engine of this machine", "try again when it has ended or is paused"
            )
        yield lease
    finally:
        lease.release()


def _open_lease(settings: Settings) -> Lease:
    return Lease(open_lock(settings.home_dir / "engine.lock"), settings.home_dir / "engine.queue")


def _wait_for_turn(
    descriptor: int, queue_dir: Path, ticket: str, stop: Stop, on_wait: Callable[[], None] = lambda: None
) -> bool:
    """Waits until nobody has the engine and nobody came earlier; whether it is held now."""
    is_noted = False
    while not stop.graceful:
        if not any(other < ticket for other in _waiting(queue_dir)) and try_lock(descriptor):
            return True
        if not is_noted:
            on_wait()
            is_noted = True
        time.sleep(_POLL_SECONDS)
        stop.poll()
    return False


@contextmanager
def _ticket(queue_dir: Path) -> Iterator[str]:
    """A place in the queue: a file that is locked as long as its owner lives."""
    name = f"{time.monotonic_ns():020}-{secrets.token_hex(4)}"
    hidden, path = queue_dir / f".{name}", queue_dir / name
    try:
        queue_dir.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ResourceError(
            f"cannot wait in {queue_dir}: {error.strerror}", "check the permissions and the free space"
        ) from error
    try:
        # Locked before others can see it: one that is not locked is a dead process's.
        wait_for_lock(descriptor)
        os.rename(hidden, path)
        yield name
    finally:
        for file in (hidden, path):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        os.close(descriptor)


def _waiting(queue_dir: Path) -> list[str]:
    """Tickets of living processes, the earliest first; those of dead ones are taken away."""
    names: list[str] = []
    try:
        entries = sorted(entry for entry in os.listdir(queue_dir) if not entry.startswith("."))
    except FileNotFoundError:
        return names
    for name in entries:
        try:
            descriptor = os.open(queue_dir / name, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if not try_lock(descriptor, shared=True):
                names.append(name)
                continue
            with contextlib.suppress(OSError):
                (queue_dir / name).unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return names
