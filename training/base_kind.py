"""Which model a base's config.json describes: its class and configuration, before any weight is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import UsageError
from appliance.ground.text import printable
from training.preflight import UnfitBase, read_settings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def text_model(directory: Path) -> "tuple[type[PreTrainedModel], PretrainedConfig]":
    """The class and the configuration of the causal language model in a folder: of a model that also sees, its text.

    Raises:
        UsageError: The installed transformers have no such model of their own; code that comes with a base is not run.
        UnfitBase: The configuration describes no model that can be built.
    """
    kind = str(read_settings(directory)["model_type"])
    if kind == "llama":  # the Auto classes import every architecture's table, which costs a second
        from transformers.models.llama.configuration_llama import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        with _named_errors(directory, kind):
            return _buildable(LlamaForCausalLM, LlamaConfig.from_pretrained(str(directory), local_files_only=True))
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    config = auto_config(directory).get_text_config(decoder=True)
    both_ways = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or both_ways:
        raise UsageError(
            f"the base {directory.name} is of the kind {printable(kind)}, which does not write text from left to right",
            'choose a causal language model, or an encoder with family = "encoder" for a classification',
        )
    with _named_errors(directory, kind):
        model_class: type[PreTrainedModel] = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]  # type: ignore[assignment]
        return _buildable(model_class, config)


def auto_config(directory: Path) -> "PretrainedConfig":
    """The configuration of any model that the installed transformers know.

    Raises:
        UsageError: They do not know it.
        UnfitBase: It contradicts itself.
    """
    from transformers import AutoConfig, __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # type: ignore[attr-defined]

    settings = read_settings(directory)
    kind = str(settings["model_type"])
    if kind not in CONFIG_MAPPING_NAMES:
        brings = ", and the code that it brings is not run" if settings.get("auto_map") else ""
        raise UsageError(
            f"the base {directory.name} is of the kind {printable(kind)}, which transformers {__version__} does not"
            f" know{brings}",
            "choose a base of a known architecture; `stillroom bases list` names those that were tried",
        )
    with _named_errors(directory, kind):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
        return config


def _buildable(
    model_class: "type[PreTrainedModel]", config: "PretrainedConfig"
) -> "tuple[type[PreTrainedModel], PretrainedConfig]":
    """Both, after the model was built once without memory for its weights."""
    import torch

    with torch.device("meta"):
        model_class(config)
    return model_class, config


@contextmanager
def _named_errors(directory: Path, kind: str) -> Iterator[None]:
    """Around code of transformers that reads a configuration: it raises what the wrong setting happens to cause."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except (
        StrictDataclassError, ArithmeticError, AssertionError, AttributeError, ImportError, LookupError,
        NotImplementedError, OSError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UnfitBase(
            f"config.json of the base {directory.name} does not describe a {printable(kind)} model:"
            f" {printable(reason)}",
            "use the config.json that belongs to these weights",
        ) from error


def attention_of(model_class: "type[PreTrainedModel]", config: "PretrainedConfig") -> str:
    """The implementation of attention that computes what the model says: the fused one leaves caps of logits out."""
    fused = model_class._supports_sdpa and not getattr(config, "attn_logit_softcapping", None)
    return "sdpa" if fused else "eager"
