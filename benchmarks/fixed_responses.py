"""What a recorded frontier sends whatever it was asked: errors, web pages and answers of another form, by mode."""

ERRORS = {
    "429": (429, "rate_limit_exceeded", "Rate limit reached"),
    "429-quota": (429, "insufficient_quota", "You exceeded your current quota"),
    "500": (500, None, "The server had an error"),
    "401": (401, "invalid_api_key", "Incorrect API key provided"),
    "404": (404, "model_not_found", "The model does not exist"),
    "too-long": (400, "context_length_exceeded", "This model's maximum context length is 8192 tokens"),
    "filtered": (400, "content_filter", "The prompt was filtered"),
    "400": (400, "unsupported_parameter", "logprobs is not supported with this model"),
    "error-body": (200, None, "The engine is overloaded"),
}
"""Mode -> status, error code and message."""
STATIC: dict[str, tuple[int, bytes, str, dict[str, str]]] = {
    "html": (200, b"<!DOCTYPE html><html><body>Sign in to the guest network</body></html>", "text/html", {}),
    "503-html": (503, b"<html><body>503 Service Unavailable</body></html>", "text/html", {}),
    "empty": (200, b"", "application/json", {}),
    "redirect": (307, b"", "text/plain", {"location": "http://127.0.0.1:9/v1/chat/completions"}),
    "huge": (200, b" " * 8_000_000, "application/json", {}),
}
"""Mode -> status, body, content type and headers."""
OTHER_CONTENT = {
    "other-schema": '{"answer": 42}',
    "other-label": '{"label": "no_such_label"}',
    "not-json": "Sure! The label is card_arrival.",
    "list": "[1, 2, 3]",
}
"""Mode -> the text of an answer that is otherwise good."""
