"""The supervisor of a job: readers turn files into text, an answerer answers, the ledger keeps what came of it.

One process and one thread own the ledger; everything that can crash lives in children. The ledger learns of a crash
before its document is tried again, so that whatever is killed next, a document is quarantined after two.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import wait

from appliance.answering.answerer import Answerer
from appliance.answering.local import MAX_CRASHES, OnCrash
from appliance.documents.folder import DocumentFolder
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import ReaderLimits, ReadReply
from appliance.engines.engine import ENGINE_DIED, INCOMPLETE, Request, Result
from appliance.ground.progress import OnProgress, Progress
from appliance.ground.stopping import Stop
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import Ledger, Outcome, PendingDocument
from appliance.jobs.reader_pool import STILL_WRITTEN, FileStability, ReaderPool, StabilityTracker
from appliance.jobs.rows import UNSURE, Route, Row
from appliance.jobs.states import State
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.linecode import Answer
from appliance.tasks.spans import FieldSpans, field_spans, first_place
from appliance.tasks.task import Field, Task
from appliance.tasks.values import normalised_answer

_READ_AHEAD = 32
_READ_AHEAD_CHARACTERS = 8_000_000
"""Texts waiting for the engine, and texts waiting to be written; both bound the memory of the supervisor."""
_PAGE = 256
_GROUP = 64
"""Rows per transaction at most: one sync costs some milliseconds."""
_GROUP_SECONDS = 0.25


@dataclass(frozen=True)
class Work:
    """What a supervisor works on."""

    config: JobConfig
    task: Task
    ledger: Ledger
    open_answerer: Callable[[OnCrash], Answerer]
    """Opens who answers; the supervisor closes it."""
    reader_limits: ReaderLimits
    folder: DocumentFolder
    """Of the documents; the supervisor does not close it."""
    last: bytes | None = None
    """Path of the last document to answer; None answers all that have no row."""


class Supervisor:
    """One run of a job, from the documents without a row to the end of them."""

    def __init__(self, work: Work, stop: Stop) -> None:
        self._config, self._task, self._ledger = work.config, work.task, work.ledger
        self._stop = stop
        self._answerer = work.open_answerer(self._record_crash)
        self._pool = ReaderPool(work.folder, work.config.workers, work.reader_limits)
        self._stability_tracker = StabilityTracker(work.folder, work.config.settle_seconds)
        self._page: deque[PendingDocument] = deque()
        self._after, self._last = b"", work.last
        self._listed = False
        self._texts: deque[tuple[PendingDocument, ReadReply]] = deque()
        """Read, and not sent yet."""
        self._sent: dict[str, tuple[PendingDocument, ReadReply]] = {}
        """With the answerer, by the request's key."""
        self._outcomes: list[Outcome] = []
        self._kept_characters = 0
        self._started = self._last_commit = time.monotonic()
        self._work_before = work.ledger.worked_seconds()
        self._work_started: float | None = None
        """When the answerer was first ready: loading a model is no work on documents."""
        self.finished = 0
        self.failed = 0
        self.missing = 0
        """Documents that left the folder before they were read."""
        self.waiting = 0
        self.ended = ""
        """Why the frontier that is the job's main answerer was not asked for all documents."""

    def run(self, begin: Progress, on_progress: OnProgress) -> None:
        """Works until every document has its row, a person stops it, or a frontier ends the sending.

        Args:
            begin: How far the job is when this run begins.

        Raises:
            ApplianceError: Nothing can be answered any more, or the ledger cannot be written.
        """
        try:
            while not self._stop.immediate and self._step():
                loading = bool(self._answerer.in_flight) and not self._answerer.is_ready
                on_progress(
                    replace(
                        begin, done=begin.done + self.finished, failed=self.failed, waiting=self.waiting,
                        loading=loading, stopping=self._stop.graceful,
                    )
                )  # fmt: skip
                self._stop.poll()
        finally:
            self._pool.close()
            try:
                self._answerer.close()
            finally:
                self._commit()

    def _step(self) -> bool:
        """Hands out work, waits for what comes back; False when nothing is left."""
        answerer = self._answerer
        is_ending = self._stop.graceful or bool(self.ended)
        if is_ending:
            answerer.stop_sending()
        else:
            self._feed_readers()
            while self._texts and answerer.room:
                document, reply = self._texts.popleft()
                key = str(document.id)
                self._sent[key] = document, reply
                answerer.send(Request(key, reply.text, document.crash_count, name=document.name))
        connections = self._pool.connections + answerer.connections
        if not connections and not answerer.in_flight:
            return self._nothing_in_flight(is_ending)
        ready: list[object] = list(wait(connections, timeout=_GROUP_SECONDS)) if connections else []
        for document, reply in self._pool.arrived(ready):
            self._text_arrived(document, reply)
        for result in answerer.arrived(ready):
            self._result_arrived(result)
        if self._work_started is None and answerer.is_ready:
            self._work_started = time.monotonic()
        if time.monotonic() - self._last_commit > _GROUP_SECONDS:
            self._commit()
        return True

    def _nothing_in_flight(self, is_ending: bool) -> bool:
        """The feeders had nothing to hand out, or reading failed at once; whether there is more to come."""
        self._commit()
        if is_ending:
            return False
        if self._texts:
            return True
        if self._stability_tracker and (self._stability_tracker.full or (self._listed and not self._page)):
            # Everything that could be read now waits for its second look.
            time.sleep(min(self._stability_tracker.seconds_left(), _GROUP_SECONDS))
        return bool(self._page or self._stability_tracker or not self._listed)

    def _feed_readers(self) -> None:
        while (
            self._pool.has_room
            and len(self._texts) + self._pool.reading < _READ_AHEAD
            and sum(len(reply.text) for _, reply in self._texts) < _READ_AHEAD_CHARACTERS
        ):
            document = self._next_document()
            if document is None:
                return
            try:
                self._pool.start(document)
            except DocumentError as error:
                state = State.MISSING if error.problem is Problem.MISSING else State.FAILED
                self._fail(document, None, state, error.problem.value, error.message)

    def _next_document(self) -> PendingDocument | None:
        """The next document whose file may be read now."""
        while True:
            second = self._stability_tracker.due()
            document = second or (None if self._stability_tracker.full else self._next_listed())
            if document is None:
                return None
            stability = self._stability_tracker.check(document, second is not None)
            if stability is FileStability.SETTLED:
                return document
            if stability is FileStability.CHANGED:
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
        self.waiting += 1

    def _text_arrived(self, document: PendingDocument, reply: ReadReply) -> None:
        if self._stability_tracker.changed(document):
            self._leave(document)
        elif reply.problem is None:
            self._texts.append((document, reply))
        elif reply.problem is Problem.READER_DIED:
            self._ledger.record_crash(document, f"reader: {reply.message}")
            if document.crash_count + 1 < MAX_CRASHES:
                self._page.appendleft(replace(document, crash_count=document.crash_count + 1))
            else:
                self._fail(document, reply.sha256, State.QUARANTINED, reply.problem.value, reply.message)
        else:
            self._fail(document, reply.sha256, State.FAILED, reply.problem.value, reply.message)

    def _record_crash(self, key: str, reason: str) -> None:
        self._commit()
        self._ledger.record_crash(self._sent[key][0], f"engine: {reason}")

    def _result_arrived(self, result: Result) -> None:
        document, reply = self._sent.pop(result.key)
        if self._config.frontier and (ended := self._answerer.ended) is not None and result.error == ended[0]:
            # It was not sent, or its failure is the frontier's own: it is still to do.
            self.ended = ended[1]
        elif result.error == ENGINE_DIED and result.answer is None:
            self._fail(document, reply.sha256, State.QUARANTINED, ENGINE_DIED, result.error_message)
        else:
            row = answered_row(self._config, self._task, document.name, reply, result)
            self._finish(document, State.FAILED if result.answer is None else State.DONE, row, reply, result)

    def _fail(self, document: PendingDocument, sha256: str | None, state: State, error: str, message: str) -> None:
        row = Row(
            document.name, sha256, Route.FAILED, self._config.model, unsafe=self._config.unsafe, error=error,
            error_message=message,
        )  # fmt: skip
        self._finish(document, state, row)

    def _finish(
        self,
        document: PendingDocument,
        state: State,
        row: Row,
        reply: ReadReply | None = None,
        result: Result | None = None,
    ) -> None:
        if document.former_name is not None:
            row = replace(row, former_document=document.former_name)
        text = reply.text if reply is not None and self._config.keep_text == "all" else None
        notes = reply.notes if reply is not None else ()
        if result is None:
            outcome = Outcome(document, state, row, text, notes)
        else:
            seconds = self._work_before
            if self._work_started is not None:
                seconds += time.monotonic() - self._work_started
            outcome = Outcome(document, state, row, text, notes, result.raw, result.money, seconds, result.cached)
        self._outcomes.append(outcome)
        self.finished += 1
        self.failed += state in (State.FAILED, State.QUARANTINED)
        self.missing += state is State.MISSING
        self._kept_characters += len(text or "")
        if len(self._outcomes) >= _GROUP or self._kept_characters > _READ_AHEAD_CHARACTERS:
            self._commit()

    def _commit(self) -> None:
        self._last_commit = time.monotonic()
        if self._outcomes:
            outcomes, self._outcomes, self._kept_characters = self._outcomes, [], 0
            self._ledger.record(outcomes, self.finished / max(self._last_commit - self._started, 0.001))


