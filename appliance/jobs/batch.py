"""One command's worth of a job: choose the model, list the folder, run what has no row yet, write the rows out."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType

from appliance.documents.folder import document_name, hash_descriptor, open_document, walk
from appliance.documents.problems import DocumentError
from appliance.errors import ApplianceError, Interrupted, UsageError
from appliance.jobs.job import JobConfig, job_id, open_job_dir, process_mark, read_config, take_lock, task_path
from appliance.jobs.ledger import JobSummary, open_readonly
from appliance.jobs.ledger_writer import Ledger, PendingDocument
from appliance.jobs.outputs import OutputFormat, write_rows
from appliance.jobs.runner import Progress, RunLimits, Stop, Supervisor
from appliance.jobs.states import State
from appliance.models.manifest import Manifest, read_manifest, verify_artifact
from appliance.models.store import Store
from appliance.settings import Settings
from appliance.tasks.task import Task, load_task, task_hash

_BATCH = 500
_ENGINE_WAIT_SECONDS = 0.2


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


@dataclass(frozen=True)
class Report:
    """What a run tells while it works."""

    total: int
    before: int
    """Documents that had their row when the run began."""
    progress: Progress


@dataclass(frozen=True)
class BatchOutcome:
    """How the run ended."""

    summary: JobSummary
    output_path: Path
    new_documents: int
    """Documents that got their row in this run."""
    seconds: float


def choose_model(settings: Settings, task: Task, model: str | None) -> tuple[Path, Manifest]:
    """The artifact folder that answers, with its manifest.

    Raises:
        UsageError: No such model, none is active, or the model was made for another task.
    """
    if model is None:
        installed = Store(settings).active(task.name)
        if installed is None:
            raise UsageError(
                f"no model is active for task {task.name}",
                "name one with `--model`, or `stillroom models add` and `stillroom models activate` one",
            )
        directory = installed.directory
    elif (Path(model) / "manifest.json").is_file():
        directory = Path(model).absolute()
    elif os.sep in model:
        raise UsageError(
            f"{model} holds no manifest.json, so it is no model", "name a folder that `stillroom export` wrote"
        )
    else:
        directory = Store(settings).get(model).directory
    manifest = read_manifest(directory)
    if manifest.task_hash != task_hash(task):
        raise UsageError(
            f"model {manifest.name} was made for another version of a task: it answers {manifest.task_name}"
            f" {manifest.task_hash[:12]}, asked is {task.name} {task_hash(task)[:12]}",
            "use the task.toml in the model's folder, or distil again for the changed task",
        )
    return directory, manifest


def prepare(settings: Settings, request: BatchRequest) -> Path:
    """Checks everything that can be checked before work starts; gives the job's folder."""
    task = load_task(request.task_path)
    if not request.documents_dir.is_dir():
        raise UsageError(f"no folder of documents at {request.documents_dir}", "name a folder that holds the documents")
    documents_dir = _storable(request.documents_dir.resolve())
    out_dir = _storable(request.out_dir.absolute())
    directory, manifest = choose_model(settings, task, request.model)
    verify_artifact(directory)
    ready = manifest.verdict is not None and manifest.verdict.verdict == "READY"
    config = JobConfig(
        job_id(task.name, task_hash(task), manifest.identity, documents_dir), task_hash(task), str(documents_dir),
        str(directory), manifest.identity, manifest.name, not ready, request.keep_text, str(out_dir),
        request.output_format, request.limit,
    )  # fmt: skip
    path = request.task_path / "task.toml" if request.task_path.is_dir() else request.task_path
    return open_job_dir(settings, config, path.read_bytes())


