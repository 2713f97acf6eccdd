"""`stillroom cluster`: one job over the machines of a cluster."""

import os
from pathlib import Path

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option, with_settings
from appliance.ground.errors import Interrupted, NotAllGood, UsageError
from appliance.ground.output import note, print_json
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.jobs.job_plan import JobRequest, plan
from appliance.jobs.joining import JoinOutcome
from appliance.jobs.outputs import OutputFormat, require_format
from appliance.jobs.shards import MAX_SHARDS


@click.group("cluster", cls=CommandGroup)
def command() -> None:
    """Run one job on the machines of a cluster."""


@command.command("run")
@click.argument("task", type=NamedPath(path_type=Path))
@click.argument("documents", type=NamedPath(path_type=Path))
@click.option(
    "--out",
    "out_dir",
    type=NamedPath(path_type=Path),
    required=True,
    help="Folder for the rows, which all nodes share.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, MAX_SHARDS),
    required=True,
    metavar="N",
    help="Parts of the folder; use several per node.",
)
@click.option(
    "--address", metavar="ADDRESS", help="Ray cluster to use; by default one is started on this machine for this run."
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, metavar="N", help="Nodes to use at most; 0 means all."
)
@click.option(
    "--model",
    metavar="MODEL",
    help="Identity, name or artifact folder of the model; default is the active one of the task.",
)
@click.option(
    "--format", "output_format", type=click.Choice([choice.value for choice in OutputFormat]), default="jsonl",
    show_default=True, help="How rows are written.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Only the first N documents in path order; 0 means all.",
)
@click.option(
    "--state",
    "state_dir",
    metavar="FOLDER",
    help="Folder for state on each node's own disk; default is its temporary folder.",
)
@json_option()
@with_settings
def run_command(
    settings: Settings,
    task: Path,
    documents: Path,
    out_dir: Path,
    shards: int,
    address: str | None,
    workers: int,
    model: str | None,
    output_format: str,
    limit: int,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Run a folder of documents on a Ray cluster.

    Runs TASK (a task file or folder) over the folder DOCUMENTS, and joins the shards into one verified result. Every
    node needs Stillroom, and must see DOCUMENTS, the model and --out under the same paths. The state of a shard is on
    the node's own disk and contains no text of documents. The same command again continues where it stopped.
    """
    from appliance.cluster.ray_runner import ClusterRequest, run_shards, shard_folders
    from appliance.jobs.joining import join_jobs
    from appliance.models.selection import verify_chosen

    choice = OutputFormat(output_format)
    require_format(choice)
    request = JobRequest(task, documents, out_dir, model, choice, limit, keep_text="none")
    config = plan(settings, request).config
    verify_chosen(Path(config.artifact_dir), config.model)
    arguments = (
        "run", str(task.absolute()), config.documents_dir, "--out", config.out_dir, "--model", config.artifact_dir,
        "--format", output_format, "--limit", str(limit), "--keep-text", "none", "--json",
    )  # fmt: skip
    if state_dir is not None and not os.path.isabs(state_dir):
        raise UsageError(
            f"--state {state_dir} is not an absolute path", "give one that begins with /: every node has this folder"
        )
    whole = run_shards(ClusterRequest(arguments, shards, address, workers, state_dir), _note_shard)
    if not whole:
        raise Interrupted("stopped before all shards had finished", "the same command continues where it stopped")
    _print_outcome(join_jobs(shard_folders(Path(config.out_dir), shards), Path(config.out_dir), [choice]), as_json)


def _note_shard(shard: object, end: object) -> None:
    from appliance.cluster.shard_process import ShardEnd

    assert isinstance(end, ShardEnd)
    documents = human_count(end.documents, "document")
    note(f"shard {shard} on {end.node}: {documents}, {end.failed} failed")


def _print_outcome(outcome: JoinOutcome, as_json: bool) -> None:
    (path,) = outcome.output_paths
    if as_json:
        values = {"state": "done", "shards": outcome.shards, "documents": outcome.documents, "failed": outcome.failed}
        values["missing"] = outcome.missing
        print_json({**values, "output": str(path)})
    else:
        documents = human_count(outcome.documents, "document")
        note(f"{documents} in {human_count(outcome.shards, 'shard')}, {outcome.failed} failed", f"rows: {path}")
    if outcome.failed:
        raise NotAllGood(
            f"{outcome.failed} of {outcome.documents} documents failed", "their rows carry the reason as `error`"
        )
