"""How long work is stopped: by Ctrl-C, by a signal of the system, or by another process that asks for it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """What was asked for: finish what is in flight, or end at once."""

    def __init__(self) -> None:
        self.graceful = False
        self.immediate = False

    def ask(self) -> None:
        """The first time asks for a gentle end, the second time for one at once."""
        self.immediate = self.graceful
        self.graceful = True

    def poll(self) -> None:
        """Sees whether another process asks for the end; cheap, made to be called often."""


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal ask for a stop; what was set to be ignored stays ignored."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    previous_handlers = {}
    for number in _SIGNALS:
        # `nohup` ignores SIGHUP on purpose. A shell lets its background jobs ignore SIGINT, but a second process
        # that sends one means it.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            previous_handlers[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
