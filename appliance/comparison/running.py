"""Runs a comparison: texts first, then one side after the other, then who differs; goes on where it was stopped."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path

from appliance.answering.lease import engine_lease
from appliance.comparison.answers import open_answers
from appliance.comparison.answers_writer import AnswersWriter
from appliance.comparison.folder import FRONTIER, TASK_NAME, ComparisonConfig, Side, held, read_comparison
from appliance.comparison.local_side import LocalSide, Text
from appliance.comparison.metrics import differing_fields
from appliance.comparison.reading import read_texts
from appliance.documents.sandbox import ReaderLimits
from appliance.engines.engine import Result
from appliance.ground.errors import ApplianceError, Interrupted, NotAllGood
from appliance.ground.processes import process_identity
from appliance.ground.progress import OnProgress, Progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop, stopped_by_signals
from appliance.jobs.states import State
from appliance.routing.policy import Caps
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

_GROUP = 64
"""Answers in one transaction at most: one sync costs some milliseconds."""
_GROUP_SECONDS = 0.25


def run_comparison(settings: Settings, directory: Path, on_progress: OnProgress, caps: Caps | None = None) -> None:
    """Runs or continues the comparison in this folder.

    Args:
        caps: The most that may leave to frontiers in this run; those of the policy hold beside them.

    Raises:
        NotAllGood: A cap was reached or a frontier was gone; what was answered is kept and compared.
        Interrupted: A person stopped it; everything that was answered is kept.
        ApplianceError: A side cannot be run.
    """
    config = read_comparison(directory)
    stop = Stop()
    with held(directory), stopped_by_signals(stop):
        task = load_task(directory / TASK_NAME)
        writer = AnswersWriter(directory)
        try:
            writer.begin(State.RUNNING, process_identity(os.getpid()))
            ended = _work(_Run(settings, directory, config, task, writer, stop, on_progress, caps or Caps(), []))
            if ended:
                raise NotAllGood(f"not all documents were sent: {'; '.join(ended)}", "the same command sends the rest")
            if stop.graceful:
                raise Interrupted("the comparison was stopped", "the same command goes on where it stopped")
            writer.end(State.DONE)
        except (Interrupted, NotAllGood) as error:
            _end(writer, State.INTERRUPTED, error.message)
            raise
        except ApplianceError as error:
            _end(writer, State.FAILED, error.message)
            raise
        except BaseException:
            _end(writer, State.INTERRUPTED, "the program ended unexpectedly")
            raise
        finally:
            writer.close()


def _end(writer: AnswersWriter, state: State, message: str) -> None:
    """Notes how a failing run ended; if even that cannot be written, the first error is the one to show."""
    try:
        writer.end(state, message)
    except ApplianceError:
        return


@dataclass(frozen=True)
class _Run:
    settings: Settings
    directory: Path
    config: ComparisonConfig
    task: Task
    writer: AnswersWriter
    stop: Stop
    on_progress: OnProgress
    caps: Caps
    ended: list[str]
    """Why frontiers were not asked for all documents."""


def _work(run: _Run) -> list[str]:
    """All there is to do; gives why frontiers were not asked for all documents."""
    total = run.config.documents
    unread = len(run.writer.unread())
    read_texts(
        Path(run.config.documents_dir), run.writer, run.stop,
        lambda done: run.on_progress(Progress(total - unread + done, total, stage="reading")),
        ReaderLimits(policy=run.settings.sandbox),
    )  # fmt: skip
    for number, side in enumerate(run.config.sides):
        if run.stop.graceful:
            break
        _answer_side(run, number, side)
    for number in range(1, len(run.config.sides)):
        _record_pairs(run, number)
    if run.config.keep_text == "none" and not run.stop.graceful and not run.ended:
        run.writer.forget_texts()
    return run.ended


def _answer_side(run: _Run, number: int, side: Side) -> None:
    pending = run.writer.pending(number)
    first = next(pending, None)
    if first is None:
        return
    clock = _Clock(run.writer.worked_seconds(number))
    texts = _until_stopped(chain([first], pending), run.stop)
    # An answer that was paid for is written at once.
    answers = _Answers(run, number, side.name, clock, 1 if side.kind == FRONTIER else _GROUP)
    results = _by_frontier(run, side, texts, clock) if side.kind == FRONTIER else _locally(run, number, texts, clock)
    try:
        with closing(results):
            for result in results:
                answers.add(result)
    finally:
        answers.flush()


def _by_frontier(run: _Run, side: Side, texts: Iterator[Text], clock: "_Clock") -> Generator[Result]:
    from appliance.comparison.frontier_side import answer_by_frontier
    from appliance.routing.egress import EgressOptions

    clock.start()
    options = EgressOptions(allowed=True, run=run.config.id, caps=run.caps, effort=side.effort or "")
    if why := (yield from answer_by_frontier(run.settings, side, run.task, texts, options)):
        run.ended.append(f"{side.name}: {why}")


def _locally(run: _Run, number: int, texts: Iterator[Text], clock: "_Clock") -> Generator[Result]:
    side = run.config.sides[number]
    local = LocalSide(
        Path(side.artifact_dir), run.task, side.identity, run.settings.threads, run.stop,
        lambda document: run.writer.record_kill(number, document), clock.start,
    )  # fmt: skip
    with engine_lease(run.settings, run.stop) as lease:
        if lease is not None:
            yield from local.answer(texts, lease)


def _until_stopped(texts: Iterator[Text], stop: Stop) -> Iterator[Text]:
    return takewhile(lambda _: not stop.graceful, texts)


class _Clock:
    """Seconds of work on one side, those of former runs among them; loading the model is no work on documents."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._started: float | None = None

    def start(self) -> None:
        self._started = time.monotonic() if self._started is None else self._started

    def seconds(self) -> float:
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)


class _Answers:
    """Results that wait to be written together."""

    def __init__(self, run: _Run, number: int, name: str, clock: _Clock, group: int) -> None:
        self._run, self._number, self._name, self._clock, self._group = run, number, name, clock, group
        with open_answers(run.directory, len(run.config.sides)) as reader:
            state = reader.state()
        self._total = state.documents - state.unreadable
        self._done = state.answered[number]
        self._found: list[tuple[int, Result, float]] = []
        self._written = time.monotonic()

    def add(self, result: Result) -> None:
        self._found.append((int(result.key), result, self._clock.seconds()))
        self._done += 1
        if len(self._found) >= self._group or time.monotonic() - self._written > _GROUP_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._found:
            self._run.writer.record_answers(self._number, self._found)
        self._found, self._written = [], time.monotonic()
        self._run.on_progress(Progress(self._done, self._total, stage=self._name))


def _record_pairs(run: _Run, number: int) -> None:
    with open_answers(run.directory, len(run.config.sides)) as reader:
        found = []
        for document in reader.documents():
            first, second = document.answers[0], document.answers[number]
            if first is not None and second is not None:
                found.append((document.id, *differing_fields(run.task, first.answer, second.answer)))
    run.writer.record_pairs(number, found)
