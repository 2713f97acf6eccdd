"""`stillroom curate`: teacher answers to a dataset."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import json_option
from appliance.ground.errors import NotAllGood
from appliance.ground.output import print_json, print_lines
from appliance.ground.text import human_count
from appliance.tasks.folder import TaskFolder

if TYPE_CHECKING:
    from training.curate.pipeline import CurationReport

SHOWN_REASONS = 3


@click.command("curate")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--validation",
    metavar="SHARE",
    default=0.15,
    show_default=True,
    help="Share of the rows on which the best epoch is chosen.",
)
@click.option(
    "--test",
    "test_share",
    metavar="SHARE",
    default=0.15,
    show_default=True,
    help="Share of the rows on which the student is judged.",
)
@json_option("one JSON object")
def command(task_folder: Path, validation: float, test_share: float, as_json: bool) -> None:
    """Filter the teacher's answers and split them into a dataset.

    Reads TASK_FOLDER/teacher/answers.jsonl and writes TASK_FOLDER/dataset/. Rejected rows are kept there with their
    reasons; the exit code is 3 if none is left to train on.
    """
    from appliance.tasks.taskfile import load_task
    from training.curate.pipeline import curate

    report = curate(load_task(task_folder), task_folder, validation, test_share)
    if as_json:
        print_json(asdict(report), ascii_only=False)
    else:
        _print_report(report, task_folder)
    if not report.train:
        rejected = f"the reasons are in {TaskFolder(task_folder).rejected_path}"
        raise NotAllGood(
            f"no row is left to train on ({human_count(report.rows, 'row')} read, {report.rejected:,} rejected)",
            rejected if report.rejected else "collect answers first",
        )


def _print_report(report: "CurationReport", task_folder: Path) -> None:
    splits = f"{report.train} train, {report.validation} validation, {report.test} test"
    print_lines(f"{human_count(report.rows, 'row')}: {splits}, {report.rejected} rejected")
    for filter_report in report.filters:
        print_lines(f"  {filter_report.name}: {filter_report.rejected} of {filter_report.seen} rejected")
        for reason, rows in list(filter_report.reasons.items())[:SHOWN_REASONS]:
            print_lines(f"    {rows} x {reason}")
    if report.rejected:
        print_lines(f"rejected rows and reasons: {TaskFolder(task_folder).rejected_path}")
