"""The adapter of a decoder student: made, saved with its base's hash, loaded only onto that base."""

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from appliance.ground.files import sync_file
from training.base_model import BaseMismatch
from training.writing import tensor_disk_errors

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from training.options import AdapterOptions

HASH_FILE = "base_hash"


def with_adapter(model: "PreTrainedModel", options: "AdapterOptions") -> "PeftModel":
    """The model with a fresh LoRA on every linear layer but the head."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(options.seed)
    config = LoraConfig(r=options.rank, lora_alpha=options.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        # peft reads a property of transformers that has a new name there.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        adapted: PeftModel = get_peft_model(model, config)
    return adapted


def adapter_weights(model: "PeftModel") -> dict[str, Tensor]:
    """Copies of the trained weights, by their names in the model."""
    return {name: weights.detach().clone() for name, weights in model.named_parameters() if weights.requires_grad}


def save_adapter(model: "PeftModel", base_digest: str, adapter_dir: Path) -> None:
    """Writes the adapter in peft's format with the hash of its base; the folder appears whole."""
    beside = adapter_dir.with_name(adapter_dir.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    with tensor_disk_errors(adapter_dir):
        # Without the explicit False peft asks the hub for the base's configuration.
        model.save_pretrained(str(beside), save_embedding_layers=False)
        (beside / "README.md").unlink(missing_ok=True)  # an empty model card that names this machine's paths
        config_path = beside / "adapter_config.json"
        config = json.loads(config_path.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = Path(config["base_model_name_or_path"] or "").name
        config_path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (beside / HASH_FILE).write_text(base_digest + "\n", encoding="utf-8")
        for path in beside.iterdir():
            sync_file(path)
        shutil.rmtree(adapter_dir, ignore_errors=True)
        beside.rename(adapter_dir)


def load_adapter(model: "PreTrainedModel", base_digest: str, adapter_dir: Path) -> "PeftModel":
    """The adapter on its base.

    Raises:
        BaseMismatch: It was trained on other weights.
    """
    from peft import PeftModel

    expected = (adapter_dir / HASH_FILE).read_text(encoding="utf-8").strip()
    if expected != base_digest:
        raise BaseMismatch(
            f"the adapter of {adapter_dir.parent.name} belongs to base weights {expected[:16]}, "
            f"these are {base_digest[:16]}",
            "give the base that the run was trained on, or train again",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        adapted: PeftModel = PeftModel.from_pretrained(model, str(adapter_dir))
    return adapted.eval()
