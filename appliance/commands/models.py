"""`stillroom models`: what is installed, whether it is intact, and which model answers which task."""

from dataclasses import asdict
from pathlib import Path

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option, with_settings, yes_option
from appliance.ground.errors import ApplianceError
from appliance.ground.output import confirm, note, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size
from appliance.models.approval import how_to_approve, is_approved, verdict_words, why_not_approved
from appliance.models.manifest import ArtifactError, Manifest
from appliance.models.store import InstalledModel, Store

_json_option = json_option("one JSON object per model")


@click.group("models", cls=CommandGroup)
def command() -> None:
    """Add, verify, activate, roll back and remove models.

    MODEL is a name, or the beginning of an identity.
    """


@command.command("list")
@_json_option
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all installed models.

    A star marks the model that answers its task.
    """
    store = Store(settings)
    models = store.list()
    for name in store.broken():
        note(f"{name}: its manifest cannot be used: {store.problem_of(name)}; add the model again")
    for problem in store.problems_of_active():
        note(problem)
    if as_json:
        for model in models:
            print_json(_described(model))
        return
    if not models:
        note("no models yet: `stillroom models add DIR` adds one that `stillroom export` wrote")
        return
    name_width = max(5, *(len(model.name) for model in models))
    task_width = max(4, *(len(model.manifest.task_name) for model in models))
    print_lines(f"  {'MODEL':{name_width}}  {'TASK':{task_width}}  {'IDENTITY':16}  {'SIZE':>7}  VERDICT")
    for model in models:
        manifest = model.manifest
        print_lines(
            f"{'*' if model.active else ' '} {model.name:{name_width}}  "
            f"{manifest.task_name:{task_width}}  {manifest.identity[:16]:16}  "
            f"{human_size(manifest.size_bytes):>7}  {verdict_words(manifest)}"
        )


@command.command("show")
@click.argument("model")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the model's answers instead.")
@_json_option
@with_settings
def show_command(settings: Settings, model: str, schema: bool, as_json: bool) -> None:
    """Show where a model comes from and how good it is."""
    from appliance.quality.manifest_metrics import measured_lines

    installed = Store(settings).get(model)
    if schema:
        from appliance.tasks.schema import answer_schema
        from appliance.tasks.taskfile import load_task

        print_json(answer_schema(load_task(installed.directory)), indent=None if as_json else 2)
        return
    if as_json:
        print_json(_described(installed))
        return
    manifest = installed.manifest
    facts = {
        "model": installed.name, "identity": manifest.identity,
        "task": f"{manifest.task_name} {manifest.task_hash[:16]}",
        "active": "yes" if installed.active else "no", "verdict": verdict_words(manifest),
        "kind": f"{manifest.family}, {manifest.format} {manifest.quantization}".strip(),
        "licence": manifest.licence or "not stated", "created": manifest.created, "folder": str(installed.directory),
    }  # fmt: skip
    if reason := why_not_approved(manifest):
        facts["not approved"] = reason
    facts |= _where_judged(manifest)
    facts |= {key.replace("_", " "): str(value) for key, value in manifest.lineage.items()}
    width = max(map(len, facts)) + 1
    for name, value in facts.items():
        print_lines(f"{name + ':':{width}} {value}")
    for name, entry in manifest.files.items():
        print_lines(f"  {name}  {human_size(entry.size_bytes)}  {entry.sha256[:16]}")
    print_lines(*(f"{name}: {value}" for name, value in measured_lines(manifest)))


@command.command("add")
@click.argument("directory", type=NamedPath(path_type=Path))
@click.option("--name", metavar="NAME", help="Name in the store; by default the artifact's own.")
@_json_option
@with_settings
def add_command(settings: Settings, directory: Path, name: str | None, as_json: bool) -> None:
    """Add the artifact folder DIRECTORY to the store.

    Every file is compared with its hash before and after it is copied. A model answers its task once it is activated;
    the same model again takes a newer verdict over.
    """
    with progress_line() as line:
        model = Store(settings).add(directory, name, line)
    _print_model(model, "added", as_json)
    if as_json or model.active:
        return
    if reason := why_not_approved(model.manifest):
        note(f"it cannot be activated yet: {reason}; {how_to_approve(model.manifest, model.name)}")
    else:
        note(f"it answers its task after `stillroom models activate {model.name}`")


@command.command("check")
@click.argument("directory", type=NamedPath(path_type=Path))
@click.option("--name", metavar="NAME", help="Name that it would have in the store.")
@_json_option
@with_settings
def check_command(settings: Settings, directory: Path, name: str | None, as_json: bool) -> None:
    """Check whether models can be added.

    Examines format, hashes, licence, disk and memory of the models in or below DIRECTORY, and copies nothing. The exit
    code is 1 if one cannot be added.
    """
    from appliance.models.checking import Level, check_import, find_artifacts

    bad = 0
    for artifact_dir in find_artifacts(directory):
        with progress_line() as line:
            checked = check_import(settings, artifact_dir, name, line)
        bad += not checked.good
        if as_json:
            findings = [asdict(finding) for finding in checked.findings]
            print_json({"directory": str(artifact_dir), "good": checked.good, "findings": findings})
            continue
        print_lines(str(artifact_dir))
        for finding in checked.findings:
            mark = "" if finding.level is Level.OK else f"{finding.level}: "
            print_lines(f"  {finding.check:8} {mark}{finding.message}")
            if finding.hint:
                print_lines(f"           {finding.hint}")
    if bad:
        raise ApplianceError(f"{human_count(bad, 'model')} cannot be added", "the lines marked `bad` say why")


@command.command("verify")
@click.argument("model", required=False)
@_json_option
@with_settings
def verify_command(settings: Settings, model: str | None, as_json: bool) -> None:
    """Compare the files of a model with their hashes.

    Without MODEL, all models are verified.
    """
    store = Store(settings)
    if model:
        with progress_line() as line:
            verified = store.verify(model, line)
        _print_model(verified, "is intact", as_json)
        return
    names = sorted([*(installed.name for installed in store.list()), *store.broken()])
    damaged = []
    for name in names:
        try:
            with progress_line() as line:
                verified = store.verify(name, line)
            _print_model(verified, "is intact", as_json)
        except ApplianceError as error:
            damaged.append(name)
            note(error.message)
    if damaged:
        raise ArtifactError(
            f"{len(damaged)} of {human_count(len(names), 'model')} damaged: {', '.join(damaged)}",
            "add these models again with `stillroom models add`",
        )


@command.command("activate")
@click.argument("model")
@click.option("--unsafe", is_flag=True, help="Activate it without approval by the gate; every row will say so.")
@_json_option
@with_settings
def activate_command(settings: Settings, model: str, unsafe: bool, as_json: bool) -> None:
    """Let MODEL answer its task from now on."""
    with progress_line() as line:
        activated = Store(settings).activate(model, unsafe, line)
    _print_model(activated, "answers its task from now on", as_json)
    _warn_not_approved(activated)


@command.command("roll-back")
@click.argument("task")
@_json_option
@with_settings
def roll_back_command(settings: Settings, task: str, as_json: bool) -> None:
    """Go back to the previous model of a task.

    TASK is the name of the task.
    """
    model = Store(settings).roll_back(task)
    _print_model(model, "answers its task again", as_json)
    _warn_not_approved(model)


@command.command("remove")
@click.argument("model")
@yes_option
@_json_option
@with_settings
def remove_command(settings: Settings, model: str, yes: bool, as_json: bool) -> None:
    """Delete a model.

    An active model, or one that an unfinished job uses, is not deleted.
    """
    from appliance.jobs.model_use import remove_broken_model, remove_model

    if model in Store(settings).broken():
        if not yes:
            confirm(f"delete model {model}, which cannot be read, and its files?")
        remove_broken_model(settings, model)
        note(f"{model} removed")
        return
    name = Store(settings).get(model).name
    if not yes:
        confirm(f"delete model {name} and its files?")
    _print_model(remove_model(settings, name), "removed", as_json)


@command.command("pull")
@click.argument("repository")
@click.option("--revision", required=True, metavar="HASH", help="Full commit hash.")
@click.option(
    "--endpoint",
    metavar="URL",
    help="Address of the hub, if it is not the public one; it does not get the stored token.",
)
@click.option("--token-env", default="", metavar="NAME", help="Environment variable with a token for this hub.")
@_json_option
@with_settings
def pull_command(
    settings: Settings, repository: str, revision: str, endpoint: str | None, token_env: str, as_json: bool
) -> None:
    """Fetch a base model from a model hub.

    Needs a network. Fetches one commit, safetensors files only. A task file then names REPOSITORY as `student.base`.
    """
    from appliance.models.hub import Hub, pull

    pulled = pull(settings.bases_dir, repository, revision, Hub(endpoint, token_env))
    if as_json:
        print_json({**asdict(pulled), "directory": str(pulled.directory)})
    else:
        size = human_size(pulled.size_bytes)
        note(f"{repository} at {revision[:12]}: {pulled.files} files, {size} in {pulled.directory}")


def _warn_not_approved(model: InstalledModel) -> None:
    if reason := why_not_approved(model.manifest):
        note(f"each of its rows will say `unsafe`: {reason}; {how_to_approve(model.manifest, model.name)}")


def _described(model: InstalledModel) -> dict[str, object]:
    manifest = asdict(model.manifest)
    if manifest["verdict"]:
        del manifest["verdict"]["answers"]  # hashes that only a gate reads
    return {
        "name": model.name,
        "active": model.active,
        "approved": is_approved(model.manifest),
        "not_approved_because": why_not_approved(model.manifest),
        "directory": str(model.directory),
        "size_bytes": model.manifest.size_bytes,
        "manifest": manifest,
    }


def _where_judged(manifest: Manifest) -> dict[str, str]:
    verdict = manifest.verdict
    if verdict is None or not verdict.identity:
        return {}
    carried = [f"{carry.compute} ({carry.documents} answers equal)" for carry in verdict.carried]
    return {"judged on": "; ".join([str(verdict.compute), *carried])}


def _print_model(model: InstalledModel, what: str, as_json: bool) -> None:
    if as_json:
        print_json(_described(model))
        return
    manifest = model.manifest
    size = human_size(manifest.size_bytes)
    note(
        f"{model.name} {what} (task {manifest.task_name}, {manifest.identity[:16]}, {size}, {verdict_words(manifest)})"
    )
