"""`stillroom train`: a dataset to an adapter."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from appliance.errors import UsageError
from appliance.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.tasks.task import Task

Rate = float | Literal["auto", "default"]

ENCODER_OPTIONS = frozenset({"epochs", "rate", "rank", "balance", "seed"})


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
    "--balance",
    type=click.FloatRange(0, 2),
    help="Encoder: how far to take the labels' shares in the answers out; 1 where documents spread evenly over labels.",
)
@click.option("--seed", type=int, help="Of the adapter and the order of rows.")
@click.option("--resume", is_flag=True, help="Go on with the newest unfinished run, with the options it began with.")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as one JSON object.")
def command(
    task_folder: Path,
    epochs: int | None,
    seconds: float | None,
    rate: Rate | None,
    rank: int | None,
    batch_tokens: int | None,
    balance: float | None,
    seed: int | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Distil the student of TASK_FOLDER from its dataset/ into a new folder under runs/."""
    from appliance.tasks.task import load_task
    from training.run_folder import last_unfinished, new_run, write_record

    task = load_task(task_folder)
    given = {
        "epochs": epochs,
        "seconds": seconds,
        "rate": rate,
        "rank": rank,
        "batch_tokens": batch_tokens,
        "balance": balance,
        "seed": seed,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if resume and chosen:
        option = next(iter(chosen)).replace("_", "-")
        raise UsageError(f"--{option} cannot be given with --resume", "a resumed run keeps the options it began with")
    run_dir = last_unfinished(task_folder) if resume else new_run(task_folder)
    began = time.monotonic()
    best = train(load_task(run_dir) if resume else task, task_folder, run_dir, chosen)
    record = write_record(run_dir, best, time.monotonic() - began)
    if as_json:
        click.echo(json.dumps({"run": str(run_dir), **record}))
    else:
        click.echo(str(run_dir))


def train(task: "Task", task_folder: Path, run_dir: Path, chosen: "Mapping[str, object]") -> "dict[str, float | int]":
    """Trains the student of the task's family.

    Args:
        chosen: Options that replace defaults, by their names on the command line.

    Raises:
        UsageError: An option is not one of this family's.
    """
    if task.student.family == "encoder":
        from training.encoder import EncoderOptions, train_encoder

        unknown = sorted(set(chosen) - ENCODER_OPTIONS)
        if unknown or isinstance(chosen.get("rate"), str):
            what = f"no --{unknown[0].replace('_', '-')}" if unknown else "a number as --rate"
            raise UsageError(f"an encoder student takes {what}", "leave it out for the default")
        options = replace(EncoderOptions(), **chosen)  # type: ignore[arg-type]
        return train_encoder(task, task_folder, run_dir, options, _show)
    if "balance" in chosen:
        raise UsageError("a decoder student takes no --balance", "leave it out")
    from training.distill import distil
    from training.options import DistillOptions

    settings = {"learning_rate" if name == "rate" else name: value for name, value in chosen.items()}
    return distil(task, task_folder, run_dir, replace(DistillOptions(), **settings), _show)  # type: ignore[arg-type]


def _show(measurement: "Mapping[str, float | int]") -> None:
    parts = [f"epoch {measurement['epoch']}", f"loss {measurement['loss']:.4f}"]
    if "validation_values" in measurement:
        loss, values = measurement["validation_loss"], measurement["validation_values"]
        parts.append(f"validation: loss {loss:.4f}, whole values {values:.3f}")
    if "validation_accuracy" in measurement:
        parts.append(f"validation accuracy {measurement['validation_accuracy']:.3f}")
    parts.append(f"{measurement['seconds']:.0f} s")
    click.echo(printable("  ".join(parts)), err=True)
    sys.stderr.flush()
