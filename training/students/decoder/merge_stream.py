"""A LoRA folded into the files of its base, tensor by tensor: no model is built, and no file is held in memory."""

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.text import human_size
from appliance.models.safetensors_file import (
    INDEX_NAME,
    WHOLE_NAME,
    TensorHeader,
    read_headers,
    read_tensor,
    weight_paths,
)
from training.base_model import TEXT_NAMES
from training.tensor_files import write_half_tensors

if TYPE_CHECKING:
    from torch import Tensor

SPARE_BYTES = 50_000_000
"""Space that a merge leaves free."""
LARGEST_HALF = 6e4
"""Weights beyond it do not fit into float16."""
MOST_FILE_BYTES = 5_000_000_000
"""Of one merged file; a larger one of the base becomes several."""
HEAD_NAME = "lm_head.weight"
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\.safetensors")


@dataclass(frozen=True)
class Change:
    """What an adapter adds to one matrix: `scaling * B @ A`."""

    a: TensorHeader
    b: TensorHeader
    scaling: float
    is_turned: bool
    """The matrix is stored as (inputs, outputs)."""


@dataclass(frozen=True)
class MergedTensor:
    """One tensor of the merged model."""

    name: str
    base: TensorHeader
    change: Change | None


Plan = dict[str, list[MergedTensor]]
"""Name of a merged file -> its tensors."""


class _Overflow(Exception):
    """A weight does not fit into float16."""


def not_finite() -> ApplianceError:
    """The error of merged weights that are no numbers."""
    return ApplianceError("the merged weights are not finite", "train again with a lower --rate, or with another base")


def merge_plan(base_dir: Path, adapter_dir: Path, is_multimodal: bool, is_tied: bool) -> Plan | None:
    """Which tensors the merged files hold; None where the adapter changes one that the base's files do not name.

    Args:
        is_multimodal: Of the base's tensors only those of its text model are kept, under the text model's names.
        is_tied: Its output matrix is its embedding, and not stored again.
    """
    changes = _changes(adapter_dir)
    kept: list[MergedTensor] = []
    for own_name, header in read_headers(weight_paths(base_dir)).items():
        name = _text_name(own_name) if is_multimodal else own_name
        is_buffer = own_name.endswith("rotary_emb.inv_freq")
        if name is None or is_buffer or (is_tied and name == HEAD_NAME):
            continue
        module = name.removesuffix(".weight")
        # Files of a model without its output layer have no `model.` before their names.
        change = changes.pop(module, None) or changes.pop(f"model.{module}", None)
        kept.append(MergedTensor(name, header, change))
    return None if changes or not _fits(kept) else _files(kept)


def _text_name(name: str) -> str | None:
    """A tensor's name in the text model; None for a part that sees or hears."""
    for pattern, start in TEXT_NAMES.items():
        if re.match(pattern, name):
            return re.sub(pattern, start, name, count=1)
    return name if name == HEAD_NAME else None


def _changes(adapter_dir: Path) -> dict[str, Change]:
    """By module of the model; under an impossible name where the adapter is of another kind than ours."""
    from peft.utils.other import get_pattern_key

    settings = json.loads((adapter_dir / "adapter_config.json").read_text(encoding="utf-8"))
    headers = read_headers([adapter_dir / "adapter_model.safetensors"])
    changes = {}
    patterns: dict[str, float] = settings.get("alpha_pattern") or {}
    for key, a in headers.items():
        module = key.removeprefix(_PREFIX).removesuffix(_A)
        partner = headers.get(f"{_PREFIX}{module}{_B}")
        if key.endswith(_A) and partner:
            alpha = float(patterns.get(get_pattern_key(list(patterns), module), settings["lora_alpha"]))
            rank = a.shape[0]
            scaling = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
            changes[module] = Change(a, partner, scaling, bool(settings.get("fan_in_fan_out")))
        elif not key.endswith(_B):
            changes[f"/{key}"] = Change(a, a, 1.0, False)
    return changes


