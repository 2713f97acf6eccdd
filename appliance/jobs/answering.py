"""The engine's child as the supervisor sees it: what it was sent, what it has in work, and whom its death concerns."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from appliance.documents.sandbox import ReadReply
from appliance.engines.engine import Result
from appliance.engines.worker import result_from_message
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.jobs.ledger_writer import PendingDocument

SENT_AHEAD = 16
"""Documents that the engine has or finds in its pipe; twice the slots keep it busy while rows are written."""
_MOST_SENT_AHEAD = 256
"""Of an engine that answers so many in a second: an encoder computes texts of like length together, and finds more of
them among many."""
_MOST_SENT_CHARACTERS = 4_000_000
"""What was sent is in memory twice."""


@dataclass(frozen=True)
class DocumentText:
    """A document that was read and waits for an answer."""

    document: PendingDocument
    reply: ReadReply


@dataclass(frozen=True)
class EngineDeath:
    """An engine is gone: the documents it had in work, and those that were only on their way to it."""

    reason: str
    in_work: list[DocumentText]
    untouched: list[DocumentText]


class AnsweringEngine:
    """Starts the child when there is something to ask, and again after it died."""

    def __init__(
        self,
        start: Callable[[], child.Child],
        model: str,
        silence_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._model = model
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._child: child.Child | None = None
        self._heard = 0.0
        self._sent: dict[str, DocumentText] = {}
        self._taken: set[str] = set()
        self._sent_characters = 0
        self._answered: deque[tuple[float, int]] = deque()
        """When the latest answers came, and how many characters their documents have."""
        self._answered_characters = 0
        self.ready = False

    @property
    def connection(self) -> Connection | None:
        """What to wait on; None where nothing is expected."""
        return self._child.connection if self._child is not None and (self._sent or not self.ready) else None

    @property
    def in_flight(self) -> int:
        """How many documents it was sent that have no answer yet."""
        return len(self._sent)

    @property
    def room(self) -> bool:
        """Whether it takes another document; a suspect of an earlier death is answered alone.

        As many are on their way as it answers in a second, so that it never waits for the next ones, and whoever stops
        the run does not wait long for it.
        """
        if self._sent and next(iter(self._sent.values())).document.crash_count:
            return False
        if len(self._sent) < SENT_AHEAD:
            return True
        self._forget_former()
        most_characters = min(self._answered_characters, _MOST_SENT_CHARACTERS)
        return len(self._sent) < len(self._answered) and self._sent_characters < most_characters

    def _forget_former(self) -> None:
        """Leaves of the latest answers those of the last second."""
        since = self._clock() - 1.0
        while self._answered and (self._answered[0][0] < since or len(self._answered) > _MOST_SENT_AHEAD):
            self._answered_characters -= self._answered.popleft()[1]

    @property
    def overdue(self) -> bool:
        """Whether it said nothing for so long that it must hang."""
        return self.connection is not None and self._clock() - self._heard > self._silence_seconds

    def send(self, text: DocumentText) -> None:
        """Hands over a document; if the child is dying, `receive` tells of it after what it still said."""
        if self._child is None:
            self._child = self._start()
            self.ready = False
            self._heard = self._clock()
        if not self._sent and self.ready:
            self._heard = self._clock()
        key = str(text.document.id)
        self._sent[key] = text
        self._sent_characters += len(text.reply.text)
        try:
            self._child.send({"key": key, "text": text.reply.text})
        except child.ChildDied:
            return

    def receive(self) -> tuple[DocumentText, Result] | EngineDeath | None:
        """The next thing that the child said; None where it is about no answer.

        Raises:
            ApplianceError: The engine cannot be opened, or holds another model.
        """
        assert self._child is not None
        self._heard = self._clock()
        try:
            message = self._child.receive()
            if "refused" in message:
                error = ApplianceError(str(message["refused"]), str(message.get("hint", "")))
                error.exit_code = int(message.get("exit_code", 1))
                raise error
            if "ready" in message:
                self._is_ready(str(message["ready"]))
            elif "taken" in message:
                self._taken.add(str(message["taken"]))
            elif "result" in message:
                result = result_from_message(message)
                self._taken.discard(result.key)
                text = self._sent.pop(result.key)
                self._is_answered(len(text.reply.text))
                return text, result
            return None
        except child.ChildDied as death:
            return self._death(death.reason())

    def kill_silent(self) -> EngineDeath:
        """Ends a child that hangs; what it had in work is as suspect as after a crash."""
        return self._death(f"killed: it said nothing for {self._silence_seconds:g} s")

    def close(self) -> None:
        """Ends the child at once."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _is_answered(self, characters: int) -> None:
        self._sent_characters -= characters
        self._answered.append((self._heard, characters))
        self._answered_characters += characters
        self._forget_former()

    def _is_ready(self, identity: str) -> None:
        if identity != self._model:
            raise ApplianceError(
                f"the engine holds model {identity[:16]}, the job was made for {self._model[:16]}",
                "run the job again: another model is another job",
            )
        self.ready = True

    def _death(self, reason: str) -> EngineDeath:
        self.close()
        in_work = [text for key, text in self._sent.items() if key in self._taken]
        untouched = [text for key, text in self._sent.items() if key not in self._taken]
        self._sent.clear()
        self._taken.clear()
        self._sent_characters = 0
        return EngineDeath(reason, in_work, untouched)
