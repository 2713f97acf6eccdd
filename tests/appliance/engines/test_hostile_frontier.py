"""Servers that send what no server should, through the real client: each document fails by name and is paid once."""

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from appliance.ground.errors import UsageError
from appliance.routing.egress_state import egress_state
from benchmarks.fixed_responses import STATIC
from tests.appliance.frontier_fixtures import FrontierBench, classify_task, extract_task, frontier_bench


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        made.configure(concurrency=1)
        yield made


def body(content: str, **more: object) -> bytes:
    """A response whose content is this JSON text, written out as it stands."""
    return (
        '{"model": "recorded-1", "usage": {"prompt_tokens": 100, "completion_tokens": 10}, "choices":'
        f' [{{"finish_reason": "stop", "message": {{"content": {content}}}}}]}}'
    ).encode()


HOSTILE = {
    "half a surrogate": (body(r'"{\"number\": \"\\ud83d\"}"'), "wrong_schema"),
    "deep response": (b"[" * 50_000, "broken_response"),
    "no JSON": (b"All is well", "broken_response"),
    "half a surrogate in the text": (body(r'"smile \ud83d"'), "broken_answer"),
    "zero": (body(r'"{\"number\": \"\\u0000\"}"'), "wrong_schema"),
    "half JSON": (body('"x"')[:-9], "broken_response"),
    "bad bytes": (body('"x"') + b"\xff\xfe", "broken_response"),
    "huge number": (body('"' + r"{\"number\": " + "9" * 6_000 + '}"'), "wrong_schema"),
    "huge count": (body('"x"').replace(b"100", b"9" * 6_000), "broken_answer"),
    "no choices": (b'{"model": "recorded-1", "choices": [], "usage": {"prompt_tokens": 1}}', "broken_response"),
    "a list": (b"[1, 2]", "broken_response"),
    "no end": (body(r'"{\"number\": 1e999}"'), "wrong_schema"),
    "no number": (body(r'"{\"number\": NaN}"'), "wrong_schema"),
    "packed without saying so": (gzip.compress(body('"x"')), "broken_response"),
    "deep": (body('"' + "[" * 50_000 + '"'), "broken_answer"),
    "model of zeros": (body('"x"').replace(b"recorded-1", rb"\u0000\ud83d"), "wrong_model"),
}  # fmt: skip


