"""The supervisor of a job: readers turn files into text, the engine's child answers, the ledger keeps what came of it.

One process and one thread own the ledger; everything that can crash lives in children. After the death of an engine
its documents are retried apart, one at a time, so that a document which kills engines is found and takes no other
with it: after two deaths it is quarantined.
"""

import time
from collections import deque
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path

from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import ReaderLimits, ReadReply
from appliance.engines.engine import Result
from appliance.engines.worker import start_engine
from appliance.ground.errors import ApplianceError
from appliance.ground.progress import OnProgress, Progress
from appliance.jobs.answering import AnsweringEngine, DocumentText, EngineDeath
from appliance.jobs.fallback import Fallback, merged_row
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import Ledger, Outcome, PendingDocument
from appliance.jobs.reader_pool import STILL_WRITTEN, FileStability, ReaderPool, StabilityTracker
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.jobs.stopping import Stop
from appliance.tasks.task import Field, Task, answer_problems
from appliance.tasks.values import evidence

MAX_CRASHES = 2
_READ_AHEAD = 32
_READ_AHEAD_CHARACTERS = 8_000_000
"""Texts waiting for the engine, and texts waiting to be written; both bound the memory of the supervisor."""
_PAGE = 256
_GROUP = 64
"""Rows per transaction at most: one sync costs some milliseconds."""
_GROUP_SECONDS = 0.25
_STARTS_WITHOUT_DOCUMENT = 3
_DEATHS_WITHOUT_ANSWER = 25
"""An engine that dies this often and never answers anything is broken; it is not the documents' fault."""


@dataclass(frozen=True)
class RunLimits:
    """What one run of a job may use."""

    threads: int = 2
    engine_silence_seconds: float = 900.0
    """An engine that says nothing for so long hangs; loading a large model from a slow disk takes minutes."""
    reader_limits: ReaderLimits = field(default_factory=ReaderLimits)


@dataclass(frozen=True)
class Work:
    """What a supervisor works on."""

    config: JobConfig
    task: Task
    task_path: Path
    ledger: Ledger
    fallback: Fallback | None = None
    """Who is asked where the local model is not sure; the supervisor closes it."""
    last: bytes | None = None
    """Path of the last document to answer; None answers all that have no row."""


