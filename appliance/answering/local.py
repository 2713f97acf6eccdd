"""Answers from a local model: its engine runs in a child process, which a document may kill without harm to others.

After the death of an engine the documents that it had in work are suspects. They are answered again after all others,
one at a time, so that a document which kills engines takes no other with it: after two deaths it gets the error
`engine_died`. An engine that dies without taking a document, or again and again without ever answering one, is broken
itself, and the whole run ends.
"""

import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.answering.answerer import answer_all
from appliance.answering.engine_process import start_engine
from appliance.answering.lease import Lease, OnWait, engine_lease, ignore_wait
from appliance.engines.engine import ENGINE_DIED, Request, Result
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.ground.progress import OnProgress, Progress, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop, stopped_by_signals
from appliance.ground.text import human_count
from appliance.models.manifest import read_manifest
from appliance.models.selection import check_still_chosen
from appliance.tasks.task import Task

MAX_CRASHES = 2
SILENCE_SECONDS = 900.0
"""An engine that says nothing for so long hangs; loading a large model from a slow disk takes minutes."""
SENT_AHEAD = 16
"""Documents that the engine has or finds in its pipe; twice the slots keep it busy while rows are written."""
_MOST_SENT_AHEAD = 256
"""Of an engine that answers so many in a second: an encoder computes texts of like length together, and finds more of
them among many."""
_MOST_SENT_CHARACTERS = 4_000_000
"""What was sent is in memory twice."""
_STARTS_WITHOUT_DOCUMENT = 3
_DEATHS_WITHOUT_ANSWER = 25
"""An engine that dies this often and never answers anything is broken; it is not the documents' fault."""

OnCrash = Callable[[str, str], None]
"""Called with a request's key and the reason, after a death with it in work and before anything is tried again."""


