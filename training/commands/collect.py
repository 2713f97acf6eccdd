"""`stillroom collect`: teacher answers into a task folder."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from appliance.documents.sandbox import ReaderLimits
from appliance.ground.command_line import json_option
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.settings import load_settings
from appliance.ground.text import human_count
from appliance.tasks.folder import ANSWERS_FILE
from training.collect import Documents, collect_recorded

SHOWN_PROBLEMS = 10


@click.command("collect")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--recorded",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answers as JSON Lines, or as CSV if the name ends in .csv.",
)
@click.option(
    "--documents",
    "documents_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that the paths in `document` are relative to.",
)
@click.option("--teacher", default="", metavar="NAME", help="Name of the teacher, for records without one.")
@json_option("one JSON object")
def command(task_folder: Path, recorded: Path, documents_dir: Path | None, teacher: str, as_json: bool) -> None:
    """Import a teacher's recorded answers.

    They go into TASK_FOLDER/teacher/answers.jsonl. Records that cannot be used are named, and the exit code is 3; the
    others are imported. Documents are read by the same confined readers as in `stillroom run`.
    """
    from appliance.tasks.taskfile import load_task

    documents = Documents()
    if documents_dir is not None:
        documents = Documents(documents_dir, ReaderLimits(policy=load_settings(os.environ).sandbox))
    done = collect_recorded(load_task(task_folder), task_folder, recorded, documents, teacher)
    if as_json:
        print_json(asdict(done), ascii_only=False)
    else:
        imported = human_count(done.imported, "answer")
        counts = f"{imported} imported, {done.known} already there, {len(done.bad)} not usable"
        print_lines(f"{counts}: {task_folder / ANSWERS_FILE}")
    note(*done.bad[:SHOWN_PROBLEMS])
    if done.bad:
        more = len(done.bad) - SHOWN_PROBLEMS
        tail = f", {more} of them not shown" if more > 0 else ""
        unusable = "1 recorded answer is" if len(done.bad) == 1 else f"{len(done.bad):,} recorded answers are"
        message = f"{unusable} not usable{tail}"
        raise NotAllGood(message, "correct these lines, then import again")
