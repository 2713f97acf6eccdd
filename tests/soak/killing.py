"""Kills the supervisor, the readers and the engine of running jobs at random moments, and checks every job after."""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from appliance.jobs.control import retry_failed
from appliance.jobs.job import job_dirs
from tests.appliance.batch_fixtures import Bench
from tests.soak.soundness import (
    Undisturbed,
    assert_as_undisturbed,
    assert_sound,
    assert_sound_ledger,
    rows_of,
    run_here,
    write_documents,
)

SUPERVISOR, READER, ENGINE = "supervisor", "reader", "engine"
_MARKS = {READER: b"serve_reader", ENGINE: b"serve_engine"}
_KILLED_ERRORS = ("engine_died", "reader_died")
_ORPHAN_SECONDS = 20.0
_RUN_SECONDS = 600.0


@dataclass
class Tally:
    """What a campaign of kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    jobs: int = 0
    quarantined: int = 0
    """Documents that two kills hit; after a retry each has the row of an undisturbed run."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Campaign:
    """How many kills over jobs of how many documents."""

    documents: int
    kills: int
    kills_per_job: int
    """After so many the job may finish, so that each job comes to an end that can be checked."""
    window: float
    """A kill comes at a moment between zero and this after the start or the last kill, in durations of a whole run."""
    seed: int


def run_campaign(campaign: Campaign, root: Path, expected: Undisturbed) -> Tally:
    """Runs jobs until so many kills have hit; every job is checked when it has finished.

    A kill counts when its victim lived.
    """
    chance = random.Random(campaign.seed)
    tally = Tally()
    started = time.monotonic()
    window_seconds = campaign.window * _run_seconds(root / "measured", campaign.documents)
    while sum(tally.kills.values()) < campaign.kills:
        bench = Bench(root / f"job-{tally.jobs}")
        write_documents(bench, campaign.documents)
        left = min(campaign.kills_per_job, campaign.kills - sum(tally.kills.values()))
        _disturb(bench, window_seconds, chance, left, tally)
        _check_finished(bench, expected, tally)
        tally.jobs += 1
        tally.documents += campaign.documents
        shutil.rmtree(bench.root)
    tally.seconds = time.monotonic() - started
    return tally


def _run_seconds(root: Path, documents: int) -> float:
    """How long a whole run takes on this machine now, from the start of the process."""
    bench = Bench(root)
    write_documents(bench, documents)
    started = time.monotonic()
    done = bench.run()
    assert done.returncode == 3, done.stderr
    return time.monotonic() - started


def _disturb(bench: Bench, window_seconds: float, chance: random.Random, kills: int, tally: Tally) -> None:
    """Starts the job again and again until it ends by itself, killing up to so many times."""
    while True:
        process = bench.start(*bench.run_arguments())
        finished, kills = _until_death(process, window_seconds, chance, kills, tally)
        _, stderr = process.communicate(timeout=_RUN_SECONDS)
        if finished:
            # Three engines in a row that were killed before their first document are a reason to stop; resuming works.
            gave_up = process.returncode == 1 and "without taking a document" in stderr
            assert process.returncode == 3 or gave_up, f"exit code {process.returncode}: {stderr}"
            if not gave_up:
                return
        else:
            _check_interrupted(bench)


def _until_death(
    process: "subprocess.Popen[str]", window_seconds: float, chance: random.Random, kills: int, tally: Tally
) -> tuple[bool, int]:
    """Disturbs one run; whether it ended by itself, and how many kills are left."""
    while True:
        moment = chance.uniform(0, window_seconds) if kills else _RUN_SECONDS
        try:
            process.wait(timeout=moment)
            return True, kills
        except subprocess.TimeoutExpired:
            assert kills, "the job did not end"
        victim = chance.choices((SUPERVISOR, READER, ENGINE), weights=(4, 3, 3))[0]
        if victim == SUPERVISOR:
            _kill_supervisor(process)
            tally.kills[SUPERVISOR] += 1
            return False, kills - 1
        if _kill_child(process.pid, _MARKS[victim], chance):
            tally.kills[victim] += 1
            kills -= 1


def _kill_supervisor(process: "subprocess.Popen[str]") -> None:
    """Kills it, and waits until every process below it is gone too: none may work on."""
    watched = []
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            watched.append(os.pidfd_open(pid))
    process.kill()
    process.wait()
    deadline = time.monotonic() + _ORPHAN_SECONDS
    for descriptor in watched:
        ended, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ended, "a child outlives the supervisor"
        os.close(descriptor)


def _kill_child(supervisor: int, mark: bytes, chance: random.Random) -> bool:
    """Kills one child of this kind, if there is one."""
    victims = [pid for pid in descendants(supervisor) if mark in _command_line(pid)]
    if not victims:
        return False
    try:
        os.kill(chance.choice(victims), signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def descendants(pid: int) -> list[int]:
    """Every living process below this one."""
    found = []
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    for child in children:
        found += [child, *descendants(child)]
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _check_interrupted(bench: Bench) -> None:
    """What a killed supervisor left is sound as it lies there, before any other run repairs it."""
    for job_dir in job_dirs(bench.settings):
        if not (job_dir / "job.db").exists():
            continue
        # A copy: opening the ledger itself would already recover it.
        with tempfile.TemporaryDirectory() as copy_dir:
            for path in job_dir.glob("job.db*"):
                shutil.copy(path, copy_dir)
            with contextlib.closing(sqlite3.connect(Path(copy_dir) / "job.db")) as connection:
                made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone()
                if made and connection.execute("SELECT 1 FROM job").fetchone():
                    assert_sound_ledger(connection)


def _check_finished(bench: Bench, expected: Undisturbed, tally: Tally) -> None:
    """Every document has the row of an undisturbed run, or two kills hit it; a retry mends those."""
    assert_sound(bench)
    rows, wanted = rows_of(bench).splitlines(), expected.rows.splitlines()
    assert len(rows) == len(wanted)
    for row, undisturbed_row in zip(rows, wanted, strict=True):
        if row != undisturbed_row:
            values = json.loads(row)
            assert values["error"] in _KILLED_ERRORS, row
            assert values["document"] == json.loads(undisturbed_row)["document"]
            tally.quarantined += 1
    (job_dir,) = job_dirs(bench.settings)
    retry_failed(bench.settings, job_dir.name)
    run_here(bench)
    assert_as_undisturbed(bench, expected)
