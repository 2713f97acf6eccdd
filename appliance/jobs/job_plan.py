"""A job as it is asked for: what is checked before anything begins, and the folder that is made of it."""

import hashlib
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from appliance.documents.folder import document_name
from appliance.ground.errors import UsageError
from appliance.ground.json_text import json_text
from appliance.ground.settings import HOME_VARIABLE, Settings
from appliance.jobs.frontiers import check_caps, fallback_config, frontier_model
from appliance.jobs.job import (
    DEFAULT_SETTLE_SECONDS,
    DEFAULT_WORKERS,
    JobConfig,
    documents_list,
    finish_removals,
    job_file,
    job_folder,
    job_id,
    write_job,
)
from appliance.jobs.locks import JobLock, Purpose, take_lock
from appliance.jobs.output_owner import checked_output
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.shards import shard_out_dir
from appliance.models.approval import is_approved
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
class JobRequest:
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
    variant: str = ""
    """What else makes it another job, such as the state of the documents."""
    caps: Caps = field(default_factory=Caps)
    """The most that may leave to the frontier in this run; those of the policy hold beside them."""
    keep_working: bool = False
    """Rows have what a model wrote before its answer, where it writes such."""
    review_below: float = 0.0
    """Rows with a field whose confidence is below it are for a person."""


@dataclass(frozen=True)
class Plan:
    """A job as asked for: everything checked that can be, nothing done yet."""

    config: JobConfig
    task: Task
    task_text: bytes
    documents: bytes | None = None
    """The list of the documents that it is about, where they are not those of the whole folder."""


def plan(settings: Settings, request: JobRequest) -> Plan:
    """Checks everything that can be checked in a moment; writes nothing.

    Raises:
        ApplianceError: The task, the model, the frontier or the folder is not as it must be.
    """
    task = load_task(request.task_path)
    _refuse_parts_of_texts(task)
    if not request.settle_seconds >= 0:
        raise UsageError(
            f"a settle time of {request.settle_seconds:g} s is invalid", "use a number from 0, as in `--settle 2`"
        )
    if not request.documents_dir.is_dir():
        raise UsageError(f"no folder of documents at {request.documents_dir}", "name a folder that holds the documents")
    documents_dir = _storable(request.documents_dir.resolve())
    out_dir = None if request.out_dir is None else _storable(request.out_dir.absolute())
    if request.frontier:
        check_caps(request.caps)
        artifact_dir, is_unsafe = "", False
        identity = frontier_model(settings, task, request.frontier, request.effort)
        model_name = f"{request.frontier}:{request.effort}" if request.effort else request.frontier
    else:
        directory, manifest = choose_model(settings, task, request.model)
        artifact_dir, identity, model_name = str(directory), manifest.identity, manifest.name
        is_unsafe = not is_approved(manifest)
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
    if request.variant:
        variant.append(request.variant)
    if request.keep_working:
        variant.append("working kept")
    if request.review_below:
        variant.append(f"review below {request.review_below!r}")
    documents = None if request.documents is None else documents_list(request.documents)
    documents_sha256 = "" if documents is None else hashlib.sha256(documents).hexdigest()
    if documents_sha256:
        variant.append(f"documents {documents_sha256}")
    if readings := [
        [each.name, each.locale, each.date_order] for each in task.fields if each.locale or each.date_order
    ]:
        variant.append(f"values {json_text(readings)}")  # rows of one job have values that were read in one way
    hash_ = task_hash(task)
    config = JobConfig(
        job_id(task.name, hash_, identity, documents_dir, tuple(variant)), hash_, str(documents_dir), artifact_dir,
        identity, model_name, is_unsafe, request.keep_text, str(out_dir or ""), request.output_format,
        request.limit, request.workers, request.settle_seconds, request.shard, request.frontier, request.effort,
        documents_sha256, fallback, request.keep_working, request.review_below,
    )  # fmt: skip
    return Plan(config, task, task_file(request.task_path).read_bytes(), documents)


def _refuse_parts_of_texts(task: Task) -> None:
    if task.kind is TaskKind.GENERATE and task.input.long is not LongDocumentPolicy.REFUSE:
        raise UsageError(
            f"task {task.name} generates texts, and those of the parts of a long document cannot be joined",
            'set `long = "refuse"` under [input] and distil again for the changed task',
        )


def refuse_own_files_as_documents(settings: Settings, config: JobConfig) -> None:
    """Checks that neither rows nor the state of jobs become documents of the next run.

    Raises:
        UsageError: The output folder or the home folder lies in the folder of documents, or the output folder among
            models or jobs.
    """
    if config.out_dir:
        refuse_output(settings, Path(config.out_dir), config)
    refuse_among_documents("home", settings.home_dir, config.documents_dir)


def refuse_output(settings: Settings, out_dir: Path, config: JobConfig) -> None:
    """Checks that rows become neither documents of the next run nor files of a model or a job.

    A model whose folder holds a file that its manifest does not list answers no more.

    Raises:
        UsageError: The folder lies among documents, models or jobs.
    """
    refuse_among_documents("output", out_dir, config.documents_dir)
    path = Path(os.path.realpath(out_dir))  # Path.resolve raises where links go round.
    model_dir = [Path(config.artifact_dir)] if config.artifact_dir else []
    for taken in (*model_dir, settings.models_dir, settings.bases_dir, settings.jobs_dir):
        if path.is_relative_to(taken.resolve()):
            kind = "jobs" if taken == settings.jobs_dir else "models"
            raise UsageError(
                f"the output folder {out_dir} lies among {kind}, in {taken}", "name a folder outside of it"
            )


def refuse_among_documents(name: str, directory: Path, documents_dir: str) -> None:
    """Checks that what is written into the folder does not become a document of the next run.

    Raises:
        UsageError: It lies in the folder of documents, and is not hidden there.
    """
    path = Path(os.path.realpath(directory))
    if not path.is_relative_to(documents_dir):
        return
    if not any(part.startswith(".") for part in path.relative_to(documents_dir).parts):
        hint = f"set {HOME_VARIABLE} to a folder outside of it" if name == "home" else "name a folder outside of it"
        raise UsageError(f"the {name} folder {directory} lies in the folder of documents", hint)


def make_job(settings: Settings, planned: Plan, purpose: Purpose) -> JobLock:
    """Makes the job's folder with all that it is about, or takes the one that is there; gives its lock.

    Raises:
        UsageError: The output folder or the home folder lies in the folder of documents, or the output folder holds
            the rows of another job.
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
            out_dir = planned.config.out_dir
            with checked_output(Path(out_dir), planned.config.id, directory) if out_dir else nullcontext():
                write_job(directory, planned.config, planned.task_text, planned.documents)
        except BaseException:
            if not job_file(directory).exists():
                shutil.rmtree(directory, ignore_errors=True)  # It never became a job.
            lock.release()
            raise
        return lock


def _storable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the folder's name is not UTF-8: {document_name(os.fsencode(path))}",
            "rename the folder; files in it may be called anything",
        ) from error
    return path
