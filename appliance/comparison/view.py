"""A comparison as screens and commands see it.

- `list_comparisons(settings) -> list[ComparisonSummary]`: all of them, newest first.
- `open_comparison(settings, id) -> ComparisonView`: its state, its figures, the documents that differ, page by page.
- `store_judgement(settings, id, document, choice, side)`: what a person says of the two answers to one document.
- `start_comparison(settings, request) -> str`: checks the request and runs it in a process session of its own.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.comparison.answers import DIFFER, ComparedDocument, ComparisonState, open_answers
from appliance.comparison.figures import ComparisonFigures
from appliance.comparison.folder import (
    JUDGEMENTS_NAME,
    TASK_NAME,
    ComparisonConfig,
    comparison_dir,
    comparison_dirs,
    read_comparison,
)
from appliance.comparison.metrics import pair_figures, side_figures
from appliance.comparison.preparing import CompareRequest, prepare_comparison
from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import HOME_VARIABLE, Settings
from appliance.jobs.states import State
from appliance.quality.judgements import Choice, Judgement, add_judgement, judgements, newest
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

LOG_NAME = "run.log"


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

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config: ComparisonConfig = read_comparison(directory)
        self.task: Task = load_task(directory / TASK_NAME)
        self._reader = open_answers(directory, len(self.config.sides))
        self._figures: tuple[object, ComparisonFigures] | None = None

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the sides; the first is what the others are compared with."""
        return tuple(side.name for side in self.config.sides)

    def state(self) -> ComparisonState:
        """How far it is; one whose process died shows as interrupted."""
        return self._reader.state()

    def figures(self) -> ComparisonFigures:
        """Totals with intervals; computed anew only where an answer or a judgement was added.

        Takes about a second for 10,000 documents: call it outside a thread that draws.
        """
        judged = [judgements(self._judgements_path, side) for side in range(1, len(self.config.sides))]
        state = self._reader.state()
        key = (state.read, state.answered, state.state, [len(found) for found in judged])
        if self._figures is None or self._figures[0] != key:
            self._figures = (key, self._compute(state, judged))
        return self._figures[1]

    def _compute(self, state: ComparisonState, judged: Sequence[list[Judgement]]) -> ComparisonFigures:
        config, documents = self.config, list(self._reader.documents())
        choices = [{document: said.choice for document, said in newest(found).items()} for found in judged]
        return ComparisonFigures(
            id=config.id,
            task=config.task_name,
            documents=len(documents),
            unreadable=state.unreadable,
            gold_documents=sum(document.gold is not None for document in documents),
            margin=config.margin,
            sides=tuple(side_figures(self.task, side, documents, number) for number, side in enumerate(config.sides)),
            pairs=tuple(
                pair_figures(self.task, config.sides, documents, number, choices[number - 1], config.margin)
                for number in range(1, len(config.sides))
            ),
        )

    def count_differing(self, side: int = 1) -> int:
        """How many documents this side and the first answer differently."""
        return self._reader.count_pairs(side, DIFFER)

    def differing(self, offset: int, limit: int, side: int = 1, at_random: bool = False) -> list[ComparedDocument]:
        """A page of the documents that differ, each with all answers and the fields that differ.

        Args:
            at_random: In a random order that stays the same. Where people judge only a part of the documents, this
                order makes the part a fair one.
        """
        return self._reader.differing(side, offset, limit, at_random)

    def text(self, document: int) -> str | None:
        """The document's text; None where none was kept or there is none."""
        return self._reader.text(document)

    def find(self, name: str) -> int:
        """The document of this name.

        Raises:
            UsageError: The comparison has none.
        """
        found = self._reader.find(name)
        if found is None:
            raise UsageError(f"the comparison has no document {name}", "`stillroom comparisons show` lists them")
        return found

    def unreadable(self, limit: int = 100) -> list[tuple[str, str, str]]:
        """Documents without a text: name, problem, message."""
        return self._reader.unreadable(limit)

    def judgements(self, side: int = 1) -> list[Judgement]:
        """All judgements, oldest first; the newest of a document counts."""
        return judgements(self._judgements_path, side)

    def judged(self, side: int = 1) -> dict[int, Judgement]:
        """Document -> the judgement that counts."""
        return newest(self.judgements(side))

    def store(self, document: int, choice: Choice, side: int = 1, user: str | None = None) -> Judgement:
        """Keeps what a person says of the first answer (A) and this side's answer (B) to one document.

        Raises:
            UsageError: There is no such side.
            ResourceError: It cannot be written.
        """
        if not 1 <= side < len(self.config.sides):
            raise UsageError(f"the comparison has no side {side}", f"sides: 1 to {len(self.config.sides) - 1}")
        return add_judgement(self._judgements_path, side, document, choice, user)

    def data_version(self) -> tuple[int, int]:
        """Changes whenever an answer or a judgement was written; costs microseconds, made for polling."""
        try:
            judged = self._judgements_path.stat().st_mtime_ns
        except OSError:
            judged = 0
        return self._reader.data_version(), judged

    def close(self) -> None:
        """Closes the database."""
        self._reader.close()

    def __enter__(self) -> "ComparisonView":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _judgements_path(self) -> Path:
        return self.directory / JUDGEMENTS_NAME


def open_comparison(settings: Settings, identifier: str) -> ComparisonView:
    """Opens the comparison with this id or unambiguous start of an id.

    Raises:
        UsageError: None or several are called so.
        ApplianceError: It is damaged or of another version.
    """
    return ComparisonView(comparison_dir(settings, identifier))


def list_comparisons(settings: Settings) -> list[ComparisonSummary]:
    """All comparisons, the newest first; one that cannot be read shows as failed."""
    found = []
    for directory in comparison_dirs(settings):
        try:
            config = read_comparison(directory)
            with open_answers(directory, len(config.sides)) as reader:
                state = reader.state()
            found.append(
                ComparisonSummary(
                    config.id, config.task_name, tuple(side.name for side in config.sides), state.state,
                    state.message, state.documents, min(state.answered), config.created,
                )
            )  # fmt: skip
        except ApplianceError as error:
            found.append(ComparisonSummary(directory.name, "", (), State.FAILED, error.message, 0, 0, ""))
    return sorted(found, key=lambda summary: summary.created, reverse=True)


def store_judgement(settings: Settings, identifier: str, document: int, choice: Choice, side: int = 1) -> Judgement:
    """Keeps what the present user says of two answers to one document."""
    with open_comparison(settings, identifier) as view:
        return view.store(document, choice, side)


def start_comparison(settings: Settings, request: CompareRequest) -> str:
    """Checks the request, then runs it in a process session of its own, which outlives this one; gives the id.

    Raises:
        ApplianceError: The request cannot be run.
    """
    return resume_comparison(settings, prepare_comparison(settings, request).name)


def resume_comparison(settings: Settings, identifier: str) -> str:
    """Continues a comparison in a process session of its own; gives its id.

    Raises:
        UsageError: No comparison is called so.
    """
    directory = comparison_dir(settings, identifier)
    environ = {**os.environ, HOME_VARIABLE: str(settings.home_dir), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "appliance.cli", "comparisons", "resume", directory.name]
    with open(directory / LOG_NAME, "ab") as log:
        # By way of a shell that ends at once: nobody here has to wait for the run.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command], env=environ, cwd="/", stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, check=True,
        )  # fmt: skip
    return directory.name
