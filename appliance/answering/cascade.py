"""Answers from a local model, and from a frontier for what the local model is not sure of."""

from collections.abc import Container, Iterator
from multiprocessing.connection import Connection

from appliance.answering.answerer import Answerer
from appliance.engines.engine import Request, Result
from appliance.routing.cascade import escalation, merge
from appliance.tasks.task import Task

OUTSIDE_DOCUMENTS = 64
"""Documents outside at a time, those waiting for their turn among them; bounds what a kill makes to be sent again."""


class CascadeAnswerer:
    """Every document goes to the first answerer; what it is less sure of than the threshold goes on to the second."""

    def __init__(self, local: Answerer, remote: Answerer, task: Task, threshold: float) -> None:
        self._local, self._remote, self._task, self._threshold = local, remote, task, threshold
        self._requests: dict[str, Request] = {}
        self._escalated: dict[str, tuple[Request, Result]] = {}
        self._is_stopped = False

    @property
    def room(self) -> bool:
        """Whether it takes another document; a full frontier holds up the local engine, which is far faster."""
        return self._local.room and self._remote.room

    @property
    def in_flight(self) -> int:
        """Documents without a result yet."""
        return self._local.in_flight + self._remote.in_flight

    @property
    def is_ready(self) -> bool:
        """Whether the local model is loaded."""
        return self._local.is_ready

    @property
    def connections(self) -> list[Connection]:
        """What to wait on."""
        return self._local.connections + self._remote.connections

    @property
    def ended(self) -> tuple[str, str] | None:
        """What ended the sending; local answers go on."""
        return self._remote.ended

    def send(self, request: Request) -> None:
        """Hands a document to the local model."""
        self._requests[request.key] = request
        self._local.send(request)

    def arrived(self, ready: Container[object]) -> Iterator[Result]:
        """Local answers that stand, and what came back for the others.

        Raises:
            ApplianceError: Nothing can be answered any more.
        """
        for local in self._local.arrived(ready):
            request = self._requests.pop(local.key)
            escalated = escalation(self._task, request.text, local, self._threshold, request.name)
            if escalated is None:
                yield local
            elif not self._is_stopped:
                # Where the run is being stopped, an unsure document gets no row: the next run asks again.
                self._escalated[escalated.key] = (escalated, local)
                self._remote.send(escalated)
        for remote in self._remote.arrived(ready):
            yield merge(self._task, *self._escalated.pop(remote.key), remote)

    def stop_sending(self) -> None:
        """Begins no further document: what is under way still arrives."""
        self._is_stopped = True
        self._local.stop_sending()
        self._remote.stop_sending()

    def close(self) -> None:
        """Ends both."""
        try:
            self._local.close()
        finally:
            self._remote.close()
