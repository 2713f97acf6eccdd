"""Pieces of lines, the pace of jobs, and the commands that the screens name."""

import re
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from appliance.cli import stillroom
from appliance.ground.text import printable
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State
from tui.data.document_pages import pages_of
from tui.data.job_speed import JobSpeed, SpeedMeter, rough_duration, speed_text, time_left_text
from tui.text.cells import Cell, fit, strip_of, wrap, wrap_line

TEXTS = {
    "plain": "a short name.txt",
    "long": "folder/" + "part-" * 40 + "end.txt",
    "wide": "\u9818\u53ce\u66f8" * 30,
    "marks-without-width": "\u0301" * 300 + "abc" * 50,
    "escapes": "\x1b[2J\x1b]0;x\x07" * 20,
    "tabs": "a\tb\tc" * 20,
    "emoji": "\N{GRINNING FACE}" * 45,
    "empty": "",
}
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [1, 2, 7, 40, 78])
def test_fitted_text_takes_exactly_its_cells_and_is_safe(text: str, width: int) -> None:
    for cut_start in (False, True):
        fitted = fit(text, width, cut_start=cut_start)
        assert cell_len(fitted) == width
        assert fitted == printable(fitted)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [4, 20, 78])
def test_wrapped_text_loses_nothing_and_never_exceeds_the_width(text: str, width: int) -> None:
    pieces = wrap(text, width)
    assert "".join(pieces) == printable(text.expandtabs(4))
    assert all(cell_len(piece) <= width for piece in pieces)


def test_text_is_wrapped_after_a_blank() -> None:
    assert wrap("one two three four", 10) == ["one two ", "three four"]


def test_lines_after_the_first_are_indented() -> None:
    rows = wrap_line([Cell("label  "), Cell("word " * 8)], 20, indent=7)
    shown = ["".join(cell.text for cell in row) for row in rows]
    assert shown == ["label  word word ", "       word word ", "       word word ", "       word word "]


def test_strip_is_as_wide_as_the_screen_whatever_it_holds() -> None:
    for text in TEXTS.values():
        assert strip_of([Cell(text)], 40).cell_length == 40


@pytest.mark.parametrize(
    ("rows", "pages"),
    [(range(0, 0), []), (range(0, 12), [0]), (range(95, 107), [0, 1]), (range(88, 100), [0]), (range(100, 101), [1])],
)
def test_pages_are_those_that_hold_the_rows(rows: range, pages: list[int]) -> None:
    assert pages_of(rows) == pages


def job(done: int, state: State = State.RUNNING, total: int = 1000, speed: float = 0.0) -> JobSummary:
    return JobSummary("orders-0", "orders", "orders", "ab", state, "", total, done, 0, 0, 1.0, None, speed)


def test_time_left_is_shown_only_after_ten_documents() -> None:
    meter = SpeedMeter()
    meter.update(job(0), 0.0)
    assert meter.update(job(9), 1.0) == JobSpeed(None, None)
    assert meter.update(job(20), 2.0) == JobSpeed(10.0, 98.0)


def test_pace_follows_the_latest_minute() -> None:
    meter = SpeedMeter()
    for second in range(200):
        meter.update(job(second * 20 if second < 100 else 2000 + (second - 100) * 2, total=10_000), float(second))
    speed = meter.update(job(2200, total=10_000), 200.0)
    assert speed.documents_per_second == pytest.approx(2.0, rel=0.2)


def test_job_without_news_is_stalled_after_a_time_that_depends_on_its_speed() -> None:
    meter = SpeedMeter()
    for second in range(10):
        meter.update(job(second * 10), float(second))
    assert meter.update(job(90), 30.0).stalled_seconds is None
    speed = meter.update(job(90), 50.0)
    assert speed.stalled_seconds == 41.0
    assert time_left_text(speed) == "stalled"


def test_ended_job_shows_the_speed_of_its_latest_run_and_no_time_left() -> None:
    assert SpeedMeter().update(job(1000, State.DONE, speed=4.5), 0.0) == JobSpeed(4.5, None)
    assert SpeedMeter().update(job(0, State.DONE), 0.0) == JobSpeed(None, None)


def test_estimates_are_no_finer_than_they_can_be() -> None:
    assert [rough_duration(seconds) for seconds in (1, 42, 700, 12_600, 345_600)] == [
        "~5 s", "~40 s", "~12 min", "~3.5 h", "~4 d",
    ]  # fmt: skip
    assert [speed_text(speed) for speed in (None, 0.123, 2.34, 1234.5)] == [
        "-",
        "0.12",
        "2.3",
        "1,234",
    ]


def test_every_command_that_a_screen_names_exists() -> None:
    named = set()
    for path in (REPOSITORY / "tui").rglob("*.py"):
        for words in re.findall(r"stillroom ((?:[a-z-]+ ?)+)", path.read_text("utf-8")):
            named.add(tuple(words.split()))
    assert ("jobs", "resume") in named
    for words in named:
        group: click.Command = stillroom
        for word in words:
            if not isinstance(group, click.Group):
                break
            with click.Context(group) as context:
                found = group.get_command(context, word)
            assert found is not None, f"stillroom {' '.join(words)}"
            group = found
