"""A decoder's adapter folded into its base."""

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.ground.files import disk_errors
from appliance.ground.json_text import json_text
from appliance.models.architectures import text_config
from appliance.models.safetensors_file import read_headers, weight_paths
from appliance.tasks.folder import RunFolder
from training.base_kind import text_model
from training.base_model import base_hash, find_base, has_own_head, load_base
from training.base_tokenizer import copy_tokenizer
from training.bases.record import lineage_of
from training.lora import check_base, load_adapter
from training.preflight import embedding_rows
from training.students.decoder.merge_stream import LARGEST_HALF, merge_plan, not_finite, write_merged
from training.tensor_files import save_tensors

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

MERGE_METHOD = "lora-float32"
_TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""What a multimodal configuration says outside of its text part."""


def merge_decoder(run_dir: Path, merged_dir: Path, base_dir: Path | None = None) -> dict[str, str]:
    """Merged in float32 and rounded once, to 16 bit, one tensor at a time; config and tokenizer are the base's.

    The tensors keep the base's names, and lie in as many files. What the config says of the output matrix is what the
    weights hold.

    Returns:
        Lineage: `base`, `base_hash`, `merge_method`, and what is known of the base's origin and licence.

    Raises:
        BaseMismatch: The adapter was trained on other weights.
        ApplianceError: A merged weight is no number.
        ResourceError: The disk is full.
    """
    config = json.loads(RunFolder(run_dir).config_path.read_text(encoding="utf-8"))
    base_dir = base_dir or find_base(config["base"])
    digest = base_hash(base_dir)
    adapter_dir = RunFolder(run_dir).adapter_dir
    check_base(digest, adapter_dir)
    base_settings = json.loads((base_dir / "config.json").read_text(encoding="utf-8"))
    model_class, model_config = text_model(base_dir)
    own_head = has_own_head(base_dir)
    tied = bool(model_config.tie_word_embeddings) if own_head is None else not own_head
    plan = merge_plan(base_dir, adapter_dir, text_config(base_settings) is not base_settings, tied)
    dtype_name = write_merged(plan, merged_dir) if plan else _merge_in_memory(base_dir, digest, adapter_dir, merged_dir)
    settings = text_settings(base_settings, model_class.__name__, model_config)
    settings.pop("torch_dtype", None)
    settings["dtype"] = dtype_name
    settings["tie_word_embeddings"] = tied
    with disk_errors(merged_dir):
        (merged_dir / "config.json").write_text(json_text(settings, ascii_only=True, indent=2) + "\n", encoding="utf-8")
        rows = embedding_rows(read_headers(weight_paths(base_dir)))
        copy_tokenizer(base_dir / "tokenizer.json", merged_dir / "tokenizer.json", rows)
        for name in ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
            if (base_dir / name).is_file():
                shutil.copyfile(base_dir / name, merged_dir / name)
    name = base_dir.name if Path(config["base"]).is_dir() else config["base"]
    return {"base": name, "base_hash": digest, "merge_method": MERGE_METHOD, **lineage_of(base_dir)}


def _merge_in_memory(base_dir: Path, digest: str, adapter_dir: Path, merged_dir: Path) -> str:
    """For a base whose files name the adapted layers otherwise than transformers does; gives the dtype."""
    merged = load_adapter(load_base(base_dir), digest, adapter_dir).merge_and_unload()
    tied = bool(getattr(merged.config, "tie_word_embeddings", False))
    weights = {name: tensor for name, tensor in merged.state_dict().items() if not (tied and name == "lm_head.weight")}
    half_weights, dtype_name = to_half(weights)
    save_tensors(half_weights, merged_dir / "model.safetensors", {"format": "pt"})
    return dtype_name


def text_settings(settings: dict[str, Any], class_name: str, config: "PretrainedConfig") -> dict[str, Any]:
    """What config.json says of the merged model: as the base has it, but that a multimodal one is text alone now.

    Args:
        settings: The base's config.json.
        class_name: Of the model that was trained.
        config: Of that model.
    """
    if text_config(settings) is settings:
        return settings
    own: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    outer = {key: settings[key] for key in _TOKEN_KEYS if settings.get(key) is not None}
    return {**own, **outer, "architectures": [class_name]}


def to_half(weights: "dict[str, Tensor]") -> "tuple[dict[str, Tensor], str]":
    """Weights in float16, which keeps three bits more than bfloat16; in bfloat16 where one is too large for it.

    Args:
        weights: Tensors of any shape and float dtype, by name.

    Returns:
        The same shapes in 16 bit, and the name of their dtype.

    Raises:
        ApplianceError: A weight is no number.
    """
    import torch

    extremes = [float(tensor.abs().max()) for tensor in weights.values()]
    if not all(map(math.isfinite, extremes)):
        raise not_finite()
    dtype = torch.float16 if max(extremes) < LARGEST_HALF else torch.bfloat16
    return {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}, str(dtype).removeprefix("torch.")
