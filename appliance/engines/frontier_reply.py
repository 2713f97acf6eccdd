"""What a frontier sent back: the text of an answer with its tokens, or a failure with a name; nothing in it is trusted.

Servers that speak the same protocol wrap one answer in many ways: as a list of parts, as the arguments of a call, as a
stream of events although none was requested, in the protocol's older or a neighbouring form. What the wrapping leaves
open is refused by name: a reply that was cut, that only thinks, that calls two tools, that another model gave.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from appliance.engines.frontier_config import FrontierConfig, ModelChoice, Usage
from appliance.engines.frontier_errors import FrontierFailure, error_words, excerpt, is_web_page, service_failure
from appliance.engines.frontier_json import as_written, loads
from appliance.engines.frontier_logprobs import TokenChoice, read_token_choices
from appliance.engines.frontier_usage import read_usage

_DATED = re.compile(r"[-:@]\d{4}(?:-?\d{2}){0,2}(?:-preview)?|[-:@]\d{3,8}")
"""What may follow a model's name for the dated version that answers for it: `-2024-08-06`, `-0613`, `@20240806`."""
_NEWEST = re.compile(r"[-:]latest\Z")
_FINISHED = frozenset(
    "stop eos eos_token end_turn stop_sequence complete completed end done finished tool_calls function_call"
    " tool_use tool_call stopped stop_token stop_criteria endoftext end_of_turn eos_found".split()
)
_CUT = frozenset(
    "length max_tokens model_length max_output_tokens max_length max_completion_tokens token_limit incomplete"
    " model_context_window_exceeded context_length maximum_tokens max_token max_tokens_reached length_limit time_limit"
    " not_finished".split()
)
_FILTERED = frozenset(
    "content_filter content_filtered safety image_safety blocked blocklist prohibited_content recitation spii guardrail"
    " guardrail_intervened sensitive error_toxic".split()
)
_BROKEN_OFF = frozenset(
    "error abort aborted abort_error cancelled canceled insufficient_system_resource network_error timeout".split()
)
_ENUM = re.compile(r"\A(?:finish_?reason[._])?(\w+)(?:\s*:.*)?\Z", re.DOTALL)
"""A reason as some servers print it: `FinishReason.STOP`, `content_filter: SAFETY`."""
_BLANKS = b" \t\r\n\0"
"""With these, servers keep a connection alive while a model works, and some end a text with zero."""
_OTHER_REASONS = ("finishReason", "native_finish_reason", "stop_reason", "done_reason")
_OTHER_FIELD = re.compile(r"(?!data:)[a-z_-]{0,40}:")
"""A comment or a field of an event other than its data."""
_WRAPPERS = ("result", "data", "response", "body", "completion")

Values = dict[str, object]


@dataclass(frozen=True)
class Reply:
    """A good answer as text."""

    content: str
    usage: Usage | None
    """None where the frontier does not report it."""
    model: str
    notes: tuple[str, ...] = ()
    """What about its wrapping was not as requested."""
    fingerprint: str = ""
    """What the server calls the state of the model, where it does."""
    tokens: tuple[TokenChoice, ...] = ()
    """Of the answer with their probabilities, where they were asked for and given."""


def read_reply(config: FrontierConfig, body: bytes) -> Reply:
    """The answer in the body of a response.

    Raises:
        FrontierFailure: It is none.
    """
    values, notes = _envelope(body)
    usage = read_usage(values)
    if "error" in values and values["error"] not in (None, False, "", {}, []):
        raise _reported(config, values["error"], usage)
    if str(values.get("object", values.get("type"))) == "error":
        raise _reported(config, values, usage)
    choice = _choice(values)
    if choice is None and not values.get("choices") and any(error_words(values)[::2]):
        # Gateways say why they refuse under keys of their own.
        raise _reported(config, values, usage)
    _check_model(config.choice, values.get("model"), usage)
    if choice is None:
        raise FrontierFailure("broken_response", "the response holds no message", usage)
    if choice.get("error") not in (None, False, "", {}, []):
        raise _reported(config, choice["error"], usage)
    content, more_notes = _content(config.choice, choice, usage)
    fingerprint = values.get("system_fingerprint")
    return Reply(
        content, usage, str(values["model"]), (*notes, *more_notes),
        fingerprint if isinstance(fingerprint, str) else "", read_token_choices(choice),
    )  # fmt: skip


