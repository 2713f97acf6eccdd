"""Paths on the command line."""

import os
from typing import Any

import click


class NamedPath(click.Path):
    """A path that is not empty.

    An empty word is what a script hands over whose variable is not set; as a path it would be the current folder.
    """

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # What click's own gives.
        """The path, or a usage error."""
        if not os.fspath(value):
            self.fail("the name is empty: a variable that is not set?", param, ctx)
        return super().convert(value, param, ctx)
