"""The supervisor of a job: readers turn files into text, the engine's child answers, the ledger keeps what came of it.

One process and one thread own the ledger; everything that can crash lives in children. After the death of an engine
its documents are retried apart, one at a time, so that a document which kills engines is found and takes no other
with it: after two deaths it is quarantined.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from appliance import child
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import Reader, ReaderLimits, ReadReply
from appliance.engines.engine import Result
from appliance.engines.worker import result_from_message, start_engine
from appliance.errors import ApplianceError
from appliance.jobs.job import JobConfig, task_path
from appliance.jobs.ledger_writer import Ledger, Outcome, PendingDocument
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.tasks.task import Task, answer_problems
from appliance.tasks.values import evidence

MAX_KILLS = 2
_SENT_AHEAD = 16
"""Documents that the engine has or finds in its pipe; twice the slots keep it busy while rows are written."""
_READ_AHEAD = 32
"""Texts waiting for the engine; bounds the memory of the supervisor."""
_PAGE = 256
_GROUP = 64
"""Rows per transaction at most: one sync costs some milliseconds."""
_GROUP_SECONDS = 0.25
_STARTS_WITHOUT_RESULT = 3


@dataclass(frozen=True)
class Progress:
    """How far the run is."""

    finished: int
    failed: int
    waiting_for_engine: bool


@dataclass
class Stop:
    """What a person asked for: finish what is in flight, or end at once."""

    gently: bool = False
    at_once: bool = False


@dataclass(frozen=True)
class RunLimits:
    """What one run of a job may use."""

    readers: int = 2
    threads: int = 2
    reader_limits: ReaderLimits = field(default_factory=ReaderLimits)


@dataclass(frozen=True)
class _Text:
    """A document that was read and waits for an answer."""

    document: PendingDocument
    reply: ReadReply


class Supervisor:
    """One run of a job, from the documents without a row to the end of them."""

    def __init__(
        self, directory: Path, config: JobConfig, task: Task, ledger: Ledger, limits: RunLimits, stop: Stop
    ) -> None:
        self._directory, self._config, self._task, self._ledger = directory, config, task, ledger
        self._limits, self._stop = limits, stop
        self._folder = Path(config.documents_dir)
        self._readers = [Reader(limits.reader_limits) for _ in range(limits.readers)]
        self._reading: dict[int, PendingDocument] = {}
        """By the reader's position."""
        self._page: deque[PendingDocument] = deque()
        self._after = b""
        self._listed = False
        self._texts: deque[_Text] = deque()
        self._apart: deque[_Text] = deque()
        """Documents that were in work when an engine died: one at a time, after the others."""
        self._sent: dict[str, _Text] = {}
        self._taken: set[str] = set()
        self._engine: child.Child | None = None
        self._engine_ready = False
        self._starts_without_result = 0
        self._outcomes: list[Outcome] = []
        self._last_commit = time.monotonic()
        self.finished = 0
        self.failed = 0

    def run(self, report: Callable[[Progress], None]) -> None:
        """Works until every document has its row or a person stops it.

        Raises:
            ApplianceError: The engine cannot be opened, or the ledger cannot be written.
        """
        try:
            while not self._stop.at_once and self._step():
                report(Progress(self.finished, self.failed, bool(self._sent) and not self._engine_ready))
        finally:
            for reader in self._readers:
                reader.close()
            if self._engine is not None:
                self._engine.kill()
            self._commit()

    def _step(self) -> bool:
        """Hands out work, waits for what comes back; False when nothing is left."""
        if not self._stop.gently:
            self._feed_readers()
        self._feed_engine()
        waited: list[Connection] = [
            reader.connection for reader in self._readers if reader.busy and reader.connection is not None
        ]
        if self._engine is not None and (self._sent or not self._engine_ready):
            waited.append(self._engine.connection)
        if not waited:
            # Without anything in flight the feeders had nothing to hand out, or reading failed at once.
            self._commit()
            return self._work_left()
        ready = wait(waited, timeout=_GROUP_SECONDS)
        for position, reader in enumerate(self._readers):
            if reader.busy and (reader.connection in ready or reader.overdue):
                self._text_arrived(self._reading.pop(position), reader.finish())
        if self._engine is not None and self._engine.connection in ready:
            self._engine_spoke()
        if time.monotonic() - self._last_commit > _GROUP_SECONDS:
            self._commit()
        return True

    def _work_left(self) -> bool:
        if self._stop.gently:
            return bool(self._sent)
        return not self._listed or bool(self._page or self._texts or self._apart)

    def _feed_readers(self) -> None:
        for position, reader in enumerate(self._readers):
            while not reader.busy and len(self._texts) + len(self._reading) < _READ_AHEAD:
                document = self._next_document()
                if document is None:
                    return
                try:
                    reader.start(self._folder, document.path)
                    self._reading[position] = document
                except DocumentError as error:
                    self._fail(document, None, State.FAILED, error.problem.value, error.message)

    def _next_document(self) -> PendingDocument | None:
        if not self._page and not self._listed:
            self._page.extend(self._ledger.pending(self._after, _PAGE))
            self._listed = len(self._page) < _PAGE
            if self._page:
                self._after = self._page[-1].path
        return self._page.popleft() if self._page else None

    def _text_arrived(self, document: PendingDocument, reply: ReadReply) -> None:
        if reply.problem is None:
            text = _Text(document, reply)
            (self._apart if document.kills else self._texts).append(text)
            return
        if reply.problem is Problem.READER_DIED:
            document = self._killed(document, f"reader: {reply.message}")
            if document.kills < MAX_KILLS:
                self._page.appendleft(document)
                return
            self._fail(document, reply.sha256, State.QUARANTINED, reply.problem.value, reply.message)
            return
        self._fail(document, reply.sha256, State.FAILED, reply.problem.value, reply.message)

    def _killed(self, document: PendingDocument, detail: str) -> PendingDocument:
        self._ledger.record_kill([document], detail)
        return PendingDocument(document.id, document.path, document.kills + 1)

    def _feed_engine(self) -> None:
        alone = any(text.document.kills for text in self._sent.values())
        if self._stop.gently or alone or not (self._texts or self._apart):
            return
        if self._engine is None:
            self._engine = start_engine(
                Path(self._config.artifact_dir), task_path(self._directory), self._limits.threads
            )
            self._engine_ready = False
        while self._texts and len(self._sent) < _SENT_AHEAD:
            if not self._send(self._texts.popleft()):
                return
        if self._apart and not self._sent and not self._texts:
            self._send(self._apart.popleft())

    def _send(self, text: _Text) -> bool:
        assert self._engine is not None
        key = str(text.document.id)
        self._sent[key] = text
        try:
            self._engine.send({"key": key, "text": text.reply.text})
        except child.ChildDied:
            # What it said before it died is still to be read; the end of the connection comes after that.
            return False
        return True

    def _engine_spoke(self) -> None:
        assert self._engine is not None
        try:
            message = self._engine.receive()
            if "refused" in message:
                error = ApplianceError(str(message["refused"]), str(message.get("hint", "")))
                error.exit_code = int(message.get("exit_code", 1))
                raise error
            if "ready" in message:
                self._engine_is_ready(str(message["ready"]))
            elif "taken" in message:
                self._taken.add(str(message["taken"]))
            else:
                self._answer_arrived(result_from_message(message))
        except child.ChildDied as death:
            self._engine_died(death)

    def _engine_is_ready(self, identity: str) -> None:
        if identity != self._config.model:
            raise ApplianceError(
                f"the engine holds model {identity[:16]}, the job was made for {self._config.model[:16]}",
                "run the job again: another model is another job",
            )
        self._engine_ready = True

    def _engine_died(self, death: child.ChildDied) -> None:
        """Documents in work are suspects and go apart; those still in the pipe are as before."""
        assert self._engine is not None
        self._engine.kill()
        self._engine = None
        if not self._taken:
            self._starts_without_result += 1
            if self._starts_without_result >= _STARTS_WITHOUT_RESULT:
                raise ApplianceError(
                    f"the engine ended {_STARTS_WITHOUT_RESULT} times without taking a document: {death.reason()}",
                    "check the free memory, and the model with `stillroom models verify`",
                )
        self._commit()
        for key, text in list(self._sent.items()):
            if key not in self._taken:
                (self._apart if text.document.kills else self._texts).append(text)
                continue
            document = self._killed(text.document, f"engine: {death.reason()}")
            if document.kills >= MAX_KILLS:
                message = f"the engine died {document.kills} times with this document in work: {death.reason()}"
                self._fail(document, text.reply.sha256, State.QUARANTINED, "engine_died", message)
            else:
                self._apart.append(_Text(document, text.reply))
        self._sent.clear()
        self._taken.clear()

    def _answer_arrived(self, result: Result) -> None:
        text = self._sent.pop(result.key)
        self._taken.discard(result.key)
        self._starts_without_result = 0
        row = _row(self._config, self._task, text, result)
        self._finish(text.document, State.DONE if result.answer is not None else State.FAILED, row, text.reply)

    def _fail(self, document: PendingDocument, sha256: str | None, state: State, error: str, message: str) -> None:
        row = Row(
            document.name, sha256, Route.FAILED, self._config.model, unsafe=self._config.unsafe, error=error,
            error_message=message,
        )  # fmt: skip
        self._finish(document, state, row, None)

    def _finish(self, document: PendingDocument, state: State, row: Row, reply: ReadReply | None) -> None:
        kept = reply.text if reply is not None and self._config.keep_text == "all" else None
        self._outcomes.append(Outcome(document, state, row, kept, reply.notes if reply is not None else ()))
        self.finished += 1
        self.failed += state is not State.DONE
        if len(self._outcomes) >= _GROUP:
            self._commit()

    def _commit(self) -> None:
        self._last_commit = time.monotonic()
        if self._outcomes:
            self._ledger.record(self._outcomes)
            self._outcomes = []


def _row(config: JobConfig, task: Task, text: _Text, result: Result) -> Row:
    """The row of an answered document: values with their confidence and place, or the engine's error."""
    answer = result.answer
    route, error, message = Route.LOCAL, result.error, result.error_message
    found: dict[str, int | None] = {}
    if answer is None:
        route, error = Route.FAILED, result.error or "no_answer"
    else:
        found = {field.name: evidence(field, answer.get(field.name), text.reply.text) for field in task.asked}
        if problems := answer_problems(task, answer):
            route, error, message = Route.REVIEW, "invalid_answer", "; ".join(problems)
    return Row(
        text.document.name, text.reply.sha256, route, config.model, answer, result.confidence, found, config.unsafe,
        result.prompt_tokens, result.completion_tokens, result.reasoning_tokens,
        round(result.seconds, 6), error, message,
    )  # fmt: skip