class Supervisor:
    """One run of a job, from the documents without a row to the end of them."""

    def __init__(self, work: Work, limits: RunLimits, stop: Stop) -> None:
        self._config, self._task, self._ledger = work.config, work.task, work.ledger
        self._stop = stop
        self._fallback = work.fallback
        folder = Path(work.config.documents_dir)
        self._pool = ReaderPool(folder, work.config.workers, limits.reader_limits)
        self._settling = StabilityTracker(folder, work.config.settle_seconds)
        self._engine = AnsweringEngine(
            lambda: start_engine(Path(work.config.artifact_dir), work.task_path, limits.threads),
            work.config.model,
            limits.engine_silence_seconds,
        )
        self._page: deque[PendingDocument] = deque()
        self._after, self._last = b"", work.last
        self._listed = False
        self._texts: deque[DocumentText] = deque()
        self._apart: deque[DocumentText] = deque()
        """Documents that were in work when an engine died: one at a time, after the others."""
        self._starts_without_document = 0
        self._deaths_without_answer = 0
        self._answered = False
        self._outcomes: list[Outcome] = []
        self._kept_characters = 0
        self._started = self._last_commit = time.monotonic()
        self.finished = 0
        self.failed = 0
        self.left = 0

    def run(self, begin: Progress, on_progress: OnProgress) -> None:
        """Works until every document has its row or a person stops it.

        Args:
            begin: How far the job is when this run begins.

        Raises:
            ApplianceError: The engine cannot be opened, or the ledger cannot be written.
        """
        try:
            while not self._stop.immediate and self._step():
                loading = bool(self._engine.in_flight) and not self._engine.ready
                on_progress(
                    replace(
                        begin, done=begin.done + self.finished, failed=self.failed, waiting=self.left, loading=loading,
                        stopping=self._stop.graceful,
                    )
                )  # fmt: skip
                self._stop.look()
        finally:
            self._pool.close()
            self._engine.close()
            self._commit()
            if self._fallback is not None:
                self._fallback.close()

    def _step(self) -> bool:
        """Hands out work, waits for what comes back; False when nothing is left."""
        if not self._stop.graceful:
            self._feed_readers()
            self._feed_engine()
        elif self._fallback is not None:
            self._fallback.stop_taking()
        connections = self._pool.connections
        if self._engine.connection is not None:
            connections.append(self._engine.connection)
        if self._fallback is not None and self._fallback.connection is not None:
            connections.append(self._fallback.connection)
        if not connections:
            return self._nothing_in_flight()
        ready: list[object] = list(wait(connections, timeout=_GROUP_SECONDS))
        for document, reply in self._pool.arrived(ready):
            self._text_arrived(document, reply)
        if self._engine.connection is not None:
            if self._engine.connection in ready:
                self._engine_spoke()
            elif self._engine.overdue:
                self._engine_died(self._engine.kill_silent())
        self._fallback_spoke()
        if time.monotonic() - self._last_commit > _GROUP_SECONDS:
            self._commit()
        return True

    def _nothing_in_flight(self) -> bool:
        """The feeders had nothing to hand out, or reading failed at once; whether there is more to come."""
        self._commit()
        if self._stop.graceful:
            return False
        if self._texts or self._apart:
            return True
        if self._settling and (self._settling.full or (self._listed and not self._page)):
            # Everything that could be read now waits for its second look.
            time.sleep(min(self._settling.seconds_left(), _GROUP_SECONDS))
        return bool(self._page or self._settling or not self._listed)

    def _feed_readers(self) -> None:
        while self._pool.has_room and self._wants_texts():
            document = self._next_document()
            if document is None:
                return
            try:
                self._pool.start(document)
            except DocumentError as error:
                self._fail(document, None, State.FAILED, error.problem.value, error.message)

    def _wants_texts(self) -> bool:
        return (
            len(self._texts) + self._pool.reading < _READ_AHEAD
            and sum(len(text.reply.text) for text in self._texts) < _READ_AHEAD_CHARACTERS
        )

    def _next_document(self) -> PendingDocument | None:
        """The next document whose file may be read now."""
        while True:
            second = self._settling.due()
            document = second or (None if self._settling.full else self._next_listed())
            if document is None:
                return None
            rest = self._settling.look(document, second is not None)
            if rest is FileStability.SETTLED:
                return document
            if rest is FileStability.CHANGED:
                self._leave(document)

    def _next_listed(self) -> PendingDocument | None:
        if not self._page and not self._listed:
            self._page.extend(self._ledger.pending(self._after, _PAGE, self._last))
            self._listed = len(self._page) < _PAGE
            if self._page:
                self._after = self._page[-1].path
        return self._page.popleft() if self._page else None

    def _leave(self, document: PendingDocument) -> None:
        self._ledger.record_waiting(document, STILL_WRITTEN)
        self.left += 1

    def _text_arrived(self, document: PendingDocument, reply: ReadReply) -> None:
        if self._settling.changed(document):
            self._leave(document)
        elif reply.problem is None:
            text = DocumentText(document, reply)
            (self._apart if document.crash_count else self._texts).append(text)
        elif reply.problem is Problem.READER_DIED:
            document = self._killed(document, f"reader: {reply.message}")
            if document.crash_count < MAX_CRASHES:
                self._page.appendleft(document)
            else:
                self._fail(document, reply.sha256, State.QUARANTINED, reply.problem.value, reply.message)
        else:
            self._fail(document, reply.sha256, State.FAILED, reply.problem.value, reply.message)

    def _killed(self, document: PendingDocument, detail: str) -> PendingDocument:
        self._ledger.record_kill([document], detail)
        return replace(document, crash_count=document.crash_count + 1)

    def _feed_engine(self) -> None:
        if self._fallback is not None and not self._fallback.room:
            return
        while self._texts and self._engine.room:
            self._engine.send(self._texts.popleft())
        if self._apart and not self._engine.in_flight:
            self._engine.send(self._apart.popleft())

    def _engine_spoke(self) -> None:
        said = self._engine.receive()
        if isinstance(said, EngineDeath):
            self._engine_died(said)
        elif said is not None:
            self._answer_arrived(*said)

    def _engine_died(self, death: EngineDeath) -> None:
        """Documents in work are suspects and go apart; those still in the pipe are as before."""
        self._refuse_broken_engine(death)
        self._commit()
        for text in death.untouched:
            (self._apart if text.document.crash_count else self._texts).append(text)
        for text in death.in_work:
            document = self._killed(text.document, f"engine: {death.reason}")
            if document.crash_count >= MAX_CRASHES:
                message = f"the engine died {document.crash_count} times with this document in work: {death.reason}"
                self._fail(document, text.reply.sha256, State.QUARANTINED, "engine_died", message)
            else:
                self._apart.append(DocumentText(document, text.reply))

    def _refuse_broken_engine(self, death: EngineDeath) -> None:
        self._starts_without_document = 0 if death.in_work else self._starts_without_document + 1
        self._deaths_without_answer += 1
        if self._starts_without_document >= _STARTS_WITHOUT_DOCUMENT:
            problem = f"the engine ended {self._starts_without_document} times without taking a document"
        elif not self._answered and self._deaths_without_answer >= _DEATHS_WITHOUT_ANSWER:
            problem = f"the engine died {self._deaths_without_answer} times and never answered a document"
        else:
            return
        raise ApplianceError(
            f"{problem}: {death.reason}", "check the free memory, and the model with `stillroom models verify`"
        )

    def _answer_arrived(self, text: DocumentText, result: Result) -> None:
        self._answered = True
        self._starts_without_document = 0
        if self._fallback is not None and self._fallback.take(text, result):
            return
        row = answered_row(self._config, self._task, text, result)
        state = State.DONE if result.answer is not None else State.FAILED
        self._finish(text.document, state, row, text.reply, result.raw)

    def _fallback_spoke(self) -> None:
        """Rows of what the fallback was asked; each is written at once, because it was paid for."""
        if self._fallback is None:
            return
        for text, merged in self._fallback.arrived():
            row = answered_row(self._config, self._task, text, merged.result)
            if self._config.fallback is not None:
                row = merged_row(row, merged, self._config.fallback, len(self._task.output_fields))
            state = State.DONE if merged.result.answer is not None else State.FAILED
            self._finish(text.document, state, row, text.reply, merged.result.raw)
            self._commit()

    def _fail(self, document: PendingDocument, sha256: str | None, state: State, error: str, message: str) -> None:
        row = Row(
            document.name, sha256, Route.FAILED, self._config.model, unsafe=self._config.unsafe, error=error,
            error_message=message,
        )  # fmt: skip
        self._finish(document, state, row, None)

    def _finish(
        self, document: PendingDocument, state: State, row: Row, reply: ReadReply | None, raw: str = ""
    ) -> None:
        kept = reply.text if reply is not None and self._config.keep_text == "all" else None
        self._outcomes.append(Outcome(document, state, row, kept, reply.notes if reply is not None else (), raw))
        self.finished += 1
        self.failed += state is not State.DONE
        self._kept_characters += len(kept or "")
        if len(self._outcomes) >= _GROUP or self._kept_characters > _READ_AHEAD_CHARACTERS:
            self._commit()

    def _commit(self) -> None:
        self._last_commit = time.monotonic()
        if self._outcomes:
            outcomes, self._outcomes, self._kept_characters = self._outcomes, [], 0
            self._ledger.record(outcomes, self.finished / max(self._last_commit - self._started, 0.001))


def answered_row(config: JobConfig, task: Task, text: DocumentText, result: Result) -> Row:
    """The row of an answered document: values with their confidence and place, or the engine's error."""
    answer = result.answer
    route, error, message = Route.LOCAL, result.error, result.error_message
    found: dict[str, int | None] = {}
    if answer is None:
        route, error = Route.FAILED, result.error or "no_answer"
    else:
        found = {field.name: _place(field, result, text.reply.text) for field in task.output_fields}
        if problems := answer_problems(task, answer):
            route, error, message = Route.REVIEW, "invalid_answer", "; ".join(problems)
    return Row(
        text.document.name, text.reply.sha256, route, config.model, answer, result.confidence, found, config.unsafe,
        result.prompt_tokens, result.completion_tokens, result.reasoning_tokens,
        round(result.seconds, 6), error, message,
    )  # fmt: skip


def _place(output_field: Field, result: Result, text: str) -> int | None:
    """Where the value stands: in the window that gave it, if the document was read in windows."""
    value, start = (result.answer or {}).get(output_field.name), result.window_starts.get(output_field.name, 0)
    if start and (place := evidence(output_field, value, text[start:])) is not None:
        return start + place
    return evidence(output_field, value, text)
