"""A frontier on this machine that gives recorded answers: the protocol of chat completions, and its failures on demand.

    python benchmarks/recorded_frontier.py --port 8900 --answers gpt4 --delay 0.3

The answer is found by the text of the request's user message. A mode can be given for single texts, or in turn for the
next requests, so that a test makes the third request fail and no other. It serves on the loopback interface only.

    with RecordedFrontier({"A question": {"label": "b"}}) as frontier:
        frontier.next_modes("429", "ok")
        ...  # point a client at frontier.url
        assert len(frontier.requests) == 2
"""

import argparse
import contextlib
import json
import math
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.batch_interface import BatchInterface
from benchmarks.fixed_responses import ERRORS, OTHER_CONTENT, STATIC

DATA_DIR = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "banking77_gpt4"
MODELS = ("gpt4", "gpt4_nonrep", "gpt35")


@dataclass
class Behaviour:
    """How the frontier answers; may be changed while it serves."""

    model: str = "recorded-1"
    delay_seconds: float = 0.0
    retry_after: str = "0"
    """What 429 and 503 ask for."""
    reasoning_tokens: int = 0
    completion_tokens: int | None = None  # None counts four characters as a token.
    prompt_tokens: int | None = None
    key: str = ""
    """The key that is wanted; empty takes any."""
    unknown: object = None
    """The answer to other texts; None refuses them."""
    others: Mapping[str, float] = field(default_factory=dict)
    """Other answers' first tokens with their probability, told where a request wants probabilities; empty tells none,
    as endpoints do that pass over the wish."""
    votes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Text -> labels, of which a request with a seed gets the one of this number."""
    together: int = 1
    """Requests that must have arrived before any of them is answered."""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0
    """Monotonic seconds."""

    @property
    def values(self) -> dict[str, Any]:
        """The body as JSON."""
        values: dict[str, Any] = json.loads(self.body)
        return values

    @property
    def text(self) -> str:
        """The document: the last user message."""
        return str([part["content"] for part in self.values["messages"] if part["role"] == "user"][-1])


@dataclass
class RecordedFrontier:
    """A server on a free port of the loopback interface, for as long as the context lasts."""

    answers: Mapping[str, object]
    """Text -> the answer, as an object that is sent as JSON or as a string that is sent as it is."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    port: int = 0
    certificate: Path | None = None
    """File with certificate and key: the server speaks TLS."""
    modes: dict[str, str] = field(default_factory=dict)
    """Text -> mode, for every request with that text."""
    requests: list[Seen] = field(default_factory=list)
    """Those that arrived whole."""
    cut_short: list[bytes] = field(default_factory=list)
    """What arrived of the bodies whose client went away before the end."""
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._turn: list[str] = []
        self._lock = threading.Lock()
        self._arrival = threading.Condition(self._lock)
        self._in_flight = 0
        self._closing = threading.Event()
        self._gathered = threading.Barrier(max(1, self.behaviour.together))
        self._server: _Server | None = None
        self.batches = BatchInterface(self._completion_in_batch)

    def _completion_in_batch(self, values: dict[str, Any]) -> dict[str, object]:
        return completion(self, Seen("", {}, json.dumps(values).encode()), "ok")

    def __enter__(self) -> "RecordedFrontier":
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._closing.set()
        self._gathered.abort()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What a configuration names."""
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}/v1"

    @property
    def host(self) -> str:
        """What a policy names."""
        return f"127.0.0.1:{self.port}"

    def next_modes(self, *modes: str) -> None:
        """The next requests, in the order in which they arrive, meet these; later ones are served well."""
        unknown = [mode for mode in modes if mode not in MODES]
        if unknown:
            raise ValueError(f"no mode is called {unknown[0]}; there are {', '.join(MODES)}")
        with self._lock:
            self._turn.extend(modes)

    def pause(self, seconds: float) -> None:
        """Waits as a slow model does, but not beyond the end of the server."""
        if seconds > 0:
            self._closing.wait(seconds)

    def arrived(self, seen: Seen) -> str:
        """Notes a request and says which mode it meets."""
        with self._lock:
            self.requests.append(seen)
            self._arrival.notify_all()
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            if self._turn:
                return self._turn.pop(0)
        try:
            return self.modes.get(seen.text, "ok")
        except (ValueError, KeyError, IndexError):
            return "ok"

    @property
    def charged(self) -> int:
        """Requests that a provider counts that knows keys: the same request with the same key is paid once."""
        with self._lock:
            return len(
                {(seen.headers.get("idempotency-key", number), seen.body) for number, seen in enumerate(self.requests)}
            )

    def wait_for_requests(self, count: int, most_seconds: float) -> bool:
        """Returns when so many requests have arrived, or False when they do not."""
        with self._lock:
            return self._arrival.wait_for(lambda: len(self.requests) >= count, most_seconds)

    def gather(self) -> None:
        """Waits until so many requests have arrived as are answered together."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self._gathered.wait()

    def left(self) -> None:
        """A request has ended."""
        with self._lock:
            self._in_flight -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], frontier: RecordedFrontier) -> None:
        self.frontier = frontier
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Ends connections that clients keep open, so that no thread waits for them."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: the requests are kept."""

    def do_GET(self) -> None:
        """What there is of a batch."""
        self._send(*self.server.frontier.batches.get(self.path))

    def do_POST(self) -> None:
        """One completion."""
        frontier = self.server.frontier
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        if len(body) < length:  # The client was killed on the way: nobody is left to answer.
            self.close_connection = True
            frontier.cut_short.append(body)
            return
        if self.path.endswith(("/files", "/batches")):
            self._send(*frontier.batches.post(self.path, headers.get("content-type", ""), body))
            return
        seen = Seen(self.path, headers, body, time.monotonic())
        mode = frontier.arrived(seen)
        try:
            frontier.gather()
            frontier.pause(frontier.behaviour.delay_seconds)
            self._serve(seen, mode)
        finally:
            frontier.left()

    def _serve(self, seen: Seen, mode: str) -> None:
        if (key := self.server.frontier.behaviour.key) and seen.headers.get("authorization") != f"Bearer {key}":
            mode = "401"
        if mode in ERRORS:
            status, code, message = ERRORS[mode]
            self._json(status, {"error": {"message": message, "type": "error", "code": code, "param": None}})
        elif mode in STATIC:
            status, body, kind, headers = STATIC[mode]
            self._send(status, body, kind, **headers)
        elif mode in _BROKEN:
            _BROKEN[mode](self, seen)
        else:
            self._json(200, completion(self.server.frontier, seen, mode))

    def _json(self, status: int, values: object) -> None:
        self._send(status, json.dumps(values, ensure_ascii=False).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if status in (429, 503):
            self.send_header("retry-after", self.server.frontier.behaviour.retry_after)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("content-length", str(length))
        self.end_headers()

    def whole(self, seen: Seen) -> bytes:
        """A good answer's bytes."""
        return json.dumps(completion(self.server.frontier, seen, "ok")).encode()

    def cut(self, seen: Seen) -> None:
        """The connection is reset before anything is answered."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def cut_body(self, seen: Seen) -> None:
        """The connection ends in the middle of the answer."""
        body = self.whole(seen)
        self._begin(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def silent(self, seen: Seen) -> None:
        """Nothing is answered until the server ends."""
        self.server.frontier.pause(3600)
        self.close_connection = True

    def drip(self, seen: Seen) -> None:
        """A byte now and then, for ever."""
        self._begin(1_000_000)
        while not self.server.frontier._closing.is_set():
            self.wfile.write(b" ")
            self.server.frontier.pause(0.05)
        self.close_connection = True

    def half_json(self, seen: Seen) -> None:
        """Half an answer, declared as a whole one."""
        body = self.whole(seen)
        self._send(200, body[: len(body) // 2])

    def gzip(self, seen: Seen) -> None:
        """A compressed answer that nobody asked for."""
        import gzip

        self._send(200, gzip.compress(self.whole(seen)), content_encoding="gzip")


_BROKEN = {
    "cut": _Handler.cut, "cut-body": _Handler.cut_body, "silent": _Handler.silent, "drip": _Handler.drip,
    "half-json": _Handler.half_json, "gzip": _Handler.gzip,
}  # fmt: skip


def completion(frontier: RecordedFrontier, seen: Seen, mode: str) -> dict[str, object]:
    """The response to a request in this mode."""
    behaviour = frontier.behaviour
    answer = frontier.answers.get(seen.text, behaviour.unknown)
    seed = seen.values.get("seed")
    if seed and (labels := behaviour.votes.get(seen.text)):
        answer = {"label": labels[(int(seed) - 1) % len(labels)]}
    content = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    message: dict[str, object] = {"role": "assistant", "content": content, "refusal": None}
    reason = {"length": "length", "content-filter": "content_filter"}.get(mode, "stop")
    if mode == "refusal" or answer is None:
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that"}
    elif mode in OTHER_CONTENT:
        message["content"] = OTHER_CONTENT[mode]
    elif mode in ("length", "content-filter"):
        message["content"] = content[: len(content) // 2]
    values: dict[str, object] = {
        "id": f"chatcmpl-{len(frontier.requests)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-3.5-turbo" if mode == "wrong-model" else behaviour.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": _logprobs(behaviour, seen, content), "finish_reason": reason}
        ],
        "usage": usage(behaviour, seen, content),
    }
    left_out = {"no-usage": "usage", "no-model": "model", "no-choices": "choices"}.get(mode)
    return {key: value for key, value in values.items() if key != left_out}


_IN_THE_ANSWER = (
    "wrong-model", "no-model", "no-choices", "no-usage", "refusal", "length", "content-filter", *OTHER_CONTENT,
)  # fmt: skip
MODES = ("ok", *ERRORS, *STATIC, *_BROKEN, *_IN_THE_ANSWER)
"""What a request can meet."""


def _logprobs(behaviour: Behaviour, seen: Seen, content: str) -> dict[str, object] | None:
    """Probabilities of the tokens, where they are wanted and told: the label is one token, and so is what is around."""
    if not seen.values.get("logprobs") or not behaviour.others:
        return None
    before, quote, rest = content.rpartition('": "')
    label, _, end = rest.partition('"')
    share = 1 - sum(behaviour.others.values())
    likely = [{"token": label, "logprob": math.log(share)}]
    likely += [{"token": token, "logprob": math.log(other)} for token, other in behaviour.others.items()]
    around = [{"token": text, "logprob": 0.0, "top_logprobs": []} for text in (before + quote, f'"{end}')]
    written = {"token": label, "logprob": math.log(share), "top_logprobs": likely}
    return {"content": [around[0], written, around[1]]}


def usage(behaviour: Behaviour, seen: Seen, content: str) -> dict[str, object]:
    """Token counts: given ones, or a token for every four characters."""
    prompt = behaviour.prompt_tokens
    if prompt is None:
        prompt = sum(len(str(part["content"])) for part in seen.values["messages"]) // 4
    written = len(content) // 4 + 1 if behaviour.completion_tokens is None else behaviour.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written + behaviour.reasoning_tokens,
        "total_tokens": prompt + written + behaviour.reasoning_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": behaviour.reasoning_tokens},
    }


def recorded_answers(data_dir: Path, model: str) -> dict[str, object]:
    """Text -> answer of a recorded model; where it gave no valid label, an answer that is none of the labels."""
    rows = [json.loads(line) for line in (data_dir / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["text"]: {"label": row[model] if row[model] is not None else "none_of_them"} for row in rows}


def main() -> int:
    """Serves until it is interrupted; prints the address first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder with labels.jsonl")
    parser.add_argument("--answers", choices=MODELS, default="gpt4", help="whose answers")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="recorded-1", help="the name that it gives itself")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--reasoning", type=int, default=0, help="reasoning tokens of each answer")
    parser.add_argument("--modes", default="", help=f"met by the first requests, with commas: {', '.join(MODES)}")
    arguments = parser.parse_args()
    if not (arguments.data / "labels.jsonl").is_file():
        print(
            f"error: {arguments.data / 'labels.jsonl'} is not there\nhint: name its folder with --data", file=sys.stderr
        )
        return 4
    behaviour = Behaviour(arguments.model, arguments.delay, reasoning_tokens=arguments.reasoning)
    with RecordedFrontier(recorded_answers(arguments.data, arguments.answers), behaviour, arguments.port) as frontier:
        if arguments.modes:
            frontier.next_modes(*arguments.modes.split(","))
        print(json.dumps({"url": frontier.url, "model": arguments.model, "answers": len(frontier.answers)}), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(frontier.requests)} requests served", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
