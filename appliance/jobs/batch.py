"""One command's worth of a job: choose the model, list the folder, answer what has no row yet, write the rows out."""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.answering.answerer import Answerer
from appliance.answering.cascade import OUTSIDE_DOCUMENTS, CascadeAnswerer
from appliance.answering.lease import Lease, engine_lease
from appliance.answering.local import OnCrash, open_local
from appliance.answering.paid_answers import forget_paid_answers
from appliance.documents.folder import document_name
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.errors import ApplianceError, Interrupted, NotAllGood, UsageError
from appliance.ground.processes import process_identity
from appliance.ground.progress import OnProgress, Progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import stopped_by_signals
from appliance.ground.text import human_count
from appliance.jobs.fallback import check_caps, check_fallback, check_frontier, fallback_config, frontier_model
from appliance.jobs.folder_scan import scan_folder
from appliance.jobs.job import (
    DEFAULT_SETTLE_SECONDS,
    DEFAULT_WORKERS,
    JobConfig,
    documents_list,
    finish_removals,
    job_folder,
    job_id,
    read_config,
    read_documents_list,
    task_path,
    write_job,
)
from appliance.jobs.ledger import JobSummary, ledger_error, open_readonly
from appliance.jobs.ledger_writer import Ledger
from appliance.jobs.locks import JobLock, Purpose, take_lock
from appliance.jobs.outputs import OutputFormat, write_rows
from appliance.jobs.shards import shard_out_dir, shared_shard
from appliance.jobs.states import State
from appliance.jobs.stopping import JobStop
from appliance.jobs.supervisor import Supervisor, Work
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
    out_dir: Path | None
    """Where the rows are written; None leaves them in the job."""
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
    """Who is asked where the local model is not sure."""
    frontier: str = ""
    """Who answers in place of a local model; naming one is the flag that lets all documents leave."""
    effort: str = ""
    """Reasoning effort that the frontier is asked with in place of the configured one."""
    documents: tuple[bytes, ...] | None = None
    """Paths in the folder that the job is about; None means all."""
    caps: Caps = field(default_factory=Caps)
    """The most that may leave to the frontier in this run; those of the policy hold beside them."""


@dataclass(frozen=True)
class BatchOutcome:
    """How the run ended."""

    summary: JobSummary
    output_path: Path | None
    """Where the rows are; None where the job has no folder for them."""
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
    documents: bytes | None = None
    """The list of the documents that it is about, where they are not those of the whole folder."""


def plan(settings: Settings, request: BatchRequest) -> Plan:
    """Checks everything that can be checked in a moment; writes nothing.

    Raises:
        ApplianceError: The task, the model, the frontier or the folder is not as it must be.
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
    out_dir = None if request.out_dir is None else _storable(request.out_dir.absolute())
    if request.frontier:
        check_caps(request.caps)
        artifact_dir, is_ready = "", True
        identity = frontier_model(settings, task, request.frontier, request.effort)
        model_name = f"{request.frontier}:{request.effort}" if request.effort else request.frontier
    else:
        directory, manifest = choose_model(settings, task, request.model)
        artifact_dir, identity, model_name = str(directory), manifest.identity, manifest.name
        is_ready = manifest.verdict is not None and manifest.verdict.verdict == "READY"
    variant: list[str] = []
    if request.shard:
        out_dir = None if out_dir is None else shard_out_dir(out_dir, request.shard)
        variant.append(f"shard {request.shard}")
    fallback = None
    if request.fallback is not None:
        fallback = fallback_config(
            settings, task, request.fallback.name, request.fallback.threshold, request.fallback.caps
        )
        variant.append(fallback.variant())
    documents = None if request.documents is None else documents_list(request.documents)
    documents_sha256 = "" if documents is None else hashlib.sha256(documents).hexdigest()
    if documents_sha256:
        variant.append(f"documents {documents_sha256}")
    hash_ = task_hash(task)
    config = JobConfig(
        job_id(task.name, hash_, identity, documents_dir, tuple(variant)), hash_, str(documents_dir), artifact_dir,
        identity, model_name, not is_ready, request.keep_text, str(out_dir or ""), request.output_format,
        request.limit, request.workers, request.settle_seconds, request.shard, request.frontier, request.effort,
        documents_sha256, fallback,
    )  # fmt: skip
    return Plan(config, task, task_file(request.task_path).read_bytes(), documents)


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
    if config.out_dir:
        refuse_among_documents("output", Path(config.out_dir), config.documents_dir)
    refuse_among_documents("home", settings.home_dir, config.documents_dir)


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
        NotAllGood: A cap or the frontier ended the sending; the next run sends the rest.
    """
    planned = plan(settings, request)
    if planned.config.artifact_dir:
        verify_artifact(Path(planned.config.artifact_dir))
    with make_job(settings, planned, Purpose.RUN) as lock:
        return _run(settings, lock, planned.config, planned.task, on_progress, request.caps)


