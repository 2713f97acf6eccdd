"""The model of a base folder: by transformers, from safetensors alone, without code of its own, every tensor there."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.base_kind import attention_of
from training.preflight import check_loaded

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


def load_model(
    model_class: "type[PreTrainedModel]",
    config: "PretrainedConfig",
    directory: Path,
    dtype: "torch.dtype",
    options: Mapping[str, Any],
) -> "PreTrainedModel":
    """The model without the network and without remote code.

    Args:
        dtype: In which its weights lie in memory.
        options: Of `from_pretrained`, besides those that are the same for all.

    Raises:
        UnfitBase: A tensor is missing, has another shape, or has no place.
    """
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    # What it reports at length, `check_loaded` refuses.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        answer: Any = model_class.from_pretrained(
            str(directory),
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=attention_of(model_class, config),
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            **options,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
    model, loading = answer
    # No vector of a text comes from the pooler of an encoder, so that many checkpoints lack it.
    missing = [name for name in loading["missing_keys"] if not name.startswith("pooler.")]
    check_loaded(directory.name, missing, loading["mismatched_keys"], loading["unexpected_keys"])
    loaded: PreTrainedModel = model
    return loaded
