"""The models of a bundle, each with golden documents and what it answers to them."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wheelhouse import BundleError, file_sha256

from appliance.ground.errors import ApplianceError
from appliance.models.manifest import Manifest, verify_artifact
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task

GOLDEN_DOCUMENTS = 10
"""Golden documents of a model; more of them only make the installation longer."""
LARGEST_GOLDEN_FOLDER = 200
"""Documents from which the golden ones are chosen."""
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class BundledModel:
    """One artifact folder on its way into the bundle."""

    artifact_dir: Path
    documents_dir: Path
    manifest: Manifest


def read_model(given: str) -> BundledModel:
    """Reads `ARTIFACT` or `ARTIFACT=DOCUMENTS` of the command line.

    Without documents, those in `golden/` of the task folder are taken: which documents leave with a bundle is never
    decided by a default.

    Raises:
        BundleError: The artifact is damaged or holds no task, or there are no documents to test it with.
    """
    artifact, _, documents = (given, "", "") if Path(given).is_dir() else given.partition("=")
    artifact_dir = Path(artifact).expanduser().absolute()
    if not artifact_dir.is_dir():
        raise BundleError(f"there is no artifact folder {artifact_dir}; a path with blanks stands in quotes")
    try:
        manifest = verify_artifact(artifact_dir)
        if task_hash(load_task(artifact_dir / "task.toml")) != manifest.task_hash:
            raise BundleError(f"{artifact_dir / 'task.toml'} is not the task that the model was made for")
    except ApplianceError as error:
        raise BundleError(f"{error.message}; {error.hint}") from error
    for word, what in ((manifest.name, "model"), (manifest.task_name, "task")):
        if not SAFE_NAME.fullmatch(word):
            raise BundleError(f"the {what}'s name {word!r} cannot be a file name everywhere; rename it")
    beside = [folder / "golden" for folder in artifact_dir.parents[:4] if (folder / "task.toml").is_file()]
    documents_dir = (
        Path(documents).expanduser().absolute() if documents else next((d for d in beside if d.is_dir()), None)
    )
    if documents_dir is None or not documents_dir.is_dir():
        raise BundleError(
            f"no documents to test {manifest.name} with on the server; put some that may leave into golden/ of the"
            " task folder, or name a folder: ARTIFACT=FOLDER"
        )
    return BundledModel(artifact_dir, documents_dir, manifest)


def check_together(models: list[BundledModel]) -> None:
    """Refuses models that would be in each other's way.

    Raises:
        BundleError: Two have one name, or two tasks have one name.
    """
    names = [model.manifest.name for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BundleError(f"two models are called {min(twice)}")
    tasks = {(model.manifest.task_name, model.manifest.task_hash) for model in models}
    if len(tasks) > len({name for name, _ in tasks}):
        raise BundleError("two models were made for two versions of one task")


def add_model(model: BundledModel, bundle_dir: Path, program: list[str], scratch_dir: Path) -> str:
    """Copies the artifact, and the golden documents with the answers that the bundle's own program gives to them.

    Returns:
        What is to be said about the verdict; nothing where it holds with the bundle's program, or there is none.

    Raises:
        BundleError: The artifact changed meanwhile, or does not run.
    """
    target_dir = bundle_dir / "models" / model.manifest.name
    problem = _carry_verdict_over(model, program, scratch_dir)
    names = ["manifest.json", *model.manifest.files]
    _copy(model.artifact_dir, target_dir / "artifact", {name: name for name in names})
    try:
        if verify_artifact(target_dir / "artifact").identity != model.manifest.identity:
            raise BundleError(f"{model.artifact_dir} became another model while it was copied")
    except ApplianceError as error:
        raise BundleError(f"{error.message}; {error.hint}") from error
    task_path = bundle_dir / "tasks" / model.manifest.task_name / "task.toml"
    task_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.artifact_dir / "task.toml", task_path)
    candidates_dir = scratch_dir / "documents"
    _copy(model.documents_dir, candidates_dir, _documents(model))
    rows = _rows(model, candidates_dir, program, scratch_dir)
    chosen = _surest(model, rows)
    golden_dir = target_dir / "golden"
    _copy(candidates_dir, golden_dir / "documents", {str(row["document"]): str(row["document"]) for row in chosen})
    lines = [json.dumps({key: row[key] for key in ("document", "sha256", "fields")}) for row in chosen]
    (golden_dir / "expected.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    verdict = model.manifest.verdict
    if verdict is None or not verdict.is_ready or not any(row["unsafe"] for row in rows):
        return ""
    return (
        f"the verdict READY on {model.manifest.name} does not hold with the bundle's libraries, and the server will not"
        f" activate it by itself: {problem or 'the labelled rows that it rests on are not in its task folder'}"
    )


def _carry_verdict_over(model: BundledModel, program: list[str], scratch_dir: Path) -> str:
    """Carries a verdict over to the bundle's own libraries, which are compiled for more processors than this one.

    It is written into the artifact itself, so that the next bundle is the same.

    Returns:
        Why it was not; empty where nothing was tried.
    """
    verdict = model.manifest.verdict
    folders = [TaskFolder(folder) for folder in model.artifact_dir.parents[:4] if (folder / TASK_FILE).is_file()]
    labels = [path for folder in folders if (path := folder.split_path("test")).is_file()]
    if verdict is None or not labels or file_sha256(labels[0]) != verdict.labelled_sha256:
        return ""
    command = ["gate", str(model.artifact_dir), str(model.artifact_dir), "--quick", "--labels", str(labels[0])]
    done = _called([*program, *command], scratch_dir)
    return "" if done.returncode == 0 else done.stderr.strip()[-1000:]


def _documents(model: BundledModel) -> dict[str, str]:
    """File name -> name in the bundle, which every file system and shell can hold."""
    paths = sorted(path for path in model.documents_dir.iterdir() if path.is_file() and not path.is_symlink())
    if not paths or len(paths) > LARGEST_GOLDEN_FOLDER:
        raise BundleError(
            f"{model.documents_dir} holds {len(paths)} documents; 1 to {LARGEST_GOLDEN_FOLDER} serve as golden ones"
        )
    return {
        path.name: path.name if SAFE_NAME.fullmatch(path.name) else f"{file_sha256(path)[:16]}{_suffix(path)}"
        for path in paths
    }


def _suffix(path: Path) -> str:
    return path.suffix if re.fullmatch(r"\.[A-Za-z0-9]+", path.suffix) else ""


def _copy(source_dir: Path, target_dir: Path, names: dict[str, str]) -> None:
    target_dir.mkdir(parents=True)
    for source, target in names.items():
        shutil.copyfile(source_dir / source, target_dir / target)


def _rows(model: BundledModel, documents_dir: Path, program: list[str], scratch_dir: Path) -> list[dict[str, object]]:
    """What the model answers, run as the server will run it."""
    out_dir = scratch_dir / "rows"
    command = [*program, "run", str(model.artifact_dir / "task.toml"), str(documents_dir), "--out", str(out_dir)]
    command += ["--model", str(model.artifact_dir)]
    done = _called(command, scratch_dir)
    if done.returncode not in (0, 3):
        raise BundleError(f"{model.manifest.name} cannot run its golden documents: {done.stderr.strip()[-1000:]}")
    # Not `splitlines`, for which a U+2028 in a text ends a line.
    return [json.loads(line) for line in (out_dir / "rows.jsonl").read_text("utf-8").split("\n") if line]


def _called(command: list[str], scratch_dir: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the bundle's program with a home of its own."""
    environ = {"PATH": "/usr/bin:/bin", "STILLROOM_HOME": str(scratch_dir / "home"), "LANG": "C.UTF-8"}
    environ |= {name: os.environ[name] for name in ("STILLROOM_THREADS",) if name in os.environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def _surest(model: BundledModel, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The documents of whose values the model is surest: another processor's rounding does not change these.

    Raises:
        BundleError: The model answered none.
    """

    def lowest(row: dict[str, object]) -> float:
        confidence = row["confidence"]
        assert isinstance(confidence, dict)
        return min(confidence.values(), default=0.0)

    answered = [row for row in rows if row["route"] == "local"]
    if not answered:
        reasons = sorted({f"{row['error']}: {row['error_message']}" for row in rows})
        raise BundleError(
            f"{model.manifest.name} answers none of the documents in {model.documents_dir}: {'; '.join(reasons)}"
        )
    surest = sorted(answered, key=lambda row: (-lowest(row), str(row["document"])))[:GOLDEN_DOCUMENTS]
    return sorted(surest, key=lambda row: str(row["document"]))
