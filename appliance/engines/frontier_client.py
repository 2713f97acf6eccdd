"""One request to a frontier through the `openai` client; import it only where the policy lets something leave.

The transport is the last place that the bytes pass: it sends to the one address of the configuration, with the headers
listed here and no others, follows no redirect, takes no proxy and no key from the environment, and takes no more than
the configured size and time of an answer. Of what comes back it lets through the bytes and two headers: what else a
server says of its bytes (a charset, an encoding, cookies, another address) would choose what the client runs on them. A
key that comes back is taken out.
"""

import base64
import email.utils
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2
import openai

from appliance.engines.frontier_config import FrontierConfig
from appliance.engines.frontier_deadline import use_deadlines
from appliance.engines.frontier_errors import (
    FrontierFailure,
    error_words,
    excerpt,
    is_web_page,
    page_title,
    service_failure,
)
from appliance.engines.frontier_json import loads
from appliance.ground.errors import UsageError

_PATH = "/chat/completions"
SENT_HEADERS = (
    "accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "idempotency-key",
    "user-agent",
)  # fmt: skip
_NO_KEY = "none"
"""The client wants a key; the transport takes it out again."""
READ_HEADERS = ("retry-after", "retry-after-ms")
_COMPRESSIONS = frozenset("gzip x-gzip deflate br zstd compress x-compress".split())
"""Other words in this header, such as `utf-8`, are mistakes of servers that compress nothing."""
_MOST_ERROR_BYTES = 65_536
"""Of a response that is an error; its reason stands at its beginning."""
_SECRET_CHARACTERS = 16
"""A shorter key is no secret but a word that local servers want, such as `EMPTY`, and may stand in any text."""
_TAKEN_OUT = "[key]"


class _ResponseTooLarge(httpx2.RequestError):
    """The response is larger than the configuration allows."""


class _CompressedResponse(httpx2.RequestError):
    """The response is compressed, although the request forbids it."""


