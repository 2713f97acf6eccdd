"""Answers of a frontier on a folder of documents, as rows to learn from: asked once, paid once, kept before they are
read.

The documents go through the answering layer as those of a fallback do: policy, masking, caps, the record of what
leaves, replies on the disk before anybody parses them. So a killed run pays for nothing twice, another document costs
only itself, and a folder whose rows are lost is made again from the replies without a network. What a row says of its
teacher, it says itself.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import NOT_SENT, FrontierAnswerer, frontier_answerer
from appliance.documents.folder import document_name, walk
from appliance.documents.sandbox import ReaderLimits, ReadReply, read_files
from appliance.engines.engine import Request, Result
from appliance.engines.frontier import frontier_identity
from appliance.engines.frontier_config import FrontierConfig
from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.ground.progress import OnProgress, Progress, ignore_progress
from appliance.ground.progress_line import Speed
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop
from appliance.routing.egress import EgressOptions, checked, with_options
from appliance.routing.policy import SYSTEM_DIR, Caps
from appliance.tasks.collect_progress import CollectProgress, write_collect_progress
from appliance.tasks.folder import TaskFolder
from appliance.tasks.task import Task
from training.answers_file import alone, appended_answers, known_documents
from training.collect_budget import caps_left, run_name, spent
from training.soft_labels import Soft, SoftOptions, probed_way, request_options, row_of_samples

NOTE_SECONDS = 1.0
OFFLINE = ("offline", "this call only takes what was paid for before")


@dataclass(frozen=True)
class LiveRequest:
    """What a command asks for."""

    task: Task
    folder: TaskFolder
    documents_dir: Path
    teacher: str
    """Name of the frontier."""
    caps: Caps = field(default_factory=Caps)
    """Of this call; the task's budget and the policy's caps hold beside them."""
    accepts_unknown_licence: bool = False
    soft: SoftOptions = field(default_factory=SoftOptions)
    is_offline: bool = False
    """Nothing is sent: rows are made of the replies that were paid for."""
    limits: ReaderLimits = field(default_factory=ReaderLimits)
    system_dir: Path = SYSTEM_DIR


@dataclass
class LiveOutcome:
    """What came of it."""

    documents: int = 0
    known: int = 0
    """That had an answer of this teacher to this task already."""
    answered: int = 0
    cached: int = 0
    """Of these: answers that were paid for before."""
    left: int = 0
    """That were not sent any more, as something ended the sending."""
    failed: dict[str, int] = field(default_factory=dict)
    """Error class -> documents."""
    last_failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    money: float = 0.0
    """Of this call; what was paid before is not in it."""
    spent_money: float = 0.0
    """Over the whole life of the task folder."""
    currency: str = ""
    ended: str = ""
    """What ended the sending, such as a budget; empty where all was asked."""
    soft: str = ""
    """How soft labels were had, and why so; empty where none were wanted."""

    @property
    def failures(self) -> int:
        """Documents without an answer, but for those that were not sent."""
        return sum(self.failed.values())

    def lines(self) -> list[str]:
        """For a terminal."""
        failed = ", ".join(f"{count:,} {error}" for error, count in sorted(self.failed.items()))
        parts = [f"{self.known:,} answered before", f"{self.answered:,} now ({self.cached:,} of them paid before)"]
        parts += [f"without an answer: {failed}"] if failed else []
        parts += [f"{self.left:,} not sent"] if self.left else []
        reasoning = f", {self.reasoning_tokens:,} reasoning" if self.reasoning_tokens else ""
        lines = [
            f"documents  {self.documents:,}: {', '.join(parts)}",
            f"tokens     {self.prompt_tokens:,} in, {self.completion_tokens:,} out{reasoning}",
            f"money      {self.money:.4g} {self.currency} now, {self.spent_money:.4g} {self.currency} for this task",
        ]
        return [*lines, f"labels     {self.soft}"] if self.soft else lines

    @property
    def expected_money(self) -> float | None:
        """What this call will have cost when all is answered; None before anything was paid."""
        paid = self.answered - self.cached
        if not paid or not self.money:
            return None
        done = self.known + self.answered + self.failures + self.left
        return self.money + max(0, self.documents - done) * self.money / paid

    def progress(self) -> Progress:
        """For a line with a panel, or a screen."""
        failed = ", ".join(f"{count:,} {error}" for error, count in sorted(self.failed.items())) or "none"
        end = "" if self.expected_money is None else f", about {self.expected_money:.4g} {self.currency} at the end"
        panel = (
            f"answered {self.answered:,}, {self.cached:,} of them paid before; failed: {failed}",
            f"money {self.money:.4g} {self.currency} now{end}",
            *((f"last failure: {self.last_failure}",) if self.last_failure else ()),
        )
        done = self.known + self.answered + self.failures + self.left
        figures = f"{self.money:.4g} {self.currency}"
        return Progress(
            done, self.documents, before=self.known, failed=self.failures, figures=figures, panel=panel
        )  # fmt: skip


@dataclass
class _Document:
    """One document that the teacher is asked about, once or several times."""

    name: str
    reply: ReadReply
    results: list[Result] = field(default_factory=list)


def collect_live(
    settings: Settings, request: LiveRequest, on_progress: OnProgress = ignore_progress, stop: Stop | None = None
) -> LiveOutcome:
    """Asks the teacher about every document that it has not answered yet; doing it again asks for what is missing.

    Raises:
        UsageError: Frontier, policy or folder do not allow it, its licence is not known, or another call is at work.
        ResourceError: The sandbox lacks a part, or a disk is full; what was paid for is kept.
    """
    config, _ = checked(settings, request.task, request.teacher, request.system_dir)
    check_licence(config, request.accepts_unknown_licence)
    with alone(request.folder):
        return _Collector(settings, request, config, on_progress, stop or Stop()).collect()


def collect_paid(
    settings: Settings, request: LiveRequest, config: FrontierConfig, on_progress: OnProgress
) -> LiveOutcome:
    """Rows of the replies that were paid for, for whoever holds the answers of the task folder; sends nothing."""
    votes = SoftOptions(Soft.VOTES if request.soft.samples > 1 else Soft.OFF, request.soft.samples)
    offline = replace(request, is_offline=True, soft=votes)
    return _Collector(settings, offline, config, on_progress, Stop()).collect()


def check_licence(config: FrontierConfig, accepts_unknown: bool) -> None:
    """Checks that somebody has read what the teacher's terms say of learning from its answers.

    Raises:
        UsageError: Nobody has.
    """
    if not config.licence and not accepts_unknown:
        raise UsageError(
            f"nobody has said what the terms of frontier {config.name} allow of learning from its answers",
            f'read them, then write licence = "..." into [frontier.{config.name}], or add --accept-unknown-licence',
        )


class _Collector:
    """One call."""

    def __init__(
        self, settings: Settings, request: LiveRequest, config: FrontierConfig, on_progress: OnProgress, stop: Stop
    ) -> None:
        self._settings, self._request, self._config = settings, request, config
        self._on_progress, self._stop = on_progress, stop
        self._outcome = LiveOutcome(currency=config.prices.currency)
        self._failures: list[str] = []
        self._documents: dict[str, _Document] = {}
        self._speed, self._noted = Speed(), 0.0

    def collect(self) -> LiveOutcome:
        request, outcome = self._request, self._outcome
        run = run_name(request.folder, request.task)
        account = spent(self._settings, run)
        options = EgressOptions(True, run, caps_left(request.task, account, request.caps), request.system_dir)
        paths = [found.path for found in walk(request.documents_dir)]
        outcome.documents = len(paths)
        soft, outcome.soft = self._way(options, paths)
        options = request_options(options, soft, request.soft)
        identity = frontier_identity(with_options(self._config, options), request.task)
        known = known_documents(request.folder.answers_path, identity)
        answerer = self._answerer(options)
        try:
            with appended_answers(request.folder.answers_path) as file:
                requests = self._requests(paths, known, request.soft.samples if soft is Soft.VOTES else 0)
                for result in answer_all(answerer, requests, stop=self._stop):
                    self._arrived(answerer, file, result, identity)
        finally:
            outcome.ended = answerer.ended[1] if answerer.ended and answerer.ended != OFFLINE else ""
            answerer.close()
        write_lines(request.folder.answers_path.with_name("failures.jsonl"), self._failures)
        self._note(is_finished=True)
        outcome.spent_money = round((account.money or 0.0) + outcome.money, 6)
        return outcome

    def _answerer(self, options: EgressOptions) -> FrontierAnswerer:
        answerer = frontier_answerer(self._settings, self._request.task, self._request.teacher, options)
        if self._request.is_offline:
            answerer.ended = OFFLINE
        return answerer

    def _way(self, options: EgressOptions, paths: list[bytes]) -> tuple[Soft, str]:
        """How soft labels are had; where the teacher is to be asked what it offers, by the first readable document."""
        request = self._request

        def ask(options: EgressOptions) -> Result | None:
            for path, reply in read_files(request.documents_dir, paths, request.limits):
                if reply.problem is None and reply.text.strip():
                    answerer, probe = self._answerer(options), Request("0#0", reply.text, name=document_name(path))
                    try:
                        return next(answer_all(answerer, [probe]), None)
                    finally:
                        answerer.close()
            return None

        return probed_way(request.task, request.soft, options, ask)

    def _requests(self, paths: list[bytes], known: set[str], samples: int) -> Iterator[Request]:
        """The documents that are to be asked about, read as `run` reads them."""
        request, outcome = self._request, self._outcome
        for number, (path, reply) in enumerate(read_files(request.documents_dir, paths, request.limits)):
            name = document_name(path)
            if reply.sha256 in known:
                outcome.known += 1
            elif reply.problem is not None or not reply.text.strip():
                error = reply.problem.value if reply.problem is not None else "empty"
                self._fail(name, error, reply.message or "the document has no text")
            else:
                self._documents[str(number)] = _Document(name, reply)
                for sample in range(1, samples + 1) if samples else (0,):
                    yield Request(f"{number}#{sample}", reply.text, name=name, sample=sample)

    def _arrived(self, answerer: FrontierAnswerer, file: BinaryIO, result: Result, identity: str) -> None:
        outcome, key = self._outcome, result.key.partition("#")[0]
        document = self._documents[key]
        document.results.append(result)
        if not result.cached:
            outcome.prompt_tokens += result.prompt_tokens
            outcome.completion_tokens += result.completion_tokens
            outcome.reasoning_tokens += result.reasoning_tokens
            outcome.money += result.money or 0.0
        expected = 1 if result.key.endswith("#0") else self._request.soft.samples
        if len(document.results) < expected:
            return
        del self._documents[key]
        row = row_of_samples(self._request.task, document.name, document.reply, document.results)
        unsent = answerer.ended is not None and any(map(is_unsent, document.results))
        if row is not None and not unsent:
            terms = {"licence": self._config.licence or "unknown", "currency": self._config.prices.currency}
            provenance = {"frontier": self._config.name, "identity": identity, **row.provenance, **terms}
            row = replace(row, teacher=self._config.choice.model, provenance=provenance)
            file.write(row.line().encode("utf-8", "surrogateescape") + b"\n")
            outcome.answered += 1
            outcome.cached += all(each.cached for each in document.results)
        elif unsent:
            outcome.left += 1
        else:
            first = next(each for each in document.results if each.answer is None)
            self._fail(document.name, first.error or "no_answer", first.error_message)
            outcome.last_failure = first.error_message
        self._on_progress(outcome.progress())
        self._note()

    def _note(self, is_finished: bool = False) -> None:
        """Writes how far it is for others to see, at most once a second."""
        outcome, now = self._outcome, time.monotonic()
        rate = self._speed.update(outcome.answered + outcome.failures, now)
        if not is_finished and now - self._noted < NOTE_SECONDS:
            return
        self._noted = now
        done = outcome.known + outcome.answered + outcome.failures + outcome.left
        left = None if not rate else max(0, outcome.documents - done) / rate
        write_collect_progress(
            self._request.folder.collect_progress_path,
            CollectProgress(
                self._request.teacher, outcome.documents, outcome.known, outcome.answered, outcome.cached,
                outcome.failed, outcome.left, outcome.last_failure, outcome.money, outcome.expected_money,
                outcome.currency, None if is_finished else left, outcome.ended, is_finished,
            ),
        )  # fmt: skip

    def _fail(self, document: str, error: str, message: str) -> None:
        self._outcome.failed[error] = self._outcome.failed.get(error, 0) + 1
        self._failures.append(json_text({"document": document, "error": error, "message": message}))


def is_unsent(result: Result) -> bool:
    """Whether a document was not sent, as something ended the sending."""
    return result.error_message.startswith(NOT_SENT) or (result.error or "").startswith("cap_")
