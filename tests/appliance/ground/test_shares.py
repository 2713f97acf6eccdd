"""Shares from 0 to 1: what lies outside is refused wherever it can be given, and a percentage gets its share."""

import math
from pathlib import Path

import click
import pytest

from appliance.commands.compare import command as compare_command
from appliance.commands.fallback_options import FallbackOptions, chosen_fallback
from appliance.commands.run import command as run_command
from appliance.ground.errors import UsageError
from appliance.ground.settings import load_settings
from appliance.ground.shares import check_share, parse_share
from appliance.jobs.frontiers import fallback_config
from appliance.jobs.job_plan import JobRequest
from appliance.tasks.taskfile import load_task
from tests.noop_fixtures import TASK

OUTSIDE = [
    "80",
    "80%",
    "0,8",
    "1.5",
    "100",
    "-0.1",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "1e400",
    "",
    " ",
    "often",
    "1.0000001",
]


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("1", 1.0), (" 0.8 ", 0.8), ("1e-3", 0.001), ("-0", 0.0)])
def test_share_is_read(text: str, value: float) -> None:
    assert parse_share(text, "--threshold") == value


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--threshold .* is (not|neither) a number") as caught:
        parse_share(text, "--threshold", "auto")
    assert "auto" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("80", "80 looks like a percentage: write 0.8"),
        ("97.5", "97.5 looks like a percentage: write 0.975"),
        ("80%", "80 looks like a percentage: write 0.8"),
        ("80 %", "80 looks like a percentage: write 0.8"),
        ("0.5%", "write 0.005"),
        ("0,8", "write 0.8"),
        ("80,5", "80.5 looks like a percentage: write 0.805"),
        ("1.05", "give a number from 0 to 1, such as 0.8"),
        ("2%", "2 looks like a percentage: write 0.02"),
        ("8000", "give a number from 0 to 1, such as 0.8"),
        ("nan", "give a number from 0 to 1, such as 0.8"),
    ],
)
def test_hint_names_the_share_that_was_meant(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_share(text, "--threshold")
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", OUTSIDE)
@pytest.mark.parametrize("is_preview", [False, True])
def test_run_refuses_a_threshold_outside_before_anything_else(tmp_path: Path, text: str, is_preview: bool) -> None:
    settings = load_settings({"STILLROOM_HOME": str(tmp_path / "home")})
    request = JobRequest(tmp_path / "task.toml", tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="--threshold"):
        chosen_fallback(settings, request, FallbackOptions("far", text), is_preview)


@pytest.mark.parametrize("threshold", [80.0, -1.0, 1.001, math.nan, math.inf])
def test_threshold_of_a_job_file_is_refused_when_the_job_goes_on(tmp_path: Path, threshold: float) -> None:
    (tmp_path / "task.toml").write_text(TASK)
    settings = load_settings({"STILLROOM_HOME": str(tmp_path / "home")})
    with pytest.raises(UsageError, match=r"the threshold .* is not a number from 0 to 1"):
        fallback_config(settings, load_task(tmp_path), "far", threshold)


def test_computed_threshold_above_every_confidence_is_taken() -> None:
    assert check_share(1.0 + 1e-6, "the threshold", most=1.0 + 1e-6) == 1.0 + 1e-6


@pytest.mark.parametrize("text", ["2", "nan", "inf", "-1", "2%"])
def test_margin_of_a_comparison_is_a_share(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--margin"):
        compare_command.make_context("compare", [str(tmp_path), str(tmp_path), "--margin", text])


@pytest.mark.parametrize(
    ("command", "option"),
    [(compare_command, "--worth"), (compare_command, "--price-per-hour"), (compare_command, "--cap-money")]
    + [(run_command, option) for option in ("--budget", "--cap-money", "--settle")],
)
def test_no_option_takes_nan_for_a_number(command: click.Command, option: str, tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="nan is not a number"):
        command.make_context("run", [str(tmp_path), str(tmp_path), option, "nan"])
