"""`stillroom train`: a dataset to an adapter."""

import os
import shutil
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from appliance.ground.command_line import NumberRange, Share, json_option
from appliance.ground.errors import ApplianceError, Interrupted, ResourceError, UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.processor import MOST_THREADS
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import load_settings
from appliance.ground.text import printable
from appliance.tasks.folder import RunFolder
from training.commands.compute_options import compute_options
from training.commands.teacher_options import teacher_options
from training.memory_pages import set_memory_defaults
from training.ranks import LAUNCHED_VARIABLE, RankLost, leave_ranks, of_first_rank, rank, rank_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from appliance.tasks.task import Task

Rate = float | Literal["auto", "default"]


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> Rate | None:
    if value in (None, "auto", "default"):
        return value  # type: ignore[return-value]
    try:
        return float(value)
    except ValueError as error:
        raise click.BadParameter(f"{value} is neither a number nor auto") from error


@click.command("train")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--base",
    metavar="NAME",
    help="Base model of this run in place of the task's: a name of `stillroom bases list`, or a folder.",
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the rows, at most.")
@click.option("--seconds", type=NumberRange(min=0, min_open=True), metavar="SECONDS", help="Time to train, at most.")
@click.option(
    "--rate",
    metavar="RATE",
    callback=_rate,
    help="Highest learning rate of the adapter, or `auto` to try three on the validation rows; by default that of a"
    " base that is known, else one found by a short test on the training rows.",
)
@click.option("--rank", type=click.IntRange(min=1), metavar="N", help="Rank of the adapter.")
@click.option(
    "--alpha", type=click.IntRange(min=1), metavar="N", help="The adapter's output is scaled by alpha / rank."
)
@click.option(
    "--dropout",
    type=NumberRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share of activations dropped in training.",
)
@click.option("--batch-tokens", type=click.IntRange(min=1), metavar="N", help="Tokens of a step, at most.")
@click.option("--batch-rows", type=click.IntRange(min=1), metavar="N", help="Rows of a step, at most.")
@click.option(
    "--field-dropout",
    type=Share(),
    metavar="SHARE",
    help="Decoder: share of the rows that an epoch shows with values taken out of document and answer, so that the"
    " student learns to leave fields empty; windows of long documents stay whole; 0.35 by default.",
)
@click.option(
    "--logit-adjustment",
    type=NumberRange(0, 2),
    metavar="FACTOR",
    help="Encoder: how much of the labels' shares in the answers is taken out of the logits, from 0 (the default) to 2;"
    " 1 fits documents that are spread evenly over the labels.",
)
@teacher_options
@compute_options
@click.option(
    "--threads",
    type=click.IntRange(min=1, max=MOST_THREADS),
    metavar="N",
    help="Threads of the computation, all processes together; by default those of STILLROOM_THREADS or config.toml.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the adapter and of the order of rows.")
@click.option(
    "--target",
    "targets",
    metavar="TARGET",
    multiple=True,
    help="What the student shall become, as `export` names it: refused now where the base cannot; can be repeated.",
)
@click.option("--resume", is_flag=True, help="Continue the newest unfinished run, with the options that it began with.")
@json_option("the run's record as one JSON object")
def command(
    task_folder: Path, processes: int, threads: int | None, resume: bool, as_json: bool, **options: object
) -> None:
    """Distil the student of TASK_FOLDER from its dataset/ into a new folder under runs/.

    `torchrun` and `accelerate launch` may start it, too, on one machine or on several that share the folder.
    """
    from appliance.tasks.taskfile import load_task
    from training.launch import launch
    from training.run_folder import (
        change_requested_options,
        exclusive_run,
        last_unfinished,
        new_run,
        read_requested_options,
        write_record,
    )

    set_memory_defaults()
    load_task(task_folder)
    requested = {name: value for name, value in options.items() if not _is_left_out(value)}
    if resume:
        _check_resumed(requested)
    if processes > 1 and rank_count() == 1:
        raise SystemExit(launch(processes, _command_line(click.get_current_context())))
    run_dir = task_folder
    if rank() == 0:
        run_dir = last_unfinished(task_folder) if resume else new_run(task_folder, requested)
    run_dir = Path(of_first_rank(str(run_dir)))
    began = time.monotonic()
    stored = read_requested_options(run_dir)
    with exclusive_run(run_dir) if rank() == 0 else nullcontext(), _resumable(task_folder, run_dir):
        if resume and requested and rank() == 0:
            change_requested_options(run_dir, requested)
        _use_threads(threads)
        best = train(load_task(run_dir), task_folder, run_dir, {**stored, **requested})
        record = write_record(run_dir, best, time.monotonic() - began) if rank() == 0 else {}
    leave_ranks()
    if rank():
        return
    if as_json:
        print_json({"run": str(run_dir), **record})
    else:
        print_lines(str(run_dir))


