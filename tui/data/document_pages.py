"""The documents of a job as rows of a table, read from the ledger a page at a time, a million of them like ten."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from appliance.ground.text import human_size
from appliance.jobs.ledger import DocumentEntry, JobSummary
from appliance.jobs.states import State
from tui.data.state_readers import open_job
from tui.text.cells import BAD, Cell, Line, state_cell

PAGE_DOCUMENTS = 100
_KEPT_PAGES = 30

FindDocument = Callable[[], DocumentEntry | None]
"""Reads a document of a list; blocks, so call it in a thread."""


class DocumentPages:
    """Some pages of the documents in one state; requests the others."""

    def __init__(self, state: State | None, request: Callable[[int], None]) -> None:
        self.state = state
        self._request = request
        self._count = 0
        self._pages: OrderedDict[int, list[DocumentEntry]] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    def set_count(self, job: JobSummary) -> None:
        """Takes the number of documents from the job's counters."""
        self._count = count_in(job, self.state)

    def put(self, page: int, entries: list[DocumentEntry]) -> None:
        """Keeps a page that was read; the one not looked at for longest goes."""
        self._pages[page] = entries
        self._pages.move_to_end(page)
        while len(self._pages) > _KEPT_PAGES:
            self._pages.popitem(last=False)

    def keep_only(self, rows: range) -> None:
        """Forgets the pages that hold none of these rows."""
        for page in set(self._pages) - set(pages_of(rows)):
            del self._pages[page]

    def entry(self, index: int) -> DocumentEntry | None:
        """The document of a row; None where its page is not read or has become shorter."""
        page, place = divmod(index, PAGE_DOCUMENTS)
        entries = self._pages.get(page)
        if entries is None:
            self._request(page)
            return None
        self._pages.move_to_end(page)
        return entries[place] if place < len(entries) else None

    def cells(self, index: int) -> Line | None:
        """The document as a row of the table."""
        entry = self.entry(index)
        return document_cells(entry) if entry else None


def count_in(job: JobSummary, state: State | None) -> int:
    """How many documents of a job are in a state, from its counters."""
    counts = {
        None: job.total,
        State.DONE: job.done,
        State.FAILED: job.failed - job.quarantined,
        State.QUARANTINED: job.quarantined,
        State.QUEUED: job.total - job.with_row - job.waiting,
        State.PAUSED: job.waiting,
        State.MISSING: job.missing,
    }
    return max(0, counts[state])


def pages_of(rows: range) -> list[int]:
    """The pages that hold these rows, first to last."""
    return list(range(rows.start // PAGE_DOCUMENTS, (rows.stop - 1) // PAGE_DOCUMENTS + 1)) if rows else []


def read_page(directory: Path, state: State | None, page: int) -> list[DocumentEntry]:
    """Reads one page; blocks, so call it in a thread."""
    with open_job(directory) as reader:
        return reader.documents_page(state, page * PAGE_DOCUMENTS, PAGE_DOCUMENTS)


def read_document(directory: Path, state: State | None, position: int) -> DocumentEntry | None:
    """Reads one document of a list; None where the list has become shorter. Blocks, so call it in a thread."""
    with open_job(directory) as reader:
        return next(iter(reader.documents_page(state, position, 1)), None)


def find_path(directory: Path, state: State | None, count: int, path: bytes) -> int:
    """The first document at or after a path, by halving: a few reads however many documents there are."""
    low, high = 0, count
    with open_job(directory) as reader:
        while low < high:
            middle = (low + high) // 2
            entries = reader.documents_page(state, middle, 1)
            if entries and entries[0].path < path:
                low = middle + 1
            else:
                high = middle
    return min(low, max(0, count - 1))


def document_cells(entry: DocumentEntry) -> Line:
    """A document as a row of the table."""
    return (
        state_cell(entry.state),
        Cell(entry.name),
        Cell(human_size(entry.size_bytes)),
        Cell(entry.error or "", BAD),
    )
