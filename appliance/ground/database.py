"""SQLite files: opened with one set of rules for durability, rights, read-only disks and errors."""

import os
import sqlite3
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError

_WAIT_SECONDS = 30.0


class UncleanDatabase(ResourceError):
    """A database was not closed cleanly and is on a read-only disk, so its log cannot be read."""


def open_writer(
    path: Path | None, log: bool = True, secure_delete: bool = False, any_thread: bool = False
) -> sqlite3.Connection:
    """A connection that makes the file where it is missing; it commits only what the caller puts in a transaction.

    Only its owner can read the file. What was committed stays after a power cut.

    Args:
        path: None keeps everything in memory.
        log: With a write-ahead log readers and the writer do not wait for each other. SQLite before 3.51.3 can damage
            such a file that two connections write: hold a lock around it.
        secure_delete: Overwrite what is deleted.
        any_thread: Threads take turns with it, under a lock of the caller.

    Raises:
        sqlite3.Error: It cannot be opened or is no database; `database_error` words it.
    """
    if path is not None:
        make_private(path)
    connection = sqlite3.connect(
        path or ":memory:", timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=not any_thread
    )
    try:
        if path is not None and log:
            connection.execute("PRAGMA journal_mode = WAL")
        # Without the log only EXTRA keeps a commit through a power cut: the journal's end must be on the disk, too.
        connection.execute(f"PRAGMA synchronous = {'FULL' if log else 'EXTRA'}")
        connection.execute("PRAGMA foreign_keys = ON")
        if secure_delete:
            connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def make_private(path: Path) -> None:
    """Makes an empty file that only its owner can read; one that is there gets these rights.

    Raises:
        sqlite3.OperationalError: It cannot be made, worded as SQLite does.
    """
    try:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            # By its name: whoever opens and closes a database's file frees the locks of this process on it.
            path.chmod(0o600)
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open database file: {error.strerror}") from error


def open_reader(path: Path, probe: str) -> sqlite3.Connection:
    """A connection that only reads, on a disk that cannot be written too.

    A reader may be opened in one thread and used in another, one at a time.

    Args:
        probe: A query that any sound file of this kind answers, such as `SELECT 1 FROM job`.

    Raises:
        sqlite3.Error: There is no such file, it is damaged, or it cannot be read; `database_error` words it.
        UncleanDatabase: Its log cannot be read where it lies.
    """
    try:
        return connect(path, "mode=ro", probe)
    except sqlite3.OperationalError:
        # On a disk that cannot be written SQLite opens a WAL database only where it is told that nobody changes it.
        # Nothing is lost by that: a writer folds its log into the file when it ends.
        if os.access(path.parent, os.W_OK) or not path.exists():
            raise
    if has_log(path):
        raise UncleanDatabase(
            f"{path} was not closed cleanly and is on a read-only disk",
            f"copy its folder, with all files that begin with {path.name}, to a disk that can be written",
        )
    return connect(path, "mode=ro&immutable=1", probe)


def connect(path: Path, mode: str, probe: str) -> sqlite3.Connection:
    """A connection with the parameters of an SQLite URI, after the probe."""
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        connection.execute(probe).fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def has_log(path: Path) -> bool:
    """Whether there is a write-ahead log with something in it: a writer is at work, or none ended cleanly."""
    try:
        return os.stat(f"{path}-wal").st_size > 0
    except FileNotFoundError:
        return False


def database_error(name: str, error: sqlite3.Error, remedy: str) -> ApplianceError:
    """What an operator reads when SQLite refuses a file.

    Args:
        name: What the file is, such as `the ledger of job a-1`.
        remedy: What to do where it is damaged.
    """
    if isinstance(error, sqlite3.OperationalError):
        return ResourceError(f"{name} cannot be used: {error}", "check the disk and the permissions")
    return ApplianceError(f"{name} is damaged: {error}", remedy)