class _LimitedStream(httpx2.SyncByteStream):
    """A response's bytes, as far as its size allows; of an error its beginning."""

    def __init__(self, stream: httpx2.SyncByteStream, most_bytes: int, is_error: bool) -> None:
        self._stream, self._is_error = stream, is_error
        self._most_bytes = min(most_bytes, _MOST_ERROR_BYTES) if is_error else most_bytes

    def __iter__(self) -> Iterator[bytes]:
        received_bytes = 0
        for chunk in self._stream:
            received_bytes += len(chunk)
            if received_bytes > self._most_bytes:
                if self._is_error:
                    return
                raise _ResponseTooLarge(f"more than {self._most_bytes} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that trusts this file, or where it is empty the system's certificates; None trusts nobody.

    It is not the library's default one, which also follows SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    elif ca_file is not None:
        paths = ssl.get_default_verify_paths()
        cafile, capath = Path(paths.openssl_cafile), Path(paths.openssl_capath)
        places = (str(cafile) if cafile.is_file() else None, str(capath) if capath.is_dir() else None)
        if places == (None, None):
            raise FileNotFoundError(f"this system has no certificates in {cafile} and {capath}")
        context.load_verify_locations(*places)
    return context


class _Transport(httpx2.BaseTransport):
    """Sends what it may, where it may."""

    def __init__(self, config: FrontierConfig, key: str, with_batches: bool = False) -> None:
        endpoint, self._limits, self._with_batches = config.endpoint, config.limits, with_batches
        self._authorization = f"Bearer {key}" if key else ""
        try:
            self._url = httpx2.URL(endpoint.url + _PATH)
            # Reading the system's certificates takes a while; a context without any trusts nobody.
            is_proxy_https = endpoint.proxy.lower().startswith("https:")
            is_https = self._url.scheme == "https" or is_proxy_https
            trusted = _tls_context(endpoint.ca_file if is_https else None)
            # A proxy whose own address is https must be trusted, too.
            proxy_context = trusted if is_proxy_https else None
            self._inner = httpx2.HTTPTransport(
                verify=trusted,
                trust_env=False,
                proxy=httpx2.Proxy(endpoint.proxy, ssl_context=proxy_context) if endpoint.proxy else None,
                limits=httpx2.Limits(max_connections=config.limits.concurrency),
            )
            self._deadline = use_deadlines(self._inner)
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            raise UsageError(
                f"frontier {config.name} cannot be opened: {error}", "check ca_file and proxy in config.toml"
            ) from error

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_batch = self._with_batches and _is_of_batches(request, self._url)
        if not is_batch and (request.url != self._url or request.method != "POST"):
            raise httpx2.UnsupportedProtocol(f"nothing is sent to {request.url}")
        times = _TIMES_IN_BATCHES if is_batch else 1
        for name in list(request.headers):
            if name.lower() not in SENT_HEADERS:
                del request.headers[name]
        request.headers.update({"accept": "application/json", "accept-encoding": "identity", "user-agent": "stillroom"})
        request.headers.pop("authorization", None)
        if self._authorization:
            request.headers["authorization"] = self._authorization
        self._deadline.set(time.monotonic() + times * self._limits.timeout_seconds)
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        encoding, is_error = response.headers.get("content-encoding", ""), not response.is_success
        if not _COMPRESSIONS.isdisjoint(word.strip().lower() for word in encoding.split(",")):
            if not is_error:
                response.close()
                raise _CompressedResponse(f"the response is compressed ({encoding}), although this was not requested")
            # The status of an error says enough.
            response.stream.close()
            response.stream = httpx2.ByteStream(b"")
        response.stream = _LimitedStream(response.stream, times * self._limits.max_response_bytes, is_error)
        response.headers = httpx2.Headers(
            [(name, value) for name, value in response.headers.multi_items() if name in READ_HEADERS]
        )
        return response

    def close(self) -> None:
        self._inner.close()


_TIMES_IN_BATCHES = 50
"""How many times as long, and as large, as one request the file of a batch may be."""
_BATCH_PATHS = {
    "POST": re.compile(r"/files|/batches"),
    "GET": re.compile(r"/files/[\w.-]{1,200}/content|/batches(?:/[\w.-]{1,200})?"),
}


def _is_of_batches(request: httpx2.Request, completions: httpx2.URL) -> bool:
    """Whether a request is one of the batch interface of the same server."""
    place = (request.url.scheme, request.url.host, request.url.port)
    base = completions.path.removesuffix(_PATH)
    path, pattern = request.url.path, _BATCH_PATHS.get(request.method)
    is_there = place == (completions.scheme, completions.host, completions.port) and path.startswith(base)
    return is_there and pattern is not None and pattern.fullmatch(path[len(base) :]) is not None


class FrontierClient:
    """Sends one body at a time per thread; retries are the engine's."""

    def __init__(self, config: FrontierConfig, key: str, with_batches: bool = False) -> None:
        self._config = config
        self._key = key if len(key) >= _SECRET_CHARACTERS else ""
        limits = config.limits
        timeout = httpx2.Timeout(limits.timeout_seconds, connect=limits.connect_seconds)
        http_client = httpx2.Client(
            transport=_Transport(config, key, with_batches), timeout=timeout, trust_env=False, follow_redirects=False
        )
        self._client = openai.OpenAI(
            api_key=key or _NO_KEY,
            base_url=config.endpoint.url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        )

    def send(self, body: bytes, key: str) -> bytes:
        """The body of the response to exactly these bytes.

        Args:
            key: The same for the same request whose response never came, so that a server that knows such keys gives
                what it computed in place of computing, and counting, it again.

        Raises:
            FrontierFailure: There is none.
        """
        headers: Any = {"headers": {"Idempotency-Key": key}}
        return self._sent(lambda client: client.post(_PATH, cast_to=httpx2.Response, content=body, options=headers))

    def upload_batch(self, lines: bytes, name: str) -> dict[str, object]:
        """Sends the requests of a batch as a file; gives what the server says of the file.

        Raises:
            FrontierFailure: It does not take it.
        """
        multipart: Any = {"headers": {"Content-Type": "multipart/form-data"}}
        file = ("file", (name, lines, "application/jsonl"))
        return self._object(
            lambda client: client.post(
                "/files",
                cast_to=httpx2.Response,
                body={"purpose": "batch"},
                files=[file],
                options=multipart,
            )
        )

    def create_batch(self, file_id: str, metadata: dict[str, str]) -> dict[str, object]:
        """Begins a batch of an uploaded file.

        Raises:
            FrontierFailure: The server does not begin it.
        """
        values = {
            "completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": file_id,
            "metadata": metadata,
        }  # fmt: skip
        return self._object(lambda client: client.post("/batches", cast_to=httpx2.Response, body=values))

    def batch(self, batch_id: str) -> dict[str, object]:
        """How far a batch is.

        Raises:
            FrontierFailure: The server does not say it.
        """
        return self._object(lambda client: client.get(f"/batches/{quote(batch_id)}", cast_to=httpx2.Response))

    def latest_batches(self) -> list[dict[str, object]]:
        """The last batches of this key.

        Raises:
            FrontierFailure: The server does not list them.
        """
        listed = self._object(lambda client: client.get("/batches?limit=100", cast_to=httpx2.Response)).get("data")
        return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []

    def file(self, file_id: str) -> bytes:
        """What a file of a batch holds.

        Raises:
            FrontierFailure: The server does not give it.
        """
        return self._sent(lambda client: client.get(f"/files/{quote(file_id)}/content", cast_to=httpx2.Response))

    def _object(self, send: "Callable[[openai.OpenAI], httpx2.Response]") -> dict[str, object]:
        """The JSON object of a response.

        Raises:
            FrontierFailure: There is none.
        """
        content = self._sent(send)
        try:
            values = loads(content)
        except (ValueError, RecursionError) as error:
            raise FrontierFailure("broken_response", f"the response of {len(content)} bytes is not JSON") from error
        if not isinstance(values, dict):
            raise FrontierFailure("broken_response", "the response is JSON but not an object")
        return values

    def _sent(self, send: "Callable[[openai.OpenAI], httpx2.Response]") -> bytes:
        try:
            return self._without_key(send(self._client).content)
        except openai.APIStatusError as error:
            content = self._without_key(error.response.content)
            raise _status_failure(error.response, content, self._config) from error
        except openai.APITimeoutError as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise self._connection_failure(error.__cause__) from error
            message = (
                f"{self._config.endpoint.host} gave no complete answer within {self._config.limits.timeout_seconds:g} s"
            )
            raise FrontierFailure("timed_out", message, again=True) from error
        except openai.APIConnectionError as error:
            raise self._connection_failure(error.__cause__) from error

    def _connection_failure(self, cause: BaseException | None) -> FrontierFailure:
        reason = str(cause)
        for secret in (self._key, *_proxy_secrets(self._config.endpoint.proxy)):
            reason = reason.replace(secret, _TAKEN_OUT) if secret else reason
        return _connection_failure(cause, excerpt(reason), self._config.endpoint.host)

    def _without_key(self, data: bytes) -> bytes:
        return data.replace(self._key.encode(), _TAKEN_OUT.encode()) if self._key else data

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()


def _proxy_secrets(proxy: str) -> tuple[str, ...]:
    """What a proxy knows of this machine and may repeat: its password in all forms, the longest first."""
    parts = urlsplit(proxy)
    if not parts.password:
        return ()
    name, password = unquote(parts.username or ""), unquote(parts.password)
    return base64.b64encode(f"{name}:{password}".encode()).decode(), parts.password, password


def _connection_failure(cause: BaseException | None, reason: str, host: str) -> FrontierFailure:
    if isinstance(cause, _ResponseTooLarge):
        return FrontierFailure("response_too_large", f"{host} sent {reason}")
    if isinstance(cause, _CompressedResponse):
        return FrontierFailure("broken_response", reason, hopeless=True)
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        failure = FrontierFailure("unreachable", f"cannot connect to {host}: {reason}", again=True)
        failure.unpaid = True
        return failure
    if isinstance(cause, httpx2.TimeoutException):
        return FrontierFailure("timed_out", f"{host} gave no complete answer in time", again=True)
    return FrontierFailure("connection_lost", f"the connection to {host} ended early: {reason}", again=True)


def _status_failure(response: httpx2.Response, content: bytes, config: FrontierConfig) -> FrontierFailure:
    try:
        body = loads(content)
    except (ValueError, RecursionError):
        body = content.decode("utf-8", "replace")
    _, codes, message = error_words(body)
    if is_web_page(content):
        message = page_title(content)
    failure = service_failure(config, response.status_code, codes, message or excerpt(body))
    if response.status_code == 403 and is_web_page(content):
        # What guards a server refuses single documents so, and knows nothing of keys.
        failure = FrontierFailure("html_response", f"{config.endpoint.host} sent a web page (403): {excerpt(message)}")
    failure.retry_after = _retry_after(response.headers)
    failure.unpaid = response.status_code < 500
    return failure


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that the frontier asks to wait for, from a number or a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if not text:
            continue
        try:
            # A header that stands there twice comes with a comma between.
            seconds = float(text.partition(",")[0].lower().removesuffix("s")) * scale
        except ValueError:
            try:
                moment = email.utils.parsedate_to_datetime(text)
                # A date that names no zone is one of the protocol, which knows no other.
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                seconds = moment.timestamp() - time.time()
            except (TypeError, ValueError, OverflowError):
                continue
        if not math.isnan(seconds):
            return max(0.0, seconds)
    return None
