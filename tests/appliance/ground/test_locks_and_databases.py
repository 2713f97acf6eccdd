"""Locks between processes, and SQLite files that only their owner reads."""

import sqlite3
import stat
from pathlib import Path

import pytest

from appliance.ground.database import database_error, open_reader, open_writer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.locks import exclusive_lock, open_lock, try_lock


def test_busy_lock_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    path, busy = tmp_path / "lock", ResourceError("another process has it")
    with exclusive_lock(path), pytest.raises(ResourceError, match="another process"), exclusive_lock(path, busy):
        pass
    assert try_lock(open_lock(path))


def test_lock_that_cannot_be_opened_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="missing/lock"), exclusive_lock(tmp_path / "missing" / "lock"):
        pass


def test_database_is_its_owners_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = open_writer(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    writer.execute("CREATE TABLE job (id INTEGER)")
    reader = open_reader(path, "SELECT 1 FROM job")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO job VALUES (1)")
    reader.close()
    writer.close()


def test_refused_file_is_a_resource_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as missing:
        open_reader(tmp_path / "none.db", "SELECT 1")
    assert isinstance(database_error("the ledger", missing.value, "remove it"), ResourceError)
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 40)
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        open_reader(path, "SELECT 1 FROM job")
    error = database_error("the ledger", damaged.value, "remove it")
    assert type(error) is ApplianceError
    assert error.hint == "remove it"
