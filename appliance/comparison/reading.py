"""Texts of a comparison's documents, through the same sandboxed readers as a job."""

from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

from appliance.comparison.answers_writer import AnswersWriter
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import ReaderLimits, ReadReply
from appliance.ground.stopping import Stop
from appliance.jobs.ledger_writer import PendingDocument
from appliance.jobs.reader_pool import ReaderPool

READERS = 2
_WAIT_SECONDS = 0.25
_GROUP = 64
"""Texts in one transaction at most: one sync costs some milliseconds."""


def read_texts(
    folder: Path, writer: AnswersWriter, stop: Stop, told: Callable[[int], None], limits: ReaderLimits
) -> None:
    """Reads every document that has not been read; one that cannot be read is noted with its problem.

    Args:
        told: Called with the number of documents read in this call, now and then.
    """
    pool = ReaderPool(folder, READERS, limits)
    waiting = deque(PendingDocument(document, path, 0) for document, path in writer.unread())
    texts = _Texts(writer, told)
    try:
        while pool.reading or (waiting and not stop.graceful):
            while waiting and pool.has_room and not stop.graceful:
                document = waiting.popleft()
                try:
                    pool.start(document)
                except DocumentError as error:
                    texts.add(document, ReadReply(None, problem=error.problem, message=error.message))
            for document, reply in pool.arrived(list(wait(pool.connections, timeout=_WAIT_SECONDS))):
                if reply.problem is Problem.READER_DIED and not document.crash_count:
                    waiting.appendleft(PendingDocument(document.id, document.path, 1))
                else:
                    texts.add(document, reply)
            stop.look()
    finally:
        pool.close()
    texts.flush()


class _Texts:
    """Replies that wait to be written together."""

    def __init__(self, writer: AnswersWriter, told: Callable[[int], None]) -> None:
        self._writer, self._told = writer, told
        self._found: list[tuple[int, ReadReply]] = []
        self._done = 0

    def add(self, document: PendingDocument, reply: ReadReply) -> None:
        self._found.append((document.id, reply))
        self._done += 1
        if len(self._found) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        self._writer.record_texts(self._found)
        self._found = []
        self._told(self._done)
