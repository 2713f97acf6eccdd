"""Options that several commands share."""

from collections.abc import Callable
from typing import Literal

import click

from appliance.ground.command_line import Command, NumberRange


def keep_text_option(owner: str) -> Callable[[Command], Command]:
    """The option `--keep-text`.

    Args:
        owner: What keeps the text, such as `job`.
    """
    return click.option(
        "--keep-text", type=click.Choice(["all", "none"]), default="all", show_default=True,
        envvar="STILLROOM_KEEP_TEXT", help=f"Whether the {owner} keeps the text of the documents.",
    )  # fmt: skip


def cap_option(unit: Literal["documents", "tokens", "money"], text: str) -> Callable[[Command], Command]:
    """The option `--cap-documents`, `--cap-tokens` or `--cap-money`.

    Args:
        text: What it caps, for the help.
    """
    if unit == "money":
        return click.option("--cap-money", type=NumberRange(min=0), metavar="MONEY", help=text)
    return click.option(f"--cap-{unit}", type=click.IntRange(min=0), metavar="N", help=text)


def detach_option(function: Command) -> Command:
    """The option `--detach` of what may take long."""
    return click.option("--detach", is_flag=True, help="Run in the background; it outlives this terminal.")(function)
