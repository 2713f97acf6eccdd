"""A comparison as screens and commands see it.

- `list_comparisons(settings) -> list[ComparisonSummary]`: all of them, newest first.
- `open_comparison(settings, id) -> ComparisonView`: its state, its figures, the documents that differ, page by page.
- `start_comparison(settings, request) -> str`: checks the request and runs it in a process session of its own.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.comparison.differences import Differences, note_differences, read_differences
from appliance.comparison.figures import ComparisonFigures
from appliance.comparison.folder import (
    DIFFERENCES_NAME,
    JUDGEMENTS_NAME,
    TASK_NAME,
    ComparisonConfig,
    comparison_dir,
    comparison_dirs,
    read_comparison,
    read_documents,
)
from appliance.comparison.join import ComparedDocument, join, of_same_bytes
from appliance.comparison.metrics import pair_figures, side_figures
from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.engines.engine import Result
from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import Settings
from appliance.jobs.detached import refuse_running, start_and_wait
from appliance.jobs.job import job_file
from appliance.jobs.ledger import LedgerReader, NotBegun, open_readonly
from appliance.jobs.locks import Purpose, lock_holder
from appliance.jobs.states import State
from appliance.quality.judgements import Choice, Judgement, add_judgement, judgements
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

_AT_WORK = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class ComparisonState:
    """How far a comparison is."""

    state: State
    message: str
    documents: int
    answered: tuple[int, ...]
    """Documents with a row, by side: an answer, or a failure."""


@dataclass(frozen=True)
class ComparisonSummary:
    """One line of the list of comparisons."""

    id: str
    task: str
    sides: tuple[str, ...]
    state: State
    message: str
    documents: int
    answered: int
    """Of the side that has answered the fewest documents."""
    created: str


class ComparisonView:
    """One comparison, open for reading; close it, or use it with `with`. Only `store` writes, the judgements."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.directory = directory
        self.config: ComparisonConfig = read_comparison(directory)
        self.task: Task = load_task(directory / TASK_NAME)
        self._figures: tuple[object, ComparisonFigures] | None = None
        self._differences: tuple[str, Differences] | None = None
        self._readers = _open_jobs(settings, self.config)

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the sides; the first is what the others are compared with."""
        return tuple(side.name for side in self.config.sides)

    def state(self) -> ComparisonState:
        """How far it is; one whose process died shows as interrupted."""
        return _state(self.directory, self.config, self._readers)

    def figures(self) -> ComparisonFigures:
        """Totals with intervals; computed anew only where a row or a judgement was added.

        Takes about two seconds for 10,000 documents: call it outside a thread that draws.
        """
        numbers = range(1, len(self.config.sides))
        key = (self._stamp(), self.state(), [len(self.judgements(side)) for side in numbers])
        if self._figures is None or self._figures[0] != key:
            self._figures = (key, self._compute())
        return self._figures[1]

    def _compute(self) -> ComparisonFigures:
        config, task, state = self.config, self.task, self.state().state
        everything = list(self._documents())
        documents = [document for document in everything if not _is_unreadable(document, state)]
        seconds = [reader.worked_seconds() for reader in self._readers]
        seconds += [[]] * (len(config.sides) - len(seconds))
        sides = tuple(
            side_figures(task, side, documents, number, seconds[number]) for number, side in enumerate(config.sides)
        )
        pairs = tuple(
            pair_figures(
                task, config.sides, documents, number,
                {path: judgement.choice for path, judgement in self.judged(number).items()}, config.margin,
            )
            for number in range(1, len(config.sides))
        )  # fmt: skip
        return ComparisonFigures(
            id=config.id,
            task=config.task_name,
            documents=len(documents),
            unreadable=len(everything) - len(documents),
            gold_documents=sum(document.gold is not None for document in documents),
            margin=config.margin,
            sides=sides,
            pairs=pairs,
        )

    def _documents(self) -> Sequence[ComparedDocument]:
        missing = (None,) * (len(self.config.sides) - len(self._readers))
        documents = join(read_documents(self.directory), self._readers)
        return [replace(each, answers=each.answers + missing) if missing else each for each in documents]

    def labelled(self, side: int = 0) -> tuple[list[LabelledRow], list[Result]]:
        """The documents whose right answer is known and that a side has answered, and its answers to them."""
        if side >= len(self._readers):
            return [], []
        rows, results = [], []
        for document in read_documents(self.directory):
            answer = self._readers[side].finished_document(document.path) if document.gold is not None else None
            if document.gold is not None and answer is not None:
                text, row = self.text(document.path) or "", answer.row
                rows.append(LabelledRow(row.document, text, document.gold, source="person"))
                results.append(Result(row.document, row.fields, dict(row.confidence), error=row.error))
        return rows, results

    def count_differing(self, side: int = 1) -> int:
        """How many documents this side and the first answer differently."""
        return self.note_differences().count(side)

    def differing(self, offset: int, limit: int, side: int = 1, at_random: bool = False) -> list[ComparedDocument]:
        """A page of the documents that differ, each with all answers and the fields that differ.

        Args:
            at_random: In a random order that stays the same. Where people judge only a part of the documents, this
                order makes the part a fair one.
        """
        documents = []
        for difference in self.note_differences().page(side, offset, limit, at_random):
            answers = of_same_bytes([reader.finished_document(difference.path) for reader in self._readers])
            documents.append(ComparedDocument(difference.path, difference.gold, answers, difference.fields))
        return documents

    def note_differences(self) -> Differences:
        """The documents that differ; compared anew where rows were added, but not while they still come."""
        stamp = self._stamp()
        if self._differences is not None and self._differences[0] == stamp:
            return self._differences[1]
        path = self.directory / DIFFERENCES_NAME
        holder = lock_holder(self.directory)
        is_own_run = holder is not None and holder.pid == os.getpid()
        is_at_work = self.state().state in _AT_WORK and not is_own_run
        differences = read_differences(path, None if is_at_work else stamp)
        if differences is None:
            differences = note_differences(path, stamp, self.task, [] if is_at_work else self._documents())
        if self._differences is not None:
            self._differences[1].close()
        self._differences = (stamp, differences)
        return differences

    def _stamp(self) -> str:
        """Names the state of all rows."""
        return repr([(reader.written_rows(), [time for time, _, _ in reader.events(1)]) for reader in self._readers])

    def text(self, path: bytes) -> str | None:
        """The document's text; None where none was kept or there is none."""
        for reader in self._readers:
            document = reader.document(os.fsdecode(path))
            if document is not None and (text := reader.text(document.id)) is not None:
                return text
        return None

    def find(self, name: str) -> bytes:
        """The path of the document with this name.

        Raises:
            UsageError: The comparison has none.
        """
        for document in read_documents(self.directory):
            if name in (document.name, os.fsdecode(document.path)):
                return document.path
        raise UsageError(
            f"the comparison has no document {name}", f"`stillroom comparisons differing {self.config.id}` lists them"
        )

    def unreadable(self, limit: int = 100) -> list[tuple[str, str, str]]:
        """Documents without a text: name, problem, message."""
        problems = ((document.name, document.problem) for document in self._documents())
        return [(name, *problem) for name, problem in problems if problem is not None][:limit]

    def judgements(self, side: int = 1) -> list[Judgement]:
        """All judgements, oldest first."""
        return judgements(self._judgements_path, side)

    def judged(self, side: int = 1) -> dict[bytes, Judgement]:
        """Path -> the judgement that counts: the newest, if it is about the bytes that the rows are about."""
        newest = {judgement.path: judgement for judgement in self.judgements(side)}
        return {path: judgement for path, judgement in newest.items() if judgement.sha256 == self._sha256(path)}

    def store(self, path: bytes, choice: Choice, side: int = 1) -> Judgement:
        """Keeps what the present user says of the first answer (A) and this side's answer (B) to one document.

        Raises:
            UsageError: There is no such side, or no answer yet.
            ResourceError: It cannot be written.
        """
        if not 1 <= side < len(self.config.sides):
            raise UsageError(f"the comparison has no side {side}", f"sides: 1 to {len(self.config.sides) - 1}")
        judgement = Judgement(side, path, self._sha256(path), choice)
        add_judgement(self._judgements_path, judgement)
        return judgement

    def _sha256(self, path: bytes) -> str:
        """Of the bytes that the first side answered; empty where it could not read them."""
        document = self._readers[0].finished_document(path) if self._readers else None
        return (document.sha256 or "") if document is not None else ""

    def close(self) -> None:
        """Closes the ledgers."""
        for reader in self._readers:
            reader.close()
        if self._differences is not None:
            self._differences[1].close()

    def __enter__(self) -> "ComparisonView":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _judgements_path(self) -> Path:
        return self.directory / JUDGEMENTS_NAME


