"""From a teacher's answers to a dataset: the filters in order, the split, the queue for people, and a report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.review.decisions import read_decisions
from appliance.review.queue import QueueEntry, write_queue
from appliance.tasks.folder import ANSWERS_FILE, SPLITS, Split, TaskFolder
from appliance.tasks.labels import LabelledRow, data_hash
from training.answers_file import read_answers
from training.curate.answer_checks import duplicates, wrong_form
from training.curate.doubts import Doubts, sort_out
from training.curate.evidence import as_printed
from training.curate.people import with_decisions
from training.curate.ranking import review_queue
from training.curate.slices import SliceLimits, SliceReport, capped, slice_reports
from training.curate.split import Together, split_rows
from training.curate.synthetic import MOST_SHARE, is_synthetic, with_synthetic
from training.curate.truth import judge_truth

if TYPE_CHECKING:
    from appliance.tasks.task import Task

FILTERS = ("form", "evidence", "duplicate", "truth")
"""In order; each sees only what the ones before let through, so later statistics rest on better rows."""
MOST_EXAMPLES = 3
Rejected = tuple[LabelledRow, list[str]]


@dataclass(frozen=True)
class CurationOptions:
    """How the rows are divided and limited."""

    validation: float = 0.15
    test: float = 0.15
    together: Together = Together.TEXT
    """What stays in one split."""
    limits: SliceLimits = field(default_factory=SliceLimits)
    synthetic_share: float = MOST_SHARE
    """Of the training rows that may be written by a teacher."""


@dataclass(frozen=True)
class Reason:
    """What was doubted how often."""

    rows: int
    examples: tuple[str, ...]
    """Documents, and what is said of each."""


@dataclass(frozen=True)
class FilterReport:
    """What one filter did."""

    name: str
    seen: int
    """Rows."""
    rejected: int
    masked: int
    """Values that are not learnt from, in rows that are kept."""
    reasons: dict[str, Reason]
    """Field, or nothing for whole rows -> what was doubted, the most frequent first."""


@dataclass(frozen=True)
class CurationReport:
    """What curation did with a task's answers."""

    rows: int
    rejected: int
    masked: int
    """Values that are not learnt from, in rows that are kept."""
    people: int
    """Rows whose answer is a person's."""
    synthetic: int
    """Training rows whose document a teacher wrote."""
    train: int
    validation: int
    test: int
    queue: int
    """Answers that a person should look at, those at random with them."""
    data_hash: str
    """SHA-256 of the training rows; part of the identity of every student trained on them."""
    filters: tuple[FilterReport, ...]
    slices: tuple[SliceReport, ...] = ()


@dataclass(frozen=True)
class FilteredRows:
    """What the filters left."""

    kept: list[LabelledRow]
    rejected: list[Rejected]
    """With reasons."""
    filters: tuple[FilterReport, ...]
    scores: Mapping[str, float]
    """Text -> values of its answer that are expected to be wrong."""


@dataclass(frozen=True)
class Curated:
    """All that curation makes of a task's answers."""

    report: CurationReport
    before: list[LabelledRow]
    """As they were collected."""
    splits: Mapping[Split, list[LabelledRow]]
    rejected: list[Rejected]
    queue: list[QueueEntry]


def filter_rows(task: "Task", rows: Sequence[LabelledRow]) -> FilteredRows:
    """Rows with the values that are not trusted named in them, rows that are rejected, and a report per filter."""
    passed: list[LabelledRow] = [replace(row, untrusted={}) for row in rows]
    rejected: list[Rejected] = []
    reports = []
    scores: Mapping[str, float] = {}
    for name in FILTERS:
        doubts: Doubts
        if name == "form":
            doubts = wrong_form(task, passed)
        elif name == "evidence":
            passed, doubts = as_printed(task, passed)
        elif name == "duplicate":
            doubts = duplicates(task, passed)
        else:
            truth = judge_truth(task, passed)
            doubts, scores = truth.doubts, truth.scores
        left = sort_out(task, passed, doubts)
        reports.append(FilterReport(name, len(passed), len(left.rejected), left.masked, _reasons(passed, doubts)))
        rejected += left.rejected
        passed = left.kept
    return FilteredRows(passed, rejected, tuple(reports), scores)


def _reasons(rows: Sequence[LabelledRow], doubts: Doubts) -> dict[str, Reason]:
    counts, examples = Counter[str](), dict[str, list[str]]()
    for number, some in doubts.items():
        for name in {doubt.field for doubt in some}:
            counts[name] += 1
            shown = examples.setdefault(name, [])
            if len(shown) < MOST_EXAMPLES:
                shown.append(f"{rows[number].document}: {next(d.reason for d in some if d.field == name)}")
    return {name: Reason(count, tuple(examples[name])) for name, count in counts.most_common()}


def curate(task: "Task", task_folder: Path, options: CurationOptions | None = None) -> Curated:
    """Filters `teacher/answers.jsonl` into `dataset/`; writes every row that came in, one way or the other.

    Raises:
        UsageError: There are no answers yet.
    """
    options = options or CurationOptions()
    if not (options.validation >= 0 and options.test >= 0 and options.validation + options.test < 1):
        raise UsageError("the shares of validation and test rows leave nothing to train on", "give less than 1 in sum")
    folder = TaskFolder(task_folder)
    if not folder.answers_path.is_file():
        raise UsageError(f"{task_folder.name} has no {ANSWERS_FILE}", "collect answers with `stillroom collect` first")
    before = read_answers(folder.answers_path)
    rows, rejected_by_people = with_decisions(before, read_decisions(folder.reviews_path))
    filtered = filter_rows(task, rows)
    real = [row for row in filtered.kept if not is_synthetic(row)]
    splits = split_rows(task, real, options.validation, options.test, options.together)
    train, beyond_share = with_synthetic(splits, list(filter(is_synthetic, filtered.kept)), options.synthetic_share)
    train, above_cap = capped(task, train, options.limits)
    splits = {**splits, "train": train}
    rejected = [*rejected_by_people, *filtered.rejected, *beyond_share, *above_cap]
    queue = review_queue(real, [each for each in rejected if not is_synthetic(each[0])], filtered.scores)
    for name in SPLITS:
        write_lines(folder.split_path(name), map(LabelledRow.line, splits[name]))
    write_lines(folder.rejected_path, (row.line(reasons=reasons) for row, reasons in rejected))
    write_queue(folder.queue_path, queue)
    kept = [row for name in SPLITS for row in splits[name]]
    report = CurationReport(
        len(before), len(rejected), sum(len(row.untrusted) for row in kept), sum(r.source == "person" for r in kept),
        sum(map(is_synthetic, kept)),
        len(splits["train"]), len(splits["validation"]), len(splits["test"]), len(queue),
        data_hash(splits["train"]), filtered.filters, slice_reports(task, splits, options.limits),
    )  # fmt: skip
    write_lines(folder.report_path, [json_text({"version": 2, **asdict(report)}, indent=2)])
    return Curated(report, before, splits, rejected, queue)
