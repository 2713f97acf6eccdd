"""Judgements: kept with user and time, by many writers at once."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.users import current_user
from appliance.quality.judgements import Choice, Judgement, add_judgement, judgements


def test_judgements_come_oldest_first_with_who_and_when(tmp_path: Path) -> None:
    path = tmp_path / "judgements.db"
    for side, choice in ((1, Choice.A), (1, Choice.BOTH), (2, Choice.B)):
        add_judgement(path, Judgement(side, b"a \xff.txt", "ab" * 32, choice))
    first, second = judgements(path, 1)
    assert (first.choice, second.choice) == (Choice.A, Choice.BOTH)
    assert (first.path, first.sha256) == (b"a \xff.txt", "ab" * 32)
    assert first.user == current_user()
    assert first.time > 1.7e9


def test_the_file_is_only_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "judgements.db"
    add_judgement(path, Judgement(1, b"a.txt", "", Choice.A))
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_means_no_judgement(tmp_path: Path) -> None:
    assert judgements(tmp_path / "judgements.db", 1) == []


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "judgements.db"
    program = (
        "import sys; from pathlib import Path; from appliance.quality.judgements import *\n"
        "for number in range(20):"
        " add_judgement(Path(sys.argv[1]), Judgement(1, b'%d' % number, '', Choice.A, sys.argv[2]))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), user]) for user in ("ann", "ben", "cid")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(judgements(path, 1)) == 60


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "judgements.db"
    path.write_bytes(b"this is no database, " * 100)
    with pytest.raises(ApplianceError, match="damaged"):
        judgements(path, 1)


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "judgements.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(ApplianceError, match="version 9"):
        add_judgement(path, Judgement(1, b"a.txt", "", Choice.A))


def test_a_folder_that_is_gone_is_a_resource_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError):
        add_judgement(tmp_path / "gone" / "judgements.db", Judgement(1, b"a.txt", "", Choice.A))
