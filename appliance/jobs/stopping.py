"""How a run is stopped: by Ctrl-C, by a signal of the system, or by another process that asks for it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from appliance.jobs.locks import JobLock, clear_request, requested_stop
from appliance.jobs.states import State

_LOOK_SECONDS = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """What was asked for: finish what is in flight, or end at once; and the state that the job is left in."""

    def __init__(self, lock: JobLock | None = None) -> None:
        self.graceful = False
        self.immediate = False
        self.state = State.INTERRUPTED
        self._lock = lock
        self._last_look = 0.0

    def ask(self) -> None:
        """The first time asks for a gentle end, the second time for one at once."""
        self.immediate = self.graceful
        self.graceful = True

    def look(self) -> None:
        """Sees whether another process asked to pause or cancel the job; cheap, made to be called often."""
        now = time.monotonic()
        if self._lock is None or now - self._last_look < _LOOK_SECONDS:
            return
        self._last_look = now
        wanted = requested_stop(self._lock)
        if wanted is None:
            return
        clear_request(self._lock)
        self.state = wanted
        self.graceful = True
        self.immediate = self.immediate or wanted is State.CANCELLED


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal ask for a stop; what was set to be ignored stays ignored."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    former = {}
    for number in _SIGNALS:
        # `nohup` ignores SIGHUP on purpose. A shell lets its background jobs ignore SIGINT, but a second process
        # that sends one means it.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            former[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
