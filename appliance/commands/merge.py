"""`stillroom jobs merge`: the shards of a folder become one verified result."""

import contextlib
import json
import os
import sys
from pathlib import Path

import click

from appliance.commands.paths import NamedPath
from appliance.ground.errors import NotAllGood
from appliance.ground.settings import Settings, load_settings
from appliance.ground.text import human_count, printable
from appliance.jobs.job import job_dir
from appliance.jobs.merging import MergeRefused, merge_jobs, problem_values
from appliance.jobs.outputs import OutputFormat

_SHOWN_PROBLEMS = 20


@click.command("merge")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--out", "out_dir", type=NamedPath(path_type=Path), required=True, help="Folder for the merged rows.")
@click.option(
    "--format", "formats", type=click.Choice([choice.value for choice in OutputFormat]), multiple=True,
    default=["jsonl"], show_default=True, help="How rows are written; may be given several times.",
)  # fmt: skip
@click.option(
    "--documents", type=click.Path(path_type=Path), help="The folder of documents, where it has another path here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result, or what is missing, as one JSON object.")
def merge_command(
    jobs: tuple[str, ...], out_dir: Path, formats: tuple[str, ...], documents: Path | None, as_json: bool
) -> None:
    """Join the shards of one folder into one result, once all are there and whole.

    JOB is a job's id or its start, or the folder that `stillroom run --shard` left in its output folder. Each
    document of the folder must be in exactly one shard and unchanged since; otherwise nothing is written, and what
    is missing is listed.
    """
    settings = load_settings(dict(os.environ))
    directories = [_directory(settings, job) for job in jobs]
    try:
        outcome = merge_jobs(directories, out_dir.absolute(), [OutputFormat(choice) for choice in formats], documents)
    except MergeRefused as refused:
        if as_json:
            problems = [problem_values(problem) for problem in refused.problems]
            print(json.dumps({"state": "refused", "found": refused.found, "problems": problems}))
        else:
            _tell_problems(refused)
        raise
    paths = [str(path) for path in outcome.output_paths]
    if as_json:
        values = {"shards": outcome.shards, "documents": outcome.documents, "failed": outcome.failed}
        print(json.dumps({"state": "merged", **values, "outputs": paths}))
    else:
        documents_text = human_count(outcome.documents, "document")
        lines = [f"merged {human_count(outcome.shards, 'shard')}: {documents_text}, {outcome.failed} failed"]
        lines += [f"rows: {printable(path)}" for path in paths]
        _say(lines)
    if outcome.failed:
        raise NotAllGood(
            f"{outcome.failed} of {outcome.documents} documents failed", "their rows carry the reason as `error`"
        )


def _directory(settings: Settings, job: str) -> Path:
    """The folder that was meant: a path where there is a job at it, else the job of this id."""
    path = Path(job)
    return path.absolute() if (path / "job.toml").is_file() else job_dir(settings, job)


def _tell_problems(refused: MergeRefused) -> None:
    lines = []
    for problem in refused.problems[:_SHOWN_PROBLEMS]:
        about = f"{printable(problem.document)} " if problem.document is not None else ""
        lines.append(f"shard {problem.shard}: {about}{printable(problem.detail)}")
    if refused.found > len(lines):
        lines.append(f"and {refused.found - len(lines):,} more")
    _say(lines)


def _say(lines: list[str]) -> None:
    # A full disk under the messages makes the merge no failure.
    with contextlib.suppress(OSError):
        sys.stderr.write("\n".join(lines) + "\n")
