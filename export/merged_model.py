"""The merged student in torch, in float32: the weights of a large one come when a module computes, and go after it.

However large the student is, no more than one module of it is in memory; a small one is read once.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from appliance.ground.errors import UsageError
from appliance.ground.json_input import parse_json
from export.merged_weights import EMBEDDING_ENDING, HEAD_NAME, MergedWeights

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

    from export.batches import Batch

Logits = NDArray[np.float32]
KEPT_BYTES = 1 << 30
"""Of float32 weights that stay in memory until all batches are computed."""


def read_config(merged_dir: Path) -> "tuple[PreTrainedConfig, type[PreTrainedModel]]":
    """The configuration of a decoder with all its defaults, and its class.

    Raises:
        UsageError: The folder holds no decoder that transformers knows.
    """
    import transformers

    settings = parse_json((merged_dir / "config.json").read_text(encoding="utf-8"))
    architectures = settings.get("architectures") if isinstance(settings, dict) else None
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else "none"
    model_class = getattr(transformers, name, None) if name.isidentifier() else None
    config_class = getattr(model_class, "config_class", None)
    if not name.endswith(("ForCausalLM", "LMHeadModel")) or model_class is None or config_class is None:
        raise UsageError(
            f"{merged_dir.name} cannot be exported: {name} is no text generation model that is known here",
            "merge a run of a decoder task",
        )
    config: PreTrainedConfig = config_class.from_pretrained(str(merged_dir), local_files_only=True)
    return config, model_class


def skeleton(config: "PreTrainedConfig", model_class: "type[PreTrainedModel]") -> "PreTrainedModel":
    """The model without weights; what it computes from the configuration, such as rotary frequencies, is there."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = model_class._from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    model.train(False)
    return model


def merged_logits(merged_dir: Path, batches: "Sequence[Batch]") -> Iterator[Logits]:
    """Logits of the columns of each batch, (rows, columns, vocab_size)."""
    import torch

    with torch.inference_mode(), _merged_model(merged_dir) as model:
        for batch in batches:
            positions = np.clip(batch.mask.cumsum(1) - 1, 0, None)
            output = model(
                input_ids=torch.from_numpy(batch.input_ids),
                attention_mask=torch.from_numpy(batch.mask),
                position_ids=torch.from_numpy(positions),
                logits_to_keep=torch.from_numpy(batch.columns),
                use_cache=False,
            )
            yield output.logits.float().numpy()


@contextlib.contextmanager
def _merged_model(merged_dir: Path) -> "Iterator[PreTrainedModel]":
    """The skeleton with hooks that fill and empty it; where its tensors are named or cut otherwise, all of it."""
    import torch

    config, model_class = read_config(merged_dir)
    weights = MergedWeights(merged_dir)
    model = skeleton(config, model_class)
    sources = _sources(model, weights)
    if sources is None:
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        whole: PreTrainedModel = model_class.from_pretrained(
            str(merged_dir), dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
        whole.train(False)
        yield whole
        return
    handles, stays = [], 4 * weights.parameters <= KEPT_BYTES
    for prefix, module in model.named_modules():
        names = {name: sources[f"{prefix}.{name}"] for name, _ in module.named_parameters(recurse=False)}
        if names:
            handles += _fill_while_computing(module, names, weights, stays)
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()


def _sources(model: "nn.Module", weights: MergedWeights) -> dict[str, str] | None:
    """The tensor in the files for each parameter; None where one is stored in another way."""
    sources = {}
    tied = {HEAD_NAME: next((name for name in weights.names if name.endswith(EMBEDDING_ENDING)), "")}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        source = name if name in weights else tied.get(name, "")
        if source not in weights or weights.shape(source) != tuple(parameter.shape):
            return None
        sources[name] = source
    return sources


def _fill_while_computing(module: "nn.Module", names: dict[str, str], weights: MergedWeights, stays: bool) -> list[Any]:
    """Hooks that read a module's parameters before it computes, and drop them after it where they do not stay."""
    import torch

    empty = dict(module._parameters)

    def fill(module: "nn.Module", inputs: object) -> None:
        for name, source in names.items():
            parameter = module._parameters[name]
            if parameter is not None and parameter.is_meta:
                value = torch.from_numpy(weights.read(source))
                module._parameters[name] = torch.nn.Parameter(value, requires_grad=False)

    def drop(module: "nn.Module", inputs: object, output: "torch.Tensor") -> None:
        module._parameters.update(empty)

    handles: list[Any] = [module.register_forward_pre_hook(fill)]
    return handles if stays else [*handles, module.register_forward_hook(drop)]
