"""What all tests share: no network but loopback, a home folder of their own, the shared data where it is there."""

import itertools
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.ground.threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

ROOT_DIR = Path(__file__).resolve().parent.parent
_LOOPBACK = ("127.", "::1", "localhost")
_TOGETHER = ("/installation/", "_onnx_")
"""In the names of test files that share what is dear: one installation, the libraries that write graphs."""

let_idle_threads_sleep()  # before torch is imported, which reads it once: spinning ones took 5 times the processor time

_home_numbers = itertools.count()


class NetworkBlocked(AssertionError):
    """A test tried to reach another machine."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Where the tests run in several processes, those of a file or a group stay together."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((group for group in _TOGETHER if group in file), file)

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups come first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: not any(group in item.nodeid for group in _TOGETHER))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine only."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise NetworkBlocked(f"a test connects to {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    def resolve_here(host: object, *arguments: object, **options: object) -> object:
        if host is not None and not str(host).startswith(_LOOPBACK):
            raise NetworkBlocked(f"a test looks up {host}")
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)


@pytest.fixture(autouse=True)
def home_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `$STILLROOM_HOME`, so that no test sees the state of the person who runs it."""
    path = tmp_path_factory.getbasetemp() / "homes" / str(next(_home_numbers))  # mktemp would look at all before it
    path.mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("STILLROOM_HOME", str(path))
    for name in ("STILLROOM_THREADS", "STILLROOM_KEEP_TEXT"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real documents and answers."""
    path = ROOT_DIR.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the shared data folder is not beside the checkout")
    return path
