"""Settings: which of environment, `config.toml` and default counts, and what a wrong one is called."""

import os
import stat
from pathlib import Path

import pytest

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.settings import home_dir as resolve_home
from appliance.ground.settings import load_settings


def test_environment_comes_before_the_file_and_the_file_before_the_default(home_dir: Path) -> None:
    environment = {"STILLROOM_HOME": str(home_dir)}
    assert load_settings(environment).threads == len(os.sched_getaffinity(0))
    (home_dir / "config.toml").write_text("threads = 3\n")
    assert load_settings(environment).threads == 3
    assert load_settings({**environment, "STILLROOM_THREADS": "5"}).threads == 5


def test_home_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load_settings({"STILLROOM_HOME": str(tmp_path / "a" / "b")})
    assert stat.S_IMODE(settings.home_dir.stat().st_mode) == 0o700
    assert settings.models_dir == tmp_path / "a" / "b" / "models"
    assert settings.jobs_dir == tmp_path / "a" / "b" / "jobs"


def test_default_home_folder_is_that_of_the_desktop_standard(tmp_path: Path) -> None:
    assert resolve_home({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "stillroom"
    assert resolve_home({}) == Path("~/.local/share/stillroom").expanduser()


def test_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot make the home folder .*file/home: Not a directory") as caught:
        load_settings({"STILLROOM_HOME": str(tmp_path / "file" / "home")})
    assert "STILLROOM_HOME" in caught.value.hint


@pytest.mark.parametrize(("name", "reason"), [("~nobody-here/x", "no such user"), ("h\udcff", "not UTF-8")])
def test_home_whose_name_is_no_place_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=reason):
        load_settings({"STILLROOM_HOME": name})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", "²", "513", "9" * 5000], ids=range(7))
def test_wrong_number_of_threads_is_named(home_dir: Path, threads: str) -> None:
    with pytest.raises(UsageError, match="STILLROOM_THREADS is"):
        load_settings({"STILLROOM_HOME": str(home_dir), "STILLROOM_THREADS": threads})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("thread = 1", "thread: unknown key", id="unknown key"),
        pytest.param('threads = "2"', 'threads: "2" is not a whole number', id="text"),
        pytest.param("threads = 0", "threads: 0 is not a whole number", id="zero"),
        pytest.param("threads = 513", "513 is not a whole number of at least 1 and up to 512", id="too many"),
        pytest.param("threads", "cannot be read", id="no TOML"),
    ],
)
def test_wrong_configuration_is_named_by_file_and_key(home_dir: Path, text: str, message: str) -> None:
    (home_dir / "config.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings({"STILLROOM_HOME": str(home_dir)})
    assert str(home_dir / "config.toml") in caught.value.message
    assert message in caught.value.message


def test_user_without_a_home_folder_is_told_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # What it gives where the system knows no such user.
    with pytest.raises(UsageError, match="no home folder"):
        load_settings({})
    assert list(tmp_path.iterdir()) == []
