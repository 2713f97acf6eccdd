"""Progress of a run on stderr: one line that is redrawn on a terminal, a plain line now and then otherwise."""

import sys
import time

from appliance.jobs.batch import Report

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 10.0
_BAR_CELLS = 24


class ProgressLine:
    """Draws reports; `end` leaves the terminal on a fresh line."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = self._started if not self._terminal else 0.0
        self._drawn = False

    def __call__(self, report: Report) -> None:
        """Draws the bar anew, or writes a line, where enough time has passed."""
        now = time.monotonic()
        if now - self._last < (_REDRAW_SECONDS if self._terminal else _LINE_SECONDS):
            return
        self._last = now
        text = progress_text(report, now - self._started)
        if self._terminal:
            sys.stderr.write("\r\x1b[K" + text[:78])
            self._drawn = True
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Ends the redrawn line."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def progress_text(report: Report, seconds: float) -> str:
    """One line: bar, counts, speed and the time left at the speed of this run."""
    progress = report.progress
    finished = report.before + progress.finished
    share = finished / report.total if report.total else 1.0
    filled = int(share * _BAR_CELLS)
    parts = [f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {finished}/{report.total}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if not progress.finished:
        parts.append("loading the model" if progress.waiting_for_engine else "starting")
    elif seconds > 0:
        speed = progress.finished / seconds
        left = (report.total - finished) / speed
        parts += [f"{speed:.1f} documents/s", f"{_clock(left)} left"]
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
