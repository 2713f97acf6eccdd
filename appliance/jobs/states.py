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


FINAL_DOCUMENT_STATES = (State.DONE, State.FAILED, State.QUARANTINED)
"""A document in one of these has its row."""
