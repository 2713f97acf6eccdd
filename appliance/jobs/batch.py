"""One command's worth of a job: choose the model, list the folder, run what has no row yet, write the rows out."""

import contextlib
import os
import sqlite3
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.documents.folder import document_name
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.errors import ApplianceError, Interrupted, UsageError
from appliance.ground.processes import process_identity
from appliance.ground.progress import OnProgress, Progress
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.engine_lock import engine_lock
from appliance.jobs.fallback import fallback_config, open_fallback
from appliance.jobs.intake import take_in
from appliance.jobs.job import (
    DEFAULT_SETTLE_SECONDS,
    DEFAULT_WORKERS,
    JobConfig,
    finish_removals,
    job_folder,
    job_id,
    read_config,
    task_path,
    write_job,
)
from appliance.jobs.ledger import JobSummary, ledger_error, open_readonly
from appliance.jobs.ledger_writer import Ledger
from appliance.jobs.locks import JobLock, Purpose, take_lock
from appliance.jobs.outputs import OutputFormat, write_rows
from appliance.jobs.runner import RunLimits, Supervisor, Work
from appliance.jobs.shards import shard_out_dir, shared_shard
from appliance.jobs.states import State
from appliance.jobs.stopping import Stop, stopped_by_signals
from appliance.models.manifest import verify_artifact
from appliance.models.selection import choose_model
from appliance.routing.policy import Caps
from appliance.tasks.folder import task_file
from appliance.tasks.task import LongDocumentPolicy, Task, TaskKind, task_hash
from appliance.tasks.taskfile import load_task


@dataclass(frozen=True)
class FallbackRequest:
    """Which frontier is asked, and below which confidence; asking for it is the flag that lets documents leave."""

    name: str
    threshold: float
    caps: Caps = field(default_factory=Caps)


@dataclass(frozen=True)
class BatchRequest:
    """What `stillroom run` was asked."""

    task_path: Path
    documents_dir: Path
    out_dir: Path
    model: str | None = None
    """Identity, name or artifact folder; None means the active model of the task."""
    output_format: OutputFormat = OutputFormat.JSONL
    limit: int = 0
    keep_text: str = "all"
    workers: int = DEFAULT_WORKERS
    settle_seconds: float = DEFAULT_SETTLE_SECONDS
    shard: str = ""
    """`K/N`: only this part of the folder, with an output folder of its own in `out_dir`."""
    fallback: FallbackRequest | None = None
    """Who is asked where the local model is not sure; None keeps every document on this machine."""


@dataclass(frozen=True)
class BatchOutcome:
    """How the run ended."""

    summary: JobSummary
    output_path: Path
    new_documents: int
    """Documents that got their row in this run."""
    seconds: float
    for_review: int = 0
    """Documents whose answer a person must look at."""
    fallback_unanswered: int = 0
    """Those of them that the fallback did not answer; `retry` asks it again."""


@dataclass(frozen=True)
class Plan:
    """A job as asked for: everything checked that can be, nothing done yet."""

    config: JobConfig
    task: Task
    task_text: bytes


def plan(settings: Settings, request: BatchRequest) -> Plan:
    """Checks everything that can be checked in a moment; writes nothing.

    Raises:
        ApplianceError: The task, the model or the folder is not as it must be.
    """
    task = load_task(request.task_path)
    _refuse_parts_of_texts(task)
    if not request.settle_seconds >= 0:
        raise UsageError(
            f"a file cannot settle for {request.settle_seconds:g} s", "use a number from 0, as in --settle 2"
        )
    if not request.documents_dir.is_dir():
        raise UsageError(f"no folder of documents at {request.documents_dir}", "name a folder that holds the documents")
    documents_dir = _storable(request.documents_dir.resolve())
    out_dir = _storable(request.out_dir.absolute())
    directory, manifest = choose_model(settings, task, request.model)
    ready = manifest.verdict is not None and manifest.verdict.verdict == "READY"
    asked_hash = task_hash(task)
    variant: tuple[str, ...] = ()
    if request.shard:
        out_dir = shard_out_dir(out_dir, request.shard)
        variant = (f"shard {request.shard}",)
    fallback = None
    if request.fallback is not None:
        wanted = request.fallback
        fallback = fallback_config(settings, task, wanted.name, wanted.threshold, wanted.caps)
        variant = (*variant, fallback.variant())
    config = JobConfig(
        job_id(task.name, asked_hash, manifest.identity, documents_dir, variant), asked_hash, str(documents_dir),
        str(directory), manifest.identity, manifest.name, not ready, request.keep_text, str(out_dir),
        request.output_format, request.limit, request.workers, request.settle_seconds, request.shard, fallback,
    )  # fmt: skip
    return Plan(config, task, task_file(request.task_path).read_bytes())


