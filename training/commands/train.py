"""`stillroom train`: a dataset to an adapter."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from appliance.ground.command_line import json_option
from appliance.ground.errors import Interrupted, ResourceError, UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from appliance.tasks.task import Task

Rate = float | Literal["auto", "default"]

ENCODER_OPTIONS = frozenset({"epochs", "rate", "rank", "balance", "seed"})
ADAPTER_OPTIONS = frozenset({"rank", "seed"})
METRICS = "metrics.jsonl"


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> Rate | None:
    if value in (None, "auto", "default"):
        return value  # type: ignore[return-value]
    try:
        return float(value)
    except ValueError as error:
        raise click.BadParameter(f"{value} is neither a number nor auto") from error


@click.command("train")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the rows, at most.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Time to train, at most.")
@click.option("--rate", callback=_rate, help="Highest learning rate, or `auto` to try three on the validation rows.")
@click.option("--rank", type=click.IntRange(min=1), help="Rank of the adapter.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens of a step.")
@click.option(
    "--absent-share",
    type=click.FloatRange(0, 1),
    help="Decoder: share of the rows that an epoch shows with values taken out of document and answer, so that the"
    " student learns to leave fields empty; 0.35 where it is not given.",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 2),
    help="Encoder: how far to take the labels' shares in the answers out; 1 where documents spread evenly over labels.",
)
@click.option("--seed", type=int, help="Of the adapter and the order of rows.")
@click.option("--resume", is_flag=True, help="Go on with the newest unfinished run, with the options it began with.")
@json_option("the run's record as one JSON object")
def command(
    task_folder: Path,
    epochs: int | None,
    seconds: float | None,
    rate: Rate | None,
    rank: int | None,
    batch_tokens: int | None,
    absent_share: float | None,
    balance: float | None,
    seed: int | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Distil the student of TASK_FOLDER from its dataset/ into a new folder under runs/."""
    from appliance.tasks.taskfile import load_task
    from training.run_folder import held, last_unfinished, new_run, read_chosen, write_record

    load_task(task_folder)
    given = {
        "epochs": epochs,
        "seconds": seconds,
        "rate": rate,
        "rank": rank,
        "batch_tokens": batch_tokens,
        "absent_share": absent_share,
        "balance": balance,
        "seed": seed,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if resume and chosen:
        option = next(iter(chosen)).replace("_", "-")
        raise UsageError(f"--{option} cannot be given with --resume", "a resumed run keeps the options it began with")
    run_dir = last_unfinished(task_folder) if resume else new_run(task_folder, chosen)
    began = time.monotonic()
    with held(run_dir), _ended_well(task_folder, run_dir):
        best = train(load_task(run_dir), task_folder, run_dir, read_chosen(run_dir))
        record = write_record(run_dir, best, time.monotonic() - began)
    if as_json:
        print_json({"run": str(run_dir), **record})
    else:
        print_lines(str(run_dir))


@contextmanager
def _ended_well(task_folder: Path, run_dir: Path) -> "Iterator[None]":
    """Takes away a run that was refused before it began, which --resume would take for one to go on with."""
    try:
        yield
    except KeyboardInterrupt as error:
        hint = f"`stillroom train {printable(str(task_folder))} --resume` goes on with it"
        raise Interrupted(f"the run {run_dir.name} is interrupted", hint) from error
    except ResourceError as error:
        hint = f"{error.hint}; then `stillroom train {printable(str(task_folder))} --resume` goes on"
        raise ResourceError(error.message, hint) from error
    except UsageError:
        if not (run_dir / METRICS).exists():
            shutil.rmtree(run_dir)
        raise


def train(task: "Task", task_folder: Path, run_dir: Path, chosen: "Mapping[str, object]") -> "dict[str, float | int]":
    """Trains the student of the task's family.

    Args:
        chosen: Options that replace defaults, by their names on the command line.

    Raises:
        UsageError: An option is not one of this family's.
    """
    from training.options import AdapterOptions, DistillOptions

    shared = {name: value for name, value in chosen.items() if name in ADAPTER_OPTIONS}
    others = {name: value for name, value in chosen.items() if name not in ADAPTER_OPTIONS}
    adapter = AdapterOptions(**shared)  # type: ignore[arg-type]
    if task.student.family == "encoder":
        from training.encoder import EncoderOptions, train_encoder

        unknown = sorted(set(chosen) - ENCODER_OPTIONS)
        if unknown or isinstance(chosen.get("rate"), str):
            what = f"no --{unknown[0].replace('_', '-')}" if unknown else "a number as --rate"
            raise UsageError(f"an encoder student takes {what}", "leave it out for the default")
        encoder = replace(EncoderOptions(adapter=adapter), **others)  # type: ignore[arg-type]
        return train_encoder(task, task_folder, run_dir, encoder, _show)
    if "balance" in chosen:
        raise UsageError("a decoder student takes no --balance", "leave it out")
    from training.distill import distil

    settings = {"learning_rate" if name == "rate" else name: value for name, value in others.items()}
    options = replace(DistillOptions(adapter=adapter), **settings)  # type: ignore[arg-type]
    return distil(task, task_folder, run_dir, options, _show)


def _show(measurement: "Mapping[str, float | int]") -> None:
    parts = [f"epoch {measurement['epoch']}", f"loss {measurement['loss']:.4f}"]
    if "validation_values" in measurement:
        loss, values = measurement["validation_loss"], measurement["validation_values"]
        parts.append(f"validation: loss {loss:.4f}, whole values {values:.3f}")
    if "validation_accuracy" in measurement:
        parts.append(f"validation accuracy {measurement['validation_accuracy']:.3f}")
    parts.append(f"{measurement['seconds']:.0f} s")
    note("  ".join(parts))
