"""The ledger of a job, read: documents, states, rows, texts and events in one SQLite file with one writer.

For readers in other processes (screens, `stillroom jobs`):

- `list_jobs(settings) -> list[JobSummary]`: every job, newest first; a job whose supervisor died shows as interrupted.
- `open_readonly(job_dir) -> LedgerReader`: a connection that cannot write; close it, or use it with `with`.
- `LedgerReader.summary() -> JobSummary`: the counters, from one row.
- `LedgerReader.documents_page(state, offset, limit) -> list[DocumentEntry]`: in path order; state None means all.
- `LedgerReader.row(document) -> Row | None`, `LedgerReader.text(document) -> str | None`, `LedgerReader.events(limit)`.
- `LedgerReader.data_version() -> int`: changes when another process wrote; costs microseconds, made for polling.

The writing side is `ledger_writer.py`.
"""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.documents.folder import document_name
from appliance.errors import ApplianceError, ResourceError
from appliance.jobs.job import LEDGER_NAME, job_dirs, process_mark
from appliance.jobs.rows import Row, row_from_json
from appliance.jobs.states import State
from appliance.settings import Settings

_SUMMARY = (
    "SELECT identifier, name, task, model, state, message, total, done, failed, quarantined, started, finished,"
    " run_started, run_base, speed, supervisor FROM job"
)


@dataclass(frozen=True)
class JobSummary:
    """One line of the list of jobs; times are seconds since the epoch."""

    id: str
    name: str
    task: str
    model: str
    state: State
    message: str
    total: int
    done: int
    failed: int
    """Documents that failed, the quarantined ones among them."""
    quarantined: int
    started: float | None
    finished: float | None
    documents_per_second: float
    """Of the latest run of the job."""


@dataclass(frozen=True)
class DocumentEntry:
    """One document of a job."""

    id: int
    path: bytes
    name: str
    state: State
    size_bytes: int
    error: str | None


class LedgerReader:
    """A connection that only reads; any number of them in any process."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self._directory = directory
        self._connection = connection

    def summary(self) -> JobSummary:
        """The job's counters and state."""
        values = self._connection.execute(_SUMMARY).fetchone()
        if values is None:
            raise ApplianceError(f"job {self._directory.name} has an empty ledger", "run it again")
        return _summary(values)

    def documents_page(self, state: State | None, offset: int, limit: int) -> list[DocumentEntry]:
        """Documents in path order; state None means all of them."""
        where = "WHERE documents.state = ?" if state else ""
        found = self._connection.execute(
            "SELECT documents.id, path, documents.state, size_bytes, rows.error FROM documents"
            f" LEFT JOIN rows ON rows.document = documents.id AND rows.superseded = 0 {where}"
            " ORDER BY path LIMIT ? OFFSET ?",
            (*([state] if state else []), limit, offset),
        )
        return [
            DocumentEntry(identifier, path, document_name(path), State(state), size_bytes, error)
            for identifier, path, state, size_bytes, error in found
        ]

    def row(self, document: int) -> Row | None:
        """The document's present row."""
        found = self._connection.execute(
            "SELECT row FROM rows WHERE document = ? AND superseded = 0", (document,)
        ).fetchone()
        return row_from_json(found[0]) if found else None

    def rows(self) -> Iterator[Row]:
        """Present rows in path order."""
        found = self._connection.execute(
            "SELECT row FROM documents JOIN rows ON rows.document = documents.id AND rows.superseded = 0 ORDER BY path"
        )
        return (row_from_json(text) for (text,) in found)

    def text(self, document: int) -> str | None:
        """The document's text; None where none was kept or there is none."""
        found = self._connection.execute("SELECT text FROM texts WHERE document = ?", (document,)).fetchone()
        return str(found[0]) if found else None

    def events(self, limit: int) -> list[tuple[float, str, str]]:
        """The latest events, newest first: time, kind, detail."""
        found = self._connection.execute("SELECT time, kind, detail FROM events ORDER BY id DESC LIMIT ?", (limit,))
        return list(found)

    def data_version(self) -> int:
        """A number that changes whenever another process wrote."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> "LedgerReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_readonly(directory: Path) -> LedgerReader:
    """Opens the ledger of a job's folder for reading.

    Raises:
        ApplianceError: There is no ledger, or it is damaged.
    """
    path = directory / LEDGER_NAME
    wal = path.with_name(LEDGER_NAME + "-wal")
    # A cleanly closed WAL database on a read-only disk opens only as immutable.
    modes = ("mode=ro",) if wal.exists() else ("mode=ro", "immutable=1")
    failure: sqlite3.Error | None = None
    for mode in modes:
        # A reader may be opened in one thread and used in another, one at a time.
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False)
        except sqlite3.OperationalError as error:
            failure = error
            continue
        try:
            connection.execute("SELECT 1 FROM job").fetchone()
            return LedgerReader(directory, connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            failure = error
    assert failure is not None
    raise database_error(directory, failure) from failure


def list_jobs(settings: Settings) -> list[JobSummary]:
    """All jobs, the one that started last first; a job without a readable ledger shows as failed."""
    summaries = []
    for directory in job_dirs(settings):
        try:
            with open_readonly(directory) as reader:
                summaries.append(reader.summary())
        except (ApplianceError, sqlite3.Error) as error:
            summaries.append(
                JobSummary(
                    directory.name, directory.name, "", "", State.FAILED, str(error), 0, 0, 0, 0, None, None, 0.0
                )
            )
    return sorted(summaries, key=lambda summary: -(summary.started or 0.0))


def _summary(values: tuple[Any, ...]) -> JobSummary:
    (identifier, name, task, model, state, message, total, done, failed, quarantined, started, finished,
     run_started, run_base, speed, supervisor) = values  # fmt: skip
    shown = State(state)
    if shown in (State.RUNNING, State.QUEUED) and not _is_alive(supervisor):
        shown = State.INTERRUPTED
    if shown is State.RUNNING:
        speed = (done + failed + quarantined - run_base) / max(time.time() - run_started, 0.001)
    return JobSummary(
        identifier, name, task, model, shown, message, total, done, failed + quarantined, quarantined, started,
        finished, max(0.0, speed),
    )  # fmt: skip


def _is_alive(supervisor: str) -> bool:
    pid = supervisor.partition(" ")[0]
    return pid.isdigit() and process_mark(int(pid)) == supervisor


def database_error(directory: Path, error: sqlite3.Error) -> ApplianceError:
    """What an operator reads when SQLite refuses a ledger."""
    if isinstance(error, sqlite3.OperationalError):
        return ResourceError(
            f"the ledger of job {directory.name} cannot be opened: {error}", "check the disk and the rights"
        )
    return ApplianceError(
        f"the ledger of job {directory.name} is damaged: {error}", "`stillroom jobs remove`, then run the job again"
    )
