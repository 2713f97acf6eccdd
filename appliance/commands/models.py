"""`stillroom models`: what is installed, whether it is whole, and which model answers which task."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings, load_settings
from appliance.ground.text import human_count, human_size, printable
from appliance.models.manifest import ArtifactError
from appliance.models.store import InstalledModel, Store

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per model.")


@click.group("models")
def command() -> None:
    """Add, verify, activate, roll back and delete models; a name or the start of an identity names one."""


@command.command("list")
@_JSON
def list_command(as_json: bool) -> None:
    """List all installed models; the star marks the one that answers its task."""
    store = Store(_settings())
    models = store.list()
    for name in store.broken():
        click.echo(f"{printable(name)}: its manifest cannot be read; add the model again", err=True)
    if as_json:
        for model in models:
            print(json.dumps(_described(model)))
        return
    if not models:
        click.echo("no models yet: `stillroom models add DIR` takes one that `stillroom export` wrote", err=True)
        return
    name_width = max(5, *(len(model.name) for model in models))
    task_width = max(4, *(len(model.manifest.task_name) for model in models))
    print(f"  {'MODEL':{name_width}}  {'TASK':{task_width}}  {'IDENTITY':16}  {'SIZE':>7}  VERDICT")
    for model in models:
        manifest = model.manifest
        print(
            f"{'*' if model.active else ' '} {printable(model.name):{name_width}}  "
            f"{printable(manifest.task_name):{task_width}}  {printable(manifest.identity[:16]):16}  "
            f"{human_size(manifest.size_bytes):>7}  {_verdict(model)}"
        )


@command.command("show")
@click.argument("model")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the model's answers instead.")
@_JSON
def show_command(model: str, schema: bool, as_json: bool) -> None:
    """Show where a model comes from, how good it is and what it holds."""
    from appliance.quality.measured import measured_lines

    installed = Store(_settings()).get(model)
    if schema:
        from appliance.tasks.schema import answer_schema
        from appliance.tasks.taskfile import load_task

        print(json.dumps(answer_schema(load_task(installed.directory)), indent=None if as_json else 2))
        return
    if as_json:
        print(json.dumps(_described(installed)))
        return
    manifest = installed.manifest
    facts = {
        "model": installed.name, "identity": manifest.identity,
        "task": f"{manifest.task_name} {manifest.task_hash[:16]}",
        "active": "yes" if installed.active else "no", "verdict": _verdict(installed),
        "kind": f"{manifest.family}, {manifest.format} {manifest.quantization}".strip(),
        "licence": manifest.licence or "not stated", "created": manifest.created, "folder": str(installed.directory),
    }  # fmt: skip
    facts |= {key.replace("_", " "): str(value) for key, value in manifest.lineage.items()}
    width = max(map(len, facts)) + 1
    for name, value in facts.items():
        print(f"{printable(name) + ':':{width}} {printable(value)}")
    for name, entry in manifest.files.items():
        print(f"  {name}  {human_size(entry.size_bytes)}  {printable(entry.sha256[:16])}")
    for name, value in measured_lines(manifest.metrics):
        print(printable(f"{name}: {value}"))


@command.command("add")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="Name in the store; by default the artifact's own.")
@_JSON
def add_command(directory: Path, name: str | None, as_json: bool) -> None:
    """Copy the artifact folder DIRECTORY into the store, after every file was compared with its hash."""
    _tell(Store(_settings()).add(directory, name), "added", as_json)


@command.command("check")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="Name that it would get in the store.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
def check_command(directory: Path, name: str | None, as_json: bool) -> None:
    """Check the models at or below DIRECTORY before one is added: format, hashes, licence, disk, memory.

    Nothing is copied. The exit code is 1 where one could not be added.
    """
    from appliance.models.checking import Level, check_import, find_artifacts

    settings = _settings()
    bad = 0
    for found in find_artifacts(directory):
        checked = check_import(settings, found, name)
        bad += not checked.good
        if as_json:
            findings = [asdict(finding) for finding in checked.findings]
            print(json.dumps({"directory": str(found), "good": checked.good, "findings": findings}))
            continue
        print(printable(str(found)))
        for finding in checked.findings:
            mark = "" if finding.level is Level.OK else f"{finding.level}: "
            print(printable(f"  {finding.check:8} {mark}{finding.message}"))
            if finding.hint:
                print(printable(f"           {finding.hint}"))
    if bad:
        raise ApplianceError(f"{human_count(bad, 'model')} cannot be added", "see what is marked `bad`")


@command.command("verify")
@click.argument("model", required=False)
@_JSON
def verify_command(model: str | None, as_json: bool) -> None:
    """Compare every file of MODEL, or of all models, with the hashes in the manifest."""
    store = Store(_settings())
    if model:
        _tell(store.verify(model), "is whole:", as_json)
        return
    names = sorted([*(installed.name for installed in store.list()), *store.broken()])
    damaged = []
    for name in names:
        try:
            _tell(store.verify(name), "is whole:", as_json)
        except ApplianceError as error:
            damaged.append(name)
            click.echo(printable(error.message), err=True)
    if damaged:
        raise ArtifactError(
            f"{len(damaged)} of {human_count(len(names), 'model')} damaged: {', '.join(damaged)}",
            "add these models again with `stillroom models add`",
        )


@command.command("activate")
@click.argument("model")
@click.option("--unsafe", is_flag=True, help="Even though no gate found it READY; every row will say so.")
@_JSON
def activate_command(model: str, unsafe: bool, as_json: bool) -> None:
    """Make MODEL the one that answers its task."""
    _tell(Store(_settings()).activate(model, unsafe), "answers from now on", as_json)


@command.command("roll-back")
@click.argument("task")
@_JSON
def roll_back_command(task: str, as_json: bool) -> None:
    """Go back to the model that answered TASK (a task's name) before the present one."""
    _tell(Store(_settings()).roll_back(task), "answers again", as_json)


@command.command("delete")
@click.argument("model")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def delete_command(model: str, yes: bool, as_json: bool) -> None:
    """Delete a model that is not active and that no unfinished job uses."""
    from appliance.jobs.model_use import remove_model

    settings = _settings()
    name = Store(settings).get(model).name
    if not yes:
        click.confirm(f"delete model {printable(name)}?", abort=True, err=True)
    _tell(remove_model(settings, name), "deleted", as_json)


@command.command("pull")
@click.argument("repository")
@click.option("--revision", required=True, help="Full commit hash.")
@click.option("--endpoint", help="Address of the hub; the stored token goes to the public hub only.")
@click.option("--token-env", default="", help="Environment variable with a token for this hub.")
@_JSON
def pull_command(repository: str, revision: str, endpoint: str | None, token_env: str, as_json: bool) -> None:
    """Fetch a base model from a model hub over the network: one commit, safetensors only.

    A task file then names REPOSITORY as `student.base`.
    """
    from appliance.models.hub import Hub, pull

    pulled = pull(_settings().bases_dir, repository, revision, Hub(endpoint, token_env))
    if as_json:
        print(json.dumps({**asdict(pulled), "directory": str(pulled.directory)}))
    else:
        size = human_size(pulled.size_bytes)
        click.echo(f"{repository} at {revision[:12]}: {pulled.files} files, {size} in {pulled.directory}", err=True)


def _settings() -> Settings:
    return load_settings(os.environ)


def _described(model: InstalledModel) -> dict[str, object]:
    return {
        "name": model.name,
        "active": model.active,
        "directory": str(model.directory),
        "size_bytes": model.manifest.size_bytes,
        "manifest": asdict(model.manifest),
    }


def _verdict(model: InstalledModel) -> str:
    verdict = model.manifest.verdict
    if verdict is None:
        return "not judged"
    return printable(f"{verdict.verdict} on {human_count(verdict.documents, 'document')}")


def _tell(model: InstalledModel, what: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_described(model)))
        return
    manifest = model.manifest
    size = human_size(manifest.size_bytes)
    click.echo(
        f"{printable(model.name)} {what} (task {printable(manifest.task_name)}, {printable(manifest.identity[:16])},"
        f" {size}, {_verdict(model)})",
        err=True,
    )