def make_job(settings: Settings, planned: Plan, purpose: Purpose) -> JobLock:
    """Makes the job's folder with all that it is about, or takes the one that is there; gives its lock.

    Raises:
        UsageError: The output folder or the home folder lies in the folder of documents.
        ResourceError: Another process runs the job.
    """
    refuse_own_files_as_documents(settings, planned.config)
    finish_removals(settings)
    while True:
        directory = job_folder(settings, planned.config)
        try:
            lock = take_lock(directory, purpose)
        except UsageError:  # It was removed in between.
            continue
        try:
            write_job(directory, planned.config, planned.task_text, planned.documents)
        except BaseException:
            lock.release()
            raise
        return lock


def run_job(settings: Settings, directory: Path, on_progress: OnProgress, caps: Caps | None = None) -> BatchOutcome:
    """Continues the job in this folder and writes its rows out.

    Args:
        caps: The most that may leave in this run to the frontier that answers; those of the policy hold beside them.

    Raises:
        Interrupted: A person stopped the run; finished documents keep their rows.
        NotAllGood: A cap or the frontier ended the sending; the next run sends the rest.
    """
    with take_lock(directory, Purpose.RUN) as lock:
        config = read_config(directory)
        if config.artifact_dir:
            verify_artifact(Path(config.artifact_dir))
        return _run(settings, lock, config, load_task(task_path(directory)), on_progress, caps or Caps())


def _run(
    settings: Settings, lock: JobLock, config: JobConfig, task: Task, on_progress: OnProgress, caps: Caps
) -> BatchOutcome:
    """Scans the folder, waits for the engine, answers what has no row, and writes all rows out."""
    started = time.monotonic()
    directory, stop = lock.directory, JobStop(lock)
    process = process_identity(os.getpid())
    new_documents, ended, output_path = 0, "", None
    with shared_shard(directory, config):
        with _own_ledger(directory, config, task) as ledger, stopped_by_signals(stop), _noting_failures(ledger):
            ledger.begin_run(State.QUEUED, process)
            scan = scan_folder(config, read_documents_list(directory, config), ledger, stop)
            if ledger.pending(b"", 1, scan.last) and not stop.graceful:
                # A frontier needs nothing of this machine that others could wait for.
                turn = contextlib.nullcontext() if config.frontier else engine_lease(settings, stop)
                with turn as lease:
                    if config.frontier or lease is not None:
                        ledger.begin_run(State.RUNNING, process)
                        total, before = ledger.counts()
                        opener = answerer_opener(settings, directory, config, task, lease, caps)
                        limits = ReaderLimits(policy=settings.sandbox)
                        supervisor = Supervisor(Work(config, task, ledger, opener, limits, scan.last), stop)
                        begin = Progress(before, total - ledger.beyond(scan.last), before=before)
                        supervisor.run(begin, on_progress)
                        new_documents, ended = supervisor.finished, supervisor.ended
            is_stopped = stop.graceful and (not scan.complete or bool(ledger.pending(b"", 1, scan.last)))
            if is_stopped:
                ledger.end_run(stop.state)
            elif ended:
                ledger.end_run(State.INTERRUPTED, ended)
            else:
                # Only when the rows are out the job is done: a kill before that leaves one that resumes.
                if config.out_dir:
                    output_format = OutputFormat(config.output_format)
                    output_path = export_rows(directory, Path(config.out_dir), output_format, task)
                if config.keep_text == "none":
                    forget_paid_answers(settings, config.id)
                ledger.end_run(State.DONE, _left(ledger, config, scan.last))
            summary, for_review = ledger.reader.summary(), ledger.reader.for_review()
            fallback_unanswered = ledger.reader.fallback_unanswered() if config.fallback is not None else 0
        if is_stopped:
            finished = summary.done + summary.failed
            raise Interrupted(
                f"{summary.state} with {finished} of {summary.total} documents finished",
                f"`stillroom jobs resume {config.id}` goes on where it stopped",
            )
        if ended:
            raise NotAllGood(
                f"not all documents were sent: {ended}", f"`stillroom jobs resume {config.id}` sends the rest"
            )
    seconds = time.monotonic() - started
    return BatchOutcome(summary, output_path, new_documents, seconds, for_review, fallback_unanswered)


