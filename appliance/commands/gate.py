"""`stillroom gate`: an artifact on labelled rows, with a verdict in its manifest."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.errors import NotAllGood
from appliance.ground.settings import load_settings
from appliance.ground.text import human_count, printable

if TYPE_CHECKING:
    from appliance.models.manifest import Manifest
    from appliance.quality.report import QualityReport
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


@click.command("gate")
@click.argument("task_folder", metavar="TASK", type=click.Path(exists=True, path_type=Path))
@click.argument("model")
@click.option(
    "--rows",
    "rows_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows as JSON Lines; default is dataset/test.jsonl of the task folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(task_folder: Path, model: str, rows_path: Path | None, as_json: bool) -> None:
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

    settings = load_settings(dict(os.environ))
    task = load_task(task_folder)
    folder = TaskFolder.of(task_folder)
    rows_path = rows_path or folder.split_path("test")
    given = read_labels(rows_path)
    check_field_names(task, given)  # before the engine spends time on them
    rows = without_training_rows(given, folder.split_path("train"))
    if len(rows) < len(given):
        click.echo(f"{human_count(len(given) - len(rows), 'training row')} left out of {len(given)} rows", err=True)
    artifact_dir, _ = choose_model(settings, task, model)
    manifest = verify_artifact(artifact_dir)
    found = _judge(task, rows, artifact_dir, settings.threads)
    verdict = write_verdict(artifact_dir, manifest, found, rows_path)
    _tell(manifest, found, as_json)
    if not found.readiness.ready:
        raise NotAllGood(
            f"the verdict on {manifest.name} is {verdict.verdict}: {found.readiness.reason}", found.readiness.advice
        )


def _judge(task: "Task", rows: "list[LabelledRow]", artifact_dir: Path, threads: int) -> "QualityReport":
    """Lets the artifact's own engine answer all rows."""
    from appliance.engines.open import open_engine
    from appliance.quality.gate import answer_all, judge_results

    engine = open_engine(artifact_dir, task, threads)
    shown = sys.stderr.isatty()

    def tell(answered: int) -> None:
        if shown:
            click.echo(f"\r{answered} of {human_count(len(rows), 'row')} answered", err=True, nl=answered == len(rows))

    try:
        return judge_results(task, rows, answer_all(engine, rows, tell))
    finally:
        engine.close()


def _tell(manifest: "Manifest", found: "QualityReport", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"model": manifest.name, "identity": manifest.identity, **found.record()}))
        return
    for line in found.lines():
        click.echo(printable(line))
