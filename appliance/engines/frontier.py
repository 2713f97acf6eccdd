"""The frontier engine: a general model behind an OpenAI-compatible endpoint, many documents in flight.

Nothing leaves by itself: a gate masks each text, lets each request go or withholds it, and keeps the record of it. The
client is made when the first request may go. This is the only place that tries again.
"""

import hashlib
import json
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from appliance.engines.engine import Request, Result
from appliance.engines.frontier_config import FrontierConfig, Usage
from appliance.engines.frontier_reply import FrontierFailure, read_answer, read_reply
from appliance.ground.errors import ApplianceError
from appliance.tasks.chat import CHAT_VERSION, chat_messages, chat_schema
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task, task_hash

if TYPE_CHECKING:
    from appliance.engines.frontier_client import FrontierClient

_BREAK_AFTER = 5
"""Documents in a row without an answer, all for reasons of connection or server, after which the rest is not sent."""
_PATIENCE_SECONDS = 0.5
"""How long a caller who gives up waits for requests under way."""
_LEAST_BYTES_PER_TOKEN = 8
"""No usual text has tokens longer than this on average; a longer document cannot fit."""


@dataclass(frozen=True)
class FrontierRequest(Request):
    """A document, with what a cascade knows about it."""

    known: Answer = field(default_factory=dict)
    """The local answer: where to find the values of fields that the policy masks."""
    field_names: tuple[str, ...] = ()
    """Fields to ask for; all where it is empty."""


class Withheld(Exception):
    """The gate lets nothing of this document go, or nothing of its answer in.

    Args:
        name: Error class, such as `cap_money`.
        ends: Whether nothing more goes out after it.
    """

    def __init__(self, name: str, message: str, *, ends: bool = False) -> None:
        super().__init__(message)
        self.name, self.message, self.ends = name, message, ends


@dataclass(frozen=True)
class Cleared:
    """A document as it may leave."""

    text: str
    restored_by: dict[str, str]
    """Placeholder -> what it stands for."""
    masked: dict[str, int] = field(default_factory=dict)
    """How many places of each kind were masked."""


class Gate(Protocol):
    """What stands between the engine and the network."""

    def clear(self, request: Request) -> Cleared:
        """The document with everything masked that must not leave; raises `Withheld`."""
        ...

    def release(self, key: str, cleared: Cleared, body: bytes, ceiling: Usage) -> int:
        """Records, durably, that these bytes leave now, and gives the record's number; raises `Withheld`."""
        ...

    def settle(self, record: int, outcome: str, usage: Usage | None) -> None:
        """Records how the request ended; without usage what was reserved counts as spent."""
        ...

    def restore(self, cleared: Cleared, answer: Answer) -> Answer:
        """The answer with the real values; raises `Withheld` where a placeholder cannot be given back."""
        ...

    def open_client(self) -> "FrontierClient":
        """The client, which nothing else makes."""
        ...

    def close(self) -> None:
        """Ends the record."""
        ...


