"""One engine at a time on a machine: a file of the home folder that whoever opens an engine locks."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.ground.errors import ResourceError
from appliance.ground.settings import Settings
from appliance.jobs.stopping import Stop

_WAIT_SECONDS = 0.2


@contextmanager
def engine_lock(settings: Settings, stop: Stop) -> Iterator[bool]:
    """One engine at a time on a machine: later jobs wait here and show as queued; False where one was stopped."""
    descriptor = open_engine_lock(settings)
    try:
        taken = False
        while not taken and not stop.graceful:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = True
            except BlockingIOError:
                time.sleep(_WAIT_SECONDS)
                stop.look()
        yield taken
    finally:
        os.close(descriptor)


def open_engine_lock(settings: Settings) -> int:
    """A descriptor of the file that the machine's one engine locks.

    Raises:
        ResourceError: The home folder cannot be written.
    """
    path = settings.home_dir / "engine.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ResourceError(f"cannot open {path}: {error.strerror}", "check the rights and the free space") from error
