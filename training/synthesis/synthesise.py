"""From seeds to rows: plans are drawn, a teacher writes them, each document is checked, and the good ones are kept."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import FrontierAnswerer, frontier_answerer
from appliance.engines.engine import Request, Result
from appliance.engines.frontier import frontier_identity
from appliance.engines.frontier_config import FrontierConfig
from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, Progress, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.stopping import Stop
from appliance.quality.near_duplicates import Pairs, word_pairs
from appliance.routing.egress import EgressOptions, checked
from appliance.routing.policy import SYSTEM_DIR, Caps
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.task import Task
from training.answers_file import alone, appended_answers, provenance_number, read_answers
from training.collect_budget import caps_left, run_name, spent
from training.collect_live import check_licence, is_unsent
from training.synthesis.brief import brief, writing_task
from training.synthesis.checks import read_otherwise, written_problem
from training.synthesis.plans import DocumentPlan, draw_plan

LEAST_SEEDS, MOST_SEEDS = 10, 50
TRIES = 3
"""Documents that may be written for each that is wanted."""
SYNTHETIC = "synthetic"
"""Key of a row's provenance; the number of the plan."""


@dataclass(frozen=True)
class SynthesisRequest:
    """What a command asks for."""

    task: Task
    folder: TaskFolder
    teacher: str
    count: int
    """Documents that there are to be in all, those of earlier calls among them."""
    languages: tuple[str, ...] = ()
    verify: bool = True
    """Whether the teacher reads each document again, and must find what was planned."""
    seed: int = 0
    caps: Caps = field(default_factory=Caps)
    accepts_unknown_licence: bool = False
    system_dir: Path = SYSTEM_DIR