def _refuse_parts_of_texts(task: Task) -> None:
    if task.kind is TaskKind.GENERATE and task.input.long is not LongDocumentPolicy.REFUSE:
        raise UsageError(
            f"task {task.name} wants long documents read in parts, and texts that are generated cannot be made one",
            'say `long = "refuse"` under [input] and distil again for the changed task',
        )


def refuse_own_files_as_documents(settings: Settings, config: JobConfig) -> None:
    """Checks that neither rows nor the state of jobs become documents of the next run.

    Raises:
        UsageError: The output folder or the home folder lies in the folder of documents.
    """
    for name, directory in (("output", Path(config.out_dir)), ("home", settings.home_dir)):
        refuse_among_documents(name, directory, config.documents_dir)


def refuse_among_documents(name: str, directory: Path, documents_dir: str) -> None:
    """Checks that what is written into the folder does not become a document of the next run.

    Raises:
        UsageError: It lies in the folder of documents, and is not hidden there.
    """
    path = directory.resolve()
    if not path.is_relative_to(documents_dir):
        return
    if not any(part.startswith(".") for part in path.relative_to(documents_dir).parts):
        raise UsageError(
            f"the {name} folder {directory} lies in the folder of documents", "name a folder outside of it"
        )


def run_request(settings: Settings, request: BatchRequest, on_progress: OnProgress) -> BatchOutcome:
    """Makes the job, or continues the one of the same task, model and folder.

    Raises:
        Interrupted: A person stopped the run; finished documents keep their rows.
    """
    planned = plan(settings, request)
    refuse_own_files_as_documents(settings, planned.config)
    verify_artifact(Path(planned.config.artifact_dir))
    finish_removals(settings)
    while True:
        directory = job_folder(settings, planned.config)
        try:
            lock = take_lock(directory, Purpose.RUN)
        except UsageError:  # It was removed in between.
            continue
        with lock:
            write_job(directory, planned.config, planned.task_text)
            return _run_locked(settings, lock, on_progress)


def run_job(settings: Settings, directory: Path, on_progress: OnProgress) -> BatchOutcome:
    """Continues the job in this folder and writes its rows out.

    Raises:
        Interrupted: A person stopped the run; finished documents keep their rows.
    """
    with take_lock(directory, Purpose.RUN) as lock:
        verify_artifact(Path(read_config(directory).artifact_dir))
        return _run_locked(settings, lock, on_progress)


def _run_locked(settings: Settings, lock: JobLock, on_progress: OnProgress) -> BatchOutcome:
    config = read_config(lock.directory)
    with shared_shard(lock.directory, config):
        return _run_held(settings, lock, config, on_progress)


def _run_held(settings: Settings, lock: JobLock, config: JobConfig, on_progress: OnProgress) -> BatchOutcome:
    started = time.monotonic()
    directory = lock.directory
    task = load_task(task_path(directory))
    stop = Stop(lock)
    ledger = open_ledger(directory, config, task)
    try:
        with stopped_by_signals(stop):
            work = Work(config, task, task_path(directory), ledger)
            new_documents, output_path = _run_in_ledger(settings, work, stop, on_progress)
        summary = ledger.reader.summary()
        for_review = ledger.reader.for_review()
        fallback_unanswered = ledger.reader.fallback_unanswered() if config.fallback is not None else 0
    except BaseException as error:
        with contextlib.suppress(ApplianceError):  # The first error is the one to show.
            ledger.close()
        if isinstance(error, sqlite3.Error):
            raise ledger_error(directory.name, error) from error
        raise
    ledger.close()
    if output_path is None:
        finished = summary.done + summary.failed
        raise Interrupted(
            f"{summary.state} with {finished} of {summary.total} documents finished",
            f"`stillroom jobs resume {config.id}` goes on where it stopped",
        )
    seconds = time.monotonic() - started
    return BatchOutcome(summary, output_path, new_documents, seconds, for_review, fallback_unanswered)


