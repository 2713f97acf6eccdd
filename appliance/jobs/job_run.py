"""A run of a job: list the folder, wait for the engine, answer what has no row yet, write the rows out."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from appliance.answering.answerer import Answerer
from appliance.answering.cascade import OUTSIDE_DOCUMENTS, CascadeAnswerer
from appliance.answering.lease import QUEUED_PREFIX, Lease, engine_lease
from appliance.answering.local import OnCrash, local_answerer
from appliance.answering.paid_answers import forget_paid_answers
from appliance.documents.folder import DocumentFolder
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.errors import ApplianceError, Interrupted, NotAllGood, UsageError
from appliance.ground.processes import process_identity
from appliance.ground.progress import OnProgress, Progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import stopped_by_signals
from appliance.ground.text import human_count
from appliance.jobs.corrected_rows import Corrector
from appliance.jobs.folder_scan import scan_folder
from appliance.jobs.frontiers import check_fallback, check_frontier
from appliance.jobs.job import (
    JobConfig,
    read_config,
    read_documents_list,
    task_path,
    write_job,
)
from appliance.jobs.job_plan import JobRequest, make_job, plan
from appliance.jobs.ledger import FallbackFailure, JobSummary, ledger_error, open_readonly
from appliance.jobs.ledger_writer import Ledger
from appliance.jobs.locks import JobLock, Purpose, take_lock
from appliance.jobs.output_owner import checked_output, claim_output
from appliance.jobs.outputs import OutputFormat, write_rows
from appliance.jobs.review import corrected_count, corrected_documents, follow_rename
from appliance.jobs.shards import shared_shard
from appliance.jobs.states import State
from appliance.jobs.stopping import JobStop
from appliance.jobs.supervisor import Supervisor, Work
from appliance.models.approval import why_not_approved
from appliance.models.selection import verify_chosen
from appliance.routing.policy import Caps
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task


@dataclass(frozen=True)
class JobOutcome:
    """How the run ended."""

    summary: JobSummary
    output_path: Path | None
    """Where the rows are; None where the job has no folder for them."""
    new_documents: int
    """Documents that got their row in this run."""
    seconds: float
    fallback_failures: tuple[FallbackFailure, ...] = ()
    """Why the fallback did not answer documents that are for review therefore; `retry` asks it again."""
    incomplete: int = 0
    """Documents of whose lists or records the last entries are missing: they had no room in the model's context."""
    missing_unread: int = 0
    """Documents that left the folder before anybody read them, as this run found; later runs do not tell it again."""
    corrected: int = 0
    """Documents that people corrected; the rows that a run writes are as the model answered."""
    is_stopped: bool = False
    """Whether a person asked for the end, when nothing was left to do."""
    not_approved: str = ""
    """Why the rows of the local model say `unsafe`."""


def run_request(settings: Settings, request: JobRequest, on_progress: OnProgress) -> JobOutcome:
    """Makes the job, or continues the one of the same task, model and folder.

    Raises:
        Interrupted: A person stopped the run; finished documents keep their rows.
        NotAllGood: A cap or the frontier ended the sending; the next run sends the rest.
    """
    planned = plan(settings, request)
    not_approved = _check_model(planned.config)
    with make_job(settings, planned, Purpose.RUN) as lock:
        outcome = _run(settings, lock, planned.config, planned.task, on_progress, request.caps)
    return replace(outcome, not_approved=not_approved)


def run_job(settings: Settings, directory: Path, on_progress: OnProgress, caps: Caps | None = None) -> JobOutcome:
    """Continues the job in this folder and writes its rows out.

    Args:
        caps: The most that may leave in this run to the frontier that answers; those of the policy hold beside them.

    Raises:
        ArtifactError: Its model is damaged, or another one has taken its place.
        Interrupted: A person stopped the run; finished documents keep their rows.
        NotAllGood: A cap or the frontier ended the sending; the next run sends the rest.
    """
    # Before the job is in hand: who started this process waits until it is, and then says that it runs.
    not_approved = _check_model(read_config(directory))
    with take_lock(directory, Purpose.RUN) as lock:
        config = read_config(directory)
        if config.unsafe != bool(not_approved):
            # Since the job was made the model was judged, or this machine got other libraries.
            config = replace(config, unsafe=bool(not_approved))
            write_job(directory, config, task_path(directory).read_bytes())
        outcome = _run(settings, lock, config, load_task(task_path(directory)), on_progress, caps or Caps())
    return replace(outcome, not_approved=not_approved)


