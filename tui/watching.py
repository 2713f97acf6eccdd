"""Looks at jobs and models, cheaply and without holding any of their files open.

A ledger is read again only when its file changed since the last look, or while its job is at work. No connection
stays open between two looks, so the writer always finds its ledger as if nobody watched.
"""

import contextlib
import os
import sqlite3
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings
from appliance.jobs.index import JobIndex, is_quiet, ledger_signature
from appliance.jobs.job import job_dirs
from appliance.jobs.ledger import JobSummary, LedgerReader, NotBegun, open_readonly
from appliance.jobs.states import State
from appliance.models.manifest import MANIFEST_NAME
from appliance.models.store import ACTIVE_NAME, InstalledModel, Store

if TYPE_CHECKING:
    from appliance.comparison.view import ComparisonSummary

AT_WORK = (State.RUNNING, State.QUEUED)
Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Problem:
    """Something that could not be looked at."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class InstalledModels:
    """The store at one moment."""

    models: tuple[InstalledModel, ...] = ()
    broken: tuple[str, ...] = ()
    """Folders of the store whose manifest cannot be read."""
    former: dict[str, str] = field(default_factory=dict)
    """Task -> the model that a roll-back would make active."""

    def active(self, task_name: str) -> str | None:
        """The name of the model that answers the task."""
        return next((m.name for m in self.models if m.active and m.manifest.task_name == task_name), None)


class JobWatch:
    """The summaries of all jobs as of the last look; the first one takes from the job index what that knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, tuple[list[int] | None, JobSummary]] = {}
        """Folder -> the state of its ledger's files (None where that must not be relied on), and what they said."""
        self._indexed = False

    def look(self) -> list[JobSummary]:
        """All jobs, the one that started last first; blocks for a moment, so call it in a thread."""
        index = None if self._indexed else JobIndex(self._settings)
        found, now = {}, time.time()
        for directory in job_dirs(self._settings):
            signature = ledger_signature(os.fspath(directory))
            known = self._known.get(directory.name)
            if known is None or signature is None or known[0] != signature or known[1].state in AT_WORK:
                summary = _summary_of(directory, signature, index)
                known = (signature if signature and is_quiet(signature, now) else None, summary)
            found[directory.name] = known
        if index is not None:
            index.save()
        self._known, self._indexed = found, True
        summaries = [summary for _, summary in found.values()]
        return sorted(summaries, key=lambda summary: (-(summary.started or 0.0), summary.id))


def _summary_of(directory: Path, signature: list[int] | None, index: JobIndex | None) -> JobSummary:
    """What the index knows of a job, else what its ledger says."""
    if index is None or signature is None:
        return read_summary(directory)
    if (counters := index.get(directory.name, signature)) is not None:
        with contextlib.suppress(TypeError, ValueError):
            return JobSummary(**{**counters, "state": State(counters["state"])})
    summary = read_summary(directory)
    if is_readable(summary) and summary.state not in AT_WORK:
        index.put(directory.name, signature, asdict(summary))
    return summary


class ModelWatch:
    """The models of the store as of the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._known = InstalledModels()

    def look(self) -> InstalledModels:
        """All models; blocks for a moment, so call it in a thread."""
        models_dir = self._settings.models_dir
        manifests = sorted(models_dir.glob(f"*/{MANIFEST_NAME}")) if models_dir.is_dir() else []
        signature = file_signature(models_dir, models_dir / ACTIVE_NAME, *manifests)
        if signature != self._signature:
            store = Store(self._settings)
            models = store.list()
            tasks = sorted({model.manifest.task_name for model in models})
            former = {task: name for task in tasks if (name := store.former(task))}
            self._known = InstalledModels(models, store.broken(), former)
            self._signature = signature
        return self._known


class ComparisonWatch:
    """The comparisons as of the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._known: tuple[ComparisonSummary, ...] = ()

    def look(self) -> "tuple[ComparisonSummary, ...]":
        """All comparisons, the newest first; blocks for a moment, so call it in a thread."""
        root = self._settings.home_dir / "comparisons"
        names = sorted(os.listdir(root)) if root.is_dir() else []
        paths = [root / name / file for name in names for file in ("answers.db", "answers.db-wal", "comparison.json")]
        signature = file_signature(*paths)
        if signature != self._signature or any(known.state in AT_WORK for known in self._known):
            # Only who has comparisons pays for what they are computed with.
            from appliance.comparison.view import list_comparisons

            self._known = tuple(list_comparisons(self._settings)) if names else ()
            self._signature = signature
        return self._known


def open_job(directory: Path) -> LedgerReader:
    """Opens the ledger of a job that was there when its screen was opened.

    Raises:
        ApplianceError: The job was removed since, or its ledger cannot be read.
    """
    if not directory.is_dir():
        raise ApplianceError(f"job {directory.name} was removed", "Esc goes back")
    return open_readonly(directory)


def read_summary(directory: Path) -> JobSummary:
    """The job's counters; a job without a readable ledger shows as failed, with the reason as its message."""
    try:
        with open_readonly(directory) as reader:
            return reader.summary()
    except READING_ERRORS as error:
        state = State.INTERRUPTED if isinstance(error, NotBegun) else State.FAILED
        message = problem_of(error).message
        return JobSummary(directory.name, directory.name, "", "", state, message, 0, 0, 0, 0, None, None, 0.0)


def is_readable(job: JobSummary) -> bool:
    """Whether the numbers are the ledger's; False where they stand for a ledger that cannot be read."""
    return bool(job.task)


def has_not_begun(job: JobSummary) -> bool:
    """Whether the process that made the job ended before it had made its ledger."""
    return not is_readable(job) and job.state is State.INTERRUPTED


def file_signature(*paths: Path) -> Signature:
    """Changes when one of the files does; a missing file is part of it."""
    parts = []
    for path in paths:
        try:
            status = path.stat()
            parts.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            parts.append((0, 0, 0))
    return tuple(parts)


def problem_of(error: Exception) -> Problem:
    """What a person reads when something could not be looked at."""
    if isinstance(error, ApplianceError):
        return Problem(error.message, error.hint)
    if isinstance(error, OSError):
        return Problem(f"{error.filename or 'a file'}: {error.strerror}", "check the disk and the rights")
    if isinstance(error, sqlite3.Error):
        return Problem(f"the ledger cannot be read: {error}", "check the disk")
    return Problem(f"stored data is not as expected: {type(error).__name__} {error}", "check the disk")


READING_ERRORS = (ApplianceError, sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError)
"""What reading a ledger, a manifest or a folder may raise; the last four where it holds other things than expected."""
