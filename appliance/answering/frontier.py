"""Answers from a frontier: a general model behind an OpenAI-compatible endpoint, many documents in flight.

Nothing leaves by itself: the gate masks each text, lets each request go or withholds it, and keeps the record of it. An
answer that was paid for is on the disk before anybody gets it, and the same request is never sent again. This is the
only place that tries again.
"""

import queue
import random
import threading
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from appliance.answering.adaptive_slots import AdaptiveSlots
from appliance.answering.paid_answers import ANSWERED, UNREAD, PaidAnswer, PaidAnswers, request_key
from appliance.engines.engine import Request, Result
from appliance.engines.frontier import Cleared, Withheld, frontier_identity, request_body
from appliance.engines.frontier_answer import ReadAnswer, read_answer
from appliance.engines.frontier_config import Usage
from appliance.engines.frontier_errors import FrontierFailure
from appliance.engines.frontier_logprobs import label_shares
from appliance.engines.frontier_reply import Reply, read_reply
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings
from appliance.ground.text import storable
from appliance.routing.egress import EgressGate, EgressOptions, open_gate
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task

if TYPE_CHECKING:
    from appliance.engines.frontier_client import FrontierClient

_BREAK_AFTER = 5
"""Documents in a row without an answer, all for reasons of connection or server, after which the rest is not sent."""
_PATIENCE_SECONDS = 1.0
"""How long the end waits for requests under way: who stops a run at once does not wait for a frontier."""
_LEAST_BYTES_PER_TOKEN = 8
"""No usual text has tokens longer than this on average; a longer document cannot fit."""
_FRONTIERS_OWN = frozenset(("wrong_model", "broken_response", "html_response"))
"""Failures that are not tried again, and yet say more of the frontier than of the document."""
_WITHOUT_REPLY = frozenset(("timed_out", "connection_lost", "unreachable"))
_LONGEST_NAME = 200
NOT_SENT = "not sent because "
"""What the message of a document begins with that something ended the sending for."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading the bytes of a stranger may raise beyond the failures that have names."""


@dataclass
class _UnderWay:
    """One document with what all requests for it took."""

    request: Request
    started: float
    usage: Usage = field(default_factory=Usage)
    some_unknown: bool = False
    """Whether a request may have been paid for without telling its tokens."""
    replies: int = 0
    """That came and were none: the next request is another one to a server that knows the last."""

    def add(self, usage: Usage | None) -> None:
        """A request has ended."""
        if usage is None:
            self.some_unknown = True
        else:
            self.usage = self.usage + usage


