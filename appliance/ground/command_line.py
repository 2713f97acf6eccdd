"""Options and arguments that many commands share."""

import functools
import math
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from appliance.ground.settings import Settings, load_settings
from appliance.ground.shares import parse_share

P = ParamSpec("P")
R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., object])


def with_settings(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Gives a command the settings as its first argument; stands below its options."""

    @functools.wraps(function)
    def command(*arguments: P.args, **options: P.kwargs) -> R:
        return function(load_settings(os.environ), *arguments, **options)

    return command


def json_option(content: str = "the result as one JSON object") -> Callable[[Command], Command]:
    """The option `--json`, which a command takes as `as_json`.

    Args:
        content: What is printed then; `one JSON object per job` in a listing.
    """
    return click.option("--json", "as_json", is_flag=True, help=f"Print {content}.")


def yes_option(function: Command) -> Command:
    """The option `--yes` of what cannot be undone."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


class NamedPath(click.Path):
    """A path that is not empty.

    An empty word is what a script hands over whose variable is not set; as a path it would be the current folder.
    """

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # What click's own gives.
        """The path, or a usage error."""
        if not os.fspath(value):
            self.fail("the name is empty; is a variable not set?", param, ctx)
        return super().convert(value, param, ctx)


class NumberRange(click.FloatRange):
    """A number within bounds; `nan` is within none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # What click's own gives.
        """The number, or a usage error."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class Share(NumberRange):
    """A share from 0 to 1; where it looks like a percentage, the message says what to write.

    Args:
        zero: Whether 0 is one.
    """

    name = "share"

    def __init__(self, zero: bool = True) -> None:
        super().__init__(0, 1, min_open=not zero)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # What click's own gives.
        """The share, or a usage error."""
        if isinstance(value, str) and param is not None:
            parse_share(value, param.opts[0])
        return super().convert(value, param, ctx)
