"""How many requests are under way at a time: fewer where a frontier says that all are too many, slowly more again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOWERED = 0.5
_LOOK_SECONDS = 0.25
"""How often somebody who waits looks whether the run was stopped."""


class AdaptiveSlots:
    """Additive increase, multiplicative decrease.

    Source: Chiu and Jain 1989, Analysis of the increase and decrease algorithms for congestion avoidance.
    """

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._most, self._limit, self._used, self._stop = most, float(most), 0, stop
        self._lowered_at = 0.0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Waits for a place, and gives it back; after a stop nobody waits."""
        with self._changed:
            while self._used >= self.limit and not self._stop.is_set():
                self._changed.wait(_LOOK_SECONDS)
            self._used += 1
        try:
            yield
        finally:
            with self._changed:
                self._used -= 1
                self._changed.notify_all()

    def raise_limit(self) -> None:
        """A request was answered: after as many as are under way there is room for one more."""
        with self._changed:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._changed.notify_all()

    def lower_limit(self, began: float) -> None:
        """A request was refused because of the rate.

        Args:
            began: Monotonic time at which it was sent: what was sent before the last change says nothing new.
        """
        with self._changed:
            if began >= self._lowered_at:
                self._limit = max(1.0, self._limit * LOWERED)
                self._lowered_at = time.monotonic()