def answerer_opener(
    settings: Settings, directory: Path, config: JobConfig, task: Task, lease: Lease | None, caps: Caps
) -> Callable[[OnCrash], Answerer]:
    """What opens who answers the job's documents.

    Args:
        directory: The folder with the task file.
        lease: Of the machine's engine; a job that a frontier answers needs none.
        caps: Of this run, where a frontier answers; those of a fallback are the job's.

    Raises:
        UsageError: The frontier, or the policy of a fallback, is not what the job was made with, or nothing may leave.
    """
    if not config.frontier and config.fallback is None:
        return lambda on_crash: _open_local(settings, directory, config, lease, on_crash)
    # Most jobs ask no frontier, and need not load what asks one.
    from appliance.answering.frontier import open_frontier
    from appliance.routing.egress import EgressOptions

    if (fallback := config.fallback) is None:
        check_frontier(settings, task, config)
        options = EgressOptions(True, config.id, caps, effort=config.effort)
        return lambda _: open_frontier(settings, task, config.frontier, options)
    check_fallback(settings, fallback, task)
    caps = Caps(fallback.cap_documents or None, fallback.cap_tokens or None, fallback.cap_money or None)
    remote = open_frontier(settings, task, fallback.name, EgressOptions(True, config.id, caps), OUTSIDE_DOCUMENTS)
    threshold = fallback.threshold
    return lambda on_crash: CascadeAnswerer(
        _open_local(settings, directory, config, lease, on_crash), remote, task, threshold
    )


def _open_local(
    settings: Settings, directory: Path, config: JobConfig, lease: Lease | None, on_crash: OnCrash
) -> Answerer:
    assert lease is not None
    return open_local(Path(config.artifact_dir), directory, config.model, settings.threads, lease, on_crash)


@contextmanager
def _own_ledger(directory: Path, config: JobConfig, task: Task) -> Iterator[Ledger]:
    """The writing side of the ledger, closed in good order; SQLite's errors as those that an operator reads."""
    ledger = open_ledger(directory, config, task)
    try:
        yield ledger
    except BaseException as error:
        with contextlib.suppress(ApplianceError):  # The first error is the one to show.
            ledger.close()
        if isinstance(error, sqlite3.Error):
            raise ledger_error(directory.name, error) from error
        raise
    ledger.close()


@contextmanager
def _noting_failures(ledger: Ledger) -> Iterator[None]:
    """Notes how a failing run ended; if even that cannot be written, the first error is the one to show."""
    try:
        yield
    except BaseException as error:
        is_named = isinstance(error, ApplianceError)
        with contextlib.suppress(ApplianceError):
            ledger.end_run(
                State.FAILED if is_named else State.INTERRUPTED,
                error.message if isinstance(error, ApplianceError) else "the program ended unexpectedly",
            )
        raise


def open_ledger(directory: Path | None, config: JobConfig, task: Task) -> Ledger:
    """The writing side of a job's ledger; only for the holder of the job's lock, or for one in memory."""
    return Ledger(directory, config.id, job_name(config, task), task.name, config.model)


def job_name(config: JobConfig, task: Task) -> str:
    """What people call the job: its task and its folder."""
    name = f"{task.name} {Path(config.documents_dir).name}"
    return f"{name} {config.shard}" if config.shard else name


def export_rows(directory: Path, out_dir: Path, output_format: OutputFormat, task: Task | None = None) -> Path:
    """Writes the rows that the job has so far; gives the file's path.

    Args:
        task: The job's, where the caller has read it.
    """
    task = task or load_task(task_path(directory))
    with open_readonly(directory) as reader, contextlib.closing(reader.rows()) as rows:
        return write_rows(rows, task.output_fields, out_dir, output_format)


def _left(ledger: Ledger, config: JobConfig, last: bytes | None) -> str:
    """What the run was not to do, or could not yet."""
    left = []
    if waiting := ledger.reader.summary().waiting:
        left.append(f"{human_count(waiting, 'file')} still being written")
    if beyond := ledger.beyond(last):
        left.append(f"{human_count(beyond, 'document')} beyond the first {config.limit:,} left out")
    return "; ".join(left)


def _storable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the folder's name is not UTF-8: {document_name(os.fsencode(path))}",
            "rename the folder; files in it may be called anything",
        ) from error
    return path
