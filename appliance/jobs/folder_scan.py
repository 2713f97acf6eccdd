"""Brings a job's ledger up to its folder: new documents, changed ones, and those that an earlier run had to leave."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from appliance.documents.folder import FoundDocument, document_facts, hash_descriptor, open_document, walk
from appliance.documents.problems import DocumentError
from appliance.ground.stopping import Stop
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import ChangedDocument, Ledger
from appliance.jobs.shards import parse_shard

_BATCH = 500


@dataclass(frozen=True)
class Listing:
    """What a run is about."""

    complete: bool
    """False where it was stopped before the end of the folder."""
    last: bytes | None = None
    """Path of the last document of a limited run: later ones, which an earlier run may have listed, are not its own."""


def scan_folder(config: JobConfig, paths: frozenset[bytes] | None, ledger: Ledger, stop: Stop) -> Listing:
    """Brings the ledger up to what the folder holds now.

    Args:
        paths: The documents that the job is about; None means all.
    """
    folder = Path(config.documents_dir)
    for document in ledger.waiting():
        if document_facts(folder, document.path) is not None or not ledger.forget(document):
            ledger.requeue(document)
    documents = chosen_documents(config, paths)
    last = b"" if config.limit else None
    while batch := list(islice(documents, _BATCH)):
        if stop.graceful:
            return Listing(complete=False)
        if config.limit:
            last = batch[-1].path
        for changed in ledger.add_documents(batch):
            if _has_other_bytes(folder, changed):
                ledger.supersede(changed)
            else:
                ledger.keep(changed)
        stop.poll()
    return Listing(complete=True, last=last)


def chosen_documents(config: JobConfig, paths: frozenset[bytes] | None = None) -> Iterator[FoundDocument]:
    """The documents of the folder that the job is about, in path order."""
    documents = walk(Path(config.documents_dir))
    if paths is not None:
        documents = (document for document in documents if document.path in paths)
    # The limit is one of the folder, not of a shard: shards of a limited job join to the limited job.
    documents = islice(documents, config.limit or None)
    return filter(parse_shard(config.shard).has, documents) if config.shard else documents


def _has_other_bytes(folder: Path, changed: ChangedDocument) -> bool:
    try:
        descriptor = open_document(folder, changed.document.path)
        try:
            return hash_descriptor(descriptor) != changed.sha256
        finally:
            os.close(descriptor)
    except DocumentError:
        return True
