"""`stillroom support-bundle`: an archive for the people who help, without anything of documents, shown before."""

import hashlib
import os
import time
from pathlib import Path

import click

from appliance.ground.command_line import NamedPath, json_option, yes_option
from appliance.ground.output import confirm, note, print_json, print_lines
from appliance.ground.text import human_size


@click.command("support-bundle")
@click.option(
    "--out",
    "out_path",
    type=NamedPath(path_type=Path),
    help="File to write; by default one here, named after the time.",
)
@click.option("--preview", is_flag=True, help="Print everything that it would contain, and write nothing.")
@yes_option
@json_option("one JSON object")
def command(out_path: Path | None, preview: bool, yes: bool, as_json: bool) -> None:
    """Write an archive with versions, findings and counters, for support.

    It contains no text, and no names of documents, folders, tasks or models.
    """
    from appliance.diagnosis.support import BUNDLE_NAME, collect, settings_to_describe, write_bundle

    files = collect(settings_to_describe(dict(os.environ)))
    if preview:
        _print_files(files, as_json)
        return
    path = out_path or Path(time.strftime(f"{BUNDLE_NAME}-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    if not yes:
        note(*(f"{human_size(len(data)):>8}  {name}" for name, data in files.items()))
        note("`--preview` prints all of it")
        confirm(f"write these to {path}?")
    write_bundle(path, files)
    if as_json:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        sizes = {name: len(data) for name, data in files.items()}
        print_json({"path": str(path.absolute()), "sha256": sha256, "files": sizes})
    else:
        note(f"wrote {path} ({human_size(path.stat().st_size)})")


def _print_files(files: dict[str, bytes], as_json: bool) -> None:
    texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}
    if as_json:
        print_json(texts)
        return
    for name, text in texts.items():
        print_lines(f"--- {name}", *text.splitlines())
