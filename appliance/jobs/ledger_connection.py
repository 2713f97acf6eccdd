"""The one connection that changes `job.db`, and the steps of which every change is made.

SQLite before 3.51.3 can damage a WAL database that two connections write; a lock on the job's folder keeps it at one.
After a write that failed nothing more is written: what the disk said about a failed sync cannot be believed the second
time.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.documents.folder import FoundDocument
from appliance.ground.database import open_writer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.text import storable
from appliance.jobs.job import LEDGER_NAME
from appliance.jobs.ledger import LEDGER_VERSION, connect, ledger_error
from appliance.jobs.ledger_schema import COUNTERS, ROWS_WITH_ERROR, SCHEMA, bring_up_to_date
from appliance.jobs.rows import Row, row_from_json
from appliance.jobs.states import State


class LedgerConnection:
    """A ledger that is open for writing; only the process that holds the job's lock may make one."""

    def __init__(self, directory: Path | None, identifier: str, name: str, task: str, model: str) -> None:
        """Opens or makes the ledger.

        Args:
            directory: The job's folder; None keeps everything in memory, for work that leaves nothing behind.
        """
        self._directory = directory
        self._identifier = identifier
        self._broken = ""
        """What the first write that failed said."""
        try:
            self._connection = open_writer(directory / LEDGER_NAME if directory else None)
        except sqlite3.Error as error:
            raise ledger_error(identifier, error) from error
        try:
            self._prepare(name, task, model)
        except sqlite3.Error as error:
            self._connection.close()
            raise ledger_error(identifier, error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, name: str, task: str, model: str) -> None:
        execute = self._connection.execute
        if execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone() is None:
            # One transaction: a kill in here leaves an empty file that the next run fills.
            self._connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT")
        execute(
            "INSERT OR IGNORE INTO job (id, version, identifier, name, task, model, state)"
            " VALUES (1, ?, ?, ?, ?, ?, ?)",
            (LEDGER_VERSION, self._identifier, name, task, model, State.QUEUED),
        )
        (version,) = execute("SELECT version FROM job").fetchone()
        if version < LEDGER_VERSION:
            bring_up_to_date(self._connection, version)
        elif version > LEDGER_VERSION:
            raise ApplianceError(
                f"the ledger of job {self._identifier} has version {version}, this program knows {LEDGER_VERSION}",
                "use the version of Stillroom that made the job",
            )
        execute(ROWS_WITH_ERROR)

    def close(self) -> None:
        """Closes the database with everything folded into its one file, unless a write had failed."""
        if self._broken and self._directory:
            self._close_as_it_is(self._directory)
            return
        try:
            if self._directory:
                # The last connection would do this when it closes, but a reader may be there now.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise ledger_error(self._identifier, error) from error
        finally:
            self._connection.close()

    def _close_as_it_is(self, directory: Path) -> None:
        """Closes without a checkpoint, which would move pages that the disk may have lost; recovery is for later."""
        # A connection that has read counts as one that is still there; only the last one makes a checkpoint.
        with contextlib.ExitStack() as guard:
            with contextlib.suppress(sqlite3.Error):
                guard.callback(connect(directory, "mode=ro").close)
            self._connection.close()

    def _set_facts(self, document: int, facts: FoundDocument) -> None:
        self._connection.execute(
            "UPDATE documents SET size_bytes = ?, modified_ns = ? WHERE id = ?",
            (facts.size_bytes, facts.modified_ns, document),
        )

    def _queue_again(self, document: int) -> None:
        self._connection.execute("UPDATE rows SET superseded = 1 WHERE document = ?", (document,))
        self._connection.execute("DELETE FROM texts WHERE document = ?", (document,))
        self._connection.execute("UPDATE documents SET crash_count = 0, sha256 = NULL WHERE id = ?", (document,))
        self._set_state(document, State.QUEUED)

    def _present_row(self, document: int) -> Row | None:
        values = self._connection.execute(
            "SELECT row FROM rows WHERE document = ? AND superseded = 0", (document,)
        ).fetchone()
        return row_from_json(values[0]) if values else None

    def _had_failed(self, document: int) -> bool:
        """Whether the latest row that the document had is one without an answer."""
        values = self._connection.execute(
            "SELECT row FROM rows WHERE document = ? ORDER BY id DESC LIMIT 1", (document,)
        ).fetchone()
        return values is not None and row_from_json(values[0]).fields is None

    def _came_back(self, document: int) -> None:
        """A document that was missing is there again, with the bytes of its row: an answer counts as before."""
        row = self._present_row(document)
        if row is not None and row.fields is not None:
            self._set_state(document, State.DONE)
        else:
            self._queue_again(document)

    def _remove(self, document: int) -> None:
        self._set_state(document, State.QUEUED)
        for table in ("texts", "rows"):
            self._connection.execute(f"DELETE FROM {table} WHERE document = ?", (document,))
        self._connection.execute("DELETE FROM documents WHERE id = ?", (document,))
        self._connection.execute("UPDATE job SET total = total - 1")

    def _set_state(self, document: int, state: State) -> None:
        """Moves a document to a state, and its counters with it."""
        (previous,) = self._connection.execute("SELECT state FROM documents WHERE id = ?", (document,)).fetchone()
        self._connection.execute("UPDATE documents SET state = ? WHERE id = ?", (state, document))
        for counted, step in ((previous, -1), (state, 1)):
            if column := COUNTERS.get(State(counted)):
                self._connection.execute(f"UPDATE job SET {column} = {column} + ?", (step,))

    def _event(self, kind: str, document: int | None, detail: str) -> None:
        self._connection.execute(
            "INSERT INTO events (time, kind, document, detail) VALUES (?, ?, ?, ?)",
            (time.time(), kind, document, storable(detail)),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commits whole or not at all; a failing disk ends the run rather than being tried again."""
        if self._broken:
            raise _unwritable(self._broken)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._broken = str(error)
            raise _unwritable(str(error)) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _unwritable(reason: str) -> ResourceError:
    return ResourceError(
        f"the ledger cannot be written: {reason}",
        "free disk space or mend the disk, then `stillroom jobs resume`; nothing that was finished is lost",
    )
