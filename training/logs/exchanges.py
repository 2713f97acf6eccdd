"""Requests and their answers as logs hold them: OpenAI's chat format with and around it, and exports of Langfuse."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.ground.errors import UsageError
from appliance.ground.json_input import NotJson, RefusedJson, parse_json
from appliance.ground.json_text import json_text
from appliance.tasks.answer_json import WrittenNumber
from appliance.tasks.labels import read_json_lines

Record = Mapping[str, Any]
LARGEST_ARRAY = 1 << 30
"""Bytes of a file that is one JSON array, which is read as a whole."""


@dataclass(frozen=True)
class Exchange:
    """One request with its answer."""

    place: int
    """Line of the file, or number in its array."""
    system: str
    """What was asked of every document."""
    user: str
    """What was sent last, the document in it."""
    answer: str
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float | None = None
    moment: float | None = None
    """Seconds since the epoch."""


@dataclass
class LogFile:
    """What a file of logs holds besides exchanges."""

    broken: list[tuple[int, str]] = field(default_factory=list)
    """Lines that are no JSON, with what is wrong."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Why records are no exchange -> how many."""


def read_exchanges(path: Path, log: LogFile) -> Iterator[Exchange]:
    """The exchanges of a file, JSON Lines or one JSON array.

    Raises:
        UsageError: The file cannot be read, or is one JSON value that is no array.
    """
    for place, record in _records(path, log):
        exchange = _exchange(place, record)
        if isinstance(exchange, str):
            log.passed_over[exchange] += 1
        else:
            yield exchange


def _records(path: Path, log: LogFile) -> Iterator[tuple[int, Record]]:
    try:
        with path.open("rb") as file:
            begins_array = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
        if not begins_array:
            yield from read_json_lines(path, on_broken=lambda number, error: log.broken.append((number, error.message)))
            return
        if path.stat().st_size > LARGEST_ARRAY:
            raise UsageError(f"{path} is one JSON array that is too large", "save it as JSON Lines: one object a line")
        values = parse_json(path.read_text("utf-8-sig"), parse_float=WrittenNumber)
    except (OSError, UnicodeDecodeError, NotJson, RefusedJson) as error:
        raise UsageError(f"{path} cannot be read: {error}", "give JSON Lines, or one JSON array, in UTF-8") from error
    for number, value in enumerate(values if isinstance(values, list) else [], 1):
        if isinstance(value, dict):
            yield number, value
        else:
            log.passed_over["no object"] += 1


def _exchange(place: int, record: Record) -> Exchange | str:
    """The exchange of a record, or why it is none."""
    if str(record.get("level", "")).upper() == "ERROR" or record.get("error"):
        return "failed requests"
    request, response = _sides(record)
    messages = _messages(request)
    answer, messages = _answer(response, messages)
    user = next((text for role, text in reversed(messages) if role == "user"), None)
    if user is None:
        return "no message of a user"
    if not answer.strip():
        return "no answer"
    if sum(role == "assistant" for role, _ in messages):
        return "conversations of several turns"
    system = "\n".join(text for role, text in messages if role in ("system", "developer"))
    body = response if isinstance(response, dict) else {}
    usage = _usage(record, body)
    model = body.get("model") or record.get("model") or (request.get("model") if isinstance(request, dict) else "")
    return Exchange(place, system, user, answer, str(model or ""), *usage, _money(record), _moment(record, body))


def _sides(record: Record) -> tuple[Any, Any]:
    """What was sent and what came back, wherever a log keeps them."""
    if "request" in record and "response" in record:
        return _body(record["request"]), _body(record["response"])
    if "input" in record and "output" in record:  # Langfuse: both may be text that is JSON
        return _parsed(record["input"]), _parsed(record["output"])
    return record, record.get("response") if isinstance(record.get("response"), dict) else record


def _body(side: Any) -> Any:
    parsed = _parsed(side)
    return parsed["body"] if isinstance(parsed, dict) and isinstance(parsed.get("body"), dict) else parsed


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse_json(value, parse_float=WrittenNumber)
        except (NotJson, RefusedJson):
            return value
    return value


def _messages(request: Any) -> list[tuple[str, str]]:
    """Role and text of each message that was sent."""
    if isinstance(request, str):
        return [("user", request)]
    messages = request.get("messages", request.get("input")) if isinstance(request, dict) else request
    found = [("user", messages)] if isinstance(messages, str) else []
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            found.append((str(message.get("role", "")), _message_text(message)))
    if isinstance(request, dict) and isinstance(request.get("instructions"), str):  # of the responses interface
        found.insert(0, ("system", request["instructions"]))
    return found


def text_of(content: Any) -> str:
    """The text of a message's content, in parts or not; pictures and sounds are none."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _message_text(message: Record) -> str:
    """What a message says; where it says nothing and calls one function, what it gives to that."""
    if text := text_of(message.get("content")):
        return text
    calls = message.get("tool_calls")
    one = calls[0] if isinstance(calls, list) and len(calls) == 1 and isinstance(calls[0], dict) else message
    function = one.get("function") or one.get("function_call") or one
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return json_text(arguments) if isinstance(arguments, dict) else arguments if isinstance(arguments, str) else ""


def _answer(response: Any, messages: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """The text of the answer, and the messages without it where it stands among them."""
    if isinstance(response, str):
        return response, messages
    if isinstance(response, list):
        response = response[-1] if response else {}
    if isinstance(response, dict):
        choices = response.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            message = choices[0].get("message")
            text = _message_text(message) if isinstance(message, dict) else str(choices[0].get("text") or "")
            return text, messages
        if isinstance(output := response.get("output"), list):  # of the responses interface: thoughts, calls, messages
            texts = [
                _message_text(part) for part in output if isinstance(part, dict) and part.get("type") != "reasoning"
            ]
            return "\n".join(filter(None, texts)), messages
        if text := _message_text(response):
            return text, messages
        for key in ("completion", "text", "output_text"):
            if text := text_of(response.get(key)):
                return text, messages
        if "messages" not in response and response.get("role") is None and response:
            keys = ("model", "usage", "id", "created")
            values = {key: value for key, value in response.items() if key not in keys}
            if values and "input" not in response:  # a log that keeps the answer as the object that it says
                return json_text(values), messages
    if messages and messages[-1][0] == "assistant":
        return messages[-1][1], messages[:-1]
    return "", messages


def _usage(record: Record, body: Record) -> tuple[int, int]:
    """Tokens of prompt and answer, as far as they are told."""
    for usage in (body.get("usage"), record.get("usage"), record.get("usageDetails"), record.get("usage_details")):
        if isinstance(usage, dict):
            prompt = _count(usage, "prompt_tokens", "input_tokens", "input", "promptTokens")
            return prompt, _count(usage, "completion_tokens", "output_tokens", "output", "completionTokens")
    return 0, 0


def _count(usage: Record, *names: str) -> int:
    for name in names:
        if isinstance(value := usage.get(name), int | float) and value >= 0:
            return int(value)
    return 0


def _money(record: Record) -> float | None:
    for name in ("calculatedTotalCost", "totalCost", "total_cost", "cost", "costDetails"):
        value = record.get(name)
        value = value.get("total") if isinstance(value, dict) else value
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
    return None


def _moment(record: Record, body: Record) -> float | None:
    for value in (record.get("timestamp"), record.get("startTime"), record.get("start_time"), record.get("created_at"),
                  record.get("createdAt"), record.get("created"), body.get("created")):  # fmt: skip
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value) / (1000 if value > 1e11 else 1)
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError:
                continue
    return None
