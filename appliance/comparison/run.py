"""Runs a comparison: the job of one side after the other, then notes who differs; continues where it was stopped."""

from dataclasses import replace
from pathlib import Path

from appliance.comparison.folder import Side, read_comparison, read_documents
from appliance.comparison.view import ComparisonView
from appliance.ground.errors import ApplianceError, Interrupted, NotAllGood
from appliance.ground.progress import OnProgress
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job_run import run_job
from appliance.jobs.ledger import NotBegun, open_readonly
from appliance.jobs.locks import Purpose, take_lock
from appliance.jobs.states import State
from appliance.routing.policy import Caps


def run_comparison(settings: Settings, directory: Path, on_progress: OnProgress, caps: Caps | None = None) -> None:
    """Runs or continues the comparison in this folder.

    Args:
        caps: The most that may leave to each frontier in this run; those of the policy hold beside them.

    Raises:
        NotAllGood: A cap was reached or a frontier was gone; what was answered is kept and compared.
        Interrupted: A person stopped it; everything that was answered is kept.
        ApplianceError: A side cannot be run.
    """
    with take_lock(directory, Purpose.RUN, "comparison"):
        config = read_comparison(directory)
        unsent = []
        for side in config.sides:
            try:
                _answer_side(settings, directory, side, on_progress, caps)
            except NotAllGood as error:
                unsent.append(f"{side.name}: {error.message}")
            except Interrupted as error:
                raise Interrupted("the comparison was stopped", "the same command continues it") from error
        with ComparisonView(settings, directory) as view:
            view.note_differences()
    if unsent:
        raise NotAllGood("; ".join(unsent), "the same command sends the rest")


def _answer_side(
    settings: Settings, directory: Path, side: Side, on_progress: OnProgress, caps: Caps | None
) -> None:  # fmt: skip
    job_dir = settings.jobs_dir / side.job
    if not side.is_own:
        _check_rows(directory, job_dir, side)
        return
    try:
        with open_readonly(job_dir) as reader:
            if reader.summary().state is State.DONE:
                return
    except NotBegun:
        pass

    if run_job(
        settings, job_dir, lambda progress: on_progress(replace(progress, stage=side.name)), caps
    ).is_stopped:  # fmt: skip
        # The job was done all the same, but nobody wants the next one.
        raise Interrupted("the comparison was stopped")


def _check_rows(directory: Path, job_dir: Path, side: Side) -> None:
    """Checks that a job that a person ran still has the rows which the comparison takes from it."""
    with open_readonly(job_dir) as reader:
        missing = {document.path for document in read_documents(directory)}
        missing.difference_update(document.path for document in reader.documents_with_row())
    if missing:
        raise ApplianceError(
            f"job {side.job}, which answers for {side.name}, has no row for {human_count(len(missing), 'document')}",
            f"`stillroom jobs resume {side.job}`, then resume the comparison",
        )
