"""Whether a folder of files is a base that can be trained: asked before it gets its place in the store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.ground.errors import UsageError
from appliance.models.architectures import architecture_of, text_config
from training.base_sources.folder_source import refuse_code
from training.base_sources.tokenizer_files import check_tokenizer_files
from training.bases.json_object import read_object


def examine(directory: Path) -> None:
    """Refuses what could not be trained, by name: files, settings, tokenizer, numbers, tensors of the model.

    The weights are read once, a few megabytes at a time; the model is built without them.

    Raises:
        UsageError: Says what is wrong, on which file, tensor or token.
    """
    from training.preflight import check_base

    refuse_code(directory)
    check_tokenizer_files(directory)
    check_base(directory)
    check_tensors(directory)


def examine_heads(directory: Path) -> None:
    """The part of `examine` that reads settings, tokenizer and the heads of the weights alone.

    Raises:
        UsageError: Says what is wrong, on which file, tensor or token.
    """
    from training.preflight import check_base_files

    refuse_code(directory)
    check_tokenizer_files(directory)
    check_base_files(directory)


def examine_settings(directory: Path) -> None:
    """Refuses by configuration and tokenizer alone what could not be trained, before weights are fetched.

    Raises:
        UsageError: Says what is wrong.
    """
    from training.base_kind import text_model

    refuse_code(directory)
    settings = read_object(directory / "config.json")
    if not (directory / "tokenizer.json").is_file():
        raise UsageError(f"{directory.name} has no tokenizer.json", "choose a repository with one")
    check_tokenizer_files(directory)
    if not _is_encoder(directory, settings):
        text_model(directory)


def _is_encoder(directory: Path, settings: Mapping[str, object]) -> bool:
    """Whether a base reads a text from both sides: as the table says, else as transformers has its kind."""
    known = architecture_of(settings) or architecture_of(text_config(settings))
    if known is not None:
        return known.family == "encoder"
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    from training.base_kind import auto_config

    config = auto_config(directory)
    writes_too = getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False)
    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not writes_too


def check_tensors(directory: Path) -> None:
    """Compares the tensors of the weights with those of the model that the configuration describes.

    Raises:
        UsageError: The architecture is unknown, or a tensor is missing, has another shape or no place.
    """
    settings = read_object(directory / "config.json")
    if _is_encoder(directory, settings):
        return  # which of its tensors a student needs is for the encoder's own loading to say
    from transformers.utils import logging as transformers_logging

    from training.base_kind import attention_of, text_model
    from training.base_model import TEXT_NAMES
    from training.preflight import check_loaded

    model_class, config = text_model(directory)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        # On the device `meta` every tensor has its shape and no memory.
        answer: Any = model_class.from_pretrained(
            str(directory), config=config, device_map={"": "meta"}, local_files_only=True, use_safetensors=True,
            trust_remote_code=False, attn_implementation=attention_of(model_class, config), key_mapping=TEXT_NAMES,
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (ImportError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"the base {directory.name} cannot be built from its config.json: {first_line}",
            "use the config.json that belongs to these weights, or another base",
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    loading: dict[str, Any] = answer[1]
    check_loaded(directory.name, loading["missing_keys"], loading["mismatched_keys"], loading["unexpected_keys"])
