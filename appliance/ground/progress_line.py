"""Progress on stderr: a line, or a few, redrawn on a terminal; a plain line now and then in a log."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.ground.output import on_terminal, write_stderr
from appliance.ground.progress import Progress
from appliance.ground.text import human_size, printable

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 10.0
_BAR_CELLS = 24
_LEAST_UNITS = 10
"""With fewer documents a speed is a guess, and no time left is shown."""
_WINDOW_SECONDS = 60.0
_WINDOW_UNITS = 100
STOPPING = "finishing what is in flight; Ctrl-C again stops at once"


class Speed:
    """Documents per second of the latest minute, or of the latest hundred documents where those took longer.

    The start of a run is slow, as a model is loaded, and documents differ: the mean of the whole run would promise too
    much or too little for hours.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, done: int, now: float) -> float | None:
        """The speed with this sample; None while too little is known.

        Args:
            done: Units of this run.
            now: Seconds of a clock that only goes forward.
        """
        samples = self._samples
        # Before the first document there is no speed, only loading.
        if done == 0:
            samples.clear()
        if not samples or done != samples[-1][1]:
            samples.append((now, done))
        while (
            len(samples) > 2
            and now - samples[1][0] > _WINDOW_SECONDS
            and samples[-1][1] - samples[1][1] >= _WINDOW_UNITS
        ):
            samples.popleft()
        first, before = samples[0]
        if done - before < _LEAST_UNITS or now <= first:
            return None
        return (done - before) / (now - first)


class ProgressLine:
    """Draws progress; `end` leaves the terminal on a fresh line."""

    def __init__(self, in_logs: bool = False) -> None:
        """Draws nothing yet.

        Args:
            in_logs: Where stderr is no terminal, write a line every few seconds: this work may take days.
        """
        self._terminal = on_terminal()
        self._silent = not self._terminal and not in_logs
        self._pause = _REDRAW_SECONDS if self._terminal else _LINE_SECONDS
        self._last = time.monotonic() if not self._terminal else 0.0
        self._stage, self._stopping = "", False
        self._drawn_lines = 0
        self._queued_behind = ""
        self._speed = Speed()

    def __call__(self, progress: Progress) -> None:
        """Draws the bar anew, or writes a line, where enough time has passed or something new is done."""
        if progress.queued_behind != self._queued_behind:
            self._note_wait(progress.queued_behind)
        if self._silent:
            return
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._speed = progress.stage, Speed()
            self._last = 0.0 if self._terminal else self._last
        is_unchanged, self._stopping = progress.stopping == self._stopping, progress.stopping
        if is_unchanged and now - self._last < self._pause:
            return
        self._last = now
        text = progress_text(progress, self._speed.update(progress.done - progress.before, now))
        if progress.stopping:
            text = STOPPING
        if self._terminal:
            self._draw([text, *map(printable, progress.panel)])
        else:
            write_stderr(text + "\n")

    def _draw(self, lines: list[str]) -> None:
        self.end()
        write_stderr("\n".join(line[:78] for line in lines))
        self._drawn_lines = len(lines)

    def _note_wait(self, queued_behind: str) -> None:
        """Says in a line of its own for whom this waits: it may be for hours, so also where no progress is shown."""
        self._queued_behind = queued_behind
        if queued_behind:
            self.end()
            write_stderr(printable(queued_behind) + "\n")

    def end(self) -> None:
        """Takes what is redrawn away."""
        if self._drawn_lines:
            up = f"\x1b[{self._drawn_lines - 1}A" if self._drawn_lines > 1 else ""
            write_stderr(f"\r{up}\x1b[J" if up else "\r\x1b[K")
            self._drawn_lines = 0


@contextmanager
def progress_line(in_logs: bool = False) -> Iterator[ProgressLine]:
    """A line that is gone when the work has ended."""
    line = ProgressLine(in_logs)
    try:
        yield line
    finally:
        line.end()


def progress_text(progress: Progress, units_per_second: float | None) -> str:
    """One line: stage, bar, counts, speed and the time left at that speed, as far as they are known."""
    share = progress.done / progress.total if progress.total else 1.0
    filled = min(_BAR_CELLS, int(share * _BAR_CELLS))
    counts = f"{progress.done}/{progress.total}"
    if progress.unit == "byte":
        counts = f"{human_size(progress.done)} of {human_size(progress.total)}"
    bar = f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {counts}"
    parts = [f"{printable(progress.stage)}: {bar}" if progress.stage else bar]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.figures:
        parts.append(progress.figures)
    if progress.queued:
        parts.append("queued: another process has the engine")
    elif progress.done <= progress.before:
        parts.append("loading the model" if progress.loading else "starting")
    elif progress.seconds_left is not None:
        parts.append(f"about {rough_time(progress.seconds_left)} left")
    elif units_per_second:
        left = progress.total - progress.done - progress.waiting
        speed = f"{human_size(round(units_per_second))}/s"
        if progress.unit != "byte":
            speed = f"{units_per_second:.1f} {progress.unit}s/s"
        parts += [speed, f"about {rough_time(left / units_per_second)} left"]
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
