"""The folder of a job into its ledger: new documents, changed ones, and those that an earlier run had to leave."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from appliance.documents.folder import FoundDocument, document_facts, hash_descriptor, open_document, walk
from appliance.documents.problems import DocumentError
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import ChangedDocument, Ledger
from appliance.jobs.shards import parse_shard
from appliance.jobs.stopping import Stop

_BATCH = 500


@dataclass(frozen=True)
class Listing:
    """What a run is about."""

    complete: bool
    """False where it was stopped before the end of the folder."""
    last: bytes | None = None
    """Path of the last document of a limited run: later ones, which an earlier run may have listed, are not its own."""


def take_in(config: JobConfig, ledger: Ledger, stop: Stop) -> Listing:
    """Brings the ledger up to what the folder holds now."""
    folder = Path(config.documents_dir)
    for document in ledger.waiting():
        if document_facts(folder, document.path) is not None or not ledger.forget(document):
            ledger.requeue(document)
    found = chosen_documents(config)
    last = b"" if config.limit else None
    while batch := list(islice(found, _BATCH)):
        if stop.graceful:
            return Listing(complete=False)
        if config.limit:
            last = batch[-1].path
        for changed in ledger.add_documents(batch):
            if _has_other_bytes(folder, changed):
                ledger.supersede(changed)
            else:
                ledger.keep(changed)
        stop.look()
    return Listing(complete=True, last=last)


def chosen_documents(config: JobConfig) -> Iterator[FoundDocument]:
    """The documents of the folder that the job is about, in path order."""
    # The limit is one of the folder, not of a shard: shards of a limited job merge to the limited job.
    found = islice(walk(Path(config.documents_dir)), config.limit or None)
    return filter(parse_shard(config.shard).has, found) if config.shard else found


def _has_other_bytes(folder: Path, changed: ChangedDocument) -> bool:
    try:
        descriptor = open_document(folder, changed.found.path)
        try:
            return hash_descriptor(descriptor) != changed.sha256
        finally:
            os.close(descriptor)
    except DocumentError:
        return True
