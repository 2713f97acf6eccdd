"""The readers of a run: sandboxed children that turn files into text, and files that are still being written."""

import time
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from multiprocessing.connection import Connection

from appliance.documents.folder import DocumentFolder
from appliance.documents.problems import DocumentError
from appliance.documents.sandbox import Reader, ReaderLimits, ReadReply
from appliance.ground.child import ChildDied
from appliance.ground.errors import ResourceError
from appliance.jobs.ledger_writer import PendingDocument

_YOUNG = 2000
STILL_WRITTEN = "the file is still being written; the next run reads it"


class ReaderPool:
    """N readers, each with one document at a time."""

    def __init__(self, folder: DocumentFolder, count: int, limits: ReaderLimits) -> None:
        self._folder = folder
        self._readers = [Reader(limits) for _ in range(count)]
        self._reading: dict[int, PendingDocument] = {}
        """By the reader's position."""

    @property
    def reading(self) -> int:
        """How many documents are being read."""
        return len(self._reading)

    @property
    def has_room(self) -> bool:
        """Whether a reader is free."""
        return len(self._reading) < len(self._readers)

    @property
    def connections(self) -> list[Connection]:
        """What to wait on."""
        return [
            connection for position in self._reading if (connection := self._readers[position].connection) is not None
        ]

    def start(self, document: PendingDocument) -> None:
        """Gives the document to a free reader.

        Raises:
            DocumentError: The file cannot be opened.
            ResourceError: No child can be started.
        """
        position = next(number for number in range(len(self._readers)) if number not in self._reading)
        try:
            self._readers[position].start_in(self._folder, document.path)
        except (ChildDied, OSError) as error:
            raise ResourceError(
                f"no reader can be started: {error}", "check the free memory and the limit of processes, then resume"
            ) from error
        self._reading[position] = document

    def arrived(self, ready: list[object]) -> Iterator[tuple[PendingDocument, ReadReply]]:
        """What came of documents whose readers spoke, died or took too long."""
        for position in list(self._reading):
            reader = self._readers[position]
            if reader.connection in ready or reader.overdue:
                yield self._reading.pop(position), reader.finish()

    def close(self) -> None:
        """Ends all children."""
        for reader in self._readers:
            reader.close()


class FileStability(StrEnum):
    """Whether a file is at rest."""

    SETTLED = "settled"
    YOUNG = "young"
    """It changed a moment ago: look again before reading it."""
    CHANGED = "changed"
    """It is not as it was when the folder was listed: somebody is writing it."""


class StabilityTracker:
    """Files that changed a moment ago, until each has been looked at twice."""

    def __init__(self, folder: DocumentFolder, settle_seconds: float) -> None:
        self._folder = folder
        self._settle_seconds = settle_seconds
        self._young: deque[tuple[float, PendingDocument]] = deque()
        """With the time of the second look, on a clock that only goes forward."""

    def __len__(self) -> int:
        return len(self._young)

    @property
    def full(self) -> bool:
        """Whether so many wait that no more should come: a fresh copy of a million files is young as a whole."""
        return len(self._young) >= _YOUNG

    def check(self, document: PendingDocument, second: bool = False) -> FileStability:
        """Whether the file may be read now; a young one is kept for a second look."""
        if self.changed(document):
            return FileStability.CHANGED
        age_seconds = (time.time_ns() - document.modified_ns) / 1e9
        if second or document.path.endswith(b"/") or age_seconds >= self._settle_seconds:
            return FileStability.SETTLED
        # A time in the future says nothing about the age: then the second look is the whole time away.
        remaining_seconds = self._settle_seconds - max(0.0, age_seconds)
        self._young.append((time.monotonic() + remaining_seconds, document))
        return FileStability.YOUNG

    def changed(self, document: PendingDocument) -> bool:
        """Whether the file is not as it was when the folder was listed.

        One that is gone, is no file, or cannot be looked at has not changed: reading it will say what is wrong.
        """
        try:
            facts = self._folder.facts(document.path)
        except DocumentError:
            return False
        known = (document.size_bytes, document.modified_ns)
        return facts is not None and (facts.size_bytes, facts.modified_ns) != known

    def seconds_left(self) -> float:
        """How long until the next second look."""
        return max(0.0, self._young[0][0] - time.monotonic()) if self._young else 0.0

    def due(self) -> PendingDocument | None:
        """The next document whose second look is due."""
        return self._young.popleft()[1] if self._young and self.seconds_left() <= 0 else None
