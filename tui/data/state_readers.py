"""Readers of jobs, models and comparisons: cheap to call once a second, and no file stays open between two calls.

A ledger is read again only when its file changed, or while its job is at work. No connection stays open, so the writer
finds its ledger as if nobody watched.
"""

import contextlib
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings
from appliance.jobs.job import job_dirs
from appliance.jobs.job_index import JobIndex, is_quiet, ledger_signature
from appliance.jobs.ledger import JobSummary, LedgerReader, NotBegun, open_readonly
from appliance.jobs.states import State
from appliance.models.active import ACTIVE_NAME
from appliance.models.manifest import MANIFEST_NAME
from appliance.models.store import InstalledModel, Store
from tui.data.problems import READING_ERRORS, problem_of

if TYPE_CHECKING:
    from appliance.comparison.view import ComparisonSummary

AT_WORK = (State.RUNNING, State.QUEUED)
Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class InstalledModels:
    """The store at one moment."""

    models: tuple[InstalledModel, ...] = ()
    broken: tuple[str, ...] = ()
    """Folders of the store whose manifest cannot be read."""
    previous: dict[str, str] = field(default_factory=dict)
    """Task -> the model that a roll-back would make active."""

    def active(self, task_name: str) -> str | None:
        """The name of the model that answers the task."""
        return next((m.name for m in self.models if m.active and m.manifest.task_name == task_name), None)


class JobReader:
    """Summaries of all jobs; the first reading takes from the job index what that knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._entries: dict[str, tuple[list[int] | None, JobSummary]] = {}
        """Folder -> the state of its ledger's files (None where that must not be relied on), and its summary."""
        self._indexed = False

    def read(self) -> list[JobSummary]:
        """All jobs, the one that started last first; blocks for a moment, so call it in a thread."""
        index = None if self._indexed else JobIndex(self._settings)
        entries, now = {}, time.time()
        for directory in job_dirs(self._settings):
            signature = ledger_signature(os.fspath(directory))
            entry = self._entries.get(directory.name)
            if entry is None or signature is None or entry[0] != signature or entry[1].state in AT_WORK:
                summary = _summary_of(directory, signature, index)
                entry = (signature if signature and is_quiet(signature, now) else None, summary)
            entries[directory.name] = entry
        if index is not None:
            index.save()
        self._entries, self._indexed = entries, True
        summaries = [summary for _, summary in entries.values()]
        return sorted(summaries, key=lambda summary: (-(summary.started or 0.0), summary.id))


def _summary_of(directory: Path, signature: list[int] | None, index: JobIndex | None) -> JobSummary:
    """What the index knows of a job, else what its ledger holds."""
    if index is None or signature is None:
        return read_summary(directory)
    if (counters := index.get(directory.name, signature)) is not None:
        with contextlib.suppress(TypeError, ValueError):
            return JobSummary(**{**counters, "state": State(counters["state"])})
    summary = read_summary(directory)
    if is_readable(summary) and summary.state not in AT_WORK:
        index.put(directory.name, signature, asdict(summary))
    return summary


class ModelReader:
    """The models of the store, read again when one of its files changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._models = InstalledModels()

    def read(self) -> InstalledModels:
        """All models; blocks for a moment, so call it in a thread."""
        models_dir = self._settings.models_dir
        manifests = sorted(models_dir.glob(f"*/{MANIFEST_NAME}")) if models_dir.is_dir() else []
        signature = file_signature(models_dir, models_dir / ACTIVE_NAME, *manifests)
        if signature != self._signature:
            store = Store(self._settings)
            models = store.list()
            tasks = sorted({model.manifest.task_name for model in models})
            previous = {task: name for task in tasks if (name := store.previous(task))}
            self._models = InstalledModels(models, store.broken(), previous)
            self._signature = signature
        return self._models


class ComparisonReader:
    """The comparisons, read again when one of their files changed or while one is at work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._comparisons: tuple[ComparisonSummary, ...] = ()

    def read(self) -> "tuple[ComparisonSummary, ...]":
        """All comparisons, the newest first; blocks for a moment, so call it in a thread."""
        root = self._settings.home_dir / "comparisons"
        names = sorted(os.listdir(root)) if root.is_dir() else []
        paths = [root / name / file for name in names for file in ("lock", "comparison.json", "differences.db")]
        signature = file_signature(*paths)
        if signature != self._signature or any(each.state in AT_WORK for each in self._comparisons):
            # Only who has comparisons pays for what they are computed with.
            from appliance.comparison.view import list_comparisons

            self._comparisons = tuple(list_comparisons(self._settings)) if names else ()
            self._signature = signature
        return self._comparisons


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
