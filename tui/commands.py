"""`stillroom tui`: checks the terminal before Textual is imported, runs the screens, says what goes on without them."""

import os
import sys

import click

from appliance.ground.errors import ResourceError
from appliance.ground.settings import load_settings

_LIST = "`stillroom jobs list` and `stillroom models list` tell the same as text"


@click.command("tui")
@click.option(
    "--ascii", "ascii_only", is_flag=True,
    help="Draw with ASCII characters only; happens by itself where the locale is not UTF-8.",
)  # fmt: skip
@click.option(
    "--mouse", is_flag=True, help="Listen to the mouse; a line that breaks then leaves the terminal listening."
)
def command(ascii_only: bool, mouse: bool) -> None:
    """Work with models, jobs and comparisons on a terminal screen.

    It can be closed at any time; jobs and comparisons run in processes of their own.
    """
    check_terminal(dict(os.environ))
    settings = load_settings(dict(os.environ))
    # The screens import Textual, which the other verbs must not wait for.
    from tui.app import StillroomApp

    app = StillroomApp(settings, ascii_only or not _takes_unicode())
    app.run(mouse=mouse)
    if app.failure is not None:
        raise app.failure
    if active_jobs := app.snapshot.active_jobs:
        told = "1 job goes on" if active_jobs == 1 else f"{active_jobs} jobs go on"
        sys.stderr.write(f"{told}: `stillroom jobs list` shows how far\n")
    if active_comparisons := app.snapshot.active_comparisons:
        told = "1 comparison goes on" if active_comparisons == 1 else f"{active_comparisons} comparisons go on"
        sys.stderr.write(f"{told}: `stillroom comparisons list` shows how far\n")


def _takes_unicode() -> bool:
    """Whether the locale lets Textual write more than ASCII; it writes to stderr."""
    encoding = sys.__stderr__.encoding if sys.__stderr__ else ""
    return encoding.lower().replace("-", "").startswith("utf")


def check_terminal(environ: dict[str, str]) -> None:
    """Refuses where no screen can be drawn.

    Raises:
        ResourceError: There is no terminal, or one that cannot move its cursor.
    """
    # Textual draws on stderr, so all three must be the terminal.
    for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout), ("stderr", sys.stderr)):
        if stream is None or not stream.isatty():
            raise ResourceError(f"the screens need a terminal, {name} is none", _LIST)
    if environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise ResourceError(
            f"the screens need a terminal that can move its cursor, TERM is {environ.get('TERM') or 'not set'}", _LIST
        )
