"""A second user of one installation, and files left by a run under sudo: the message names the cause and what to do."""

import errno
import os
import pwd
import sqlite3
from pathlib import Path

import pytest

from appliance import cli
from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.locks import open_lock
from appliance.ground.ownership import ownership_hint
from appliance.ground.settings import load_settings
from appliance.ground.users import owner_of
from tui.data.problems import problem_of

OTHER = 65534


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a lock, of the user that runs the tests; this process takes itself for another one."""
    home = tmp_path / "home"
    load_settings({"STILLROOM_HOME": str(home)})
    (home / "engine.lock").write_bytes(b"")
    monkeypatch.setattr("os.getuid", lambda: OTHER)
    monkeypatch.setattr("os.geteuid", lambda: OTHER)
    return home


def hint(error: BaseException, home: Path) -> str:
    return ownership_hint(error, {"STILLROOM_HOME": str(home)})


def refused(path: Path) -> PermissionError:
    return PermissionError(13, "Permission denied", str(path))


def other_name() -> str:
    try:
        return pwd.getpwuid(OTHER).pw_name
    except KeyError:
        return f"uid {OTHER}"


@pytest.mark.parametrize("name", ["engine.lock", "jobs/orders-1/lock", "", "models/x/y/z"])
def test_second_user_is_told_whose_the_installation_is(home: Path, name: str) -> None:
    owner = owner_of(home)
    assert hint(refused(home / name), home) == (
        f"you are {other_name()}; the installation in {home} belongs to {owner}: use `sudo -u {owner} stillroom ...`,"
        " or set STILLROOM_HOME to a folder of your own"
    )


def test_cause_of_an_error_of_ours_counts(home: Path) -> None:
    error = ResourceError("cannot lock it", "check the rights")
    error.__cause__ = refused(home / "jobs" / "orders-1" / "lock")
    assert f"the installation in {home} belongs to" in hint(error, home)


@pytest.mark.parametrize("message", ["unable to open database file", "attempt to write a readonly database"])
def test_database_of_another_user_is_known_by_its_home(home: Path, message: str) -> None:
    assert f"the installation in {home} belongs to" in hint(sqlite3.OperationalError(message), home)
    assert hint(sqlite3.OperationalError("database disk image is malformed"), home) == ""


def test_place_outside_of_the_installation_is_named_by_itself(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows" / "rows.jsonl"
    assert hint(refused(path), home) == (
        f"you are {other_name()}; {tmp_path} belongs to {owner_of(tmp_path)}: name a place of your own, or run it as"
        f" {owner_of(tmp_path)}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_that_a_run_under_sudo_left_in_a_users_home_is_named(home: Path) -> None:
    os.chown(home, OTHER, OTHER)
    assert hint(refused(home / "engine.lock"), home) == (
        f"{home / 'engine.lock'} belongs to root, as after `sudo`: `sudo chown -R {other_name()} {home}` gives it to"
        " you"
    )
    os.chown(home / "engine.lock", OTHER, OTHER)
    assert hint(refused(home / "engine.lock"), home) == "", "the rights themselves are in the way"


def test_other_errors_get_no_such_hint(home: Path) -> None:
    for error in (FileNotFoundError(2, "x", str(home)), OSError(28, "full", str(home)), ValueError("x"),
                  PermissionError(13, "x"), PermissionError(13, "x", "relative")):  # fmt: skip
        assert hint(error, home) == ""


@pytest.mark.parametrize("command", [["jobs", "list"], ["models", "list"]])
def test_command_prints_the_cause_and_no_traceback(
    home: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise refused(home / command[0])

    monkeypatch.setattr("appliance.commands.jobs.list_jobs", refuse)
    monkeypatch.setattr("appliance.models.store.Store.list", refuse)
    monkeypatch.setattr("sys.argv", ["stillroom", *command])
    monkeypatch.setenv("STILLROOM_HOME", str(home))
    assert cli._run() == 4
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: cannot use {home / command[0]}: Permission denied"
    assert f"the installation in {home} belongs to {owner_of(home)}: use `sudo -u" in lines[1]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.ENOTCONN, errno.ESTALE, errno.EIO])
def test_path_that_the_system_refuses_is_named_without_a_traceback(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "documents"))

    monkeypatch.setattr("appliance.commands.jobs.list_jobs", refuse)
    monkeypatch.setattr("sys.argv", ["stillroom", "jobs", "list"])
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    assert cli._run() == 4
    assert f"error: cannot use {tmp_path / 'documents'}: {os.strerror(number)}\nhint: " in capsys.readouterr().err
    assert not (tmp_path / "home" / "stillroom.log").exists()


def test_command_in_a_folder_that_was_removed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()
    monkeypatch.setattr("sys.argv", ["stillroom", "jobs", "list"])
    monkeypatch.setenv("STILLROOM_HOME", "relative")
    assert cli._run() == 4
    assert capsys.readouterr().err.startswith("error: the folder that this was started in is gone\nhint: `cd`")


def test_screens_name_the_cause_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLROOM_HOME", str(home))
    assert f"the installation in {home} belongs to" in problem_of(refused(home / "jobs")).hint


def test_lock_that_cannot_be_opened_keeps_its_cause(tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as caught:
        open_lock(tmp_path / "missing" / "engine.lock")
    assert isinstance(caught.value.__cause__, OSError)


def test_home_that_cannot_be_entered_is_refused_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(UsageError, match=r"the installation in .*home belongs to"):
        load_settings({"STILLROOM_HOME": str(tmp_path / "home")})