def _is_unreadable(document: ComparedDocument, state: State) -> bool:
    """Whether some side could not read it, or it was gone when a side came to it."""
    return document.problem is not None or (state is State.DONE and None in document.answers)


def _open_jobs(settings: Settings, config: ComparisonConfig) -> list[LedgerReader]:
    """The ledgers of the sides that have begun: no side begins before those in front of it.

    Raises:
        ApplianceError: A job was removed, or its ledger cannot be read.
    """
    with contextlib.ExitStack() as stack:
        readers = []
        for side in config.sides:
            directory = settings.jobs_dir / side.job
            if not job_file(directory).exists():
                raise ApplianceError(
                    f"job {side.job}, which answered for {side.name}, was removed",
                    f"`stillroom comparisons remove {config.id}`, then compare again",
                )
            try:
                readers.append(stack.enter_context(open_readonly(directory)))
            except NotBegun:
                break
        stack.pop_all()
        return readers


def _state(directory: Path, config: ComparisonConfig, readers: Sequence[LedgerReader]) -> ComparisonState:
    jobs = [reader.summary() for reader in readers]
    answered = [min(config.documents, job.with_row) for job in jobs]
    answered += [0] * (len(config.sides) - len(jobs))
    holder = lock_holder(directory)
    state = State.INTERRUPTED
    if (holder is not None and holder.purpose is Purpose.RUN) or any(job.state in _AT_WORK for job in jobs):
        state = State.QUEUED if any(job.state is State.QUEUED for job in jobs) else State.RUNNING
    elif any(job.state is State.FAILED for job in jobs):
        state = State.FAILED
    elif len(jobs) == len(config.sides) and all(job.state is State.DONE for job in jobs):
        state = State.DONE
    message = next((job.message for job in jobs if job.state is not State.DONE), "")
    return ComparisonState(state, message, config.documents, tuple(answered))


