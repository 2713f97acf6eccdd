"""Another verb of the command line, run in this process: how training reaches what only an export knows."""

import contextlib
import io


def call_verb(*arguments: str) -> str:
    """Runs a verb through the command table, and gives what it printed."""
    from appliance.cli import stillroom

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        stillroom.main(list(arguments), prog_name="stillroom", standalone_mode=False)
    return printed.getvalue()
