"""How fast a job is and how long it still takes, measured from snapshots; None where that is not known."""

from collections import deque
from dataclasses import dataclass

from appliance.ground.progress_line import rough_time
from appliance.jobs.ledger import JobSummary
from appliance.jobs.states import State

LEAST_DOCUMENTS = 10
"""With fewer documents a speed is a guess, and no time left is shown."""
_WINDOW_DOCUMENTS = 100
_WINDOW_SECONDS = 60.0
_STALLED_SECONDS = 30.0
_STALLED_DOCUMENTS = 10.0
"""A job is stalled when this many documents should have come at the speed before and none came."""


@dataclass(frozen=True)
class JobSpeed:
    """A job's present speed; None where too little is known."""

    documents_per_second: float | None
    seconds_left: float | None
    stalled_seconds: float | None = None
    """How long no document was finished, where that is too long for the job's speed."""


class SpeedMeter:
    """Remembers how many documents a job had finished when; fed with each snapshot of the job."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._last_gain = 0.0

    def update(self, job: JobSummary, now: float) -> JobSpeed:
        """The speed as of this snapshot.

        Args:
            now: Seconds of a clock that only goes forward.
        """
        finished = job.with_row
        if job.state is not State.RUNNING:
            self._samples.clear()
            return JobSpeed(job.documents_per_second or None, None)
        if not self._samples or finished < self._samples[-1][1]:
            self._samples.clear()
            self._last_gain = now
        elif finished > self._samples[-1][1]:
            self._last_gain = now
        self._samples.append((now, finished))
        self._forget(now, finished)
        speed = self._speed(job, finished)
        quiet = now - self._last_gain
        if finished < job.total and quiet > max(_STALLED_SECONDS, _STALLED_DOCUMENTS / speed if speed else 0.0):
            return JobSpeed(speed, None, quiet)
        return JobSpeed(speed, (job.total - finished) / speed if speed else None)

    def _forget(self, now: float, finished: int) -> None:
        """Keeps the latest minute, or the latest hundred documents where those took longer."""
        samples = self._samples
        while (
            len(samples) > 2 and now - samples[1][0] > _WINDOW_SECONDS and finished - samples[1][1] >= _WINDOW_DOCUMENTS
        ):
            samples.popleft()
        # One a second: an hour of them bounds the memory of a job that is very slow.
        while len(samples) > 3600:
            samples.popleft()

    def _speed(self, job: JobSummary, finished: int) -> float | None:
        (first, before), (last, _) = self._samples[0], self._samples[-1]
        if finished - before >= LEAST_DOCUMENTS and last > first:
            return (finished - before) / (last - first)
        if finished >= LEAST_DOCUMENTS and job.documents_per_second > 0:
            return job.documents_per_second
        return None


def rough_duration(seconds: float) -> str:
    """A duration no finer than an estimate can be: `~40 s`, `~12 min`, `~3.5 h`, `~4 d`."""
    return f"~{rough_time(seconds)}"


def speed_text(documents_per_second: float | None) -> str:
    """Documents per second with two or three digits; a dash where nothing is known."""
    if documents_per_second is None:
        return "-"
    if documents_per_second < 9.95:
        return f"{documents_per_second:.2f}" if documents_per_second < 0.995 else f"{documents_per_second:.1f}"
    return f"{documents_per_second:,.0f}"


def time_left_text(speed: JobSpeed) -> str:
    """The time left, `stalled`, or a dash where nothing is known."""
    if speed.stalled_seconds is not None:
        return "stalled"
    return rough_duration(speed.seconds_left) if speed.seconds_left is not None else "-"