def run_job(settings: Settings, directory: Path, report: Callable[[Report], None]) -> BatchOutcome:
    """Runs or continues the job in this folder and writes its rows out.

    Raises:
        Interrupted: A person stopped the run; finished documents keep their rows.
    """
    started = time.monotonic()
    lock = take_lock(directory)
    try:
        config = read_config(directory)
        task = load_task(task_path(directory))
        ledger = Ledger(directory, config.id, job_name(config, task), task.name, config.model)
        try:
            with _interruptible() as stop:
                new_documents = _run_in_ledger(settings, directory, task, ledger, stop, report)
        finally:
            ledger.close()
        with open_readonly(directory) as reader:
            summary = reader.summary()
        if summary.state is State.INTERRUPTED:
            finished = summary.done + summary.failed
            raise Interrupted(
                f"stopped with {finished} of {summary.total} documents finished",
                f"`stillroom jobs resume {config.id}` goes on where it stopped",
            )
        output_path = export_rows(directory, Path(config.out_dir), OutputFormat(config.output_format))
        return BatchOutcome(summary, output_path, new_documents, time.monotonic() - started)
    finally:
        os.close(lock)


def job_name(config: JobConfig, task: Task) -> str:
    """What people call the job: its task and its folder."""
    return f"{task.name} {Path(config.documents_dir).name}"


def export_rows(directory: Path, out_dir: Path, output_format: OutputFormat) -> Path:
    """Writes the rows that the job has so far; gives the file's path."""
    names = [field.name for field in load_task(task_path(directory)).asked]
    with open_readonly(directory) as reader:
        return write_rows(reader.rows(), names, out_dir, output_format)


def _run_in_ledger(
    settings: Settings, directory: Path, task: Task, ledger: Ledger, stop: Stop, report: Callable[[Report], None]
) -> int:
    config = read_config(directory)
    new_documents = 0
    ledger.begin_run(State.QUEUED, process_mark(os.getpid()))
    try:
        _add_documents(config, ledger, stop)
        if ledger.pending(b"", 1) and not stop.gently:
            with _engine_lock(settings, stop):
                ledger.begin_run(State.RUNNING, process_mark(os.getpid()))
                total, before = ledger.counts()
                limits = RunLimits(threads=settings.threads)
                supervisor = Supervisor(directory, config, task, ledger, limits, stop)
                supervisor.run(lambda progress: report(Report(total, before, progress)))
                new_documents = supervisor.finished
    except ApplianceError as error:
        _end(ledger, State.FAILED, error.message)
        raise
    except BaseException:
        _end(ledger, State.INTERRUPTED, "the program ended unexpectedly")
        raise
    ledger.end_run(State.INTERRUPTED if stop.gently and ledger.pending(b"", 1) else State.DONE)
    return new_documents


def _end(ledger: Ledger, state: State, message: str) -> None:
    """Notes how a failing run ended; if even that cannot be written, the first error is the one to show."""
    try:
        ledger.end_run(state, message)
    except ApplianceError:
        return


def _add_documents(config: JobConfig, ledger: Ledger, stop: Stop) -> None:
    folder = Path(config.documents_dir)
    found = islice(walk(folder), config.limit or None)
    while batch := list(islice(found, _BATCH)):
        for document in ledger.add_documents(batch):
            if _has_other_bytes(folder, document, ledger):
                ledger.supersede(document)
        if stop.gently:
            return


def _has_other_bytes(folder: Path, document: PendingDocument, ledger: Ledger) -> bool:
    try:
        descriptor = open_document(folder, document.path)
        try:
            return hash_descriptor(descriptor) != ledger.sha256(document)
        finally:
            os.close(descriptor)
    except DocumentError:
        return True


@contextmanager
def _engine_lock(settings: Settings, stop: Stop) -> Iterator[None]:
    """One engine at a time on a machine: later jobs wait here and show as queued."""
    descriptor = os.open(settings.home_dir / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not stop.gently:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_ENGINE_WAIT_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _interruptible() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM asks for a gentle end, the second for one at once."""
    stop = Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.at_once = stop.gently
        stop.gently = True

    former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _storable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the folder's name is not UTF-8: {document_name(os.fsencode(path))}",
            "rename the folder; files in it may be called anything",
        ) from error
    return path