def answered_row(config: JobConfig, task: Task, name: str, reply: ReadReply, result: Result) -> Row:
    """The row of an answered document: values with their confidence and place, or the error; and whose answer it is."""
    answer, error, message = result.answer, result.error, result.error_message
    route, model = Route.FRONTIER if config.frontier else Route.LOCAL, config.model
    places: dict[str, int | None] = {}
    spans: dict[str, FieldSpans] = {}
    reasons: list[str] = []
    normalised: Answer = {}
    marks: dict[str, list[str]] = {}
    if config.fallback is not None and result.escalated:
        is_whole = len(result.escalated) == len(task.output_fields)
        route, model = Route.FRONTIER, config.fallback.model if is_whole else f"{model}+{config.fallback.model}"
    if answer is None:
        route, error = Route.FAILED, error or "no_answer"
    else:
        spans = {field.name: _spans(field, result, reply.text) for field in task.output_fields}
        places = {name: first_place(of) for name, of in spans.items()}
        normalised, marks = normalised_answer(task.output_fields, answer)
        if findings := answer_findings(task, answer):
            problems = [finding.message for finding in findings]
            reasons = [finding.reason for finding in findings]
            # That entries are missing weighs more than what is wrong with those that are there.
            error = error if error == INCOMPLETE else "invalid_answer"
            message = "; ".join([message, *problems] if error == INCOMPLETE else [*problems, *filter(None, [message])])
        if unsure := _unsure(config, task, result):
            reasons += [f"{UNSURE}:{name}" for name in unsure]
            message = "; ".join(filter(None, [message, f"not sure enough of {', '.join(unsure)}"]))
            error = error or UNSURE
        if error is not None:
            route = Route.REVIEW
    return Row(
        name, reply.sha256, route, model, answer, result.confidence, places, spans,
        normalised, marks, config.unsafe, result.prompt_tokens,
        result.completion_tokens, result.reasoning_tokens, round(result.seconds, 6), error, message, reasons,
        result.escalated,
        working=result.working if config.keep_working else "",
    )  # fmt: skip


def _unsure(config: JobConfig, task: Task, result: Result) -> list[str]:
    """The fields that a person is to look at; what a fallback answered comes without a confidence, and stands."""
    if not config.review_below:
        return []
    own = [field.name for field in task.output_fields if field.name not in result.escalated]
    return [name for name in own if not result.confidence.get(name, 0.0) >= config.review_below]


def _spans(output_field: Field, result: Result, text: str) -> FieldSpans:
    """Where the value stands: in the window that gave it, if the document was read in windows."""
    value, start = (result.answer or {}).get(output_field.name), result.window_starts.get(output_field.name, 0)
    if start and first_place(spans := field_spans(output_field, value, text, start)) is not None:
        return spans
    return field_spans(output_field, value, text)
