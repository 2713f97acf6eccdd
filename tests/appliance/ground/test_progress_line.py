"""The line that tells how far a run is: honest about what it does not know."""

import io
import sys
from dataclasses import replace

import pytest

from appliance.ground.progress import Progress
from appliance.ground.progress_line import ProgressLine, Speed, progress_text, rough_time


def progress(finished: int, total: int = 1000, before: int = 0, failed: int = 0, waiting: int = 0) -> Progress:
    return Progress(before + finished, total, before=before, failed=failed, waiting=waiting)


def test_no_speed_and_no_time_left_from_few_documents() -> None:
    speed = Speed()
    assert speed.update(0, 0.0) is None
    assert speed.update(5, 10.0) is None
    text = progress_text(progress(5), None)
    assert text == "[........................] 5/1000"


def test_loading_the_model_does_not_count_as_slowness() -> None:
    speed = Speed()
    speed.update(0, 0.0)
    speed.update(0, 600.0)
    speed.update(1, 600.5)
    assert speed.update(21, 610.5) == pytest.approx(2.0)


def test_speed_is_that_of_the_latest_minute() -> None:
    speed = Speed()
    now = 0.0
    for finished in range(1, 2001):
        now += 0.1
        speed.update(finished, now)
    for finished in range(2001, 2201):
        now += 1.0
        last = speed.update(finished, now)
    assert last == pytest.approx(1.0, rel=0.05)


def test_slow_job_is_measured_over_a_hundred_documents() -> None:
    speed = Speed()
    for finished in range(1, 301):
        last = speed.update(finished, finished * 30.0)
    assert last == pytest.approx(1 / 30, rel=0.05)


def test_stalled_job_gets_slower_the_longer_it_stands() -> None:
    speed = Speed()
    speed.update(1, 0.0)
    first = speed.update(101, 10.0)
    assert first == pytest.approx(10.0)
    assert speed.update(101, 100.0) == pytest.approx(1.0)


def test_line_tells_counts_failures_speed_and_time_left() -> None:
    text = progress_text(progress(300, before=200, failed=3), 2.0)
    assert text == "[############............] 500/1000  3 failed  2.0 documents/s  about 4 min left"


def test_who_works_may_tell_figures_and_the_time_left_from_the_first_step() -> None:
    first = Progress(1, 400, unit="step", stage="epoch 1", figures="loss 1.234", seconds_left=1500.0)
    assert progress_text(first, None) == "epoch 1: [........................] 1/400  loss 1.234  about 25 min left"
    assert len(progress_text(replace(first, done=12345, total=56789), None)) <= 78


def test_documents_left_to_the_next_run_are_not_waited_for() -> None:
    assert progress_text(progress(900, waiting=100), 2.0).endswith("about 5 s left")


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
    line = ProgressLine(in_logs=True)
    line(progress(20))
    line.end()


def test_wish_to_stop_is_answered_at_once_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine(in_logs=True)
    for _ in range(3):
        line(Progress(20, 1000, stopping=True))
    assert told.getvalue() == "finishing what is in flight; Ctrl-C again stops at once\n"


def test_without_a_terminal_there_are_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine(in_logs=True)
    line._last -= 60  # As if a minute had passed.
    line(progress(20))
    line.end()
    assert told.getvalue() == "[........................] 20/1000\n"


def test_short_work_writes_nothing_into_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    line = ProgressLine()
    line._last -= 60  # As if a minute had passed.
    line(progress(20))
    assert stderr.getvalue() == ""


def test_stage_and_unit_are_named() -> None:
    text = progress_text(Progress(50_000_000, 200_000_000, "byte", "order\x1b[2J"), 1e7)
    assert text.startswith("order\N{REPLACEMENT CHARACTER}[2J: [######..................] 50 MB of 200 MB")
    assert text.endswith("10 MB/s  about 15 s left")


def test_queue_for_the_engine_is_said() -> None:
    assert progress_text(Progress(0, 10, queued=True), None).endswith("0/10  queued: another process has the engine")
