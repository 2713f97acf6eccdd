"""The base of a decoder with a fresh adapter, held and computed as the options say."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from appliance.ground.errors import UsageError
from training.base_model import load_base, stored_precision
from training.lora import add_lora, trainable_weights
from training.options import AdapterOptions, TrainingOptions
from training.ranks import rank_count
from training.students.decoder.attention import use_attention_by_document
from training.students.decoder.fused_lora import fuse

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def adapted_model(base_dir: Path, options: TrainingOptions) -> "PeftModel":
    """The base of a folder, frozen, with a fresh adapter.

    Raises:
        UsageError: The base has fewer layers than are to be trained.
    """
    compute, is_half = options.compute, options.adapter.precision == "bfloat16"
    base = load_base(base_dir, "bfloat16" if is_half else "float32", load_in_4bit=compute.load_in_4bit)
    if compute.load_in_4bit:
        base = prepare_4bit(base)
    elif not is_half:
        hold_as_stored(base, getattr(torch, stored_precision(base_dir)))
    use_attention_by_document(base)
    model = new_adapter(base, options.adapter)
    if not (compute.load_in_4bit or options.adapter.dropout):
        fuse(model, torch.bfloat16 if is_half else torch.float32)
    if compute.checkpointing:
        base.activation_checkpointing_enable({"use_reentrant": False})
    if compute.shard_base and rank_count() > 1:
        shard_base(model, layers_of(base))
    return model


def prepare_4bit(base: "PreTrainedModel") -> "PreTrainedModel":
    """A quantized base with all that is not quantized in float32, as its adapter needs it."""
    from peft import prepare_model_for_kbit_training

    prepared: PreTrainedModel = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
        base, use_gradient_checkpointing=False
    )
    return prepared


def new_adapter(base: "PreTrainedModel", options: AdapterOptions) -> "PeftModel":
    """The base with a fresh LoRA on every linear layer but the head, the same for the same seed.

    Raises:
        UsageError: The base has fewer layers than are to be trained.
    """
    from peft import LoraConfig

    torch.manual_seed(options.seed)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules="all-linear" if options.layers is None else linear_names(base, options.layers),
        task_type="CAUSAL_LM",
    )
    return add_lora(base, config)


def layers_of(base: nn.Module) -> Sequence[nn.Module]:
    """The layers of a decoder, the lowest first: its longest list of modules."""
    lists: list[list[nn.Module]] = [list(module) for module in base.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len)


def linear_names(base: nn.Module, count: int) -> list[str]:
    """Names of the linear modules of the last layers.

    Raises:
        UsageError: There are fewer layers.
    """
    from transformers.pytorch_utils import Conv1D

    layers = layers_of(base)
    if count > len(layers):
        raise UsageError(
            f"the base has {len(layers)} layers; the last {count} cannot be trained",
            f"give --train-layers a number up to {len(layers)}, or leave it out to train all",
        )
    linear = {
        id(module)
        for layer in layers[len(layers) - count :]
        for module in layer.modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
    return [name for name, module in base.named_modules() if id(module) in linear]


def hold_as_stored(base: nn.Module, stored: torch.dtype) -> None:
    """Keeps the large matrices of a base in the 16 bit that they are stored in; they compute in float32 all the same.

    The numbers are those of the whole model in float32, in little more than half of its memory.

    Args:
        base: In float32.
        stored: Of its files.
    """
    if stored is torch.float32:
        return
    for layer in layers_of(base):
        for module in layer.modules():
            if type(module) is nn.Linear:
                module.weight.data = module.weight.data.to(stored)
                _compute_wide(module)


def _compute_wide(linear: nn.Linear) -> None:
    linear.forward = lambda x: functional.linear(x, linear.weight.to(x.dtype), linear.bias)  # type: ignore[method-assign, assignment]


def shard_base(model: "PeftModel", layers: Sequence[nn.Module]) -> None:
    """Leaves each process a part of every frozen layer; a layer is gathered while it computes. Adapters stay whole."""
    from torch.distributed.fsdp import fully_shard

    adapter = set(trainable_weights(model).values())
    for layer in layers:
        fully_shard(layer, ignored_params=adapter)  # type: ignore[arg-type]
