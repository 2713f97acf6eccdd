"""What a frontier sent back: the answer, or a failure with a name; nothing in it is taken on trust."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.engines.frontier_config import FrontierConfig, ModelChoice, Usage
from appliance.ground.text import printable
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.task import Field, FieldType, Task

_DATED = re.compile(r"[-:@]\d{4}(?:-?\d{2}){0,2}(?:-preview)?|[-:@]\d{3,8}")
"""What may follow a model's name for the dated version that answers for it: `-2024-08-06`, `-0613`, `@20240806`."""
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_SHOWN = 200


class FrontierFailure(Exception):
    """A document that the frontier gave no answer for.

    Args:
        name: Error class, such as `refused`.
        message: What happened, as a sentence.
        usage: Tokens that were paid for nonetheless, where the frontier told them.
        again: Whether the same request may succeed later.
        hopeless: Whether no other document will fare better, so that the rest is not sent.
    """

    def __init__(
        self, name: str, message: str, usage: Usage | None = None, *, again: bool = False, hopeless: bool = False
    ) -> None:
        super().__init__(message)
        self.name, self.message, self.usage = name, message, usage
        self.again, self.hopeless = again, hopeless
        self.retry_after: float | None = None
        """Seconds that the frontier asks to wait for."""
        self.unpaid = False
        """Whether it is certain that nothing was paid: the frontier refused the request as such."""


@dataclass(frozen=True)
class Reply:
    """A good answer as text."""

    content: str
    usage: Usage | None
    """None where the frontier does not tell it."""
    model: str


def read_reply(config: FrontierConfig, body: bytes) -> Reply:
    """The answer in the body of a response.

    Raises:
        FrontierFailure: It is none.
    """
    values = _json_object(body)
    usage = _usage(values.get("usage"))
    if isinstance(error := values.get("error"), dict):
        raise FrontierFailure("server_error", f"the frontier says: {_shown(error.get('message'))}", usage, again=True)
    _check_model(config.choice, values.get("model"), usage)
    choices = values.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise FrontierFailure("broken_response", "the response holds no message", usage, again=True)
    content = _content(config.choice, choice, message, usage)
    return Reply(content, usage, str(values["model"]))


def _json_object(body: bytes) -> dict[str, object]:
    start = body[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise FrontierFailure(
            "html_response", "the response is a web page, not JSON: something between answers, or the url is wrong",
            hopeless=True,
        )  # fmt: skip
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrontierFailure(
            "broken_response", f"the response of {len(body)} bytes is no whole JSON", again=True
        ) from error
    if not isinstance(values, dict):
        raise FrontierFailure("broken_response", "the response is JSON, but no object", again=True)
    return values


def _check_model(choice: ModelChoice, named: object, usage: Usage | None) -> None:
    if not isinstance(named, str) or not named:
        raise FrontierFailure("wrong_model", "the response does not say which model answered", usage)
    wanted = choice.model
    if named in (wanted, *choice.answers_as):
        return
    if named.startswith(wanted) and _DATED.fullmatch(named[len(wanted) :]):
        return
    raise FrontierFailure("wrong_model", f"asked was {wanted}, answered has {_shown(named)}", usage)


def _content(
    choice: ModelChoice, found: Mapping[str, object], message: Mapping[str, object], usage: Usage | None
) -> str:
    reason = found.get("finish_reason")
    if reason == "content_filter":
        raise FrontierFailure("content_filter", "the frontier's content filter took the answer away", usage)
    if refusal := message.get("refusal"):
        raise FrontierFailure("refused", f"the frontier refuses: {_shown(refusal)}", usage)
    if reason == "length":
        spent = f", of them {usage.reasoning_tokens} for reasoning" if usage and usage.reasoning_tokens else ""
        raise FrontierFailure("truncated", f"the answer was cut off at {choice.max_answer_tokens} tokens{spent}", usage)
    content = message.get("content")
    if reason not in ("stop", None) or not isinstance(content, str):
        raise FrontierFailure("wrong_schema", f"the frontier ended with {_shown(reason)} and no text", usage)
    return content


def _usage(values: object) -> Usage | None:
    """Tokens as the frontier counts them; reasoning is taken out of the completion where it is counted in there."""
    if not isinstance(values, dict):
        return None
    prompt, completion = _count(values.get("prompt_tokens")), _count(values.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = _count(_part(values, "prompt_tokens_details", "cached_tokens")) or 0
    reasoning = _count(_part(values, "completion_tokens_details", "reasoning_tokens")) or 0
    counted_apart = reasoning > 0 and _count(values.get("total_tokens")) == prompt + completion + reasoning
    written = completion if counted_apart else max(0, completion - reasoning)
    return Usage(prompt, min(cached, prompt), written, reasoning)


def _part(values: Mapping[str, object], table: str, key: str) -> object:
    part = values.get(table)
    return part.get(key) if isinstance(part, dict) else None


def _count(value: object) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return value if good and isinstance(value, int) else None


def read_answer(task: Task, field_names: Sequence[str], choice: ModelChoice, reply: Reply) -> Answer:
    """The answer as the task wants it.

    Raises:
        FrontierFailure: The text is no JSON, or not of the schema that was sent.
    """
    text = reply.content
    if choice.structured != "json_schema" and (fenced := _FENCE.match(text)):
        text = fenced.group(1)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrontierFailure("broken_answer", f"the answer is no JSON: {_shown(text)}", reply.usage) from error
    fields = [field for field in task.output_fields if not field_names or field.name in field_names]
    if not isinstance(values, dict) or set(values) != {field.name for field in fields}:
        raise FrontierFailure("wrong_schema", f"the answer has another form: {_shown(text)}", reply.usage)
    answer: Answer = {}
    for field in fields:
        value = values[field.name]
        if choice.structured != "json_schema" and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not _fits(field, value):
            message = f"{field.name} has another form: {_shown(json.dumps(value, ensure_ascii=False))}"
            raise FrontierFailure("wrong_schema", message, reply.usage)
        answer[field.name] = _tidy(value)
    return answer


def _fits(field: Field, value: object) -> bool:
    if value is None:
        return not field.required
    if field.type is FieldType.LIST:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    return isinstance(value, str) and (not field.values or value in field.values)


def _tidy(value: Value) -> Value:
    if isinstance(value, list):
        return [text.strip() for text in value if text.strip()] or None
    return (value or "").strip() or None


def _shown(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