def request_body(config: FrontierConfig, task: Task, request: Request, cleared: Cleared) -> bytes:
    """The bytes of the request: nothing but these leaves, the key apart."""
    field_names = request.field_names if isinstance(request, FrontierRequest) else ()
    choice = config.choice
    values: dict[str, object] = {
        "model": choice.model,
        "messages": chat_messages(task, cleared.text, field_names, bool(cleared.restored_by)),
        choice.token_parameter: choice.max_answer_tokens,
    }
    if choice.structured == "json_schema":
        schema = {"name": task.name, "strict": True, "schema": chat_schema(task, field_names)}
        values["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif choice.structured == "json_object":
        values["response_format"] = {"type": "json_object"}
    if effort := (choice.effort_when_off if config.is_off else choice.effort):
        values["reasoning_effort"] = effort
    if choice.temperature is not None:
        values["temperature"] = choice.temperature
    # Unpaired surrogates, which a document can hold, become question marks: UTF-8 has none.
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def frontier_identity(config: FrontierConfig, task: Task) -> str:
    """The model identity of a frontier: everything that changes what it is asked and who answers."""
    choice = config.choice
    parts = {
        "url": config.endpoint.url, "model": choice.model, "effort": choice.effort, "off": choice.effort_when_off,
        "structured": choice.structured, "temperature": choice.temperature, "answer": choice.max_answer_tokens,
        "chat": CHAT_VERSION, "task": task_hash(task),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass
class _UnderWay:
    """One document with what all requests for it took."""

    request: Request
    started: float
    stop: threading.Event
    """Set where nobody waits for the answer any more."""
    usage: Usage = field(default_factory=Usage)
    some_unknown: bool = False
    """Whether a request may have been paid for without telling its tokens."""

    def add(self, usage: Usage | None) -> None:
        """A request has ended."""
        if usage is None:
            self.some_unknown = True
        else:
            self.usage = self.usage + usage


class FrontierEngine:
    """Sends documents to one frontier for one task."""

    def __init__(self, config: FrontierConfig, task: Task, gate: Gate) -> None:
        self.identity = frontier_identity(config, task)
        self.context_length = config.choice.context_length
        self.ended: tuple[str, str] | None = None
        """Name and message of what ended the sending; every later document gets it as its error."""
        self._config, self._task, self._gate = config, task, gate
        self._client: FrontierClient | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0
        """Monotonic time before which the frontier wants no request."""
        self._failed_in_a_row = 0
        self._broken = False
        """Whether the frontier itself ended the sending, so that tries under way end too; a cap lets them end well."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request once, in the order in which the frontier does.

        Raises:
            ApplianceError: The record of what leaves cannot be written; nothing more was sent.
        """
        stop = self._stop = threading.Event()
        waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        finished: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=self._work, args=(waiting, finished, stop), daemon=True, name=f"frontier-{number}")
            for number in range(self._config.limits.concurrency)
        ]
        for thread in threads:
            thread.start()
        in_flight = 0
        try:
            for request in requests:
                waiting.put(request)
                in_flight += 1
                if in_flight == len(threads):
                    yield _good(finished.get())
                    in_flight -= 1
            while in_flight:
                yield _good(finished.get())
                in_flight -= 1
        finally:
            if in_flight:
                # The caller has gone or something broke: waits end; what hangs in the network is left to itself.
                stop.set()
            for _ in threads:
                waiting.put(None)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()) if in_flight else None)

    def close(self) -> None:
        """Ends connections and the record."""
        self._stop.set()
        if self._client is not None:
            self._client.close()
        self._gate.close()

    def _work(
        self,
        waiting: "queue.SimpleQueue[Request | None]",
        finished: "queue.SimpleQueue[Result | BaseException]",
        stop: threading.Event,
    ) -> None:
        while (request := waiting.get()) is not None:
            try:
                finished.put(self._one(request, stop))
            except BaseException as error:
                finished.put(error)

    def _one(self, request: Request, stop: threading.Event) -> Result:
        """One document, whatever becomes of it."""
        under_way = _UnderWay(request, time.monotonic(), stop)
        try:
            if self.ended is not None:
                raise Withheld(*self._not_sent())
            cleared = self._gate.clear(request)
            body = request_body(self._config, self._task, request, cleared)
            self._check_length(body)
            return self._ask(under_way, cleared, body)
        except Withheld as withheld:
            if withheld.ends:
                self._end(withheld.name, withheld.message)
            return self._result(under_way, error=withheld.name, message=withheld.message)
        except FrontierFailure as failure:
            return self._result(under_way, error=failure.name, message=failure.message)

    def _result(
        self, under_way: "_UnderWay", answer: Answer | None = None, raw: str = "", *, error: str | None = None,
        message: str = "",
    ) -> Result:  # fmt: skip
        usage = under_way.usage
        prices = self._config.prices
        unknown = under_way.some_unknown and (prices.input or prices.output)
        money = None if unknown else prices.money(usage)
        return Result(
            under_way.request.key, answer, {}, raw, usage.prompt_tokens, usage.completion_tokens,
            usage.reasoning_tokens, time.monotonic() - under_way.started, error, message, money,
        )  # fmt: skip

    def _check_length(self, body: bytes) -> None:
        room = self._config.choice.context_length - self._config.choice.max_answer_tokens
        if len(body) > room * _LEAST_BYTES_PER_TOKEN:
            raise FrontierFailure("too_long", f"the request has {len(body)} bytes, room is for {room} tokens")

    def _ask(self, under_way: "_UnderWay", cleared: Cleared, body: bytes) -> Result:
        """Sends until there is an answer or no further try makes sense."""
        limits = self._config.limits
        deadline = under_way.started + limits.document_seconds
        for attempt in range(limits.retries + 1):
            _wait_until(self._not_before, under_way.stop)
            try:
                return self._attempt(under_way, cleared, body)
            except FrontierFailure as failure:
                delay = self._delay(failure, attempt)
                if not failure.again or attempt == limits.retries or time.monotonic() + delay > deadline:
                    self._count_failure(failure)
                    raise
                self._put_off(failure, delay, under_way.stop)
        raise AssertionError("the last try ends the loop")

    def _attempt(self, under_way: "_UnderWay", cleared: Cleared, body: bytes) -> Result:
        """One request, which is recorded before it is sent and when it ended."""
        if self._broken:
            raise Withheld(*self._not_sent())
        client = self._open_client()
        request = under_way.request
        record = self._gate.release(request.key, cleared, body, self._ceiling(body))
        field_names = request.field_names if isinstance(request, FrontierRequest) else ()
        outcome, usage = "interrupted", None
        try:
            reply = read_reply(self._config, client.send(body))
            usage = reply.usage
            answer = self._gate.restore(cleared, read_answer(self._task, field_names, self._config.choice, reply))
            outcome = "answered"
        except FrontierFailure as failure:
            outcome, usage = failure.name, Usage() if failure.unpaid else failure.usage
            raise
        except Withheld as withheld:
            outcome = withheld.name
            raise FrontierFailure(withheld.name, withheld.message, usage) from withheld
        finally:
            under_way.add(usage)
            self._gate.settle(record, outcome, usage)
        with self._lock:
            self._failed_in_a_row = 0
        return self._result(under_way, answer, reply.content)

    def _ceiling(self, body: bytes) -> Usage:
        """The most that a request can take: no token is shorter than a byte."""
        return Usage(len(body), 0, self._config.choice.max_answer_tokens)

    def _delay(self, failure: FrontierFailure, attempt: int) -> float:
        if failure.retry_after is not None:
            if failure.retry_after > self._config.limits.longest_wait_seconds:
                failure.again, failure.hopeless = False, True
                failure.message += f"; it asks to wait for {failure.retry_after:.0f} s"
            return failure.retry_after
        return float(self._config.limits.backoff_seconds * 2**attempt * (1 - random.random() / 4))

    def _put_off(self, failure: FrontierFailure, delay: float, stop: threading.Event) -> None:
        """Waits; where the frontier says that all is too much, all threads wait."""
        until = time.monotonic() + delay
        if failure.name == "rate_limited":
            with self._lock:
                self._not_before = max(self._not_before, until)
        _wait_until(until, stop)

    def _count_failure(self, failure: FrontierFailure) -> None:
        """Ends the sending where no further document would fare better."""
        with self._lock:
            self._failed_in_a_row = self._failed_in_a_row + 1 if failure.again or failure.name == "wrong_model" else 0
            if failure.hopeless or self._failed_in_a_row >= _BREAK_AFTER:
                self._broken = True
                self._end(failure.name, failure.message)

    def _not_sent(self) -> tuple[str, str]:
        name, message = self.ended or ("interrupted", "the run was stopped")
        return name, f"not sent: {message}"

    def _end(self, name: str, message: str) -> None:
        if self.ended is None:
            self.ended = (name, message)

    def _open_client(self) -> "FrontierClient":
        with self._lock:
            if self._client is None:
                self._client = self._gate.open_client()
            return self._client


def _wait_until(moment: float, stop: threading.Event) -> None:
    if stop.wait(max(0.0, moment - time.monotonic())):
        raise Withheld("interrupted", "the run was stopped before this document was answered")


def _good(finished: Result | BaseException) -> Result:
    if isinstance(finished, Result):
        return finished
    if isinstance(finished, ApplianceError):
        raise finished
    raise ApplianceError(f"the frontier client failed: {type(finished).__name__}: {finished}") from finished
