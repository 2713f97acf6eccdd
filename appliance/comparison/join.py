"""The rows of several jobs, joined by the document's path and bytes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from appliance.comparison.folder import LabelledDocument
from appliance.documents.folder import document_name
from appliance.documents.problems import Problem
from appliance.jobs.ledger import FinishedDocument, LedgerReader
from appliance.jobs.rows import Route
from appliance.tasks.linecode import Answer

OTHER_BYTES = "other_bytes"
"""Error class of a side that answered another state of the file than the first side."""
_PROBLEMS = frozenset(problem.value for problem in Problem)


@dataclass(frozen=True)
class ComparedDocument:
    """One document with what all sides answered."""

    path: bytes
    """Relative to the folder; what the document is known by."""
    gold: Answer | None
    answers: tuple[FinishedDocument | None, ...]
    """In the order of the sides; None where a side has not answered yet."""
    differing: tuple[str, ...] = ()
    """Fields in which the pair that is looked at differs."""

    @property
    def name(self) -> str:
        """The path as text."""
        return document_name(self.path)

    @property
    def problem(self) -> tuple[str, str] | None:
        """Error class and message where a side could not read the document."""
        for answer in self.answers:
            if answer is not None and answer.row.error in _PROBLEMS:
                return answer.row.error, answer.row.error_message
        return None


def join(documents: Sequence[LabelledDocument], readers: Sequence[LedgerReader]) -> Iterator[ComparedDocument]:
    """All documents in path order with the row of every side; close it where it is not read to its end.

    Rows come without confidence and places, which nobody compares and which would fill the memory.
    """
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(contextlib.closing(reader.finished_documents())) for reader in readers]
        heads = [next(stream, None) for stream in streams]
        for document in documents:
            answers: list[FinishedDocument | None] = []
            for place, stream in enumerate(streams):
                while (head := heads[place]) is not None and head.path < document.path:
                    heads[place] = next(stream, None)
                is_same = head is not None and head.path == document.path
                answers.append(_without_places(head) if head is not None and is_same else None)
            yield ComparedDocument(document.path, document.gold, of_same_bytes(answers))


def of_same_bytes(answers: Sequence[FinishedDocument | None]) -> tuple[FinishedDocument | None, ...]:
    """The answers, with a failure in place of each about other bytes than those that the first one is about."""
    sha256 = next((answer.sha256 for answer in answers if answer is not None and answer.sha256), None)
    return tuple(
        answer if answer is None or answer.sha256 in (sha256, None) else _changed(answer) for answer in answers
    )  # fmt: skip


def _changed(answer: FinishedDocument) -> FinishedDocument:
    message = "the file changed after another side had answered it"
    row = replace(answer.row, route=Route.FAILED, fields=None, error=OTHER_BYTES, error_message=message)
    return replace(answer, row=row)


def _without_places(answer: FinishedDocument) -> FinishedDocument:
    # In place of `replace`, which costs more than the comparison itself: the row belongs to nobody else.
    answer.row.confidence.clear()
    answer.row.evidence.clear()
    answer.row.spans.clear()
    return answer
