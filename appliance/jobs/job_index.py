"""The counters of all jobs in one file, so that a list opens only the ledgers that changed.

The index is a cache and never the truth: each entry names the ledger's files as they were when it was read, and counts
only while they are the same. Whoever lists jobs mends it; without it, or with a damaged one, a list takes longer.
"""

import contextlib
import json
import os
import time
from typing import Any

from appliance.ground.files import part_of
from appliance.ground.json_text import json_text
from appliance.ground.settings import Settings
from appliance.jobs.job import LEDGER_NAME

INDEX_NAME = "jobs.index.json"
_VERSION = 2
_QUIET_SECONDS = 2.0
"""Two changes within one tick of the file system's clock look like one: a file must be older than that to be known."""

Signature = list[int]


def ledger_signature(directory: str) -> Signature | None:
    """Names the state of the ledger's files by inode, size and time; None where there is no ledger."""
    try:
        ledger = os.stat(f"{directory}/{LEDGER_NAME}")
    except OSError:
        return None
    known = [ledger.st_ino, ledger.st_size, ledger.st_mtime_ns]
    try:
        log = os.stat(f"{directory}/{LEDGER_NAME}-wal")
    except OSError:
        return [*known, 0, 0]
    # A reader leaves an empty log behind: that is the same as none.
    return [*known, log.st_size, log.st_mtime_ns if log.st_size else 0]


def is_quiet(signature: Signature, now: float) -> bool:
    """Whether the ledger's files changed long enough ago that their times tell one state from the next."""
    latest = max(signature[2], signature[4]) / 1e9
    return latest < now - _QUIET_SECONDS


class JobIndex:
    """The entries of the index file, by the name of the job's folder."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home_dir / INDEX_NAME
        self._known: dict[str, tuple[Signature, dict[str, Any]]] = {}
        self._now: dict[str, tuple[Signature, dict[str, Any]]] = {}
        # Whatever the file holds instead of an index, it is one to be made anew.
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            values = json.loads(self._path.read_bytes())
            if values["version"] == _VERSION:
                self._known = {name: (entry[0], dict(entry[1])) for name, entry in values["jobs"].items()}

    def get(self, name: str, signature: Signature) -> dict[str, Any] | None:
        """The job's counters, if its ledger is still as it was when they were read."""
        entry = self._known.get(name)
        if entry is None or entry[0] != signature:
            return None
        self._now[name] = entry
        return entry[1]

    def put(self, name: str, signature: Signature, counters: dict[str, Any]) -> None:
        """Takes over the counters of a job that is not at work."""
        if is_quiet(signature, time.time()):
            self._now[name] = (signature, counters)

    def save(self) -> None:
        """Writes the entries of the jobs that were asked for, if they changed."""
        if self._now == self._known:
            return
        text = json_text({"version": _VERSION, "jobs": self._now}, ascii_only=True, compact=True)
        # Where it cannot be written, the next list reads the ledgers again.
        with contextlib.suppress(OSError), part_of(self._path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text.encode())