class LocalAnswerer:
    """Starts the child when there is something to answer, and again after it died."""

    ended = None

    def __init__(
        self,
        start: Callable[[], child.Child],
        model: str,
        on_crash: OnCrash,
        silence_seconds: float = SILENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing yet.

        Args:
            start: Starts a child that serves the engine.
            model: The identity that the engine must have.
        """
        self._start, self._model, self._on_crash = start, model, on_crash
        self._silence_seconds, self._clock = silence_seconds, clock
        self._child: child.Child | None = None
        self._heard = 0.0
        self._failure = ""
        """What the engine said that it ended with."""
        self._waiting: deque[Request] = deque()
        """Sent to an engine that died before it took them."""
        self._suspects: deque[Request] = deque()
        """They were in work when an engine died: one at a time, after the others."""
        self._sent: dict[str, Request] = {}
        self._taken: set[str] = set()
        self._sent_characters = 0
        self._answered: deque[tuple[float, int]] = deque()
        """When the latest answers came, and how many characters their documents have."""
        self._answered_characters = 0
        self._has_answered = self._is_stopped = False
        self._starts_without_document = self._deaths_without_answer = 0
        self.is_ready = False

    @property
    def in_flight(self) -> int:
        """How many requests it was sent that have no result yet."""
        return len(self._sent) + len(self._waiting) + len(self._suspects)

    @property
    def connections(self) -> list[Connection]:
        """What to wait on; nothing where nothing is expected."""
        return [self._child.connection] if self._child is not None and (self._sent or not self.is_ready) else []

    @property
    def room(self) -> bool:
        """Whether it takes another document; a suspect of an earlier death is answered alone.

        As many are on their way as it answers in a second, so that it never waits for the next ones, and whoever stops
        the run does not wait long for it.
        """
        if self._waiting or (self._sent and next(iter(self._sent.values())).crash_count):
            return False
        return self._has_room()

    def _has_room(self) -> bool:
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

    def send(self, request: Request) -> None:
        """Hands over a document; a suspect waits until it can be answered alone."""
        if request.crash_count:
            self._suspects.append(request)
        else:
            self._hand_over(request)

    def _hand_over(self, request: Request) -> None:
        """Sends to the child; if it is dying, `arrived` learns of it after what it still said."""
        if self._child is None:
            self._child = self._start()
            self.is_ready, self._failure = False, ""
            self._heard = self._clock()
        if not self._sent and self.is_ready:
            self._heard = self._clock()
        self._sent[request.key] = request
        self._sent_characters += len(request.text)
        try:
            self._child.send({"key": request.key, "text": request.text})
        except child.ChildDied:
            return

    def arrived(self, ready: Container[object]) -> Iterator[Result]:
        """Results that have come; sends what waits for its turn.

        Raises:
            ApplianceError: The engine cannot be opened, holds another model, or is broken.
        """
        while self._waiting and self._has_room():
            self._hand_over(self._waiting.popleft())
        if not self._sent:
            if self._suspects:
                self._hand_over(self._suspects.popleft())
                return
            if self.is_ready or self._child is None:
                return
        assert self._child is not None
        if self._child.connection in ready:
            try:
                message = self._child.receive()
            except child.ChildDied as death:
                yield from self._died(death.reason())
                return
            self._heard = self._clock()
            if (result := self._understand(message)) is not None:
                yield result
        elif self._clock() - self._heard > self._silence_seconds:
            yield from self._died(f"killed after {self._silence_seconds:g} s without a sign of life")

    def _understand(self, message: child.Message) -> Result | None:
        """The result in the message; None where it is about something else."""
        if "taken" in message:
            self._taken.add(str(message["taken"]))
        elif "result" in message:
            result = Result(**message["result"])
            self._taken.discard(result.key)
            characters = len(self._sent.pop(result.key).text)
            self._sent_characters -= characters
            self._answered.append((self._heard, characters))
            self._answered_characters += characters
            self._forget_former()
            self._has_answered, self._starts_without_document = True, 0
            return result
        elif "ready" in message:
            if (identity := str(message["ready"])) != self._model:
                raise ApplianceError(
                    f"the engine loaded model {identity[:16]} instead of {self._model[:16]}",
                    "run it again: another model makes a new job",
                )
            self.is_ready = True
        elif "failed" in message:
            self._failure = str(message["failed"])
        elif "refused" in message:
            error = ApplianceError(str(message["refused"]), str(message.get("hint", "")))
            error.exit_code = int(message.get("exit_code", 1))
            raise error
        return None

    def _died(self, reason: str) -> Iterator[Result]:
        """Documents in work are suspects; those that were only on their way are as before."""
        if self._failure:
            reason = f"{reason} ({self._failure})"
        self._end_child()
        in_work = [request for key, request in self._sent.items() if key in self._taken]
        untouched = [request for key, request in self._sent.items() if key not in self._taken]
        self._sent.clear()
        self._taken.clear()
        self._sent_characters = 0
        self._refuse_broken_engine(reason, bool(in_work))
        if not self._is_stopped:
            for request in untouched:
                (self._suspects if request.crash_count else self._waiting).append(request)
        for request in in_work:
            self._on_crash(request.key, reason)
        for request in in_work:
            crash_count = request.crash_count + 1
            if crash_count >= MAX_CRASHES:
                message = f"the engine died {crash_count} times while it worked on this document: {reason}"
                yield Result(request.key, None, error=ENGINE_DIED, error_message=message)
            elif not self._is_stopped:
                self._suspects.append(replace(request, crash_count=crash_count))

    def _refuse_broken_engine(self, reason: str, had_work: bool) -> None:
        self._starts_without_document = 0 if had_work else self._starts_without_document + 1
        self._deaths_without_answer += 1
        if self._starts_without_document >= _STARTS_WITHOUT_DOCUMENT:
            problem = f"the engine ended {self._starts_without_document} times without taking a document"
        elif not self._has_answered and self._deaths_without_answer >= _DEATHS_WITHOUT_ANSWER:
            problem = f"the engine died {self._deaths_without_answer} times and never answered a document"
        else:
            return
        raise ApplianceError(
            f"{problem}: {reason}", "check the free memory, and the model with `stillroom models verify`"
        )

    def stop_sending(self) -> None:
        """Takes back what no engine has got; after a death nothing is tried again."""
        self._is_stopped = True
        self._waiting.clear()
        self._suspects.clear()

    def close(self) -> None:
        """Ends the child at once."""
        self._end_child()
        self._sent.clear()
        self.stop_sending()

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


def local_answerer(
    artifact_dir: Path, task: Task, model: str, threads: int, lease: Lease, on_crash: OnCrash = lambda *_: None
) -> LocalAnswerer:
    """The answerer of an artifact.

    Args:
        model: Identity of the artifact.
        lease: Shows that the caller holds the engine of this machine, for as long as the answerer is open.
    """
    lease.check()

    def start() -> child.Child:
        check_still_chosen(artifact_dir, model)
        return start_engine(artifact_dir, task, threads)

    return LocalAnswerer(start, model, on_crash)


def answer_texts(
    settings: Settings,
    artifact_dir: Path,
    task: Task,
    texts: Sequence[str],
    on_progress: OnProgress = ignore_progress,
    on_wait: OnWait = ignore_wait,
) -> list[Result]:
    """An artifact's results in the order of the texts; a text that kills the engine has the error `engine_died`.

    Args:
        on_progress: Rows.
        on_wait: Called where another process has the engine, with who that is.

    Raises:
        ApplianceError: The engine cannot be opened.
        KeyboardInterrupt: A person stopped it; no engine is left behind.
    """

    def note_count(answered: int) -> None:
        on_progress(Progress(answered, len(texts), "row", loading=not answered))

    stop = Stop()
    results: dict[str, Result] = {}
    purpose = f"a check of {human_count(len(texts), 'row')} of task {task.name}"
    with stopped_by_signals(stop), engine_lease(settings, stop, purpose, on_wait) as lease:
        if lease is not None:
            model = read_manifest(artifact_dir).identity
            answerer = local_answerer(artifact_dir, task, model, settings.threads, lease)
            try:
                requests = (Request(str(number), text) for number, text in enumerate(texts))
                for result in answer_all(answerer, requests, note_count, stop):
                    results[result.key] = result
                    if stop.graceful:
                        break  # Results of a part are of no use.
            finally:
                answerer.close()
    if len(results) < len(texts):
        raise KeyboardInterrupt
    return [results[str(number)] for number in range(len(texts))]
