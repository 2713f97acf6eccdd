"""An encoder's adapter folded into its base."""

import json
from pathlib import Path

from peft import PeftModel

from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors
from appliance.tasks.folder import RunFolder
from training.lora import load_adapter
from training.students.encoder.model import (
    EncoderBase,
    EncoderClassifier,
    find_base,
    load_encoder,
    pooling_of,
    write_config,
)
from training.tensor_files import save_tensors

MERGE_METHOD = "lora-fp32"


def load_student(run_dir: Path, base: EncoderBase) -> PeftModel:
    """The run's adapter and head on its base.

    Raises:
        BaseMismatch: The adapter was trained on other weights.
    """
    config = json.loads(RunFolder(run_dir).config_path.read_text(encoding="utf-8"))
    model = EncoderClassifier(load_encoder(base.directory), len(config["labels"]), pooling_of(base.directory))
    return load_adapter(model, base.weights_sha256, RunFolder(run_dir).adapter_dir)


def merge_encoder(run_dir: Path, merged_dir: Path, base_dir: Path | None = None) -> dict[str, str]:
    """Folds the run's adapter into its base: one set of 32-bit weights with config and tokenizer.

    Returns:
        Lineage: `base`, `base_hash`, `merge_method`.

    Raises:
        UsageError: Another base is given.
        BaseMismatch: The base is not the one that the run was trained on.
    """
    if base_dir:
        raise UsageError("--base is for decoder students", "name the encoder's base in the task file")
    config = json.loads(RunFolder(run_dir).config_path.read_text(encoding="utf-8"))
    base = find_base(config["base"])
    merged = load_student(run_dir, base).merge_and_unload()
    assert isinstance(merged, EncoderClassifier)
    with disk_errors(merged_dir):
        merged_dir.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in merged.bert.state_dict().items()}
    weights |= {f"classifier.{name}": value.contiguous() for name, value in merged.classifier.state_dict().items()}
    save_tensors(weights, merged_dir / "model.safetensors", {"format": "pt"})
    with disk_errors(merged_dir):
        write_config(
            merged, config["labels"], config["max_tokens"], merged_dir / "config.json", bool(config.get("multi_label"))
        )
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if (base.directory / name).is_file():
                (merged_dir / name).write_bytes((base.directory / name).read_bytes())
    name = Path(config["base"]).name if Path(config["base"]).is_dir() else config["base"]
    return {"base": name, "base_hash": base.weights_sha256, "merge_method": MERGE_METHOD}
