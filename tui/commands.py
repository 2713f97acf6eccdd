"""`stillroom tui`: checks the terminal before Textual is imported, runs the screens, and says which jobs continue."""

import os
import sys
from pathlib import Path

import click

from appliance.ground.errors import ResourceError
from appliance.ground.output import note
from appliance.ground.settings import load_settings

_REMEDY = "run it in a terminal (`ssh -t`); `stillroom jobs list` and `stillroom models list` print the same as text"


@click.command("tui")
@click.option(
    "--ascii", "ascii_only", is_flag=True,
    help="Draw with ASCII characters only; the default where the locale is not UTF-8.",
)  # fmt: skip
@click.option(
    "--mouse", is_flag=True, help="Use the mouse; after a broken connection the terminal may go on sending mouse codes."
)
@click.option(
    "--task", "task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Task folder whose teacher, and whose doubted answers, there is a tab for.",
)  # fmt: skip
def command(ascii_only: bool, mouse: bool, task_folder: Path | None) -> None:
    """Work with models, jobs and comparisons on a terminal screen; with a task folder also with its teacher.

    It can be closed at any time; jobs and comparisons run in processes of their own.
    """
    check_terminal(dict(os.environ))
    settings = load_settings(os.environ)
    # The screens import Textual, which the other verbs must not wait for.
    from tui.app import StillroomApp

    app = StillroomApp(settings, ascii_only or not _takes_unicode(), task_folder)
    app.run(mouse=mouse)
    if app.failure is not None:
        raise app.failure
    if active_jobs := app.snapshot.active_jobs:
        jobs = "1 job continues" if active_jobs == 1 else f"{active_jobs} jobs continue"
        note(f"{jobs} in the background: `stillroom jobs list` shows the progress")
    if active_comparisons := app.snapshot.active_comparisons:
        comparisons = (
            "1 comparison continues" if active_comparisons == 1 else f"{active_comparisons} comparisons continue"
        )
        note(f"{comparisons} in the background: `stillroom comparisons list` shows the progress")


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
            raise ResourceError(f"`stillroom tui` needs a terminal; {name} is not one", _REMEDY)
    if environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise ResourceError(
            f"`stillroom tui` needs a terminal with a movable cursor; TERM is {environ.get('TERM') or 'not set'}",
            _REMEDY,
        )