def _fits(tensors: Sequence[MergedTensor]) -> bool:
    """Whether every change has the shape of its matrix."""
    for tensor in tensors:
        if change := tensor.change:
            shape = (change.b.shape[0], change.a.shape[1])
            if tensor.base.shape != (shape[::-1] if change.is_turned else shape):
                return False
    return True


def _files(tensors: Sequence[MergedTensor]) -> Plan:
    """The base's own files under their names; others where there is one alone, or one is too large."""
    parts: list[tuple[Path, list[MergedTensor]]] = []
    room = 0
    for tensor in tensors:
        size = 2 * tensor.base.numbers
        if not parts or parts[-1][0] != tensor.base.path or size > room:
            parts.append((tensor.base.path, []))
            room = MOST_FILE_BYTES
        parts[-1][1].append(tensor)
        room -= size
    if len(parts) == 1:
        return {WHOLE_NAME: parts[0][1]}
    names = [path.name for path, _ in parts]
    if len(set(names)) < len(names) or not all(map(_SHARD_NAME.fullmatch, names)) or WHOLE_NAME in names:
        names = [f"model-{number:05}-of-{len(parts):05}.safetensors" for number in range(1, len(parts) + 1)]
    return dict(zip(names, (held for _, held in parts), strict=True))


def write_merged(plan: Plan, merged_dir: Path) -> str:
    """Writes all files, and the index of several.

    Returns:
        The dtype: float16, which keeps three bits more than bfloat16; bfloat16 where a weight is too large for it.

    Raises:
        ApplianceError: A weight is no number.
        ResourceError: The disk is full, or would be.
    """
    _check_space(plan, merged_dir)
    for dtype in ("float16", "bfloat16"):
        try:
            for file_name, tensors in plan.items():
                shapes = [(tensor.name, tensor.base.shape) for tensor in tensors]
                write_half_tensors(merged_dir / file_name, shapes, dtype, _merged(tensors, dtype))
        except _Overflow:
            continue
        if len(plan) > 1:
            places = {tensor.name: file_name for file_name, tensors in plan.items() for tensor in tensors}
            size_bytes = sum(2 * tensor.base.numbers for tensors in plan.values() for tensor in tensors)
            index: Mapping[str, object] = {"metadata": {"total_size": size_bytes}, "weight_map": places}
            write_file(merged_dir / INDEX_NAME, (json_text(index, ascii_only=True, indent=2) + "\n").encode())
        return dtype
    raise not_finite()


def _check_space(plan: Plan, merged_dir: Path) -> None:
    """Whether the disk holds the merged files, and once more while they become an artifact.

    Raises:
        ResourceError: It does not.
    """
    size_bytes = sum(2 * tensor.base.numbers for tensors in plan.values() for tensor in tensors)
    needed, free = 2 * size_bytes + SPARE_BYTES, shutil.disk_usage(merged_dir).free
    if free < needed:
        raise ResourceError(
            f"the merge needs {human_size(needed)} with a reserve of {human_size(SPARE_BYTES)}, the disk of"
            f" {merged_dir.parent} has {human_size(free)} free",
            "free some space, or move the task folder to a larger disk",
        )


def _merged(tensors: Sequence[MergedTensor], dtype: str) -> "Iterator[Tensor]":
    """Each tensor with its change, in 16 bit."""
    import torch

    for tensor in tensors:
        weights = torch.from_numpy(read_tensor(tensor.base))
        if change := tensor.change:
            added = torch.from_numpy(read_tensor(change.b)) @ torch.from_numpy(read_tensor(change.a))
            weights += (added.T if change.is_turned else added) * change.scaling
        largest = float(weights.abs().max()) if weights.numel() else 0.0
        if not math.isfinite(largest):
            raise not_finite()
        if dtype == "float16" and largest >= LARGEST_HALF:
            raise _Overflow
        yield weights.to(getattr(torch, dtype))
