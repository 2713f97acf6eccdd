"""Who has the machine's engine: in turn, handed over on request, and freed by every death."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.answering.lease import Lease, engine_lease, free_engine
from appliance.answering.local import local_answerer
from appliance.ground.errors import ResourceError
from appliance.ground.settings import Settings, load_settings
from appliance.ground.stopping import Stop
from tests.appliance.frontier_fixtures import classify_task

PARTY = """
import sys
from appliance.answering.lease import engine_lease
from appliance.ground.settings import load_settings
from appliance.ground.stopping import Stop
settings = load_settings({"STILLROOM_HOME": sys.argv[1]})
say = lambda word: print(word, flush=True)
with engine_lease(settings, Stop(), on_wait=lambda: say("waiting")) as lease:
    say("holds")
    sys.stdin.readline()
"""


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


@contextmanager
def party(settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """Another process that wants the engine, and keeps it until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARTY, str(settings.home_dir)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def word(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_holder_sees_that_somebody_waits_and_gets_the_engine_back_after_them(settings: Settings) -> None:
    with engine_lease(settings, Stop()) as lease:
        assert lease is not None
        assert not lease.has_waiters
        with party(settings) as other:
            assert word(other) == "waiting"
            assert lease.has_waiters
            back = threading.Event()
            handing = threading.Thread(target=lambda: lease.hand_over(Stop()) and back.set())
            handing.start()
            assert word(other) == "holds"
            assert not back.is_set(), "the other one has the engine"
            other.communicate("done\n")
            handing.join(60)
            assert back.is_set()
        assert not lease.has_waiters


def test_who_waits_gets_the_engine_in_the_order_of_coming(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        with party(settings) as first:
            assert word(first) == "waiting"
            with party(settings) as second:
                assert word(second) == "waiting"
                holder.communicate("done\n")
                assert word(first) == "holds"
                first.communicate("done\n")
                assert word(second) == "holds"


def test_death_of_the_holder_frees_the_engine(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        holder.kill()
        holder.wait()
        with engine_lease(settings, Stop()) as lease:
            assert lease is not None


def test_death_of_who_waits_frees_its_place(settings: Settings) -> None:
    with engine_lease(settings, Stop()) as lease:
        assert lease is not None
        with party(settings) as other:
            assert word(other) == "waiting"
            other.kill()
            other.wait()
            assert not lease.has_waiters
            assert lease.hand_over(Stop()), "nobody is in front of it any more"
    assert list((settings.home_dir / "engine.queue").iterdir()) == []


def test_who_is_stopped_while_waiting_has_no_engine_and_leaves_no_place(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        stop = Stop()
        with engine_lease(settings, stop, on_wait=stop.ask) as lease:
            assert lease is None
    assert list((settings.home_dir / "engine.queue").iterdir()) == []


def test_free_engine_is_not_waited_for(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        with pytest.raises(ResourceError, match="another process has the engine"), free_engine(settings):
            pass


def test_engine_is_not_opened_after_the_end_of_the_lease(settings: Settings, tmp_path: Path) -> None:
    with engine_lease(settings, Stop()) as lease:
        pass
    assert isinstance(lease, Lease)
    with pytest.raises(ValueError, match="the lease of the engine has ended"):
        local_answerer(tmp_path, classify_task(), "model", 1, lease)
