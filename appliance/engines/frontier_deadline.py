"""One deadline for a request: finding the address, connecting, TLS, headers and body together.

The timeouts of a client hold for each single read, so that a server that sends a byte now and then is waited for
without end. Here each step gets what is left of the request's time, and nothing after it. A deadline belongs to the
thread that makes the request: all its steps happen there.
"""

import contextlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

_CHUNK_BYTES = 16_384
"""A write gives its partner new time with each part that goes out, so that only small parts may go at once."""
_Options = Iterable[Any]


class Deadline(threading.local):
    """When the request of this thread ends, in monotonic seconds."""

    moment = float("inf")

    def set(self, moment: float) -> None:
        """A request begins."""
        self.moment = moment

    def left(self, timeout: float | None) -> float:
        """Seconds that a step may take: its own timeout or the rest of the request's time.

        Raises:
            httpcore2.ReadTimeout: There is none left.
        """
        rest = self.moment - time.monotonic()
        if rest <= 0:
            raise httpcore2.ReadTimeout("the request's time is over")
        return rest if timeout is None else min(timeout, rest)


class _Stream(httpcore2.NetworkStream):
    """A connection whose steps end with the request of the thread that takes them."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline, is_nested: bool = False) -> None:
        self._stream, self._deadline, self._is_nested = stream, deadline, is_nested

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.left(timeout)
        with self._cut_after(left):
            return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _CHUNK_BYTES):
            left = self._deadline.left(timeout)
            with self._cut_after(left):
                self._stream.write(buffer[start : start + _CHUNK_BYTES], left)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._deadline.left(timeout)
        is_nested = self._stream.get_extra_info("ssl_object") is not None
        with self._cut_after(left, is_nested):
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline, is_nested)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    @contextlib.contextmanager
    def _cut_after(self, seconds: float, is_nested: bool = False) -> Iterator[None]:
        """Ends the connection at the deadline where a step reads more than once: TLS within TLS, as to a proxy."""
        if not (self._is_nested or is_nested):
            yield
            return
        connection = self._stream.get_extra_info("socket")

        def cut() -> None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(seconds, cut)
        watch.daemon = True
        watch.start()
        try:
            yield
        except (httpcore2.NetworkError, OSError, ValueError) as error:
            if time.monotonic() >= self._deadline.moment:
                raise httpcore2.ReadTimeout("the request's time is over") from error
            raise
        finally:
            watch.cancel()


class _Backend(httpcore2.SyncBackend):
    """Makes connections whose steps end with the request."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        end = time.monotonic() + self._deadline.left(timeout)
        failure: Exception | None = None
        addresses = _addresses(host, port, end - time.monotonic())
        for number, address in enumerate(addresses):
            left = end - time.monotonic()
            if left <= 0:
                break
            try:
                # An address that swallows everything leaves the others their share of the time.
                share = left / (len(addresses) - number)
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
                continue
            return _Stream(stream, self._deadline)
        raise failure or httpcore2.ConnectTimeout(f"no connection to {host} in time")


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name; the search is left to itself where it takes longer than this."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    arrived: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def search() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            arrived.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except (OSError, UnicodeError) as error:
            arrived.put(error if isinstance(error, OSError) else OSError(f"{host} is no name of a host"))

    threading.Thread(target=search, daemon=True, name="frontier-address").start()
    try:
        addresses = arrived.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise httpcore2.ConnectTimeout(f"no address of {host} in time") from None
    if isinstance(addresses, OSError):
        raise httpcore2.ConnectError(str(addresses)) from addresses
    return addresses


def use_deadlines(transport: httpx2.HTTPTransport) -> Deadline:
    """Makes every step of this transport's requests end with them; gives what sets a thread's deadline."""
    deadline = Deadline()
    # The transport takes no backend of ours, its pool does.
    assert hasattr(transport._pool, "_network_backend")
    transport._pool._network_backend = _Backend(deadline)
    return deadline
