"""The filters in order, the split, and a report of what each filter took out and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.tasks.folder import ANSWERS_FILE, SPLITS, TaskFolder
from appliance.tasks.labels import LabelledRow, data_hash, read_dataset
from training.curate.answer_checks import Findings, duplicates, wrong_form
from training.curate.evidence import not_in_text
from training.curate.split import split_rows
from training.curate.value_positions import misplaced

if TYPE_CHECKING:
    from appliance.tasks.task import Task

FILTERS: tuple[tuple[str, Callable[["Task", Sequence[LabelledRow]], Findings]], ...] = (
    ("form", wrong_form),
    ("evidence", not_in_text),
    ("duplicate", duplicates),
    ("place", misplaced),
)
"""In order; each sees only the rows that the ones before let through, so later statistics rest on better rows."""


@dataclass(frozen=True)
class FilterReport:
    """What one filter did."""

    name: str
    seen: int
    rejected: int
    reasons: dict[str, int]
    """Reason -> rows; a row can have several."""


@dataclass(frozen=True)
class CurationReport:
    """What became of the rows."""

    rows: int
    rejected: int
    train: int
    validation: int
    test: int
    data_hash: str
    """Of the training rows; goes into the model identity."""
    filters: tuple[FilterReport, ...]


def filter_rows(
    task: "Task", rows: Sequence[LabelledRow]
) -> tuple[list[LabelledRow], list[tuple[LabelledRow, list[str]]], tuple[FilterReport, ...]]:
    """Rows that pass, rows that do not with reasons, and a report per filter."""
    passed, rejected, reports = list(rows), [], []
    for name, check in FILTERS:
        findings = check(task, passed)
        reasons = Counter(reason for row_reasons in findings.values() for reason in row_reasons)
        reports.append(FilterReport(name, len(passed), len(findings), dict(reasons.most_common())))
        rejected += [(passed[number], row_reasons) for number, row_reasons in findings.items()]
        passed = [row for number, row in enumerate(passed) if number not in findings]
    return passed, rejected, tuple(reports)


def curate(task: "Task", task_folder: Path, validation: float = 0.15, test: float = 0.15) -> CurationReport:
    """Writes `dataset/{train,validation,test,rejected}.jsonl` and `dataset/report.json`.

    Raises:
        UsageError: There are no answers, or the shares leave nothing to train on.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(f"validation {validation} and test {test} leave nothing to train on", "try 0.15 and 0.15")
    folder = TaskFolder(task_folder)
    if not folder.answers_path.is_file():
        raise UsageError(f"{task_folder.name} has no {ANSWERS_FILE}", "import answers with `stillroom collect` first")
    rows = read_dataset(folder.answers_path)
    passed, rejected, filters = filter_rows(task, rows)
    splits = split_rows(task, passed, validation, test)
    for name in SPLITS:
        write_lines(folder.split_path(name), map(LabelledRow.line, splits[name]))
    write_lines(folder.rejected_path, (row.line(reasons=reasons) for row, reasons in rejected))
    sizes = {name: len(splits[name]) for name in SPLITS}
    report = CurationReport(len(rows), len(rejected), **sizes, data_hash=data_hash(splits["train"]), filters=filters)
    write_lines(folder.report_path, [json_text({"version": 1, **asdict(report)}, indent=2)])
    return report
