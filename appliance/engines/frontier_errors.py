"""Why a frontier did not answer a document: failures with a name, from status and words of many kinds of servers."""

import re
from collections.abc import Iterator, Mapping

from appliance.engines.frontier_config import FrontierConfig, Usage
from appliance.ground.text import printable, storable

EXCERPT_CHARACTERS = 200
_QUOTA = frozenset(
    "insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance insufficient_credits"
    " credit_balance_too_low".split()
)
_RATE = frozenset(
    "rate_limit_exceeded rate_limit_error rate_limited rate_limit too_many_requests resource_exhausted"
    " throttlingexception".split()
)
_KEY = frozenset(
    "invalid_api_key authentication_error permission_error unauthenticated permission_denied unauthorized forbidden"
    " invalid_authentication api_key_invalid".split()
)
_MODEL = frozenset("model_not_found not_found_error deploymentnotfound model_not_available unknown_model".split())
_LENGTH = frozenset(
    "context_length_exceeded string_above_max_length request_too_large exceed_context_size_error"
    " context_window_exceeded".split()
)
_FILTER = frozenset(
    "content_filter content_policy_violation responsibleaipolicyviolation content_filter_error moderation_blocked"
    " content_moderation".split()
)
_TOO_LONG = re.compile(
    r"context (?:length|window|size)|maximum (?:context|sequence|input)|max_new_tokens|(?:prompt|input) (?:is|contains"
    r" \d+ tokens, )?\s?too (?:long|large)|too many (?:input )?tokens",
    re.IGNORECASE,
)


_MESSAGES = ("message", "detail", "error", "msg", "error_message", "status_msg")
_INNER = ("error", "innererror", "detail", "metadata", "message", "errors", "details", "base_resp")
"""Where the words of an error stand within another object."""


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


def excerpt(value: object) -> str:
    """The beginning of a value from outside, for a message."""
    text = value if isinstance(value, str) else repr(value) if isinstance(value, int | float | bool) else _nested(value)
    text = storable(printable(text[: EXCERPT_CHARACTERS + 1]))
    return text if len(text) <= EXCERPT_CHARACTERS else text[:EXCERPT_CHARACTERS] + "..."


def _nested(value: object) -> str:
    try:
        return str(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


def is_web_page(body: bytes) -> bool:
    """Whether a response is a page for a person, as proxies and wrong addresses answer."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:20].lower()
    return start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<!--"))


def page_title(page: bytes) -> str:
    """What a web page is called; empty where it has no name."""
    title = re.search(rb"<title[^>]{0,200}>([^<]{1,300})", page, re.IGNORECASE)
    return " ".join(title[1].decode("utf-8", "replace").split()) if title else ""


def error_words(error: object) -> tuple[int | None, frozenset[str], str]:
    """Status, codes and message in what a server calls an error; servers nest and name them in their own ways."""
    status, codes, message = None, set(), ""
    for key, value in _pairs(error, 0):
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and key in ("code", "status", "status_code", "statuscode")
        ):
            status = value if 100 <= value < 600 else status
        elif isinstance(value, str) and key in ("code", "type", "status", "reason", "error_code"):
            codes.add(value.strip().lower())
            status = int(value) if re.fullmatch(r"[1-5]\d\d", value) else status
        elif isinstance(value, str) and key in _MESSAGES:
            message = message or value
    return status, frozenset(codes), message


def _pairs(value: object, depth: int) -> Iterator[tuple[str, object]]:
    if isinstance(value, str):
        yield "message", value
    elif isinstance(value, Mapping):
        yield from ((str(key).lower(), each) for key, each in value.items())
        for key in _INNER if depth < 3 else ():
            if isinstance(inner := value.get(key), Mapping | list):
                yield from _pairs(inner, depth + 1)
    elif isinstance(value, list):
        for each in value[:5] if depth < 4 else ():
            yield from _pairs(each, depth + 1)


def service_failure(config: FrontierConfig, status: int, codes: frozenset[str], reason: str) -> FrontierFailure:
    """The failure that a status and a server's words stand for.

    Args:
        status: Of the response, or of the error within a response that came as a good one; 0 where it has none.
        codes: Codes and types of the error, in lower case.
        reason: The server's own words.
    """
    host, reason_text = config.endpoint.host, excerpt(reason)
    if codes & _QUOTA or status == 402:
        return FrontierFailure("no_quota", f"the account at {host} has no quota left: {reason_text}", hopeless=True)
    if status == 429 or codes & _RATE:
        return FrontierFailure("rate_limited", f"{host} accepts no more requests for now: {reason_text}", again=True)
    if codes & _FILTER:
        return FrontierFailure("content_filter", f"the frontier's content filter refused the document: {reason_text}")
    if status in (401, 403) or codes & _KEY:
        which = f" ({status})" if status else ""
        return FrontierFailure("unauthorised", f"{host} refused the key{which}: {reason_text}", hopeless=True)
    if status == 404 or codes & _MODEL:
        message = f"{host} has no model {config.choice.model} at this url: {reason_text}"
        return FrontierFailure("unknown_model", message, hopeless=True)
    if codes & _LENGTH or status == 413 or (status in (400, 422) and _TOO_LONG.search(reason)):
        return FrontierFailure("too_long", f"the document is too long for {config.choice.model}: {reason_text}")
    if 100 <= status < 400 and status != 200:
        return FrontierFailure(
            "redirected", f"{host} redirects to another address, which is not followed: {reason_text}", hopeless=True
        )
    if status in (0, 200, 408, 409, 425) or status >= 500:
        which = f" ({status})" if status not in (0, 200) else ""
        return FrontierFailure("server_error", f"{host} failed{which}: {reason_text}", again=True)
    return FrontierFailure("bad_request", f"{host} refused the request ({status}): {reason_text}")
