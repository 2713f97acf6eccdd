"""What a frontier sent back: the answer, or a failure with a name; nothing in it is trusted."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.engines.frontier_config import FrontierConfig, ModelChoice, Usage
from appliance.ground.json_text import json_text
from appliance.ground.text import printable
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.task import Field, FieldType, Task

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat.chat_completion import Choice

_DATED = re.compile(r"[-:@]\d{4}(?:-?\d{2}){0,2}(?:-preview)?|[-:@]\d{3,8}")
"""What may follow a model's name for the dated version that answers for it: `-2024-08-06`, `-0613`, `@20240806`."""
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_EXCERPT_CHARACTERS = 200
_MOST_TOKENS = 10**9
"""A larger count is no count of tokens."""


class FrontierFailure(Exception):
    """A document that the frontier did not answer.

    Args:
        name: Error class, such as `refused`.
        message: What happened, as a sentence.
        usage: Tokens that were paid for nonetheless, where the frontier reported them.
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
    """None where the frontier does not report it."""
    model: str


def read_reply(config: FrontierConfig, body: bytes) -> Reply:
    """The answer in the body of a response.

    Raises:
        FrontierFailure: It is none.
    """
    from openai.types.chat import ChatCompletion, ChatCompletionMessage
    from openai.types.chat.chat_completion import Choice

    values = _json_object(body)
    try:
        # Not validated: servers leave out fields that the type requires and send others. Every value is checked below.
        completion = ChatCompletion.construct(**values)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise FrontierFailure("broken_response", "the response is not a chat completion", again=True) from error
    usage = _usage(completion.usage)
    if isinstance(error_body := values.get("error"), dict):
        message = f"the frontier reports an error: {_excerpt(error_body.get('message'))}"
        raise FrontierFailure("server_error", message, usage, again=True)
    _check_model(config.choice, completion.model, usage)
    choice = completion.choices[0] if isinstance(completion.choices, list) and completion.choices else None
    if not isinstance(choice, Choice) or not isinstance(choice.message, ChatCompletionMessage):
        raise FrontierFailure("broken_response", "the response holds no message", usage, again=True)
    return Reply(_content(config.choice, choice, usage), usage, completion.model)


def _json_object(body: bytes) -> dict[str, Any]:
    start = body[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise FrontierFailure(
            "html_response", "the response is a web page, not JSON: a proxy answered, or the url is wrong",
            hopeless=True,
        )  # fmt: skip
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrontierFailure(
            "broken_response", f"the response of {len(body)} bytes is incomplete or not JSON", again=True
        ) from error
    if not isinstance(values, dict):
        raise FrontierFailure("broken_response", "the response is JSON but not an object", again=True)
    return values


def _check_model(choice: ModelChoice, model: object, usage: Usage | None) -> None:
    if not isinstance(model, str) or not model:
        raise FrontierFailure("wrong_model", "the response does not name the model that answered", usage)
    if model in (choice.model, *choice.answers_as):
        return
    if model.startswith(choice.model) and _DATED.fullmatch(model[len(choice.model) :]):
        return
    raise FrontierFailure("wrong_model", f"{choice.model} was requested, {_excerpt(model)} answered", usage)


def _content(limits: ModelChoice, choice: "Choice", usage: Usage | None) -> str:
    reason, message = choice.finish_reason, choice.message
    if reason == "content_filter":
        raise FrontierFailure("content_filter", "the frontier's content filter withheld the answer", usage)
    if message.refusal:
        raise FrontierFailure("refused", f"the frontier refused to answer: {_excerpt(message.refusal)}", usage)
    if reason == "length":
        reasoning = f", {usage.reasoning_tokens} of them for reasoning" if usage and usage.reasoning_tokens else ""
        explanation = f"the answer was cut off at {limits.max_answer_tokens} tokens{reasoning}"
        raise FrontierFailure("truncated", explanation, usage)
    if reason not in ("stop", None) or not isinstance(message.content, str):
        raise FrontierFailure(
            "wrong_schema", f"the frontier stopped without text (finish_reason {_excerpt(reason)})", usage
        )
    return message.content


def _usage(counts: "CompletionUsage | None") -> Usage | None:
    """Tokens as the frontier counts them; reasoning is taken out of the completion where it is counted in there."""
    prompt, completion = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    if prompt is None or completion is None:
        return None
    cached = _count(getattr(counts, "prompt_tokens_details", None), "cached_tokens") or 0
    reasoning = _count(getattr(counts, "completion_tokens_details", None), "reasoning_tokens") or 0
    counted_apart = reasoning > 0 and _count(counts, "total_tokens") == prompt + completion + reasoning
    written = completion if counted_apart else max(0, completion - reasoning)
    return Usage(prompt, min(cached, prompt), written, reasoning)


def _count(counts: object, name: str) -> int | None:
    value = getattr(counts, name, None)
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None


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
        raise FrontierFailure("broken_answer", f"the answer is not JSON: {_excerpt(text)}", reply.usage) from error
    fields = [field for field in task.output_fields if not field_names or field.name in field_names]
    if not isinstance(values, dict) or set(values) != {field.name for field in fields}:
        raise FrontierFailure("wrong_schema", f"the answer does not match the schema: {_excerpt(text)}", reply.usage)
    answer: Answer = {}
    for field in fields:
        value = values[field.name]
        if choice.structured != "json_schema" and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not _fits(field, value):
            message = f"{field.name} does not match the schema: {_excerpt(json_text(value))}"
            raise FrontierFailure("wrong_schema", message, reply.usage)
        answer[field.name] = _stripped(value)
    return answer


def _fits(field: Field, value: object) -> bool:
    if value is None:
        return not field.required
    if field.type is FieldType.LIST:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    return isinstance(value, str) and (not field.values or value in field.values)


def _stripped(value: Value) -> Value:
    if isinstance(value, list):
        return [text.strip() for text in value if text.strip()] or None
    return (value or "").strip() or None


def _excerpt(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _EXCERPT_CHARACTERS else text[:_EXCERPT_CHARACTERS] + "..."
