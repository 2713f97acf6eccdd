"""Progress of a run on stderr: one line that is redrawn on a terminal, a plain line now and then otherwise."""

import contextlib
import sys
import time
from collections import deque

from appliance.jobs.batch import Report

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 10.0
_BAR_CELLS = 24
_LEAST_DOCUMENTS = 10
"""With fewer documents a speed is a guess, and no time left is shown."""
_WINDOW_SECONDS = 60.0
_WINDOW_DOCUMENTS = 100


STOPPING = "finishing what is in flight; Ctrl-C again stops at once"


class Speed:
    """Documents per second of the latest minute, or of the latest hundred documents where those took longer.

    The start of a run is slow, as a model is loaded, and documents differ: the mean of the whole run would promise too
    much or too little for hours.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, finished: int, now: float) -> float | None:
        """The speed after this look; None while too little is known.

        Args:
            now: Seconds of a clock that only goes forward.
        """
        seen = self._seen
        # Before the first document there is no speed, only loading.
        if finished == 0:
            seen.clear()
        if not seen or finished != seen[-1][1]:
            seen.append((now, finished))
        while len(seen) > 2 and now - seen[1][0] > _WINDOW_SECONDS and seen[-1][1] - seen[1][1] >= _WINDOW_DOCUMENTS:
            seen.popleft()
        first, before = seen[0]
        if finished - before < _LEAST_DOCUMENTS or now <= first:
            return None
        return (finished - before) / (now - first)


class ProgressLine:
    """Draws reports; `end` leaves the terminal on a fresh line."""

    def __init__(self) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._pause = _REDRAW_SECONDS if self._terminal else _LINE_SECONDS
        self._last = time.monotonic() if not self._terminal else 0.0
        self._stopping = False
        self._speed = Speed()
        self._drawn = False

    def __call__(self, report: Report) -> None:
        """Draws the bar anew, or writes a line, where enough time has passed."""
        now = time.monotonic()
        said_before, self._stopping = self._stopping, report.stopping
        if said_before == report.stopping and now - self._last < self._pause:
            return
        self._last = now
        text = progress_text(report, self._speed.look(report.progress.finished, now))
        if report.stopping:
            text = STOPPING
        if self._terminal:
            self._write("\r\x1b[K" + text[:78])
            self._drawn = True
        else:
            self._write(text + "\n")

    def end(self) -> None:
        """Ends the redrawn line."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        # A terminal that has gone away must not end the run: it is the rows that count.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def progress_text(report: Report, documents_per_second: float | None) -> str:
    """One line: bar, counts, speed and the time left at that speed, as far as they are known."""
    progress = report.progress
    finished = report.before + progress.finished
    share = finished / report.total if report.total else 1.0
    filled = int(share * _BAR_CELLS)
    parts = [f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {finished}/{report.total}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if not progress.finished:
        parts.append("loading the model" if progress.waiting_for_engine else "starting")
    elif documents_per_second:
        left = report.total - finished - progress.left
        parts += [f"{documents_per_second:.1f} documents/s", f"about {rough_time(left / documents_per_second)} left"]
    return "  ".join(parts)


def rough_time(seconds: float) -> str:
    """A time no finer than an estimate can be: `40 s`, `12 min`, `3.5 h`, `4 d`."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"