def open_ledger(directory: Path | None, config: JobConfig, task: Task) -> Ledger:
    """The writing side of a job's ledger; only for the holder of the job's lock, or for one in memory."""
    return Ledger(directory, config.id, job_name(config, task), task.name, config.model)


def job_name(config: JobConfig, task: Task) -> str:
    """What people call the job: its task and its folder."""
    name = f"{task.name} {Path(config.documents_dir).name}"
    return f"{name} {config.shard}" if config.shard else name


def export_rows(directory: Path, out_dir: Path, output_format: OutputFormat) -> Path:
    """Writes the rows that the job has so far; gives the file's path."""
    task = load_task(task_path(directory))
    with open_readonly(directory) as reader, contextlib.closing(reader.rows()) as rows:
        return write_rows(rows, task.output_fields, out_dir, output_format)


def _run_in_ledger(settings: Settings, work: Work, stop: Stop, on_progress: OnProgress) -> tuple[int, Path | None]:
    """How many documents got their row, and where all rows are; None where the run was stopped before."""
    ledger = work.ledger
    new_documents = 0
    ledger.begin_run(State.QUEUED, process_identity(os.getpid()))
    try:
        listing = take_in(work.config, ledger, stop)
        work = replace(work, last=listing.last)
        if ledger.pending(b"", 1, work.last) and not stop.graceful:
            with engine_lock(settings, stop) as taken:
                new_documents = _run_supervisor(settings, work, stop, on_progress) if taken else 0
        if stop.graceful and (not listing.complete or ledger.pending(b"", 1, work.last)):
            ledger.end_run(stop.state)
            return new_documents, None
        # Only when the rows are out the job is done: a kill before that leaves one that resumes.
        config = work.config
        output_path = export_rows(work.task_path.parent, Path(config.out_dir), OutputFormat(config.output_format))
    except ApplianceError as error:
        _end(ledger, State.FAILED, error.message)
        raise
    except BaseException:
        _end(ledger, State.INTERRUPTED, "the program ended unexpectedly")
        raise
    ledger.end_run(State.DONE, _left(ledger, work))
    return new_documents, output_path


def _left(ledger: Ledger, work: Work) -> str:
    """What the run was not to do, or could not yet."""
    left = []
    if waiting := ledger.reader.summary().waiting:
        left.append(f"{human_count(waiting, 'file')} still being written")
    if beyond := ledger.beyond(work.last):
        left.append(f"{human_count(beyond, 'document')} beyond the first {work.config.limit:,} left out")
    return "; ".join(left)


def _run_supervisor(settings: Settings, work: Work, stop: Stop, on_progress: OnProgress) -> int:
    """Answers what has no row yet; gives how many documents got theirs."""
    work.ledger.begin_run(State.RUNNING, process_identity(os.getpid()))
    total, before = work.ledger.counts()
    total -= work.ledger.beyond(work.last)
    if work.config.fallback is not None:
        fallback = open_fallback(settings, work.config.fallback, work.task, work.config.id)
        work = replace(work, fallback=fallback)
    limits = RunLimits(settings.threads, reader_limits=ReaderLimits(policy=settings.sandbox))
    supervisor = Supervisor(work, limits, stop)
    supervisor.run(Progress(before, total, before=before), on_progress)
    return supervisor.finished


def _end(ledger: Ledger, state: State, message: str) -> None:
    """Notes how a failing run ended; if even that cannot be written, the first error is the one to show."""
    with contextlib.suppress(ApplianceError):
        ledger.end_run(state, message)


def _storable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the folder's name is not UTF-8: {document_name(os.fsencode(path))}",
            "rename the folder; files in it may be called anything",
        ) from error
    return path