def test_reply_that_nothing_can_hold_fails_one_document_by_name_and_is_paid_once(
    bench: FrontierBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (data, _) in HOSTILE.items():
        monkeypatch.setitem(STATIC, name, (200, data, "text/plain; charset=utf-7", {}))
    bench.frontier.modes = {name: name for name in HOSTILE}
    results = bench.ask(extract_task(), *HOSTILE)
    assert {text: result.error for text, result in zip(HOSTILE, results, strict=True)} == {
        name: error for name, (_, error) in HOSTILE.items()
    }
    for result in results:
        json.dumps([result.raw, result.error_message], ensure_ascii=False).encode()
    assert len(bench.frontier.requests) == len(HOSTILE)
    again = bench.ask(extract_task(), *HOSTILE)
    assert len(bench.frontier.requests) == len(HOSTILE)
    assert [result.error for result in again] == [result.error for result in results]
    assert [result.money for result in again] == [result.money for result in results]


def test_packed_body_is_never_unpacked(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    monkeypatch.setitem(STATIC, "html", (200, bomb, "application/json", {"content_encoding": " GZIP"}))
    bench.frontier.next_modes("html")
    (result,) = bench.ask(classify_task(), "question 0")
    assert result.error == "broken_response"


ODD_HEADERS: dict[str, tuple[int, bytes, str, dict[str, str], str | None]] = {
    "charset of names": (400, b"\xff", "text/plain; charset=idna", {}, "bad_request"),
    "charset that is none": (400, b"no", "text/plain; charset=base64", {}, "bad_request"),
    "undefined charset": (400, b"no", "text/plain; charset=undefined", {}, "bad_request"),
    "bad cookie and place": (400, b"{}", "x", {"set_cookie": "=;=\xff", "location": "http://[::1"}, "bad_request"),
    "long wait": (400, b"no", "text/plain", {"retry_after": "3600"}, "bad_request"),
    "packed page": (400, gzip.compress(b"no"), "text/html", {"content_encoding": "gzip"}, "bad_request"),
    "guarded": (403, b"<html><title>Blocked</title></html>", "text/html", {}, "html_response"),
    "long page": (400, b"x" * 2_000_000, "text/html", {}, "bad_request"),
    "encoding": (200, body(r'"{\"label\": \"cards\"}"'), "x", {"content_encoding": "UTF-8"}, None),
    "twice": (200, body(r'"{\"label\": \"cards\"}"'), "x", {"content_encoding": "identity, identity"}, None),
}


def test_headers_of_a_response_choose_nothing_and_fail_one_document_at_most(
    bench: FrontierBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.configure(concurrency=1, max_response_bytes=1_000_000, longest_wait_seconds=5.0)
    for name, (*static, _) in ODD_HEADERS.items():
        monkeypatch.setitem(STATIC, name, tuple(static))
    bench.frontier.modes = {name: name for name in ODD_HEADERS}
    results = bench.ask(classify_task(), *ODD_HEADERS)
    assert [result.error for result in results] == [error for *_, error in ODD_HEADERS.values()]
    assert len(bench.frontier.requests) == len(ODD_HEADERS)


def test_key_that_a_server_repeats_stands_nowhere(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-1234567890-abcdef"
    monkeypatch.setenv("FRONTIER_KEY", key)
    bench.configure(key_env="FRONTIER_KEY", concurrency=1, retries=0)
    error = json.dumps({"error": {"message": f"Key expected. Received={key}"}}).encode()
    monkeypatch.setitem(STATIC, "in the answer", (200, body(f'"Bearer {key}"'), "application/json", {}))
    monkeypatch.setitem(STATIC, "in the error", (401, error, "application/json", {}))
    bench.frontier.modes = {"question 0": "in the answer", "question 1": "in the error"}
    results = bench.ask(classify_task(), "question 0", "question 1")
    assert [result.error for result in results] == ["broken_answer", "unauthorised"]
    assert "Received=[key]" in results[1].error_message
    assert not any(key in result.raw + result.error_message for result in results)
    assert not any(key.encode() in path.read_bytes() for path in bench.home_dir.rglob("*") if path.is_file())


@contextmanager
def raw_server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server of one function for each connection; gives its port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                serve(connection, ended)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)


def drip(start: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends this, and then a letter now and then."""

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(start)
        while not ended.wait(0.05):
            connection.sendall(b"a")

    return serve


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX-a: ", b"HTTP/1.1 ", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx: ",
     b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"],
    ids=["header", "status", "after an interim answer", "body", "chunk"],
)  # fmt: skip
def test_server_that_drips_is_waited_for_no_longer_than_the_deadline(bench: FrontierBench, start: bytes) -> None:
    with raw_server(drip(start)) as port:
        bench.configure(url=f"http://127.0.0.1:{port}/v1", timeout_seconds=0.3, retries=0)
        bench.allow(hosts=f'["127.0.0.1:{port}"]')
        started = time.monotonic()
        (result,) = bench.ask(classify_task(), "question 0")
    assert result.error == "timed_out"
    assert time.monotonic() - started < 5


def test_handshake_that_drips_ends_at_the_deadline(bench: FrontierBench) -> None:
    # A record of TLS that says it has 16,000 bytes.
    with raw_server(drip(b"\x16\x03\x03\x3e\x80")) as port:
        bench.configure(url=f"https://127.0.0.1:{port}/v1", timeout_seconds=0.3, retries=0)
        bench.allow(hosts=f'["127.0.0.1:{port}"]')
        started = time.monotonic()
        (result,) = bench.ask(classify_task(), "question 0")
    assert result.error in ("timed_out", "unreachable")
    assert time.monotonic() - started < 5


def test_search_for_an_address_ends_at_the_deadline(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(30) and [])
    bench.configure(url="https://frontier.example/v1", timeout_seconds=0.3, retries=0)
    bench.allow(hosts='["frontier.example"]')
    (result,) = bench.ask(classify_task(), "question 0")
    ended.set()
    assert result.error == "unreachable"
    assert "frontier.example" in result.error_message


def test_address_that_swallows_everything_leaves_time_for_the_others(
    bench: FrontierBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(bench.frontier.host.rpartition(":")[2])
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.3", "127.0.0.1")]
    connect = httpcore2.SyncBackend.connect_tcp

    def swallowed(self: httpcore2.SyncBackend, host: str, port: int, timeout: float, *more: Any) -> Any:
        if host == "127.0.0.3":
            time.sleep(timeout)
            raise httpcore2.ConnectTimeout("no answer")
        return connect(self, host, port, timeout, *more)

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", swallowed)
    bench.configure(url=f"http://frontier.example:{port}/v1", allow_http=True, connect_seconds=0.2, retries=0)
    bench.allow(hosts=f'["frontier.example:{port}"]')
    (result,) = bench.ask(classify_task(), "question 0")
    assert result.answer == {"label": "cards"}


@pytest.mark.parametrize(
    ("url", "proxy", "hosts", "message"),
    [
        ("http://127.0.0.1:9/v1", "http://127.0.0.2:3128", "127.0.0.1:9", "through the proxy 127.0.0.2:3128"),
        ("https://far.example/v1", "http://proxy.example:3128", "far.example", "the proxy proxy.example:3128"),
        ("https://far.example/v1", "http://127.0.0.1:3128", "far.example", "the proxy 127.0.0.1:3128"),
        ("https://far.example/v1", "http://u:secret@proxy.example:8", "far.example", "the proxy proxy.example:8"),
        ("http://127.0.0.1:9/v1", "http://127.0.0.2:3128", "127.0.0.1:9 127.0.0.2:3128", "unencrypted"),
        ("http://10.0.0.1:9/v1", "socks5://proxy.example:1080", "10.0.0.1:9 proxy.example:1080", "unencrypted"),
    ],
)  # fmt: skip
def test_proxy_must_be_in_the_policy_and_reads_no_document(
    bench: FrontierBench, url: str, proxy: str, hosts: str, message: str
) -> None:
    bench.configure(url=url, proxy=proxy, allow_http=True)
    bench.allow(hosts=json.dumps(hosts.split()))
    with pytest.raises(UsageError, match=message) as caught:
        bench.open(classify_task())
    assert "secret" not in caught.value.message + caught.value.hint
    state = egress_state(bench.settings, {}, bench.system_dir)
    assert "proxy" in state.frontiers[0].problem
    assert "secret" not in json.dumps(state.record())


def test_proxy_stands_in_the_record_without_its_password(bench: FrontierBench) -> None:
    seen: list[bytes] = []

    def proxy(connection: socket.socket, _: threading.Event) -> None:
        seen.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 407 Who are you, secret-word?\r\ncontent-length: 0\r\n\r\n")

    with raw_server(proxy) as port:
        bench.configure(url="https://far.example/v1", proxy=f"http://user:secret-word@127.0.0.1:{port}", retries=0)
        bench.allow(hosts=f'["far.example", "127.0.0.1:{port}"]')
        (result,) = bench.ask(classify_task(), "question 0")
    assert result.error == "unreachable"
    assert "Who are you, [key]?" in result.error_message
    assert seen[0].startswith(b"CONNECT far.example:443")
    assert bench.records("sent")[0]["proxy"] == f"127.0.0.1:{port}"
    for path in bench.egress_dir.glob("*.jsonl"):
        assert b"secret-word" not in path.read_bytes()