def _check_model(config: JobConfig) -> str:
    """Verifies the local model; says why its rows are unsafe, or nothing where it is approved or a frontier answers."""
    if not config.artifact_dir:
        return ""
    return why_not_approved(verify_chosen(Path(config.artifact_dir), config.model))


def _run(
    settings: Settings, lock: JobLock, config: JobConfig, task: Task, on_progress: OnProgress, caps: Caps
) -> JobOutcome:
    """Scans the folder, waits for the engine, answers what has no row, and writes all rows out."""
    started = time.monotonic()
    directory, stop = lock.directory, JobStop(lock)
    process = process_identity(os.getpid())
    new_documents, ended, output_path = 0, "", None
    if config.out_dir:
        with checked_output(Path(config.out_dir), config.id, directory):
            pass
    with shared_shard(directory, config), contextlib.ExitStack() as opened:
        with _own_ledger(directory, config, task) as ledger, stopped_by_signals(stop), _noting_failures(ledger):
            ledger.begin_run(State.QUEUED, process)
            folder = opened.enter_context(DocumentFolder(Path(config.documents_dir)))
            paths = read_documents_list(directory, config)
            scan = scan_folder(config, folder, paths, ledger, stop, partial(follow_rename, directory))
            missing_unread = scan.missing_unread
            if ledger.pending(b"", 1, scan.last) and not stop.graceful:
                with _own_turn(settings, config, ledger, stop, on_progress) as lease:
                    if config.frontier or lease is not None:
                        ledger.begin_run(State.RUNNING, process)
                        total, before = ledger.counts()
                        opener = answerer_opener(settings, config, task, lease, caps)
                        limits = ReaderLimits(policy=settings.sandbox)
                        supervisor = Supervisor(Work(config, task, ledger, opener, limits, folder, scan.last), stop)
                        begin = Progress(before, total - ledger.beyond(scan.last), before=before)
                        supervisor.run(begin, on_progress)
                        new_documents, ended = supervisor.finished, supervisor.ended
                        missing_unread += supervisor.missing
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
            summary = ledger.reader.summary()
            failures = tuple(ledger.reader.fallback_failures()) if config.fallback is not None else ()
            incomplete = ledger.reader.incomplete()
        if is_stopped:
            raise Interrupted(
                f"{summary.state}: {summary.with_row} of {summary.total} documents finished",
                f"`stillroom jobs resume {config.id}` continues where it stopped",
            )
        if ended:
            raise NotAllGood(
                f"not all documents were sent: {ended}", f"`stillroom jobs resume {config.id}` sends the rest"
            )
    seconds = time.monotonic() - started
    return JobOutcome(
        summary, output_path, new_documents, seconds, failures, incomplete, missing_unread,
        corrected_count(directory), stop.graceful,
    )  # fmt: skip


def _own_turn(
    settings: Settings, config: JobConfig, ledger: Ledger, stop: JobStop, on_progress: OnProgress
) -> AbstractContextManager[Lease | None]:
    """The engine of this machine; while the job waits for it, its ledger and its progress say for whom."""
    if config.frontier:
        # It needs nothing of this machine that others could wait for.
        return contextlib.nullcontext()

    def note_wait(reason: str) -> None:
        total, before = ledger.counts()
        ledger.set_message(reason.removeprefix(QUEUED_PREFIX))
        on_progress(Progress(before, total, before=before, queued=True, queued_behind=reason))

    return engine_lease(settings, stop, f"job {config.id}", note_wait)


