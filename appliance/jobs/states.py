"""The states of jobs and documents; the same words in the database, the commands and the screens."""

from enum import StrEnum


class State(StrEnum):
    """Where a job or a document stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    QUARANTINED = "quarantined"
    MISSING = "missing"
    """Of a document: it left the folder. Its row, if it had one, stays as it was."""


FINAL_DOCUMENT_STATES = (State.DONE, State.FAILED, State.QUARANTINED, State.MISSING)
"""A document in one of these has its row."""
