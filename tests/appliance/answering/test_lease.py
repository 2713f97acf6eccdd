"""Who has the machine's engine: in turn, handed over on request, and freed by every death."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.answering import lease as lease_module
from appliance.answering.lease import Lease, engine_lease, free_engine, lease_holder, waiting_text
from appliance.answering.local import local_answerer
from appliance.ground.errors import ResourceError
from appliance.ground.locks import wait_for_lock
from appliance.ground.processes import process_identity
from appliance.ground.settings import Settings, load_settings
from appliance.ground.stopping import Stop
from appliance.ground.users import current_user
from tests.appliance.frontier_fixtures import classify_task

PARTY = """
import sys
from appliance.answering.lease import engine_lease
from appliance.ground.settings import load_settings
from appliance.ground.stopping import Stop
settings = load_settings({"STILLROOM_HOME": sys.argv[1]})
say = lambda word: print(word, flush=True)
with engine_lease(settings, Stop(), "another party", on_wait=lambda reason: say("waiting")) as lease:
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
    with engine_lease(settings, Stop(), "a test") as lease:
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
                # It may have been told of the new holder before.
                assert next(said for said in iter(lambda: word(second), "") if said != "waiting") == "holds"


def test_death_of_the_holder_frees_the_engine(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        holder.kill()
        holder.wait()
        with engine_lease(settings, Stop(), "a test") as lease:
            assert lease is not None


def test_death_of_who_waits_frees_its_place(settings: Settings) -> None:
    with engine_lease(settings, Stop(), "a test") as lease:
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
        with engine_lease(settings, stop, "a test", on_wait=lambda _: stop.ask()) as lease:
            assert lease is None
    assert list((settings.home_dir / "engine.queue").iterdir()) == []


def test_free_engine_is_not_waited_for(settings: Settings) -> None:
    with party(settings) as holder:
        assert word(holder) == "holds"
        with pytest.raises(ResourceError, match="another party has the engine"), free_engine(settings, "a preview"):
            pass


def test_engine_is_not_opened_after_the_end_of_the_lease(settings: Settings, tmp_path: Path) -> None:
    with engine_lease(settings, Stop(), "a test") as lease:
        pass
    assert isinstance(lease, Lease)
    with pytest.raises(ValueError, match="the lease of the engine has ended"):
        local_answerer(tmp_path, classify_task(), "model", 1, lease)


def test_who_waits_is_told_for_whom_and_the_next_one_too(settings: Settings) -> None:
    reasons: list[str] = []
    with party(settings) as holder:
        assert word(holder) == "holds"
        named = lease_holder(settings)
        assert named is not None
        assert (named.purpose, named.user) == ("another party", current_user())
        assert named.identity == process_identity(holder.pid)
        assert time.time() - 60 < named.since <= time.time()
        stop = Stop()
        with engine_lease(settings, stop, "a test", lambda reason: (reasons.append(reason), stop.ask())[0]) as lease:
            assert lease is None
    assert reasons == [
        f"queued: another party has the engine of this machine (process {holder.pid} of user {current_user()},"
        f" since {time.strftime('%H:%M', time.localtime(named.since))})"
    ]
    assert lease_holder(settings) is None, "it is gone"


def test_nobody_is_named_after_the_end_and_while_it_is_handed_over(settings: Settings) -> None:
    with engine_lease(settings, Stop(), "a test") as lease:
        assert lease is not None
        named = lease_holder(settings)
        assert named is not None
        assert named.purpose == "a test"
        stop = Stop()
        stop.ask()
        assert not lease.hand_over(stop)
        assert lease_holder(settings) is None
    with free_engine(settings, "a preview"):
        named = lease_holder(settings)
        assert named is not None
        assert named.purpose == "a preview"
    assert lease_holder(settings) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"purpose": 1}', b"\xff"])
def test_lock_file_that_names_nobody_is_no_obstacle(settings: Settings, damage: bytes) -> None:
    (settings.home_dir / "engine.lock").write_bytes(damage)
    assert lease_holder(settings) is None
    assert waiting_text(settings) == "queued: another process has the engine of this machine"
    with free_engine(settings, "a preview"):
        pass


def test_place_of_who_died_before_others_saw_it_is_taken_away(settings: Settings) -> None:
    with engine_lease(settings, Stop(), "a test") as lease:
        assert lease is not None
        left = settings.home_dir / "engine.queue" / ".00000000000000000001-0123abcd"
        left.write_bytes(b"")
        assert not lease.has_waiters
        assert not left.exists()


def test_who_is_taken_for_dead_takes_another_place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[list[str]] = []

    def look_in_between(descriptor: int) -> None:
        if not others:
            others.append(lease_module._waiting(settings.home_dir / "engine.queue"))
        wait_for_lock(descriptor)

    monkeypatch.setattr(lease_module, "wait_for_lock", look_in_between)
    with engine_lease(settings, Stop(), "a test") as lease:
        assert lease is not None
    assert others == [[]]
    assert list((settings.home_dir / "engine.queue").iterdir()) == []