def _reported(config: FrontierConfig, error: object, usage: Usage | None) -> FrontierFailure:
    """The failure in an error that came with the status of a good answer."""
    status, codes, message = error_words(error)
    failure = service_failure(config, status or 0, codes, message or excerpt(error))
    failure.message = f"the frontier reports an error: {failure.message}"
    failure.usage = usage
    return failure


def _envelope(body: bytes) -> tuple[Values, list[str]]:
    """The response as one object, and what was unusual about how it came."""
    if not body.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" not in body[:4]:  # Not UTF-16 nor UTF-32.
        body = body.strip(_BLANKS).removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS)
    if is_web_page(body):
        raise FrontierFailure(
            "html_response", "the response is a web page, not JSON: a proxy answered, or the url is wrong",
            hopeless=True,
        )  # fmt: skip
    if not body.strip(_BLANKS):
        raise FrontierFailure("broken_response", "the response is empty", again=True)
    try:
        values: object = loads(body)
    except (ValueError, RecursionError) as error:
        chunks = list(_events(body))
        if not chunks:
            raise FrontierFailure(
                "broken_response", f"the response of {len(body)} bytes is incomplete or not JSON"
            ) from error
        return _joined(chunks), ["it came as a stream of events"]
    if isinstance(values, list) and len(values) == 1:
        values = values[0]
    if not isinstance(values, dict):
        raise FrontierFailure("broken_response", "the response is JSON but not an object")
    if not ({"choices", "error", "message", "content"} & values.keys()):
        inner = [each for key in _WRAPPERS if isinstance(each := values.get(key), dict) and "choices" in each]
        if len(inner) == 1:
            return inner[0], ["it was wrapped in another object"]
    return values, []


