"""`stillroom doctor`: whether this machine has what the appliance needs, and what to do where it has not."""

import textwrap
from dataclasses import asdict

import click

from appliance.ground.command_line import json_option
from appliance.ground.errors import ResourceError
from appliance.ground.output import flush_lines, print_json, print_lines
from appliance.ground.text import human_count, printable

_WIDTH = 80
_NAME_WIDTH = 13


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Compare sizes of model files instead of hashes.")
@json_option("one JSON object")
def command(quick: bool, as_json: bool) -> None:
    """Examine the machine, the program and the stored state.

    Says what to do about each problem. The exit code is 4 if a check fails; warnings alone give 0.
    """
    from appliance.diagnosis.check import CheckState, worst
    from appliance.diagnosis.examination import examine

    checks = []
    for check in examine(quick):
        checks.append(check)
        if not as_json:
            print_lines(*_check_lines(check.state.value, check.name, check.message, check.advice))
            flush_lines()
    if as_json:
        print_json({"state": worst(checks), "checks": [asdict(check) for check in checks]})
    failed = [check for check in checks if check.state is CheckState.FAIL]
    if failed:
        names = ", ".join(check.name for check in failed)
        raise ResourceError(f"{len(failed)} of {human_count(len(checks), 'check')} failed: {names}", failed[0].advice)


def _check_lines(state: str, name: str, message: str, advice: str) -> list[str]:
    """A finding on lines of at most 80 columns."""
    lines = _wrapped(f"{state:4}  {name:{_NAME_WIDTH}}  ", message)
    if advice:
        lines += _wrapped(f"{'':4}  {'do:':>{_NAME_WIDTH}}  ", advice)
    return lines


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        printable(text), _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip
