"""What a student of a base can become, and why not, as `stillroom export --check` says it."""

from pathlib import Path

from training.target_check import target_problems

TARGETS = {
    "decoder": ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "onnx-fp32", "onnx-int8"),
    "encoder": ("onnx-fp32", "onnx-int8"),
}
"""By family of the student."""


def refusals(directory: Path, family: str) -> dict[str, str]:
    """Each target with the reason why a student of this base cannot become it; empty where it can."""
    targets = TARGETS[family or "decoder"]
    problems = target_problems(directory, targets, family or "decoder")
    return {target: problems.get(target, ("", ""))[0] for target in targets}