class FrontierAnswerer:
    """Sends documents to one frontier for one task, from as many threads as the configuration allows."""

    is_ready = True

    def __init__(self, gate: EgressGate, paid_answers: PaidAnswers, capacity: int = 0) -> None:
        """Sends nothing yet.

        Args:
            capacity: Documents that it takes at a time, those waiting for their turn among them; 0 means twice as many
                as are under way at a time.
        """
        self.identity = frontier_identity(gate.config, gate.task)
        self.ended: tuple[str, str] | None = None
        self._config, self._task, self._gate, self._paid_answers = gate.config, gate.task, gate, paid_answers
        self._capacity = capacity or 2 * gate.config.limits.concurrency
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self._heard, self._bell = Pipe(duplex=False)
        self._threads: list[threading.Thread] = []
        self._in_flight = 0
        self._client: FrontierClient | None = None
        self._stop = threading.Event()
        """Set where nobody waits for answers any more."""
        self._slots = AdaptiveSlots(gate.config.limits.concurrency, self._stop)
        self._lock = threading.Lock()
        self._not_before = 0.0
        """Monotonic time before which the frontier wants no request."""
        self._failed_in_a_row = 0
        self._broken = False
        """Whether the frontier itself ended the sending, so that tries under way end too; a cap lets them end well."""

    @property
    def room(self) -> bool:
        """Whether it takes another document."""
        return self._in_flight < self._capacity

    @property
    def in_flight(self) -> int:
        """Documents without a result yet."""
        return self._in_flight

    @property
    def connections(self) -> list[Connection]:
        """What to wait on."""
        return [self._heard] if self._in_flight else []

    def send(self, request: Request) -> None:
        """Hands over a document."""
        if len(self._threads) < self._config.limits.concurrency:
            thread = threading.Thread(target=self._work, daemon=True, name=f"frontier-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        self._in_flight += 1
        self._waiting.put(request)

    def arrived(self, ready: Container[object]) -> Iterator[Result]:
        """Results that have come, in the order in which the frontier answered.

        Raises:
            ApplianceError: The record of what leaves cannot be written; nothing more was sent.
        """
        while self._heard.poll(0):
            self._heard.recv_bytes()
            arrival = self._arrived.get()
            if isinstance(arrival, ApplianceError):
                raise arrival
            if isinstance(arrival, BaseException):
                raise ApplianceError(f"the frontier client failed: {type(arrival).__name__}: {arrival}") from arrival
            self._in_flight -= 1
            yield arrival

    def stop_sending(self) -> None:
        """Takes back what no thread has begun."""
        while not self._waiting.empty():
            try:
                if self._waiting.get_nowait() is not None:
                    self._in_flight -= 1
            except queue.Empty:
                return

    def close(self) -> None:
        """Ends connections and the record; what does not end in a moment is left to itself, as after a kill."""
        self._stop.set()
        for _ in self._threads:
            self._waiting.put(None)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._client is not None:
            self._client.close()
        self._gate.close()
        if not any(thread.is_alive() for thread in self._threads):
            # A thread that still lives may yet get an answer that is paid for, and keep it.
            self._paid_answers.close()
            self._heard.close()
            self._bell.close()

    def _work(self) -> None:
        while (request := self._waiting.get()) is not None:
            try:
                self._arrived.put(self._answer(request))
            except BaseException as error:
                self._arrived.put(error)
            if not self._ring():
                return

    def _ring(self) -> bool:
        try:
            self._bell.send_bytes(b"1")
        except OSError:  # Nobody listens any more.
            return False
        return True

    def _answer(self, request: Request) -> Result:
        """One document, whatever becomes of it."""
        under_way = _UnderWay(request, time.monotonic())
        try:
            cleared = self._gate.clear(request)
            body = request_body(self._config, self._task, request, cleared)
            key = request_key(self._config.endpoint.url, body)
            with self._paid_answers.alone_with(key, self._stop, self._config.limits.document_seconds):
                paid = self._paid_answers.get(key, self._gate.run)
                if paid is not None and (result := self._paid_result(request, cleared, paid)) is not None:
                    return result
                if self.ended is not None or self._stop.is_set():
                    raise Withheld(*self._not_sent())
                self._check_length(body)
                return self._ask(under_way, cleared, body)
        except Withheld as withheld:
            if withheld.ends:
                self._end(withheld.name, withheld.message)
            return self._result(under_way, error=withheld.name, message=withheld.message)
        except FrontierFailure as failure:
            return self._result(under_way, error=failure.name, message=failure.message)

    def _paid_result(self, request: Request, cleared: Cleared, paid: PaidAnswer) -> Result | None:
        """The result of a reply that was paid for earlier; None where it is none that was, so that it is asked for."""
        reply, prices = Reply(paid.content, None, self._config.choice.model), self._config.prices
        result = Result(
            request.key, None, {}, storable(paid.content), paid.prompt_tokens, paid.completion_tokens,
            paid.reasoning_tokens, paid.seconds, money=paid.money, cached=True,
        )  # fmt: skip
        try:
            if paid.body is not None:
                reply = self._reply(paid.body)
                result = replace(result, raw=storable(reply.content))
            if paid.outcome == UNREAD and (usage := reply.usage) is not None:
                result = replace(
                    result, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
                    reasoning_tokens=usage.reasoning_tokens, money=prices.money(usage),
                )  # fmt: skip
            answer = self._restored(request, cleared, reply).answer
            return replace(result, answer=answer, **self._reply_facts(reply, answer))
        except FrontierFailure as failure:
            if failure.again or failure.hopeless or paid.run != self._gate.run:
                return None
            return replace(result, error=failure.name, error_message=f"{failure.message} (paid for earlier)")

    def _reply(self, body: bytes) -> Reply:
        """What came back, as text; whatever it is, it fails one document and nothing else."""
        try:
            return read_reply(self._config, body)
        except _UNREADABLE as error:
            message = f"the response of {len(body)} bytes cannot be read ({type(error).__name__})"
            raise FrontierFailure("broken_response", message) from error

    def _restored(self, request: Request, cleared: Cleared, reply: Reply) -> ReadAnswer:
        """The answer with the values that were masked."""
        try:
            read = read_answer(self._task, request.field_names, self._config.choice, reply)
            return replace(read, answer=self._gate.restore(cleared, read.answer))
        except Withheld as withheld:
            raise FrontierFailure(withheld.name, withheld.message, reply.usage) from withheld
        except _UNREADABLE as error:
            message = f"the answer cannot be read ({type(error).__name__})"
            raise FrontierFailure("broken_answer", message, reply.usage) from error

    def _reply_facts(self, reply: Reply, answer: Answer) -> dict[str, Any]:
        """What a reply says of itself: who answered, and how likely each label is."""
        shares: dict[str, float] = {}
        if reply.tokens and self._task.labels and not self._task.multi_label:
            (field,) = self._task.output_fields
            shares = label_shares(reply.tokens, str(answer.get(field.name) or ""), field.values)
        return {"served": _name(reply.model), "fingerprint": _name(reply.fingerprint), "label_shares": shares}

    def _keep(self, paid: PaidAnswer) -> None:
        """Makes a reply durable; where the disk refuses, its document still gets it, and nothing more is sent."""
        try:
            self._paid_answers.put(paid)
        except ApplianceError as error:
            self._end("state_unwritable", error.message)

    def _result(
        self, under_way: _UnderWay, answer: Answer | None = None, raw: str = "", *, error: str | None = None,
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
            raise FrontierFailure(
                "too_long", f"the request has {len(body):,} bytes, the context has room for {room:,} tokens"
            )

    def _ask(self, under_way: _UnderWay, cleared: Cleared, body: bytes) -> Result:
        """Sends until there is an answer or no further try makes sense."""
        limits = self._config.limits
        deadline = under_way.started + limits.document_seconds
        for attempt in range(limits.retries + 1):
            self._wait_until(self._not_before)
            began = time.monotonic()
            try:
                with self._slots.slot():
                    began = time.monotonic()
                    return self._attempt(under_way, cleared, body)
            except FrontierFailure as failure:
                delay = self._delay(failure, attempt)
                if not failure.again or attempt == limits.retries or time.monotonic() + delay > deadline:
                    self._count_failure(failure)
                    raise
                until = time.monotonic() + delay
                if failure.name == "rate_limited":
                    self._slots.lower_limit(began)
                if failure.name == "rate_limited" or failure.retry_after:
                    # The frontier says that all is too much: all threads wait.
                    with self._lock:
                        self._not_before = max(self._not_before, until)
                self._wait_until(until)
        raise AssertionError("the last try ends the loop")

    def _attempt(self, under_way: _UnderWay, cleared: Cleared, body: bytes) -> Result:
        """One request, which is recorded before it is sent and when it ended; its reply is kept before it is read."""
        if self._broken:
            raise Withheld(*self._not_sent())
        client = self._open_client()
        request = under_way.request
        # The most that it can take: no token is shorter than a byte.
        ceiling = Usage(len(body), 0, self._config.choice.max_answer_tokens)
        record = self._gate.release(request, cleared, body, ceiling)
        paid = PaidAnswer(request_key(self._config.endpoint.url, body), self._gate.run, "", outcome=UNREAD)
        outcome, usage, content = "interrupted", None, ""
        notes: tuple[str, ...] = ()
        try:
            paid = replace(paid, body=client.send(body, f"{paid.key}-{under_way.replies}"))
            self._keep(paid)
            reply = self._reply(paid.body or b"")
            usage, content = reply.usage, storable(reply.content)
            read = self._restored(request, cleared, reply)
            outcome, notes = ANSWERED, (*reply.notes, *read.notes)
        except FrontierFailure as failure:
            outcome, usage = failure.name, Usage() if failure.unpaid else failure.usage
            under_way.replies += failure.name not in _WITHOUT_REPLY
            if failure.again or failure.hopeless:
                self._drop(paid)
                paid = replace(paid, body=None)
            raise
        finally:
            under_way.add(usage)
            self._gate.settle(record, outcome, usage, notes)
            if paid.body is not None and outcome != "interrupted":
                self._keep(self._settled(paid, outcome, under_way))
        with self._lock:
            self._failed_in_a_row = 0
        self._slots.raise_limit()
        return replace(self._result(under_way, read.answer, content), **self._reply_facts(reply, read.answer))

    def _settled(self, paid: PaidAnswer, outcome: str, under_way: _UnderWay) -> PaidAnswer:
        """The reply with what it took; what it says stands in its bytes."""
        result = self._result(under_way)
        return replace(
            paid, outcome=outcome, prompt_tokens=result.prompt_tokens, completion_tokens=result.completion_tokens,
            reasoning_tokens=result.reasoning_tokens, seconds=result.seconds, money=result.money,
        )  # fmt: skip

    def _drop(self, paid: PaidAnswer) -> None:
        """Forgets what came back where it is nothing that was paid for, so that it may be asked for again."""
        if paid.body is not None:
            try:
                self._paid_answers.drop(paid.key, paid.run)
            except ApplianceError as error:
                self._end("state_unwritable", error.message)

    def _delay(self, failure: FrontierFailure, attempt: int) -> float:
        if failure.retry_after is not None:
            if failure.again and failure.retry_after > self._config.limits.longest_wait_seconds:
                failure.again, failure.hopeless = False, True
                failure.message += f"; it asks to wait for {failure.retry_after:.0f} s"
            return failure.retry_after
        return float(self._config.limits.backoff_seconds * 2**attempt * (1 - random.random() / 4))

    def _count_failure(self, failure: FrontierFailure) -> None:
        """Ends the sending where no further document would fare better."""
        with self._lock:
            counts = failure.again or failure.name in _FRONTIERS_OWN
            self._failed_in_a_row = self._failed_in_a_row + 1 if counts else 0
            if failure.hopeless or self._failed_in_a_row >= _BREAK_AFTER:
                self._broken = True
                self._end(failure.name, failure.message)

    def _not_sent(self) -> tuple[str, str]:
        name, message = self.ended or ("interrupted", "the run was stopped")
        return name, f"{NOT_SENT}{message}"

    def _end(self, name: str, message: str) -> None:
        if self.ended is None:
            self.ended = (name, message)

    def _open_client(self) -> "FrontierClient":
        with self._lock:
            if self._client is None:
                self._client = self._gate.open_client()
            return self._client

    def _wait_until(self, moment: float) -> None:
        if self._stop.wait(max(0.0, moment - time.monotonic())):
            raise Withheld("interrupted", "the run was stopped before this document was answered")


def _name(text: str) -> str:
    """What a stranger calls itself, as rows can have it."""
    return storable(text)[:_LONGEST_NAME]


def frontier_answerer(
    settings: Settings, task: Task, name: str, options: EgressOptions, capacity: int = 0
) -> FrontierAnswerer:
    """The answerer of a frontier, behind the gate.

    Raises:
        EgressRefused: The flag or the policy does not allow it.
        UsageError: The frontier or the policy is not what it should be, or the key is missing.
        ResourceError: The record of what leaves cannot be written.
    """
    return FrontierAnswerer(open_gate(settings, task, name, options), PaidAnswers(settings), capacity)