def _events(body: bytes) -> Iterator[Values]:
    """The objects of a stream: server-sent events, or an object on each line."""
    try:
        # Other line ends of Unicode stand in texts.
        lines = re.split(r"\r\n|\n|\r", body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FrontierFailure("broken_response", f"the response is not UTF-8 at byte {error.start}") from error
    for line in lines:
        text = line.strip()
        if _OTHER_FIELD.match(text):
            continue
        text = text.removeprefix("data:").strip()
        if not text:
            continue
        if text == "[DONE]":
            return
        try:
            values = loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise FrontierFailure("broken_response", "the response is a stream of events that is cut or not JSON")
        yield values


def _joined(chunks: list[Values]) -> Values:
    """One response of the pieces of a stream; a stream without an end has no reason for it and counts as cut."""
    joined: Values = {}
    texts: list[str] = []
    refusals: list[str] = []
    reason: object = None
    for chunk in chunks:
        joined |= {key: value for key, value in chunk.items() if key != "choices" and value not in (None, "")}
        choice = _choice(chunk)
        if choice is None or choice.get("index", 0) not in (0, None):
            continue
        message = cast("Values", choice["message"])
        texts += [text] if isinstance(text := message.get("content"), str) else []
        refusals += [text] if isinstance(text := message.get("refusal"), str) else []
        if message.get("tool_calls") or message.get("function_call"):
            raise FrontierFailure("wrong_schema", "the frontier streamed a call of a tool instead of an answer")
        if not (isinstance(reason, str) and _word(reason) in _CUT | _FILTERED):
            reason = choice.get("finish_reason") or reason
    if texts or refusals:
        message = {"content": "".join(texts), "refusal": "".join(refusals) or None}
        joined["choices"] = [{"message": message, "finish_reason": reason or "incomplete"}]
        joined.pop("message", None)
    return joined


def _choice(values: Values) -> Values | None:
    """The first choice with its message as an object; those of neighbouring protocols are brought to the same form."""
    choices = values.get("choices")
    if choices is None and isinstance(message := values.get("message"), dict):
        finished = values.get("done_reason") or ("incomplete" if values.get("done") is False else "stop")
        return {"message": message, "finish_reason": finished}
    if choices is None and isinstance(parts := values.get("content"), list):
        return {"message": {"content": parts}, "finish_reason": values.get("stop_reason")}
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    message = choice.get("message") if choice.get("message") is not None else choice.get("delta")
    if message is None and isinstance(text := choice.get("text"), str):
        message = {"content": text}
    return {**choice, "message": message} if isinstance(message, dict) else None


def _check_model(choice: ModelChoice, model: object, usage: Usage | None) -> None:
    if not isinstance(model, str) or not model:
        raise FrontierFailure("wrong_model", "the response does not name the model that answered", usage)
    answered = model.strip().casefold().removeprefix("models/")
    if answered in {name.casefold().removeprefix("models/") for name in (choice.model, *choice.answers_as)}:
        return
    requested = choice.model.casefold().removeprefix("models/")
    if ("/" in requested) != ("/" in answered):
        # Gateways put their provider's name before a model's, and leave it out in answers.
        requested, answered = requested.rpartition("/")[2], answered.rpartition("/")[2]
    for stem in {requested, _NEWEST.sub("", requested)}:
        rest = answered[len(stem) :]
        if answered.startswith(stem) and (not rest or rest == ":latest" or _DATED.fullmatch(rest)):
            return
    message = f"{choice.model} was requested, {excerpt(model)} answered; write answers_as if both name one model"
    raise FrontierFailure("wrong_model", message, usage)


def _content(limits: ModelChoice, choice: Values, usage: Usage | None) -> tuple[str, list[str]]:
    message = cast("Values", choice["message"])
    reason = choice.get("finish_reason")
    # A server that knows more than its protocol says it under another key.
    others = [each for key in _OTHER_REASONS if isinstance(each := choice.get(key), str)]
    limits_reached = [each for each in others if _word(each) in _CUT | _FILTERED]
    if limits_reached or (reason is None and others):
        reason = (limits_reached or others)[0]
    word = "" if reason is None else _word(reason) if isinstance(reason, str) else "not a word"
    text, notes = _text_of(message, usage)
    if word in _FILTERED:
        raise FrontierFailure("content_filter", "the frontier's content filter withheld the answer", usage)
    if message.get("refusal") or word == "refusal":
        raise FrontierFailure(
            "refused", f"the frontier refused to answer: {excerpt(message.get('refusal') or text or '')}", usage
        )
    if word in _CUT:
        reasoning = f", {usage.reasoning_tokens} of them for reasoning" if usage and usage.reasoning_tokens else ""
        explanation = f"the answer was cut off at {limits.max_answer_tokens} tokens{reasoning}"
        raise FrontierFailure("truncated", explanation, usage)
    if word in _BROKEN_OFF:
        message_text = f"the frontier broke off its answer (finish_reason {excerpt(reason)})"
        raise FrontierFailure("server_error", message_text, usage, again=True)
    if (word and word not in _FINISHED) or text is None:
        how = "without text" if text is None else "in an unknown way"
        raise FrontierFailure("wrong_schema", f"the frontier stopped {how} (finish_reason {excerpt(reason)})", usage)
    return text, notes


def _word(reason: str) -> str:
    """A reason to stop in the form in which the lists above have it."""
    text = reason.strip().lower()
    return match[1] if (match := _ENUM.match(text)) else text


def _text_of(message: Values, usage: Usage | None) -> tuple[str | None, list[str]]:
    """The text of a message, whatever it is wrapped in; None where it has none."""
    content, notes = message.get("content"), []
    if isinstance(content, list):
        content, notes = _of_parts(cast("list[object]", content), message), ["its text came in parts"]
    if isinstance(content, dict):
        content, notes = as_written(content), ["its text came as an object"]
    if isinstance(content, str) and content.strip():
        return content, notes
    if (arguments := _arguments(message, usage)) is not None:
        return arguments, ["it came as the arguments of a call"]
    if isinstance(parsed := message.get("parsed"), dict):
        return as_written(parsed), ["its text came as an object"]
    return content if isinstance(content, str) else None, notes


def _of_parts(parts: list[object], message: Values) -> str | None:
    """The texts of the parts that are text; a part that refuses is noted in the message."""
    texts: list[str] = []
    for part in parts:
        if not isinstance(part, dict):
            return None
        kind, text = str(part.get("type", "text")), part.get("text")
        if kind == "refusal":
            message["refusal"] = part.get("refusal") or text or True
        elif kind in ("text", "output_text"):
            text = text.get("value") if isinstance(text, dict) else text
            if not isinstance(text, str):
                return None
            texts.append(text)
    return "".join(texts) if texts else None


def _arguments(message: Mapping[str, object], usage: Usage | None) -> str | None:
    """The arguments of the one call that a message holds in place of text."""
    calls = message.get("tool_calls")
    functions = [
        call.get("function", call) for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)
    ]
    if isinstance(call := message.get("function_call"), dict):
        functions.append(call)
    if len(functions) > 1:
        raise FrontierFailure("wrong_schema", f"the frontier called {len(functions)} tools instead of answering", usage)
    arguments = functions[0].get("arguments") if functions and isinstance(functions[0], dict) else None
    if isinstance(arguments, dict):
        return as_written(arguments)
    return arguments if isinstance(arguments, str) else None
