"""The adapter of a student: its weights, saved with the hash of its base, loaded only onto that base."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from appliance.ground.files import fresh_directory, put_in_place, sync_file
from appliance.ground.json_text import json_text
from training.base_model import BaseMismatch, is_hash_of
from training.tensor_files import tensor_disk_errors

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

HASH_FILE = "base_hash"


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Without peft's warnings about a property of transformers that has a new name there, and about experts."""
    with warnings.catch_warnings():
        # peft prepares every adapter of a model with experts for them; ours leaves them as they are.
        warnings.filterwarnings("ignore", message="The following rank_pattern keys", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message="The following alpha_pattern keys", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def add_lora(model: "PreTrainedModel | nn.Module", config: "LoraConfig") -> "PeftModel":
    """The model with a fresh LoRA; A is drawn from torch's generator, B is zero."""
    from peft import get_peft_model

    with _quiet_peft():
        adapted: PeftModel = get_peft_model(model, config)
    return adapted


def trainable_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, by their names in the model."""
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the trained weights, by their names in the model."""
    return {name: weights.detach().clone() for name, weights in trainable_weights(model).items()}


def save_adapter(model: "PeftModel", base_hash: str, adapter_dir: Path) -> None:
    """Writes the adapter in peft's format with the hash of its base; the folder appears whole.

    Raises:
        ResourceError: It cannot be written.
    """
    beside = adapter_dir.with_name(adapter_dir.name + ".part")
    try:
        with tensor_disk_errors(adapter_dir):
            fresh_directory(beside)
            # Without the explicit False peft asks the hub for the base's configuration.
            model.save_pretrained(str(beside), save_embedding_layers=False)
            (beside / "README.md").unlink(missing_ok=True)  # an empty model card that names this machine's paths
            config_path = beside / "adapter_config.json"
            config = json.loads(config_path.read_text(encoding="utf-8"))
            config["base_model_name_or_path"] = Path(config["base_model_name_or_path"] or "").name
            config_path.write_text(json_text(config, ascii_only=True, indent=2) + "\n", encoding="utf-8")
            (beside / HASH_FILE).write_text(base_hash + "\n", encoding="utf-8")
            for path in beside.iterdir():
                sync_file(path)
            put_in_place(beside, adapter_dir)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_base(base_hash: str, adapter_dir: Path) -> None:
    """Refuses an adapter of another base.

    Raises:
        BaseMismatch: It was trained on other weights, or on these with other settings.
    """
    expected = (adapter_dir / HASH_FILE).read_text(encoding="utf-8").strip()
    if not is_hash_of(expected, base_hash):
        weights, _, settings = expected.partition("+")
        own_weights, _, own_settings = base_hash.partition("+")
        what = f"base weights {weights[:16]}, these are {own_weights[:16]}"
        if weights == own_weights:
            what = f"a base with other settings or another tokenizer: {settings[:16]}, these are {own_settings[:16]}"
        raise BaseMismatch(
            f"the adapter of {adapter_dir.parent.name} belongs to {what}",
            "give the base that the run was trained on, or train again",
        )


def load_adapter(model: "PreTrainedModel | nn.Module", base_hash: str, adapter_dir: Path) -> "PeftModel":
    """The adapter on its base.

    Raises:
        BaseMismatch: It was trained on other weights, or on these with other settings.
    """
    from peft import PeftModel

    check_base(base_hash, adapter_dir)
    with _quiet_peft():
        adapted: PeftModel = PeftModel.from_pretrained(model, str(adapter_dir))
    return adapted.eval()