def open_comparison(settings: Settings, identifier: str) -> ComparisonView:
    """Opens the comparison with this id or unambiguous start of an id.

    Raises:
        UsageError: None or several are called so.
        ApplianceError: It is damaged or of another version.
    """
    return ComparisonView(settings, comparison_dir(settings, identifier))


def list_comparisons(settings: Settings) -> list[ComparisonSummary]:
    """All comparisons, the newest first; one that cannot be read shows as failed."""
    summaries = []
    for directory in comparison_dirs(settings):
        try:
            config = read_comparison(directory)
            with contextlib.ExitStack() as stack:
                readers = _open_jobs(settings, config)
                for reader in readers:
                    stack.callback(reader.close)
                state = _state(directory, config, readers)
            summaries.append(
                ComparisonSummary(
                    config.id, config.task_name, tuple(side.name for side in config.sides), state.state,
                    state.message, state.documents, min(state.answered), config.created,
                )
            )  # fmt: skip
        except ApplianceError as error:
            summaries.append(ComparisonSummary(directory.name, "", (), State.FAILED, error.message, 0, 0, ""))
    return sorted(summaries, key=lambda summary: summary.created, reverse=True)


def start_comparison(settings: Settings, request: CompareRequest) -> str:
    """Checks the request, then runs it in a process session of its own, which outlives this one; gives the id.

    Raises:
        ApplianceError: The request cannot be run, or its run ended at once with an error.
    """
    return resume_comparison(settings, prepare_comparison(settings, request).name)


def resume_comparison(settings: Settings, identifier: str) -> str:
    """Continues a comparison in a process session of its own; gives its id.

    Raises:
        UsageError: No comparison is called so.
        ApplianceError: It is running already, or its run ended at once with an error.
    """
    directory = comparison_dir(settings, identifier)
    refuse_running(directory, "comparison")

    def is_done(directory: Path) -> bool:
        with ComparisonView(settings, directory) as view:
            return view.state().state is State.DONE

    start_and_wait(settings, directory, ["comparisons", "resume", directory.name], is_done)
    return directory.name
