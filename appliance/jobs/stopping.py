"""How the run of a job is stopped from another process."""

import time

from appliance.ground.stopping import Stop
from appliance.jobs.locks import JobLock, clear_request, requested_stop
from appliance.jobs.states import State

_POLL_SECONDS = 0.2


class JobStop(Stop):
    """A stop that `jobs pause` and `jobs cancel` reach, with the state that the job is left in."""

    def __init__(self, lock: JobLock) -> None:
        super().__init__()
        self.state = State.INTERRUPTED
        self._lock = lock
        self._last_poll = 0.0

    def poll(self) -> None:
        """Sees whether another process asked to pause or cancel the job."""
        now = time.monotonic()
        if now - self._last_poll < _POLL_SECONDS:
            return
        self._last_poll = now
        requested = requested_stop(self._lock)
        if requested is None:
            return
        clear_request(self._lock)
        self.state = requested
        self.graceful = True
        self.immediate = self.immediate or requested is State.CANCELLED