def _use_threads(threads: int | None) -> None:
    """Computes with the threads of the option, the environment or `config.toml`; each process with its part."""
    settings = load_settings(os.environ)
    threads = threads or (settings.threads if settings.names_threads else None)
    if threads:
        import torch

        torch.set_num_threads(max(1, threads // rank_count()))


def _check_resumed(requested: "Mapping[str, object]") -> None:
    """Refuses options that would make another run of one that is resumed."""
    from training.options import RESUMABLE_NAMES

    if changing := sorted(requested.keys() - RESUMABLE_NAMES):
        option = changing[0].replace("_", "-")
        raise UsageError(f"--{option} cannot be given with --resume", "leave it out: a resumed run keeps its options")


def _is_left_out(value: object) -> bool:
    """Whether an option was not given; 0 was."""
    return value is None or value is False or value == ()


def _command_line(context: click.Context) -> list[str]:
    """What was typed, without the number of processes."""
    words = ["train", str(context.params["task_folder"])]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in ("processes", "task_folder") or _is_left_out(value):
            continue
        for each in value if isinstance(value, tuple) else [value]:
            words += [parameter.opts[0]] if each is True else [parameter.opts[0], str(each)]
    return words


def _discard(run_dir: Path) -> None:
    """Deletes a run that never began, and the folder of runs that came with it."""
    shutil.rmtree(run_dir)
    with suppress(OSError):  # it holds others
        run_dir.parent.rmdir()


@contextmanager
def _resumable(task_folder: Path, run_dir: Path) -> "Iterator[None]":
    """Says how an ended run is resumed; takes away one that was refused before it began, which cannot be."""
    try:
        yield
    except RankLost as error:
        if rank() or os.environ.get(LAUNCHED_VARIABLE):  # who started the processes says which one ended, and how
            raise SystemExit(error.exit_code) from error
        hint = f"{error.hint}; then start them again with --resume"
        raise ResourceError(error.message, hint) from error
    except UsageError as error:
        if rank():  # rank 0 says it, too
            raise SystemExit(error.exit_code) from error
        if not RunFolder(run_dir).metrics_path.exists():
            _discard(run_dir)
        raise
    except KeyboardInterrupt as error:
        hint = f"`stillroom train {printable(str(task_folder))} --resume` continues it"
        raise Interrupted(f"the run {run_dir.name} was interrupted", hint) from error
    except ResourceError as error:
        if not RunFolder(run_dir).config_path.exists():  # refused before it began
            if rank() == 0:
                _discard(run_dir)
            raise
        hint = f"{error.hint}; then `stillroom train {printable(str(task_folder))} --resume` continues the run"
        raise ResourceError(error.message, hint) from error
    except ApplianceError:
        if rank() == 0 and not RunFolder(run_dir).config_path.exists():
            _discard(run_dir)
        raise


def train(
    task: "Task", task_folder: Path, run_dir: Path, requested: "Mapping[str, object]"
) -> "dict[str, float | int]":
    """Trains the student of the task's family with its defaults and the requested options.

    Args:
        requested: Options that replace defaults, by their names on the command line.

    Raises:
        UsageError: An option is for the other family, or invalid.
    """
    from training.options import options_for

    if "base" in requested:
        task = replace(task, student=replace(task.student, base=str(requested["base"])))
    targets = [str(target) for target in cast("Sequence[object]", requested.get("targets", ()))]
    training_options = {name: value for name, value in requested.items() if name not in ("base", "targets")}
    options = options_for(task.student.family, training_options)  # refused before the libraries are loaded
    from training.preflight import check_base_files
    from training.students.families import base_folder, check_kind
    from training.target_check import check_targets

    base_dir = base_folder(task)
    check_base_files(base_dir)
    check_kind(task.student.family, base_dir)
    check_targets(base_dir, targets, task.student.family, _ignore if rank() else note)
    from training.commands.run_display import run_display
    from training.distill import distil
    from training.loop import RunWatch

    with progress_line(in_logs=True) as line:
        return distil(task, task_folder, run_dir, options, RunWatch() if rank() else run_display(line))


def _ignore(sentence: str) -> None:
    """The first rank says it."""
