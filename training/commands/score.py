"""`stillroom score`: a local teacher's logits for the training rows, stored beside them."""

from pathlib import Path

import click

from appliance.ground.command_line import NumberRange, json_option
from appliance.ground.output import print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.text import human_count, human_size, printable
from training.commands.teacher_options import FolderOrName


@click.command("score")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--teacher-model",
    type=FolderOrName(),
    required=True,
    metavar="DIR|NAME",
    help="Weights with the student's tokenizer and prompt: a folder, a run or task folder, or the name of a base.",
)
@click.option(
    "--top-k",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    metavar="N",
    help="Likeliest tokens that are stored of each distribution; the mass of all others is kept as one number.",
)
@click.option(
    "--temperature",
    type=NumberRange(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    metavar="T",
    help="Of the distributions that are stored.",
)
@json_option("what was stored as one JSON object")
def command(task_folder: Path, teacher_model: str, top_k: int, temperature: float, as_json: bool) -> None:
    """Store what a local teacher gives each token of TASK_FOLDER's training answers.

    The file lies beside the rows, in dataset/. `stillroom train --teacher-logits` learns from it without the teacher.
    """
    from appliance.tasks.taskfile import load_task
    from training.score import score

    with progress_line() as line:
        report = score(load_task(task_folder), task_folder, teacher_model, top_k, temperature, line)
    if as_json:
        print_json({**vars(report), "path": str(report.path)})
        return
    places, size = human_count(report.places, "distribution"), human_size(report.size_bytes)
    print_lines(
        f"{printable(str(report.path))}  {places} of {printable(report.teacher_model)}, {report.top_k} tokens each,"
        f" {size}; {report.missing_mass:.2%} of the mass is not theirs"
    )
