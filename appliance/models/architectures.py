"""What is known of the architectures that a base model may have: one table, read by training, exports and listings.

What transformers can build and stands not here is trained with a warning, and becomes neither GGUF nor ONNX.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Attention = Literal["full", "sliding"]
Bos = Literal["none", "tokenizer", "always"]


@dataclass(frozen=True)
class Architecture:
    """One `model_type` of a model's configuration."""

    name: str
    """As its makers write it."""
    family: Literal["decoder", "encoder"] = "decoder"
    gguf: str = ""
    """`general.architecture` of its GGUF files; empty where it cannot become one here."""
    why_no_gguf: str = ""
    """One clause after `it cannot become GGUF:`; empty where it can."""
    onnx: bool = False
    why_no_onnx: str = ""
    """One clause after `it cannot become ONNX:`; empty where it can."""
    text_part: str = ""
    """`model_type` of the text model within a multimodal one; empty where the model is text alone."""
    gguf_windows: bool = False
    """Whether llama.cpp lets its layers see a window; where it does not, texts are read up to the window's size."""
    attention: tuple[Attention, ...] = ("full",)
    """Kinds of attention that its layers may have."""
    bos: Bos = "none"
    """Whether its training put a token before each text: `tokenizer` where its tokenizer files decide."""
    experts: bool = False
    """Whether a token passes through some of many feed-forward networks."""


_NOT_WRITTEN = "its tensors and settings have no map here"
_NOT_TRIED = "its graph was never compared with the weights"
_NO_ENCODER = "GGUF files are written of decoders alone"
_EXPERTS_ONNX = "the graph would compute every expert for every token"
_FULL_OR_SLIDING: tuple[Attention, ...] = ("full", "sliding")

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("Llama", gguf="llama", onnx=True, bos="tokenizer"),
    "mistral": Architecture("Mistral", gguf="llama", onnx=True, attention=_FULL_OR_SLIDING, bos="tokenizer"),
    "qwen2": Architecture("Qwen2", gguf="qwen2", onnx=True, attention=_FULL_OR_SLIDING),
    "qwen3": Architecture("Qwen3", gguf="qwen3", onnx=True, attention=_FULL_OR_SLIDING),
    "gemma3_text": Architecture(
        "Gemma 3", gguf="gemma3", gguf_windows=True, onnx=True, attention=_FULL_OR_SLIDING, bos="always"
    ),
    "gemma3": Architecture(
        "Gemma 3 with images", gguf="gemma3", gguf_windows=True, onnx=True, text_part="gemma3_text",
        attention=_FULL_OR_SLIDING, bos="always",
    ),
    "gemma2": Architecture(
        "Gemma 2", why_no_gguf=_NOT_WRITTEN, why_no_onnx=_NOT_TRIED, attention=_FULL_OR_SLIDING, bos="always"
    ),
    "phi3": Architecture("Phi-3", gguf="phi3", onnx=True, attention=_FULL_OR_SLIDING, bos="tokenizer"),
    "smollm3": Architecture("SmolLM3", gguf="smollm3", onnx=True),
    "olmo2": Architecture("OLMo 2", gguf="olmo2", onnx=True),
    "granite": Architecture("Granite", gguf="granite", onnx=True),
    "qwen3_moe": Architecture("Qwen3 MoE", gguf="qwen3moe", why_no_onnx=_EXPERTS_ONNX, experts=True),
    "gpt2": Architecture("GPT-2", why_no_gguf=_NOT_WRITTEN, why_no_onnx=_NOT_TRIED),
    "bert": Architecture("BERT", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, bos="tokenizer"),
    "distilbert": Architecture("DistilBERT", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, bos="tokenizer"),
    "roberta": Architecture("RoBERTa", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, bos="tokenizer"),
    "xlm-roberta": Architecture("XLM-RoBERTa", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, bos="tokenizer"),
    "modernbert": Architecture(
        "ModernBERT", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, attention=_FULL_OR_SLIDING, bos="tokenizer"
    ),
    "deberta-v2": Architecture("DeBERTa", "encoder", why_no_gguf=_NO_ENCODER, onnx=True, bos="tokenizer"),
}  # fmt: skip
"""By `model_type` of the model's configuration."""


def architecture_of(config: Mapping[str, object]) -> Architecture | None:
    """What is known of the architecture that a `config.json` names; None where nothing is."""
    return ARCHITECTURES.get(str(config.get("model_type")))


def text_config(config: Mapping[str, object]) -> Mapping[str, object]:
    """The settings of the text model: the part of a multimodal configuration, or the configuration itself."""
    for key in ("text_config", "llm_config", "language_config"):
        part = config.get(key)
        if isinstance(part, Mapping):
            return part
    return config
