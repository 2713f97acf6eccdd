"""The options of `stillroom train` that say what is learnt from a local teacher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance.ground.command_line import NamedPath, NumberRange, Share

Command = Callable[..., Any]
LOSS_NAMES = ("cross-entropy", "forward-kl", "reverse-kl", "jsd")
"""As in `training/distillation_options.py`, which says what they are."""


class FolderOrName(click.ParamType[str]):
    """A folder as an absolute path, so that a run can be resumed from elsewhere; any other word as it is."""

    name = "folder or name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The folder or the name, or a usage error."""
        if not value:
            self.fail("the name is empty; is a variable not set?", param, ctx)
        folder = Path(value).expanduser()
        return str(folder.resolve()) if folder.is_dir() else value


class ExistingFile(NamedPath):
    """A file that is there, as an absolute path."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, resolve_path=True)


_OPTIONS = (
    click.option(
        "--teacher-model",
        type=FolderOrName(),
        metavar="DIR|NAME",
        help="Decoder: learn from the distributions of these weights: a folder, a run or task folder (its merged"
        " student), or the name of a base. They must have the student's tokenizer and prompt.",
    ),
    click.option(
        "--teacher-logits",
        type=ExistingFile(),
        metavar="FILE",
        help="Decoder: learn from a teacher's likeliest tokens, as `stillroom score` stored them for these rows; what"
        " all others had together counts as one more. Documents with values taken out have only their labels.",
    ),
    click.option(
        "--loss",
        type=click.Choice(LOSS_NAMES),
        metavar="LOSS",
        help="What is made small: `cross-entropy` to the labels (the default without a teacher), or how far the student"
        " is from the teacher: `forward-kl` (the default with one), `reverse-kl`, or `jsd`, the generalised"
        " Jensen-Shannon divergence.",
    ),
    click.option(
        "--temperature",
        type=NumberRange(0, 100, min_open=True),
        metavar="T",
        help="Both distributions' logits are divided by it; the divergence is multiplied by its square. By"
        " default 2 for forward-kl, 1 for the others.",
    ),
    click.option(
        "--beta",
        type=NumberRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Of jsd: the teacher's share of the mixture that both are compared with; 0.5 by default.",
    ),
    click.option(
        "--teacher-share",
        type=NumberRange(0, 1, min_open=True),
        metavar="SHARE",
        help="Share of the divergence in the loss; the rest is cross entropy to the labels. 1 by default.",
    ),
    click.option(
        "--on-policy",
        type=Share(),
        metavar="SHARE",
        help="Share of the steps in which the student writes the answers itself, within its grammar, and the teacher"
        " scores them (the lambda of generalised knowledge distillation); 0 by default.",
    ),
)


def teacher_options(command: Command) -> Command:
    """All of them, in the order in which the help shows them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
