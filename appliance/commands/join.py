"""`stillroom jobs join`: the shards of a folder are joined to one verified result."""

from dataclasses import asdict
from pathlib import Path

import click

from appliance.ground.command_line import NamedPath, json_option, with_settings
from appliance.ground.errors import NotAllGood
from appliance.ground.output import note, print_json
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, printable_name
from appliance.jobs.job import job_dir
from appliance.jobs.joining import JoinRefused, join_jobs
from appliance.jobs.outputs import OutputFormat

_SHOWN_PROBLEMS = 20


@click.command("join")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--out", "out_dir", type=NamedPath(path_type=Path), required=True, help="Folder for the joined rows.")
@click.option(
    "--format", "formats", type=click.Choice([choice.value for choice in OutputFormat]), multiple=True,
    default=["jsonl"], show_default=True, help="How rows are written; can be repeated.",
)  # fmt: skip
@click.option(
    "--documents",
    type=NamedPath(path_type=Path),
    help="Folder of the documents, if it has another path on this machine.",
)
@json_option("the result, or what is missing, as one JSON object")
@with_settings
def join_command(
    settings: Settings,
    jobs: tuple[str, ...],
    out_dir: Path,
    formats: tuple[str, ...],
    documents: Path | None,
    as_json: bool,
) -> None:
    """Join the shards of one folder into one result.

    JOB is an id, the beginning of one, or the folder that `stillroom run --shard` left in its output folder. All
    shards must be finished, and each document of the folder must be in exactly one of them and unchanged since;
    otherwise nothing is written, and what is missing is listed.
    """
    directories = [_directory(settings, job) for job in jobs]
    try:
        outcome = join_jobs(directories, out_dir.absolute(), [OutputFormat(choice) for choice in formats], documents)
    except JoinRefused as refused:
        if as_json:
            problems = [asdict(problem) for problem in refused.problems]
            print_json({"state": "refused", "found": refused.count, "problems": problems})
        else:
            _note_problems(refused)
        raise
    paths = [str(path) for path in outcome.output_paths]
    if as_json:
        values = {"shards": outcome.shards, "documents": outcome.documents, "failed": outcome.failed}
        values["missing"] = outcome.missing
        print_json({"state": "joined", **values, "outputs": paths})
    else:
        documents_text = human_count(outcome.documents, "document")
        missing = f", {outcome.missing} missing" if outcome.missing else ""
        note(f"joined {human_count(outcome.shards, 'shard')}: {documents_text}, {outcome.failed} failed{missing}")
        note(*(f"rows: {path}" for path in paths))
    if outcome.failed:
        raise NotAllGood(
            f"{outcome.failed} of {outcome.documents} documents failed", "their rows carry the reason as `error`"
        )


def _directory(settings: Settings, job: str) -> Path:
    """The folder that was meant: a path where there is a job at it, else the job of this id."""
    path = Path(job)
    return path.absolute() if (path / "job.toml").is_file() else job_dir(settings, job)


def _note_problems(refused: JoinRefused) -> None:
    lines = []
    for problem in refused.problems[:_SHOWN_PROBLEMS]:
        about = f"{printable_name(problem.document)} " if problem.document is not None else ""
        lines.append(f"shard {problem.shard}: {about}{problem.detail}")
    if refused.count > len(lines):
        lines.append(f"and {refused.count - len(lines):,} more")
    note(*lines)
