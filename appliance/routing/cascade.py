"""Who answers: the local model, and a fallback for what the local model is not sure enough of.

A field goes to the fallback where its calibrated confidence is below the threshold, where its answer does not fit the
task, or where there is no answer at all. What decides is the model's confidence and the job's configuration: nothing
that a document says can choose its route. Where the fallback does not answer, the local answer stays and a person
looks at it.
"""

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from appliance.engines.engine import Engine, Request, Result
from appliance.engines.frontier import FrontierRequest
from appliance.ground.errors import ApplianceError
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task, answer_problems

FALLBACK_PROBLEM = "fallback_failed"
_PATIENCE_SECONDS = 1.0
"""How long the end waits for requests under way: who stops a run at once does not wait for a frontier."""
_NOT_WORTH_ASKING = frozenset({"engine_died"})
"""Local failures after which a document stays here: it killed an engine, and nothing says that it is harmless."""


def fields_below(task: Task, answer: Answer | None, confidence: Mapping[str, float], threshold: float) -> list[str]:
    """The fields that go to the fallback, in the order of the task; all where there is no local answer.

    A field without a confidence counts as unsure.
    """
    names = [field.name for field in task.output_fields]
    if answer is None:
        return names
    wrong = {problem.partition(" ")[0] for problem in answer_problems(task, answer)}
    return [name for name in names if confidence.get(name, 0.0) < threshold or name in wrong]


def escalation(task: Task, text: str, local: Result, threshold: float) -> FrontierRequest | None:
    """What goes to the fallback for this document; None where the local answer stands."""
    if local.answer is None and local.error in _NOT_WORTH_ASKING:
        return None
    names = fields_below(task, local.answer, local.confidence, threshold)
    if not names:
        return None
    field_names = () if len(names) == len(task.output_fields) else tuple(names)
    return FrontierRequest(local.key, text, known=local.answer or {}, field_names=field_names)


@dataclass(frozen=True)
class Merged:
    """A document's answer after the fallback was asked."""

    result: Result
    escalated: tuple[str, ...]
    """Fields whose value is the fallback's; none where it did not answer."""
    problem: str | None = None
    """Why a person must look: what kept the fallback from answering."""
    message: str = ""


def merge(task: Task, request: FrontierRequest, local: Result, remote: Result) -> Merged:
    """The fallback's values in place of the local ones that it was asked for, or the local answer for a person.

    Tokens are those of the fallback, which are paid for; seconds are of both.
    """
    seconds = local.seconds + remote.seconds
    if remote.answer is None:
        message = f"the fallback did not answer: {remote.error or FALLBACK_PROBLEM}"
        if remote.error_message:
            message += f": {remote.error_message}"
        kept = replace(
            local, seconds=seconds, prompt_tokens=remote.prompt_tokens, completion_tokens=remote.completion_tokens,
            reasoning_tokens=remote.reasoning_tokens, money=remote.money,
        )  # fmt: skip
        if local.answer is None:
            return Merged(replace(kept, error_message=f"{local.error_message}; {message}".strip("; ")), ())
        return Merged(kept, (), remote.error or FALLBACK_PROBLEM, message)
    names = request.field_names or tuple(field.name for field in task.output_fields)
    answer: Answer = {**(local.answer or {}), **{name: remote.answer.get(name) for name in names}}
    sure = {name: share for name, share in local.confidence.items() if name not in names}
    merged = replace(remote, answer=answer, confidence=sure, seconds=seconds, error=None, error_message="")
    return Merged(merged, names)


class FallbackLane:
    """The fallback's engine in a thread of its own: documents go in, results come out, a connection tells when.

    The engine is asked in batches of what is waiting, because it only hands out what is finished while it takes
    further documents.
    """

    def __init__(self, engine: Engine, capacity: int) -> None:
        self.identity = engine.identity
        self._engine, self._capacity = engine, capacity
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self._heard, self._bell = Pipe(duplex=False)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._outside = 0

    @property
    def connection(self) -> Connection | None:
        """What to wait on; None where nothing is outside."""
        return self._heard if self._outside else None

    @property
    def room(self) -> bool:
        """Whether it takes another document; a full lane holds up the local engine, which is far faster."""
        return self._outside < self._capacity

    def send(self, request: Request) -> None:
        """Hands over a document; its result comes from `arrived`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="fallback")
            self._thread.start()
        self._outside += 1
        self._waiting.put(request)

    def stop_taking(self) -> list[str]:
        """Takes back what the engine has not begun; gives the keys of it. What is under way still arrives."""
        self._stopping.set()
        taken_back = []
        while not self._waiting.empty():
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                break
            if request is not None:
                taken_back.append(request.key)
        self._outside -= len(taken_back)
        return taken_back

    def arrived(self) -> Iterator[Result]:
        """Results that have come, once each.

        Raises:
            ApplianceError: The record of what leaves cannot be written; nothing more was sent.
        """
        while self._heard.poll(0):
            self._heard.recv_bytes()
            said = self._arrived.get()
            if isinstance(said, ApplianceError):
                raise said
            if isinstance(said, BaseException):
                raise ApplianceError(f"the fallback broke: {type(said).__name__}: {said}") from said
            self._outside -= 1
            yield said

    def close(self) -> None:
        """Ends the engine; what is under way and does not end in a moment is left to itself, as after a kill."""
        self._stopping.set()
        self._waiting.put(None)
        self._engine.close()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS if self._outside else None)
            if self._thread.is_alive():
                return
        self._heard.close()
        self._bell.close()

    def _work(self) -> None:
        try:
            while (request := self._waiting.get()) is not None:
                for result in self._engine.answer(self._batch(request)):
                    self._tell(result)
        except BaseException as error:
            self._tell(error)

    def _batch(self, first: Request) -> Iterator[Request]:
        request: Request | None = first
        while request is not None:
            yield request
            if self._stopping.is_set():
                return
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return
        if request is None:
            # The end, which `_work` must see too.
            self._waiting.put(None)

    def _tell(self, said: Result | BaseException) -> None:
        self._arrived.put(said)
        self._bell.send_bytes(b"1")
