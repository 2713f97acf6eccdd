"""Requests to a frontier in batches: prepared and recorded as single ones are, sent as a file, fetched hours later.

A batch goes through the same gate: masked, within policy and caps, recorded before it leaves. What comes back is kept
with the replies that were paid for, under the same names, so that whoever asks for these documents afterwards finds
their replies and sends nothing. How far a batch is stands in a file that is written before each step: a kill between
two steps makes the next call look at the server for what it had begun.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.answering.paid_answers import ANSWERED, PaidAnswer, PaidAnswers, request_key
from appliance.engines.engine import Request
from appliance.engines.frontier import Withheld, request_body
from appliance.engines.frontier_answer import read_answer
from appliance.engines.frontier_config import Usage
from appliance.engines.frontier_errors import FrontierFailure, error_words, excerpt
from appliance.engines.frontier_json import as_written, loads
from appliance.engines.frontier_reply import read_reply
from appliance.ground.errors import UsageError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.settings import Settings
from appliance.routing.egress import EgressGate, EgressOptions, open_gate
from appliance.routing.egress_log import egress_dir
from appliance.routing.egress_reading import read_records
from appliance.tasks.task import Task

BATCH_VERSION = 1
MOST_REQUESTS, MOST_BYTES = 50_000, 150_000_000
"""Of one batch; providers take a little more."""
PREPARED, SENT, ENDED = "prepared", "sent", "ended"
"""States: the requests are in a file here; the server has a batch of them; its results are here."""
_ALIVE = ("validating", "in_progress", "finalizing", "cancelling")
"""What a server calls a batch that has not ended."""


@dataclass(frozen=True)
class BatchRequest:
    """One request of a batch."""

    key: str
    """Of its reply among those that were paid for."""
    record: int
    """Number of the record that it left."""
    document: str


@dataclass(frozen=True)
class Batch:
    """One batch, as its file keeps it."""

    state: str
    frontier: str
    run: str
    requests: dict[str, BatchRequest]
    """Id within the batch -> request."""
    file_id: str = ""
    batch_id: str = ""
    server_state: str = ""
    created: float = 0.0
    """Seconds since the epoch."""
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Why -> requests without an answer."""

    def line(self) -> str:
        """For a terminal."""
        ended = f", {self.answered:,} answered" if self.state == ENDED else ""
        failed = "".join(f", {count:,} {reason}" for reason, count in sorted(self.failed.items()))
        name = self.batch_id or "not sent yet"
        return f"batch {name}: {self.server_state or self.state}, {len(self.requests):,} requests{ended}{failed}"


def write_batch(path: Path, batch: Batch) -> None:
    """Writes how far a batch is; it is on the disk when this returns."""
    write_file(path, (json_text({"version": BATCH_VERSION, **asdict(batch)}) + "\n").encode("utf-8", "surrogateescape"))


def read_batch(path: Path) -> Batch:
    """How far a batch is.

    Raises:
        UsageError: The file is none, or of another version.
    """
    try:
        values = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        if values.pop("version") != BATCH_VERSION:
            raise UsageError(f"{path} is of another version", "use the version of Stillroom that wrote it")
        requests = {name: BatchRequest(**each) for name, each in values.pop("requests").items()}
        return Batch(requests=requests, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "restore it from a backup, or move it away") from error