def answerer_opener(
    settings: Settings, config: JobConfig, task: Task, lease: Lease | None, caps: Caps
) -> Callable[[OnCrash], Answerer]:
    """What opens who answers the job's documents.

    Args:
        lease: Of the machine's engine; a job that a frontier answers needs none.
        caps: Of this run, where a frontier answers; those of a fallback are the job's.

    Raises:
        UsageError: The frontier, or the policy of a fallback, is not what the job was made with, or nothing may leave.
    """
    if not config.frontier and config.fallback is None:
        return lambda on_crash: _open_local(settings, config, task, lease, on_crash)
    # Most jobs ask no frontier, and need not load what asks one.
    from appliance.answering.frontier import frontier_answerer
    from appliance.routing.egress import EgressOptions

    if (fallback := config.fallback) is None:
        check_frontier(settings, task, config)
        options = EgressOptions(True, config.id, caps, effort=config.effort)
        return lambda _: frontier_answerer(settings, task, config.frontier, options)
    check_fallback(settings, fallback, task)
    caps = Caps(fallback.cap_documents or None, fallback.cap_tokens or None, fallback.cap_money or None)
    remote = frontier_answerer(settings, task, fallback.name, EgressOptions(True, config.id, caps), OUTSIDE_DOCUMENTS)
    threshold = fallback.threshold
    return lambda on_crash: CascadeAnswerer(
        _open_local(settings, config, task, lease, on_crash), remote, task, threshold
    )


def _open_local(settings: Settings, config: JobConfig, task: Task, lease: Lease | None, on_crash: OnCrash) -> Answerer:
    assert lease is not None
    return local_answerer(Path(config.artifact_dir), task, config.model, settings.threads, lease, on_crash)


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
    """What people call the job: its task and its folder, and who answers where the rows stay in the job."""
    name = f"{task.name} {Path(config.documents_dir).name}"
    if not config.out_dir:
        name += f" by {config.model_name}"
    return f"{name} {config.shard}" if config.shard else name


def export_rows(
    directory: Path,
    out_dir: Path,
    output_format: OutputFormat,
    task: Task | None = None,
    corrected: bool = False,
    by_record: str = "",
) -> Path:
    """Writes the rows that the job has so far; gives the file's path.

    Args:
        task: The job's, where the caller has read it.
        corrected: Puts what people corrected into the rows, with the model's values beside it.
        by_record: Of CSV, the field of whose records each has a row of its own; empty for a row a document.

    Raises:
        UsageError: The folder holds the rows of another job.
        ResourceError: It cannot be written.
    """
    task = task or load_task(task_path(directory))
    if by_record:
        _refuse_no_records(task, output_format, by_record)
    claim_output(out_dir, directory.name, directory)
    with open_readonly(directory) as reader, contextlib.closing(reader.rows()) as rows:

        def text(document: str) -> str | None:
            entry = reader.document(document)
            return reader.text(entry.id) if entry else None

        corrector = Corrector(corrected_documents(directory), task, text) if corrected else None
        return write_rows(rows, task.output_fields, out_dir, output_format, corrector, by_record)


def _refuse_no_records(task: Task, output_format: OutputFormat, name: str) -> None:
    known = [field.name for field in task.output_fields if field.columns]
    if output_format is not OutputFormat.CSV:
        raise UsageError("a row for each record is a form of CSV", "add `--format csv`; the others nest the records")
    if name not in known:
        hint = f"fields with records: {', '.join(known)}" if known else "leave out `--records`"
        raise UsageError(f"{name} is no field with records of the task {task.name}", hint)


def _left(ledger: Ledger, config: JobConfig, last: bytes | None) -> str:
    """What the run was not to do, or could not yet."""
    notes = []
    if waiting := ledger.reader.summary().waiting:
        notes.append(f"{human_count(waiting, 'file')} still being written")
    if missing := ledger.reader.summary().missing:
        notes.append(f"{human_count(missing, 'document')} left the folder")
    if beyond := ledger.beyond(last):
        notes.append(f"{human_count(beyond, 'document')} beyond the first {config.limit:,} left out")
    return "; ".join(notes)
