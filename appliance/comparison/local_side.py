"""One local side of a comparison: its engine in a child process, which a document may kill without harm to others."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path

from appliance.documents.sandbox import ReadReply
from appliance.engines.engine import Result
from appliance.engines.worker import start_engine
from appliance.ground.errors import ApplianceError
from appliance.jobs.answering import AnsweringEngine, DocumentText, EngineDeath
from appliance.jobs.ledger_writer import PendingDocument
from appliance.jobs.stopping import Stop

MAX_CRASHES = 2
_STARTS_WITHOUT_DOCUMENT = 3
_SILENCE_SECONDS = 900.0
"""An engine that says nothing for so long hangs; loading a large model from a slow disk takes minutes."""
_WAIT_SECONDS = 0.25


@dataclass(frozen=True)
class Text:
    """A document that was read."""

    id: int
    text: str
    crash_count: int
    """How many engines of this side died with it in work."""


@dataclass
class LocalSide:
    """Answers texts with one artifact; results come in any order."""

    artifact_dir: Path
    task_path: Path
    identity: str
    threads: int
    stop: Stop
    record_kill: Callable[[int], None]
    """Told the document that the engine died with, before it is tried again."""
    loaded: Callable[[], None]
    """Told when the model is loaded."""
    _apart: deque[DocumentText] = field(default_factory=deque)
    """Documents that were in work when an engine died: one at a time, after the others."""
    _waiting: deque[DocumentText] = field(default_factory=deque)
    _starts: int = 0

    def answer(self, texts: Iterator[Text]) -> Generator[Result]:
        """Answers each text once; one that kills the engine twice gets the error `engine_died`.

        Raises:
            ApplianceError: The engine cannot be opened, or dies without any document.
        """
        engine = AnsweringEngine(
            lambda: start_engine(self.artifact_dir, self.task_path, self.threads), self.identity, _SILENCE_SECONDS
        )
        try:
            while not self.stop.immediate:
                self._feed(engine, texts)
                if not engine.in_flight:
                    return
                connection = engine.connection
                assert connection is not None
                if wait([connection], timeout=_WAIT_SECONDS):
                    said = engine.receive()
                elif engine.overdue:
                    said = engine.kill_silent()
                else:
                    continue
                if engine.ready:
                    self.loaded()
                if isinstance(said, EngineDeath):
                    yield from self._engine_died(said)
                elif said is not None:
                    self._starts = 0
                    yield said[1]
        finally:
            engine.close()

    def _feed(self, engine: AnsweringEngine, texts: Iterator[Text]) -> None:
        while engine.room and not self.stop.graceful:
            text = self._next(texts)
            if text is None:
                if self._apart and not engine.in_flight:
                    engine.send(self._apart.popleft())
                return
            if text.document.crash_count:
                self._apart.append(text)
            else:
                engine.send(text)

    def _next(self, texts: Iterator[Text]) -> DocumentText | None:
        if self._waiting:
            return self._waiting.popleft()
        text = next(texts, None)
        if text is None:
            return None
        return DocumentText(PendingDocument(text.id, b"", text.crash_count), ReadReply(None, text.text))

    def _engine_died(self, death: EngineDeath) -> Iterator[Result]:
        """Documents in work are suspects and go apart; those still in the pipe are as before."""
        self._starts = 0 if death.in_work else self._starts + 1
        if self._starts >= _STARTS_WITHOUT_DOCUMENT:
            raise ApplianceError(
                f"the engine ended {self._starts} times without taking a document: {death.reason}",
                "check the free memory, and the model with `stillroom models verify`",
            )
        for text in death.untouched:
            (self._apart if text.document.crash_count else self._waiting).append(text)
        for text in death.in_work:
            self.record_kill(text.document.id)
            crash_count = text.document.crash_count + 1
            if crash_count < MAX_CRASHES:
                self._apart.append(replace(text, document=replace(text.document, crash_count=crash_count)))
                continue
            message = f"the engine died {crash_count} times with this document in work: {death.reason}"
            yield Result(str(text.document.id), None, error="engine_died", error_message=message)
