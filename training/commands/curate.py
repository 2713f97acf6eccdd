"""`stillroom curate`: teacher answers to a dataset."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import NamedPath, Share, json_option
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.text import human_count
from appliance.tasks.folder import TaskFolder
from training.curate.slices import SliceLimits
from training.curate.split import Together
from training.curate.synthetic import MOST_SHARE

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
@click.option(
    "--split-by",
    type=click.Choice([each.value for each in Together]),
    default=Together.TEXT.value,
    show_default=True,
    help="What is never divided between training and judging, besides groups and near duplicates: documents of one"
    " folder, or of one template (nearly the same once numbers are left out).",
)
@click.option(
    "--slice-cap", type=click.IntRange(min=0), default=0, metavar="N",
    help="At most N rows of one label or slice train; 0 means all. People's answers stay.",
)  # fmt: skip
@click.option(
    "--slice-floor", type=click.IntRange(min=0), default=0, metavar="N",
    help="Name labels and slices with fewer rows than N.",
)  # fmt: skip
@click.option(
    "--synthetic-share", type=Share(), default=MOST_SHARE, show_default=True, metavar="SHARE",
    help="Of the training rows that may be documents which a teacher wrote.",
)  # fmt: skip
@click.option("--html", "html_path", type=NamedPath(dir_okay=False, path_type=Path), help="Also write a page.")
@click.option("--values/--no-values", default=True, help="Whether the page holds values from the documents.")
@json_option("one JSON object")
def command(
    task_folder: Path,
    validation: float,
    test_share: float,
    split_by: str,
    slice_cap: int,
    slice_floor: int,
    synthetic_share: float,
    html_path: Path | None,
    values: bool,
    as_json: bool,
) -> None:
    """Filter the teacher's answers, and split them into a dataset.

    Reads TASK_FOLDER/teacher/answers.jsonl and writes TASK_FOLDER/dataset/. A value that is likely wrong is not learnt
    from, while the rest of its row is; rejected rows are kept with their reasons. `stillroom review` shows a person
    what is doubted. The exit code is 3 if no row is left to train on.
    """
    from appliance.tasks.taskfile import load_task
    from training.curate.pipeline import CurationOptions, curate

    task = load_task(task_folder)
    limits = SliceLimits(slice_cap, slice_floor)
    options = CurationOptions(validation, test_share, Together(split_by), limits, synthetic_share)
    curated = curate(task, task_folder, options)
    report = curated.report
    if html_path is not None:
        from appliance.quality.page import write_page
        from training.curate.data_page import data_page

        write_page(html_path, data_page(task, curated, values))
        note(f"page: {html_path}")
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
    people = f", {report.people:,} of them a person's" if report.people else ""
    people += f", {report.synthetic:,} written by a teacher" if report.synthetic else ""
    print_lines(f"{human_count(report.rows, 'row')}: {splits}{people}, {report.rejected} rejected")
    if report.masked:
        print_lines(f"{human_count(report.masked, 'value')} of rows that are kept not learnt from")
    for each in report.filters:
        values = f", {human_count(each.masked, 'value')} not learnt from" if each.masked else ""
        print_lines(f"  {each.name}: {each.rejected} of {each.seen} rejected{values}")
        for name, reason in list(each.reasons.items())[:SHOWN_REASONS]:
            print_lines(f"    {name or 'whole row'} {reason.rows} x, such as {reason.examples[0]}")
    for part in report.slices:
        if part.below_floor:
            rows = human_count(part.train + part.validation + part.test, "row")
            print_lines(f"  few rows: {part.name} has {rows}")
    if report.rejected:
        print_lines(f"rejected rows and reasons: {TaskFolder(task_folder).rejected_path}")
    if report.queue:
        note(f"{human_count(report.queue, 'answer')} to look at: `stillroom review list {task_folder}`")
