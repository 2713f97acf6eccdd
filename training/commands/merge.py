"""`stillroom merge`: an adapter merged into its base."""

from pathlib import Path

import click

from appliance.ground.command_line import json_option
from appliance.ground.output import print_json, print_lines
from appliance.tasks.folder import RunFolder


@click.command("merge")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--base",
    "base_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the base model, if it is not the one that the task names.",
)
@json_option("one JSON object")
def command(folder: Path, base_dir: Path | None, as_json: bool) -> None:
    """Merge a run's adapter into its base.

    FOLDER is a run, or a task folder, whose newest finished run is taken. The merged weights have 16 bits and a
    manifest.
    """
    from training.merge import merge
    from training.run_folder import finished_run

    run_dir = finished_run(folder)
    manifest = merge(run_dir, base_dir)
    if as_json:
        print_json({"merged": str(RunFolder(run_dir).merged_dir), "identity": manifest.identity})
    else:
        print_lines(f"{run_dir / 'merged'}  {manifest.identity[:16]}")
