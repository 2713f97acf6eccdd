"""Brings a job's ledger up to its folder: new, changed, renamed and missing documents, and those that had to wait."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from appliance.documents.folder import DocumentFolder, FoundDocument, document_name, hash_descriptor
from appliance.documents.left_out import LeftOut, left_out_by_name
from appliance.documents.problems import DocumentError, Problem
from appliance.ground.stopping import Stop
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import ChangedDocument, Ledger, ListedDocument, MissingDocument, PendingDocument
from appliance.jobs.rows import Route, Row
from appliance.jobs.shards import parse_shard

_BATCH = 500

OnRename = Callable[[str, str, str], None]
"""Is told the former name, the new one and the SHA-256 before the ledger takes the new name over."""


@dataclass(frozen=True)
class Listing:
    """What a run is about."""

    complete: bool
    """False where it was stopped before the end of the folder."""
    last: bytes | None = None
    """Path of the last document of a limited run: later ones, which an earlier run may have listed, are not its own."""
    missing_unread: int = 0
    """Documents that an earlier run listed and nobody read, and that are gone."""


def scan_folder(
    config: JobConfig,
    folder: DocumentFolder,
    paths: frozenset[bytes] | None,
    ledger: Ledger,
    stop: Stop,
    on_rename: OnRename = lambda *_: None,
) -> Listing:
    """Brings the ledger up to what the folder holds now.

    Args:
        paths: The documents that the job is about; None means all.
    """
    for document in ledger.waiting():
        if not folder.why_missing(document.path) or not ledger.forget(document):
            ledger.requeue(document)
    left_out: Counter[LeftOut] = Counter()
    documents = chosen_documents(config, folder, paths, left_out)
    last = b"" if config.limit else None
    after, missing_unread = b"", 0
    while batch := list(islice(documents, _BATCH)):
        if stop.graceful:
            return Listing(complete=False, missing_unread=missing_unread)
        if config.limit:
            last = batch[-1].path
        for changed in ledger.add_documents(batch):
            if _has_other_bytes(folder, changed):
                ledger.supersede(changed)
            else:
                ledger.keep(changed)
        missing_unread += _note_missing(config, folder, ledger, batch, after, batch[-1].path)
        after = batch[-1].path
        stop.poll()
    missing_unread += _note_missing(config, folder, ledger, [], after, None)
    _tell_renamed(folder, ledger, stop, on_rename)
    ledger.note_left_out({str(kind): count for kind, count in left_out.items()})
    return Listing(complete=True, last=last, missing_unread=missing_unread)


def chosen_documents(
    config: JobConfig,
    folder: DocumentFolder,
    paths: frozenset[bytes] | None = None,
    left_out: "Counter[LeftOut] | None" = None,
) -> Iterator[FoundDocument]:
    """The documents of the folder that the job is about, in path order.

    Args:
        left_out: Counts what the folder holds beside documents.
    """
    documents = folder.walk(left_out)
    if paths is not None:
        documents = (document for document in documents if document.path in paths)
    # The limit is one of the folder, not of a shard: shards of a limited job join to the limited job.
    documents = islice(documents, config.limit or None)
    return filter(parse_shard(config.shard).has, documents) if config.shard else documents


def _note_missing(
    config: JobConfig,
    folder: DocumentFolder,
    ledger: Ledger,
    batch: Sequence[FoundDocument],
    after: bytes,
    last: bytes | None,
) -> int:
    """Marks what the ledger knows between two paths and the folder does not hold; gives how many nobody ever read."""
    present = {document.path for document in batch}
    missing, no_documents = [], []
    for document in ledger.listed(after, last):
        if document.path in present:
            continue
        if document.path.endswith(b"/") or any(map(left_out_by_name, document.path.split(b"/"))):
            # A folder that could not be listed and now can, or what an earlier version took for a document.
            no_documents.append(document)
        elif reason := folder.why_missing(document.path):
            missing.append((document, _missing_row(config, document, reason)))
    if no_documents:
        ledger.drop(no_documents)
    return ledger.note_missing(missing) if missing else 0


def _missing_row(config: JobConfig, document: ListedDocument, reason: str) -> Row:
    return Row(
        document_name(document.path), None, Route.FAILED, config.model, unsafe=config.unsafe,
        error=Problem.MISSING.value, error_message=reason,
    )  # fmt: skip


def _tell_renamed(folder: DocumentFolder, ledger: Ledger, stop: Stop, on_rename: OnRename) -> None:
    """Joins documents that came into the folder with those that left it and have the same bytes."""
    if not ledger.reader.summary().missing:
        return
    after = b""
    while page := ledger.never_read(after, _BATCH):
        after = page[-1].path
        for present in page:
            missing = _same_file(folder, ledger.missing_of_size(present.size_bytes), present)
            if missing is not None:
                on_rename(document_name(missing.path), present.name, missing.sha256 or "")
                ledger.rename(missing, present)
        stop.poll()
        if stop.graceful:
            return


def _same_file(
    folder: DocumentFolder, candidates: Sequence[MissingDocument], present: PendingDocument
) -> MissingDocument | None:
    """The one of the missing documents that this one was: by its bytes, or by its time where nobody read those."""
    if not candidates or not present.size_bytes:
        return None
    sha256 = _sha256(folder, present.path) if any(each.sha256 for each in candidates) else None
    for each in candidates:
        if each.sha256 == sha256 if each.sha256 else each.modified_ns == present.modified_ns:
            return each
    return None


def _has_other_bytes(folder: DocumentFolder, changed: ChangedDocument) -> bool:
    return changed.sha256 is None or _sha256(folder, changed.document.path) != changed.sha256


def _sha256(folder: DocumentFolder, path: bytes) -> str | None:
    try:
        descriptor = folder.open(path)
        try:
            return hash_descriptor(descriptor)
        finally:
            os.close(descriptor)
    except DocumentError:
        return None
