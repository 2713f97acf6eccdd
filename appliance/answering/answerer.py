"""The one protocol by which everything is answered, and the loop for callers that have none of their own.

Requests go in while there is room; results come out in any order, each request's once. Whoever drives an answerer waits
on its connections, together with its own, and then asks for what has arrived:

    while answerer.in_flight:
        ready = wait(answerer.connections, timeout=0.25) if answerer.connections else []
        for result in answerer.arrived(ready): ...

The makers: `local.py` (an engine in a child process), `frontier.py` (a general model elsewhere, behind the egress gate)
and `cascade.py` (the first, and the second for what the first is not sure of).
"""

from collections.abc import Callable, Container, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Protocol

from appliance.engines.engine import Request, Result
from appliance.ground.stopping import Stop

WAIT_SECONDS = 0.25


class Answerer(Protocol):
    """Answers requests with one model, or with one and then another."""

    @property
    def room(self) -> bool:
        """Whether it takes another request now."""
        ...

    @property
    def in_flight(self) -> int:
        """How many requests it was sent that have no result yet."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it could answer at once; False while a model is being loaded."""
        ...

    @property
    def connections(self) -> list[Connection]:
        """What to wait on for the next result."""
        ...

    @property
    def ended(self) -> tuple[str, str] | None:
        """Error class and message of what ended the sending to a frontier, such as a cap; None while it goes on."""
        ...

    def send(self, request: Request) -> None:
        """Hands over a request; its result comes from `arrived`."""
        ...

    def arrived(self, ready: Container[object]) -> Iterator[Result]:
        """Results that have come, once each; call it after every wait, also after one that brought nothing.

        Args:
            ready: What the wait found ready.

        Raises:
            ApplianceError: Nothing can be answered any more.
        """
        ...

    def stop_sending(self) -> None:
        """Takes back requests that nobody has begun: they get no result. What is under way still arrives."""
        ...

    def close(self) -> None:
        """Ends it at once; what is under way gets no result."""
        ...


def answer_all(
    answerer: Answerer,
    requests: Iterable[Request],
    on_count: Callable[[int], None] = lambda _: None,
    stop: Stop | None = None,
) -> Iterator[Result]:
    """Results of all requests, in any order; after a stop only of those that are under way. Closes nothing.

    Args:
        on_count: Called with the number of results after each, and now and then with 0 before the first.
    """
    stop = stop or Stop()
    following = iter(requests)
    results = 0
    more = True
    while not stop.immediate and (more or answerer.in_flight):
        while more and answerer.room and not stop.graceful:
            request = next(following, None)
            if request is None:
                more = False
            else:
                answerer.send(request)
        if stop.graceful:
            more = False
            answerer.stop_sending()
        connections = answerer.connections
        for result in answerer.arrived(wait(connections, timeout=WAIT_SECONDS) if connections else []):
            results += 1
            on_count(results)
            yield result
        if not results:
            on_count(0)
        stop.poll()