class FrontierBatches:
    """The batches of one run to one frontier."""

    def __init__(self, settings: Settings, task: Task, name: str, options: EgressOptions) -> None:
        """Opens the gate.

        Raises:
            EgressRefused: The flag or the policy does not allow it.
            UsageError: The frontier or the policy is not what it should be, or the key is missing.
        """
        self._gate: EgressGate = open_gate(settings, task, name, replace(options, is_batch=True))
        self._paid_answers, self._client = PaidAnswers(settings), self._gate.open_client()
        self._settings, self._task, self._name = settings, task, name
        self.ended = ""
        """What ended the preparing, such as a cap."""
        self.withheld: list[tuple[str, str, str]] = []
        """Document, error class and message of what is not sent."""

    def prepare(self, path: Path, requests: Iterable[Request]) -> Batch | None:
        """Writes a batch of the requests that have no reply yet, as many as one may have; None without any."""
        lines: list[bytes] = []
        prepared: dict[str, BatchRequest] = {}
        size = 0
        for request in requests:
            made = self._prepared(request)
            if made is None:
                if self.ended:
                    break
                continue
            body, key, record = made
            name = f"{len(lines)}-{key[:32]}"
            line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": json.loads(body)}
            lines.append(json_text(line, compact=True).encode("utf-8", "replace") + b"\n")
            prepared[name] = BatchRequest(key, record, request.name)
            size += len(lines[-1])
            if len(lines) >= MOST_REQUESTS or size >= MOST_BYTES:
                break
        if not lines:
            return None
        batch = Batch(PREPARED, self._name, self._gate.run, prepared, created=time.time())
        write_file(path.with_suffix(".jsonl"), b"".join(lines))
        write_batch(path, batch)
        return batch

    def _prepared(self, request: Request) -> tuple[bytes, str, int] | None:
        """Body, key and record of a request; None where it has a reply, or may not leave."""
        config = self._gate.config
        try:
            cleared = self._gate.clear(request)
            body = request_body(config, self._task, request, cleared)
            key = request_key(config.endpoint.url, body)
            paid = self._paid_answers.get(key, self._gate.run)
            if paid is not None:
                return None
            ceiling = Usage(len(body), 0, config.choice.max_answer_tokens)
            return body, key, self._gate.release(request, cleared, body, ceiling)
        except Withheld as withheld:
            if withheld.ends:
                self.ended = withheld.message
            else:
                self.withheld.append((request.name, withheld.name, withheld.message))
            return None

    def send(self, path: Path, batch: Batch) -> Batch:
        """Gives a prepared batch to the server, unless a call that was killed had done so.

        Raises:
            FrontierFailure: The server does not take it.
        """
        if batch.file_id and (known := self._known(batch.file_id)):
            return self._sent(path, replace(batch, batch_id=known))
        requests_path = path.with_suffix(".jsonl")
        if not batch.file_id:
            uploaded = self._client.upload_batch(requests_path.read_bytes(), requests_path.name)
            batch = replace(batch, file_id=_text(uploaded, "id"))
            write_batch(path, batch)
        metadata = {"run": batch.run[:64], "requests": str(len(batch.requests))}
        created = self._client.create_batch(batch.file_id, metadata)
        return self._sent(path, replace(batch, batch_id=_text(created, "id"), server_state=_text(created, "status")))

    def _known(self, file_id: str) -> str:
        """The batch that the server has of this file; empty for none."""
        for each in self._client.latest_batches():
            if each.get("input_file_id") == file_id:
                return _text(each, "id")
        return ""

    def _sent(self, path: Path, batch: Batch) -> Batch:
        batch = replace(batch, state=SENT)
        write_batch(path, batch)
        path.with_suffix(".jsonl").unlink(missing_ok=True)
        return batch

    def poll(self, path: Path, batch: Batch) -> Batch:
        """Asks how far the batch is, and takes its replies where it has ended.

        Raises:
            FrontierFailure: The server does not say it, or does not give its results.
            ApplianceError: The replies cannot be kept.
        """
        values = self._client.batch(batch.batch_id)
        batch = replace(batch, server_state=_text(values, "status"))
        if batch.server_state in _ALIVE:
            write_batch(path, batch)
            return batch
        replies: dict[str, dict[str, Any]] = {}
        for name in ("output_file_id", "error_file_id"):
            if isinstance(file_id := values.get(name), str) and file_id:
                replies |= {key: reply for key, reply in _replies(self._client.file(file_id)) if key not in replies}
        return self._taken(path, batch, replies)

    def _taken(self, path: Path, batch: Batch, replies: dict[str, dict[str, Any]]) -> Batch:
        """Keeps what came of each request, and settles all."""
        answered, failed, settled = 0, dict[str, int](), self._settled_records()
        for name, request in batch.requests.items():
            outcome, usage = self._take(request, replies.get(name), batch.server_state)
            if request.record not in settled:  # else a call that was killed had come so far
                self._gate.settle(request.record, outcome, usage)
            if outcome == ANSWERED:
                answered += 1
            else:
                failed[outcome] = failed.get(outcome, 0) + 1
        batch = replace(batch, state=ENDED, answered=answered, failed=failed)
        write_batch(path, batch)
        return batch

    def _settled_records(self) -> set[int]:
        """The records of this run whose end is recorded."""
        return {
            int(str(record["of"]))
            for record in read_records(egress_dir(self._settings))
            if record["kind"] == "ended" and record.get("run") == self._gate.run
        }

    def _take(self, request: BatchRequest, reply: dict[str, Any] | None, server_state: str) -> tuple[str, Usage | None]:
        """Keeps one reply; gives its outcome and what it took. What did not come was not paid for."""
        response = reply.get("response") if reply else None
        if not isinstance(response, dict) or response.get("status_code") != 200:
            return _failure_name(reply, server_state), Usage()
        body = as_written(response.get("body")).encode("utf-8", "replace")
        config, usage, outcome = self._gate.config, None, ANSWERED
        try:
            read = read_reply(config, body)
            usage = read.usage
            read_answer(self._task, (), config.choice, read)
        except FrontierFailure as failure:
            outcome, usage = failure.name, failure.usage or usage
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            outcome = "broken_response"
        tokens = usage or Usage()
        self._paid_answers.put(
            PaidAnswer(
                request.key, self._gate.run, "", tokens.prompt_tokens, tokens.completion_tokens,
                tokens.reasoning_tokens, 0.0, None if usage is None else config.prices.money(tokens), outcome, body,
            )
        )  # fmt: skip
        return outcome, usage

    def close(self) -> None:
        """Ends connections and the record."""
        self._client.close()
        self._gate.close()
        self._paid_answers.close()


def _text(values: dict[str, object], key: str) -> str:
    """A text of a response.

    Raises:
        FrontierFailure: It has none.
    """
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise FrontierFailure("broken_response", f"the response has no {key}: {excerpt(values)}")
    return value


def _failure_name(reply: dict[str, Any] | None, server_state: str) -> str:
    """Why there is no answer: what the error says, or what became of the batch."""
    if reply is None:
        return f"batch_{server_state}"[:64] if server_state != "completed" else "no_reply"
    response = reply.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    _, codes, _ = error_words(reply.get("error") or (body.get("error") if isinstance(body, dict) else None) or {})
    return sorted(codes)[0][:64] if codes else "failed"


def _replies(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and reply of each line of a result file; lines that are none are passed over, as their requests have none."""
    for line in data.splitlines():
        try:
            values = loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and isinstance(name := values.get("custom_id"), str):
            yield name, values
