"""The table of architectures: every row says what can be done, or why it cannot."""

import pytest

from appliance.models.architectures import ARCHITECTURES, Architecture, architecture_of, text_config


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def test_what_cannot_be_exported_has_a_reason(architecture: Architecture) -> None:
    assert bool(architecture.gguf) != bool(architecture.why_no_gguf)
    assert architecture.onnx != bool(architecture.why_no_onnx)


def test_text_parts_are_architectures_themselves() -> None:
    parts = [architecture.text_part for architecture in ARCHITECTURES.values() if architecture.text_part]
    assert parts
    assert all(part in ARCHITECTURES for part in parts)


def test_the_text_part_of_a_multimodal_configuration_is_taken() -> None:
    config = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 8}}
    assert architecture_of(text_config(config)) is ARCHITECTURES["gemma3_text"]
    assert text_config({"model_type": "llama"}) == {"model_type": "llama"}
    assert architecture_of({"model_type": "of-tomorrow"}) is None
