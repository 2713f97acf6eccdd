"""`stillroom gate`: an artifact on labelled rows, with a verdict in its manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import json_option, with_settings
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.text import human_count

if TYPE_CHECKING:
    from appliance.models.manifest import Manifest
    from appliance.quality.report import QualityReport
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


@click.command("gate")
@click.argument("task_folder", metavar="TASK", type=click.Path(exists=True, path_type=Path))
@click.argument("model")
@click.option(
    "--labels",
    "rows_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows as JSON Lines; default is dataset/test.jsonl of the task folder.",
)
@json_option("the report as one JSON object")
@with_settings
def command(settings: Settings, task_folder: Path, model: str, rows_path: Path | None, as_json: bool) -> None:
    """Judge MODEL (artifact folder, name or identity) on labelled rows of TASK (a task file or folder).

    The verdict is READY, NOT READY or NEED n MORE, and goes into the artifact's manifest. The exit code is 3 where it
    is not READY. Rows whose text is in dataset/train.jsonl of the task folder are left out.
    """
    from appliance.models.manifest import verify_artifact
    from appliance.models.selection import choose_model
    from appliance.quality.gate import write_verdict
    from appliance.tasks.folder import TaskFolder
    from appliance.tasks.labels import check_field_names, read_labels, without_training_rows
    from appliance.tasks.taskfile import load_task

    task = load_task(task_folder)
    folder = TaskFolder.of(task_folder)
    rows_path = rows_path or folder.split_path("test")
    labelled_rows = read_labels(rows_path)
    check_field_names(task, labelled_rows)  # before the engine spends time on them
    rows = without_training_rows(labelled_rows, folder.split_path("train"))
    if len(rows) < len(labelled_rows):
        note(f"{len(labelled_rows) - len(rows)} of {len(labelled_rows)} rows left out: the model was trained on them")
    artifact_dir, _ = choose_model(settings, task, model)
    manifest = verify_artifact(artifact_dir)
    report = _judge(settings, task, rows, artifact_dir)
    verdict = write_verdict(artifact_dir, manifest, report, rows_path)
    _print_report(manifest, report, as_json)
    if not report.readiness.ready:
        raise NotAllGood(
            f"the verdict on {manifest.name} is {verdict.verdict}: {report.readiness.reason}", report.readiness.advice
        )


def _judge(settings: Settings, task: "Task", rows: "list[LabelledRow]", artifact_dir: Path) -> "QualityReport":
    """Lets the artifact's own engine answer all rows; one that kills it has no answer, which counts as wrong."""
    from appliance.answering.lease import ENGINE_QUEUED
    from appliance.answering.local import answer_texts
    from appliance.engines.engine import ENGINE_DIED
    from appliance.quality.gate import judge_results

    with progress_line() as line:
        results = answer_texts(
            settings, artifact_dir, task, [row.text for row in rows],
            line, lambda: note(ENGINE_QUEUED),
        )  # fmt: skip
    if crashes := sum(result.error == ENGINE_DIED for result in results):
        note(f"the engine died on {human_count(crashes, 'row')}, counted as wrong")
    return judge_results(task, rows, results)


def _print_report(manifest: "Manifest", report: "QualityReport", as_json: bool) -> None:
    if as_json:
        print_json({"model": manifest.name, "identity": manifest.identity, **report.record()})
    else:
        print_lines(*report.lines())