@dataclass
class SynthesisOutcome:
    """What came of it."""

    wanted: int = 0
    before: int = 0
    """Of earlier calls."""
    written: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Code -> documents."""
    examples: dict[str, str] = field(default_factory=dict)
    """Code -> what was wrong with one of them."""
    failed: Counter[str] = field(default_factory=Counter)
    money: float = 0.0
    currency: str = ""
    ended: str = ""

    def lines(self) -> list[str]:
        """For a terminal."""
        done = f"{self.before + self.kept:,} of {self.wanted:,}"
        lines = [f"documents  {done}: {self.written:,} written now, {self.kept:,} kept"]
        for code, count in self.rejected.most_common():
            lines.append(f"  rejected {count:,} {code}, such as: {self.examples[code]}")
        lines += [f"  failed   {count:,} {error}" for error, count in self.failed.most_common()]
        return [*lines, f"money      {self.money:.4g} {self.currency} now"]

    def progress(self) -> Progress:
        """For a line."""
        rejected = sum(self.rejected.values())
        figures = f"{rejected:,} rejected, {self.money:.4g} {self.currency}"
        return Progress(
            self.before + self.kept, self.wanted, before=self.before, failed=sum(self.failed.values()), figures=figures
        )


def seeds_of(folder: TaskFolder) -> list[LabelledRow]:
    """The rows that new documents are made like: a person's first, then a teacher's.

    Raises:
        UsageError: There are too few.
    """
    rows = read_answers(folder.answers_path)
    real = [row for row in rows if SYNTHETIC not in row.provenance and row.text.strip()]
    real.sort(key=lambda row: row.source != "person")
    distinct = list({row.text: row for row in reversed(real)}.values())[::-1]
    if len(distinct) < LEAST_SEEDS:
        raise UsageError(
            f"{len(distinct)} seed documents with answers; new ones need at least {LEAST_SEEDS} to be like",
            f"import {LEAST_SEEDS} to {MOST_SEEDS} answers of real documents with `stillroom collect --recorded` first",
        )
    return distinct[:MOST_SEEDS]


def synthesise(
    settings: Settings, request: SynthesisRequest, on_progress: OnProgress = ignore_progress, stop: Stop | None = None
) -> SynthesisOutcome:
    """Lets the teacher write documents until there are as many as wanted; doing it again goes on.

    Raises:
        UsageError: There are too few seeds, frontier or policy do not allow it, or another call is at work.
        ResourceError: A disk is full; what was paid for is kept.
    """
    config, _ = checked(settings, writing_task(request.task), request.teacher, request.system_dir)
    check_licence(config, request.accepts_unknown_licence)
    seeds = seeds_of(request.folder)
    with alone(request.folder):
        run = run_name(request.folder, request.task)
        account = spent(settings, run)
        options = EgressOptions(True, run, caps_left(request.task, account, request.caps), request.system_dir)
        return _Synthesis(settings, request, config, seeds, on_progress, stop or Stop()).run(options)


class _Synthesis:
    """One call."""

    def __init__(
        self, settings: Settings, request: SynthesisRequest, config: FrontierConfig, seeds: Sequence[LabelledRow],
        on_progress: OnProgress, stop: Stop,
    ) -> None:  # fmt: skip
        self._settings, self._request, self._config, self._seeds = settings, request, config, seeds
        self._on_progress, self._stop = on_progress, stop
        self._outcome = SynthesisOutcome(request.count, currency=config.prices.currency)
        self._plans: dict[str, DocumentPlan] = {}
        self._taken: list[Pairs] = []
        self._identity = frontier_identity(config, writing_task(request.task))

    def run(self, options: EgressOptions) -> SynthesisOutcome:
        outcome, path = self._outcome, self._request.folder.answers_path
        made = [row for row in read_answers(path) if SYNTHETIC in row.provenance]
        outcome.before = len(made)
        self._taken = [word_pairs(row.text) for row in made]
        first = 1 + max((int(provenance_number(row, SYNTHETIC)) for row in made), default=0)
        writer = frontier_answerer(self._settings, writing_task(self._request.task), self._request.teacher, options)
        reader = frontier_answerer(self._settings, self._request.task, self._request.teacher, options)
        try:
            with appended_answers(path) as file:
                for result in answer_all(writer, self._briefs(first), stop=self._stop):
                    self._count(result)
                    plan = self._plans.pop(result.key)
                    if result.answer is None:
                        if not is_unsent(result):
                            outcome.failed[result.error or "no_answer"] += 1
                    else:
                        outcome.written += 1
                        self._take(file, plan, str(result.answer.get("text") or ""), result, reader)
                    self._on_progress(outcome.progress())
        finally:
            for answerer in (writer, reader):
                outcome.ended = outcome.ended or (answerer.ended[1] if answerer.ended else "")
                answerer.close()
        return outcome

    def _briefs(self, first: int) -> Iterator[Request]:
        """As long as documents are wanted; a document that is rejected is followed by another one."""
        request, outcome = self._request, self._outcome
        for tried in range(TRIES * request.count):
            if outcome.before + outcome.kept >= request.count:
                return
            plan = draw_plan(request.task, self._seeds, first + tried, request.seed, request.languages)
            key = str(plan.number)
            self._plans[key] = plan
            yield Request(key, brief(request.task, plan), known=plan.answer, name=f"synthetic/{key}")

    def _take(self, file: BinaryIO, plan: DocumentPlan, text: str, result: Result, reader: FrontierAnswerer) -> None:
        """Keeps a document that passes every check."""
        outcome, task = self._outcome, self._request.task
        if outcome.before + outcome.kept >= self._request.count:
            return
        text = text.strip()
        problem = written_problem(task, plan, text, [row.text for row in self._seeds], self._taken)
        if not problem and self._request.verify:
            problem = self._read_again(plan, text, reader)
        if problem:
            code = problem.partition(":")[0]
            outcome.rejected[code] += 1
            outcome.examples.setdefault(code, problem.partition(": ")[2])
            return
        provenance = {
            "frontier": self._config.name, "identity": self._identity, SYNTHETIC: str(plan.number),
            "served": result.served, "fingerprint": result.fingerprint, "licence": self._config.licence or "unknown",
            "manner": "; ".join(plan.style), "seeds": ", ".join(row.document for row in plan.seeds),
            "money": "" if result.money is None else f"{result.money:.8g}", "currency": self._config.prices.currency,
        }  # fmt: skip
        row = LabelledRow(
            f"synthetic/{plan.number:06}.txt", text, plan.answer, text_hash(text), teacher=self._config.choice.model,
            provenance={key: value for key, value in provenance.items() if value},
        )  # fmt: skip
        file.write(row.line().encode("utf-8", "surrogateescape") + b"\n")
        file.flush()
        self._taken.append(word_pairs(text))
        outcome.kept += 1

    def _read_again(self, plan: DocumentPlan, text: str, reader: FrontierAnswerer) -> str:
        request = Request(f"read {plan.number}", text, known=plan.answer, name=f"synthetic/{plan.number}")
        for result in answer_all(reader, [request]):
            self._count(result)
            if result.answer is None:
                return f"unread: the teacher does not answer about it ({result.error})"
            return read_otherwise(self._request.task, plan, result.answer)
        return "unread: the sending was ended"

    def _count(self, result: Result) -> None:
        if not result.cached:
            self._outcome.money += result.money or 0.0
