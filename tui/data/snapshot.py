"""What all screens show, read together once a second: jobs with their speed, models, comparisons."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.ground.settings import Settings
from appliance.jobs.ledger import JobSummary
from tui.data.job_speed import JobSpeed, SpeedMeter
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.data.state_readers import AT_WORK, ComparisonReader, InstalledModels, JobReader, ModelReader

if TYPE_CHECKING:
    from appliance.comparison.view import ComparisonSummary


@dataclass(frozen=True)
class Snapshot:
    """The state of the installation at one moment."""

    jobs: tuple[JobSummary, ...] = ()
    speeds: tuple[JobSpeed, ...] = ()
    """One for each job."""
    models: InstalledModels = field(default_factory=InstalledModels)
    comparisons: "tuple[ComparisonSummary, ...]" = ()
    jobs_problem: Problem | None = None
    models_problem: Problem | None = None
    comparisons_problem: Problem | None = None
    seconds: float = 0.0
    """On the clock of `time.monotonic`; 0 before the first reading."""

    @property
    def active_jobs(self) -> int:
        """How many jobs run or wait."""
        return sum(job.state in AT_WORK for job in self.jobs)

    @property
    def active_comparisons(self) -> int:
        """How many comparisons run or wait."""
        return sum(comparison.state in AT_WORK for comparison in self.comparisons)


class SnapshotReader:
    """Reads snapshots; each of the three parts is read even where the others cannot be."""

    def __init__(self, settings: Settings) -> None:
        self._jobs, self._models = JobReader(settings), ModelReader(settings)
        self._comparisons = ComparisonReader(settings)
        self._meters: dict[str, SpeedMeter] = {}

    def read(self) -> Snapshot:
        """The present state; blocks for a moment, so call it in a thread, and never twice at once."""
        jobs: tuple[JobSummary, ...] = ()
        models = InstalledModels()
        comparisons: tuple[ComparisonSummary, ...] = ()
        jobs_problem = models_problem = comparisons_problem = None
        seconds = time.monotonic()
        try:
            jobs = tuple(self._jobs.read())
        except READING_ERRORS as error:
            jobs_problem = problem_of(error)
        try:
            models = self._models.read()
        except READING_ERRORS as error:
            models_problem = problem_of(error)
        try:
            comparisons = self._comparisons.read()
        except READING_ERRORS as error:
            comparisons_problem = problem_of(error)
        self._meters = {job.id: self._meters.get(job.id) or SpeedMeter() for job in jobs}
        speeds = tuple(self._meters[job.id].update(job, seconds) for job in jobs)
        return Snapshot(jobs, speeds, models, comparisons, jobs_problem, models_problem, comparisons_problem, seconds)
