"""One engine at a time on a machine: a file of the home folder that whoever opens an engine locks."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.ground.locks import open_lock, try_lock
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
            taken = try_lock(descriptor)
            if not taken:
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
    return open_lock(settings.home_dir / "engine.lock")
