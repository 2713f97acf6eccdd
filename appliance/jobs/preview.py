"""What a person sees before a job starts: what the folder holds, and what the model answers for a few documents."""

import os
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.answering.lease import free_engine
from appliance.answering.local import local_answerer
from appliance.documents.folder import DocumentFolder, FoundDocument
from appliance.documents.problems import DocumentError
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.errors import UsageError
from appliance.ground.progress import Progress, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop
from appliance.jobs.folder_scan import chosen_documents
from appliance.jobs.job_plan import JobRequest, plan
from appliance.jobs.job_run import open_ledger
from appliance.jobs.rows import Row
from appliance.jobs.supervisor import Supervisor, Work
from appliance.models.selection import verify_chosen

UNKNOWN_TYPE = "other"
_SAMPLE = 2000
"""Documents whose type is looked at; opening one takes some 50 microseconds."""
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class TypeCount:
    """Documents of one type among those that were looked at."""

    documents: int
    size_bytes: int


@dataclass(frozen=True)
class FolderCount:
    """What a folder holds."""

    documents: int
    size_bytes: int
    by_type: dict[str, TypeCount]
    """Of the documents that were looked at, the most frequent type first; `other` is nothing that a reader knows."""
    looked_at: int
    """As many as there are documents, or a random sample of them."""
    complete: bool
    """False where the time was over before all files were counted."""


def count_documents(folder: Path, limit_seconds: float = 2.0) -> FolderCount:
    """Counts the documents of a folder and their types, in bounded time.

    Raises:
        UsageError: The folder is missing or cannot be listed.
    """
    deadline = time.monotonic() + limit_seconds
    chance = random.Random(0)
    sample: list[FoundDocument] = []
    documents = size_bytes = 0
    complete = True
    with DocumentFolder(folder) as opened:
        for document in opened.walk():
            if len(sample) < _SAMPLE:
                sample.append(document)
            elif (place := chance.randrange(documents + 1)) < _SAMPLE:
                sample[place] = document
            documents += 1
            size_bytes += document.size_bytes
            if documents % 256 == 0 and time.monotonic() > deadline:
                complete = False
                break
        counts, looked_at = _types(opened, sample, deadline)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1].documents, item[0])))
    return FolderCount(documents, size_bytes, ordered, looked_at, complete)


def dry_run(settings: Settings, request: JobRequest, documents: int, stop: Stop | None = None) -> list[Row]:
    """The rows of the first documents, by the same readers and the same engine as a job, leaving nothing behind.

    Raises:
        ResourceError: A job has the engine.
        ApplianceError: The task, the model or the folder is not as it must be.
    """
    if documents < 1:
        raise UsageError(f"a preview of {documents} documents shows nothing", "use 1 or more, as in `--preview 3`")
    planned = plan(settings, request)
    config = replace(
        planned.config, limit=min(documents, request.limit or documents), keep_text="none", settle_seconds=0.0
    )
    artifact_dir = Path(config.artifact_dir)
    verify_chosen(artifact_dir, config.model)
    with (
        free_engine(settings, f"preview of {planned.task.name}") as lease,
        DocumentFolder(Path(config.documents_dir)) as folder,
    ):
        ledger = open_ledger(None, config, planned.task)
        try:
            ledger.add_documents(chosen_documents(config, folder))
            work = Work(
                config, planned.task, ledger,
                lambda on_crash: local_answerer(
                    artifact_dir, planned.task, config.model, settings.threads, lease, on_crash
                ),
                ReaderLimits(policy=settings.sandbox), folder,
            )  # fmt: skip
            Supervisor(work, stop or Stop()).run(Progress(0, documents), ignore_progress)
            return list(ledger.reader.rows())
        finally:
            ledger.close()


def _types(folder: DocumentFolder, sample: list[FoundDocument], deadline: float) -> tuple[dict[str, TypeCount], int]:
    counts: dict[str, TypeCount] = {}
    looked_at = 0
    for document in sample:
        if looked_at % 64 == 63 and time.monotonic() > deadline:
            break
        looked_at += 1
        name = _type_of(folder, document)
        known = counts.get(name, TypeCount(0, 0))
        counts[name] = TypeCount(known.documents + 1, known.size_bytes + document.size_bytes)
    return counts, looked_at


def _type_of(folder: DocumentFolder, document: FoundDocument) -> str:
    from appliance.documents.sniffing import document_type

    try:
        descriptor = folder.open(document.path)
    except DocumentError:
        return UNKNOWN_TYPE
    try:
        type_name = document_type(os.pread(descriptor, _HEAD_BYTES, 0))
    except OSError:
        return UNKNOWN_TYPE
    finally:
        os.close(descriptor)
    return str(type_name) if type_name else UNKNOWN_TYPE
