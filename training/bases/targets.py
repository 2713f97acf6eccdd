"""What a student of a base can become, and why not, as `stillroom export --check` says it."""

from training.bases.facts import BaseFacts

GGUF_TARGETS = ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m")
ONNX_TARGETS = ("onnx-fp32", "onnx-int8")
_UNKNOWN = "nothing is known here of models of this type"


def refusals(facts: BaseFacts) -> dict[str, str]:
    """Each target with the reason why a student of this base cannot become it; empty where it can."""
    architecture = facts.architecture
    no_gguf = architecture.why_no_gguf if architecture else _UNKNOWN
    no_onnx = architecture.why_no_onnx if architecture else _UNKNOWN
    return dict.fromkeys(GGUF_TARGETS, no_gguf) | dict.fromkeys(ONNX_TARGETS, no_onnx)
