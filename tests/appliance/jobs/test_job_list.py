"""The list of all jobs: right whatever became of its index, and opening only what changed."""

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from appliance.ground.settings import Settings, load_settings
from appliance.jobs import ledger as ledger_module
from appliance.jobs.job import JobConfig, job_dirs
from appliance.jobs.job_index import INDEX_NAME, is_quiet, ledger_signature
from appliance.jobs.ledger import list_jobs
from appliance.jobs.ledger_writer import Ledger
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import job_dir_of
from tests.appliance.model_fixtures import names_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(tmp_path / "home")})


def make_job(settings: Settings, identifier: str, state: State = State.DONE, age_seconds: float = 100.0) -> Path:
    """A job in this state whose files were changed so long ago."""
    config = JobConfig(identifier, "h", "/d", "/m", "m", "n", False, "all", "/o", "jsonl", 0)
    directory = job_dir_of(settings, config, b"")
    ledger = Ledger(directory, identifier, "name", "task", "model")
    ledger.begin_run(State.RUNNING, "")
    ledger.end_run(state)
    ledger.close()
    set_age(directory, age_seconds)
    return directory


def set_age(directory: Path, age_seconds: float) -> None:
    at = time.time() - age_seconds
    os.utime(directory / "job.db", (at, at))


def opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs whose ledgers the next list opens."""
    seen: list[str] = []
    connect = ledger_module.connect

    def watched(directory: Path, mode: str) -> sqlite3.Connection:
        seen.append(directory.name)
        return connect(directory, mode)

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module, "connect", watched)
        list_jobs(settings)
    return seen


def test_unchanged_jobs_are_not_opened_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(settings, "a")
    make_job(settings, "b")
    first = list_jobs(settings)
    assert opened(settings, monkeypatch) == []
    assert list_jobs(settings) == first


def test_changed_job_is_opened_and_shown_as_it_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(settings, "a")
    directory = make_job(settings, "b")
    list_jobs(settings)
    ledger = Ledger(directory, "b", "name", "task", "model")
    ledger.end_run(State.CANCELLED)
    ledger.close()
    assert {job.id: job.state for job in list_jobs(settings)} == {"a": State.DONE, "b": State.CANCELLED}
    set_age(directory, 50)
    assert opened(settings, monkeypatch) == ["b"]
    assert opened(settings, monkeypatch) == []


def test_job_that_changed_a_moment_ago_is_not_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(settings, "a", age_seconds=0.0)
    list_jobs(settings)
    assert opened(settings, monkeypatch) == ["a"]


def test_job_from_a_clock_that_was_ahead_is_not_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(settings, "a", age_seconds=-1000.0)
    list_jobs(settings)
    assert opened(settings, monkeypatch) == ["a"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"version": 1}', b'{"version": 2, "jobs": {"a": 3}}', b"\xff"])
def test_damaged_index_is_made_anew(settings: Settings, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    make_job(settings, "a")
    before = list_jobs(settings)
    (settings.home_dir / INDEX_NAME).write_bytes(damage)
    assert list_jobs(settings) == before
    assert opened(settings, monkeypatch) == []


def test_entry_with_other_counters_than_a_summary_is_read_again(settings: Settings) -> None:
    make_job(settings, "a")
    before = list_jobs(settings)
    path = settings.home_dir / INDEX_NAME
    path.write_text(path.read_text().replace('"quarantined"', '"quarantine"'))
    assert list_jobs(settings) == before


def test_removed_job_leaves_the_index(settings: Settings) -> None:
    make_job(settings, "a")
    make_job(settings, "b")
    list_jobs(settings)
    shutil.rmtree(settings.jobs_dir / "a")
    assert [job.id for job in list_jobs(settings)] == ["b"]
    assert '"a"' not in (settings.home_dir / INDEX_NAME).read_text()


def test_listing_leaves_nothing_in_the_jobs_folders(settings: Settings) -> None:
    directory = make_job(settings, "a")
    before = names_in(directory)
    list_jobs(settings)
    assert names_in(directory) == before


def test_log_of_a_running_job_is_part_of_its_signature(settings: Settings) -> None:
    directory = make_job(settings, "a")
    closed = ledger_signature(str(directory))
    assert closed is not None
    assert is_quiet(closed, time.time())
    ledger = Ledger(directory, "a", "name", "task", "model")
    ledger.begin_run(State.RUNNING, "")
    assert ledger_signature(str(directory)) != closed
    ledger.close()


def test_job_that_this_user_may_not_look_into_is_listed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_job(settings, "a")
    real_stat = os.stat

    def refuse(path: str | os.PathLike[str] | int, **options: bool) -> os.stat_result:
        if not isinstance(path, int) and os.fspath(path).startswith(f"{directory}/"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real_stat(path, **options)

    monkeypatch.setattr("os.stat", refuse)
    assert [path.name for path in job_dirs(settings)] == ["a"]


def test_index_is_for_its_owner_only(settings: Settings) -> None:
    make_job(settings, "a")
    list_jobs(settings)
    assert (settings.home_dir / INDEX_NAME).stat().st_mode & 0o077 == 0
