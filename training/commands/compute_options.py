"""Options of `stillroom train` that say how the machine is used."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def compute_options(command: F) -> F:
    """Adds them to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        metavar="N",
        default=1,
        show_default=True,
        help="Processes that train together on this machine; with GPUs, one for each.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16"]),
        metavar="PRECISION",
        help="Of weights and forward pass: float32, bfloat16, or `auto` (the default) for what is faster here.",
    ),
    click.option(
        "--micro-batch-tokens",
        type=click.IntRange(min=1),
        metavar="N",
        help="Tokens of one pass through the model, at most; a step of more is summed over several passes. Fewer need"
        " less memory.",
    ),
    click.option(
        "--checkpointing",
        is_flag=True,
        help="Compute each layer again on the way back instead of keeping it: less memory, about a fifth slower.",
    ),
    click.option(
        "--train-layers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Decoder: train the last N layers only; what lies below is computed once for each row and kept.",
    ),
    click.option(
        "--load-in-4bit",
        is_flag=True,
        help="Decoder on a GPU: hold the frozen base in four bits (NF4); needs bitsandbytes.",
    ),
    click.option(
        "--shard-base",
        is_flag=True,
        help="Decoder: each process holds a part of the frozen base (FSDP), for a base that no single GPU holds.",
    ),
)
