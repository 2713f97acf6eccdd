"""`stillroom run`: a folder of documents to rows."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from appliance.commands.progress import ProgressLine
from appliance.errors import NotAllGood
from appliance.jobs.batch import BatchOutcome, BatchRequest, prepare, run_job
from appliance.jobs.outputs import OutputFormat
from appliance.settings import Settings, load_settings
from appliance.text import printable


@click.command("run")
@click.argument("task", type=click.Path(path_type=Path))
@click.argument("documents", type=click.Path(path_type=Path))
@click.option("--out", "out_dir", type=click.Path(path_type=Path), required=True, help="Folder for the rows.")
@click.option("--model", help="Identity, name or artifact folder of the model; default is the active one of the task.")
@click.option(
    "--format", "output_format", type=click.Choice([choice.value for choice in OutputFormat]), default="jsonl",
    show_default=True, help="How rows are written.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=0), default=0, help="Only the first N documents in path order; 0 means all."
)
@click.option(
    "--keep-text", type=click.Choice(["all", "none"]), default="all", show_default=True, envvar="STILLROOM_KEEP_TEXT",
    help="Whether the job keeps the text of the documents.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(
    task: Path,
    documents: Path,
    out_dir: Path,
    model: str | None,
    output_format: str,
    limit: int,
    keep_text: str,
    as_json: bool,
) -> None:
    """Run TASK (a task file or folder) over the folder DOCUMENTS.

    The same command again continues: finished documents are not repeated, new and changed ones are done.
    """
    import os

    settings = load_settings(dict(os.environ))
    request = BatchRequest(task, documents, out_dir, model, OutputFormat(output_format), limit, keep_text)
    run_and_tell(settings, prepare(settings, request), as_json)


def run_and_tell(settings: Settings, job_dir: Path, as_json: bool) -> None:
    """Runs the job and says how it ended; stdout gets only the JSON object.

    Raises:
        NotAllGood: Some documents failed.
    """
    progress = ProgressLine()
    try:
        outcome = run_job(settings, job_dir, progress)
    finally:
        progress.end()
    if as_json:
        print(json.dumps(_as_json(outcome)))
    else:
        _tell(outcome)
    if outcome.summary.failed:
        summary = outcome.summary
        raise NotAllGood(
            f"{summary.failed} of {summary.total} documents failed",
            f"`stillroom jobs show {summary.id} --failed` lists them with their reasons",
        )


def _as_json(outcome: BatchOutcome) -> dict[str, object]:
    summary = asdict(outcome.summary)
    summary["job"] = summary.pop("id")
    return {
        **summary,
        "new_documents": outcome.new_documents,
        "seconds": round(outcome.seconds, 3),
        "output": str(outcome.output_path),
    }


def _tell(outcome: BatchOutcome) -> None:
    summary = outcome.summary
    if not summary.total:
        lines = ["the folder holds no documents: zero rows"]
    else:
        speed = f", {summary.documents_per_second:.1f} documents/s" if outcome.new_documents else ""
        lines = [
            f"{summary.done} of {summary.total} documents done, {summary.failed} failed,"
            f" {outcome.new_documents} of them in this run ({outcome.seconds:.1f} s{speed})"
        ]
    lines += [f"rows: {printable(str(outcome.output_path))}", f"job: {summary.id}"]
    sys.stderr.write("\n".join(lines) + "\n")
