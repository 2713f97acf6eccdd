"""The line that tells how far a run is: honest about what it does not know."""

import io
import sys

import pytest

from appliance.commands.progress import ProgressLine, Speed, progress_text, rough_time
from appliance.jobs.batch import Report
from appliance.jobs.runner import Progress


def report(finished: int, total: int = 1000, before: int = 0, failed: int = 0, left: int = 0) -> Report:
    return Report(total, before, Progress(finished, failed, False, left))


def test_no_speed_and_no_time_left_from_few_documents() -> None:
    speed = Speed()
    assert speed.look(0, 0.0) is None
    assert speed.look(5, 10.0) is None
    text = progress_text(report(5), None)
    assert text == "[........................] 5/1000"


def test_loading_the_model_does_not_count_as_slowness() -> None:
    speed = Speed()
    speed.look(0, 0.0)
    speed.look(0, 600.0)
    speed.look(1, 600.5)
    assert speed.look(21, 610.5) == pytest.approx(2.0)


def test_speed_is_that_of_the_latest_minute() -> None:
    speed = Speed()
    now = 0.0
    for finished in range(1, 2001):
        now += 0.1
        speed.look(finished, now)
    for finished in range(2001, 2201):
        now += 1.0
        last = speed.look(finished, now)
    assert last == pytest.approx(1.0, rel=0.05)


def test_slow_job_is_measured_over_a_hundred_documents() -> None:
    speed = Speed()
    for finished in range(1, 301):
        last = speed.look(finished, finished * 30.0)
    assert last == pytest.approx(1 / 30, rel=0.05)


def test_stalled_job_gets_slower_the_longer_it_stands() -> None:
    speed = Speed()
    speed.look(1, 0.0)
    first = speed.look(101, 10.0)
    assert first == pytest.approx(10.0)
    assert speed.look(101, 100.0) == pytest.approx(1.0)


def test_line_tells_counts_failures_speed_and_time_left() -> None:
    text = progress_text(report(300, before=200, failed=3), 2.0)
    assert text == "[############............] 500/1000  3 failed  2.0 documents/s  about 4 min left"


def test_documents_left_to_the_next_run_are_not_waited_for() -> None:
    assert progress_text(report(900, left=100), 2.0).endswith("about 5 s left")


@pytest.mark.parametrize(
    ("seconds", "told"), [(2, "5 s"), (44, "45 s"), (91, "2 min"), (3600, "60 min"), (9000, "2.5 h"), (200_000, "2 d")]
)
def test_estimate_is_no_finer_than_it_can_be(seconds: float, told: str) -> None:
    assert rough_time(seconds) == told


def test_terminal_that_went_away_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    line = ProgressLine()
    line(report(20))
    line.end()


def test_wish_to_stop_is_answered_at_once_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine()
    for _ in range(3):
        line(Report(1000, 0, Progress(20, 0, False), stopping=True))
    assert told.getvalue() == "finishing what is in flight; Ctrl-C again stops at once\n"


def test_without_a_terminal_there_are_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine()
    line._last -= 60  # As if a minute had passed.
    line(report(20))
    line.end()
    assert told.getvalue() == "[........................] 20/1000\n"
