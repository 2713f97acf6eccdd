"""Adds the bundle's models to the store and compares their answers on golden documents with the recorded ones.

`install.sh` runs this with the new release's own Python before it switches to it. A model that answers otherwise here
than where the bundle was made is taken out of the store again, and the exit code is 1.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.ground.text import printable
from appliance.models.approval import how_to_approve, why_not_approved
from appliance.models.manifest import read_manifest
from appliance.models.store import InstalledModel, Store


@dataclass(frozen=True)
class Golden:
    """What one model answered where the bundle was made."""

    task_path: Path
    documents_dir: Path
    expected: dict[str, dict[str, object]]
    """Document name -> its row, as far as it is compared."""


def read_golden(model_dir: Path, release_dir: Path) -> Golden:
    """The golden documents of a model of the bundle."""
    rows = _json_lines(model_dir / "golden" / "expected.jsonl")
    task_dir = release_dir / "tasks" / read_manifest(model_dir / "artifact").task_name
    return Golden(
        task_dir / "task.toml", model_dir / "golden" / "documents", {str(row["document"]): row for row in rows}
    )


def run_golden(golden: Golden, artifact_dir: Path, scratch_dir: Path) -> dict[str, dict[str, object]]:
    """Runs the golden documents through the model, in a home folder of their own; rows by document.

    Raises:
        ApplianceError: The run failed; the message has its last lines.
    """
    command = [sys.executable, "-I", "-X", "utf8", "-m", "appliance.cli", "run", str(golden.task_path)]
    command += [str(golden.documents_dir), "--out", str(scratch_dir / "rows"), "--model", str(artifact_dir)]
    environ = {**os.environ, "STILLROOM_HOME": str(scratch_dir / "home")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise ApplianceError(f"the golden documents could not be run: {said[-1000:]}")
    return {str(row["document"]): row for row in _json_lines(scratch_dir / "rows" / "rows.jsonl")}


def _json_lines(path: Path) -> list[dict[str, object]]:
    """Lines end at a newline and nowhere else: a text may hold U+2028, which `splitlines` takes for the end of one."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def differences(golden: Golden, found: dict[str, dict[str, object]]) -> list[str]:
    """What is not as it was recorded, one line for each document."""
    lines = []
    for name, expected in golden.expected.items():
        row = found.get(name)
        if row is None:
            lines.append(f"{name}: no row")
        elif row["sha256"] != expected["sha256"]:
            lines.append(f"{name}: the document itself is another one")
        elif row["fields"] != expected["fields"]:
            lines.append(f"{name}: {json.dumps(row['fields'])} instead of {json.dumps(expected['fields'])}")
    return lines


def add(store: Store, artifact_dir: Path) -> tuple[InstalledModel, bool]:
    """Puts a model into the store; says whether it is new there. A name that is taken gets the identity added."""
    manifest = read_manifest(artifact_dir)
    before = {model.name for model in store.list()}
    name = manifest.name
    for model in store.list():
        if model.manifest.identity == manifest.identity:
            store.take_verdict(manifest)
            return store.verify(model.name), False
        if model.name == manifest.name:
            name = f"{manifest.name}-{manifest.identity[:8]}"
    added = store.add(artifact_dir, name)
    return added, added.name not in before


def test_model(settings: Settings, model_dir: Path, release_dir: Path) -> InstalledModel:
    """Installs one model of the bundle and tests it; it stays only if it answers as recorded."""
    store = Store(settings)
    golden = read_golden(model_dir, release_dir)
    model, new = add(store, model_dir / "artifact")
    began = time.monotonic()
    try:
        with TemporaryDirectory(prefix="selftest-") as scratch:
            found = run_golden(golden, model.directory, Path(scratch))
        if different := differences(golden, found):
            raise ApplianceError(f"{len(different)} of {len(golden.expected)} golden documents: {different[0]}")
    except ApplianceError as error:
        if new:
            store.remove(model.name)
        raise ApplianceError(f"model {model.name}: {error.message}", error.hint) from error
    seconds = time.monotonic() - began
    tell(f"model {model.name}: {len(golden.expected)} golden documents as recorded, {seconds:.1f} s")
    return model


def put_to_work(settings: Settings, model: InstalledModel) -> None:
    """Activates a model for a task that none answers yet; an installed one is the operator's to exchange."""
    store = Store(settings)
    active = store.active(model.manifest.task_name)
    if active is not None:
        if active.name != model.name:
            tell(f"task {model.manifest.task_name}: {active.name} still answers;"
                 f" `stillroom models activate {model.name}` exchanges it")  # fmt: skip
    elif reason := why_not_approved(model.manifest):
        tell(f"task {model.manifest.task_name}: {model.name} is not approved here: {reason};"
             f" no model answers until one is activated: {how_to_approve(model.manifest, model.name)}")  # fmt: skip
    else:
        store.activate(model.name)
        tell(f"task {model.manifest.task_name}: {model.name} answers from now on")


def tell(text: str) -> None:
    """A line for the operator."""
    print(printable(text), file=sys.stderr, flush=True)


def main() -> int:
    """All models of the bundle."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--release", type=Path, required=True, help="folder of the new release")
    parser.add_argument("--models", type=Path, required=True, help="folder with the bundle's models")
    parser.add_argument("--state", type=Path, required=True, help="home folder of models and jobs")
    given = parser.parse_args()
    try:
        settings = load_settings({**os.environ, "STILLROOM_HOME": str(given.state)})
        folders = sorted(given.models.iterdir()) if given.models.is_dir() else []
        models = [test_model(settings, folder, given.release) for folder in folders]
        for model in models:
            put_to_work(settings, model)
        if not models:
            version = [str(given.release / "bin" / "stillroom"), "--version"]
            if subprocess.run(version, stdout=subprocess.DEVNULL, check=False).returncode:
                raise UsageError("the program does not start")
            tell("the bundle holds no model; the program starts")
    except (ApplianceError, OSError) as error:
        tell(f"error: {error.message if isinstance(error, ApplianceError) else error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
