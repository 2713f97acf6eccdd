"""`stillroom support-bundle`: an archive for the people who help, without anything of documents, shown before."""

import hashlib
import json
import os
import time
from pathlib import Path

import click

from appliance.ground.text import human_size, printable


@click.command("support-bundle")
@click.option("--out", "out_path", type=click.Path(path_type=Path), help="File to write; by default one named by time.")
@click.option("--preview", is_flag=True, help="Print all that would be in it, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(out_path: Path | None, preview: bool, yes: bool, as_json: bool) -> None:
    """Write an archive with versions, findings and counters, for support.

    It holds no text and no names of documents, folders, tasks or models.
    """
    from appliance.diagnosis.support import BUNDLE_NAME, collect, settings_to_describe, write_bundle

    files = collect(settings_to_describe(dict(os.environ)))
    if preview:
        _show(files, as_json)
        return
    path = out_path or Path(time.strftime(f"{BUNDLE_NAME}-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    if not yes:
        for name, data in files.items():
            click.echo(f"{human_size(len(data)):>8}  {name}", err=True)
        click.echo("`--preview` prints all of it", err=True)
        click.confirm(f"write these to {printable(str(path))}?", abort=True, err=True)
    write_bundle(path, files)
    if as_json:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        print(
            json.dumps({"path": str(path.absolute()), "sha256": sha256, "files": {n: len(d) for n, d in files.items()}})
        )
    else:
        click.echo(f"wrote {printable(str(path))} ({human_size(path.stat().st_size)})", err=True)


def _show(files: dict[str, bytes], as_json: bool) -> None:
    texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}
    if as_json:
        print(json.dumps(texts))
        return
    for name, text in texts.items():
        print(f"--- {name}")
        for line in text.splitlines():
            print(printable(line))
