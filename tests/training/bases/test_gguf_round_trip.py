"""Models of each architecture that become GGUF files, and bases again: the same numbers, the same logits."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.ground.settings import load_settings
from training.bases.store import BaseStore

SHAPE = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.2, "bos_token_id": None,
    "eos_token_id": 0, "pad_token_id": 1,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LONG = {
    "rope_type": "longrope", "rope_theta": 1e4, "long_factor": [1.5] * 8, "short_factor": [1.1] * 8,
    "original_max_position_embeddings": 128,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama, biases, own head": ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}),
    "llama 3.1": ("llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama, linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 16}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3_moe", {
        "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True,
    }),
    "gemma3": ("gemma3_text", {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16}),
    "phi3": ("phi3", {"sliding_window": None, "original_max_position_embeddings": 128}),
    "phi3, long": ("phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 128, "sliding_window": None,
                            "max_position_embeddings": 512}),
    "smollm3": ("smollm3", {"tie_word_embeddings": True, "num_hidden_layers": 4}),
    "olmo2": ("olmo2", {}),
    "granite": ("granite", {"embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.22,
                            "attention_multiplier": 0.05}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("model_type", "settings"), MODELS.values(), ids=MODELS.keys())
def test_a_gguf_file_becomes_the_model_that_it_was_made_of(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    import torch
    from decoder_fixtures import order
    from smollm_tokenizer import train_tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM

    from export.gguf.convert import convert
    from training.base_model import load_base
    from training.base_sources.adding import add_base

    tokenizer = train_tokenizer([order(number)[0] for number in range(100)], 400)
    source_dir = tmp_path / "source"
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, vocab_size=tokenizer.get_vocab_size(), **{**SHAPE, **settings})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weights in model.parameters():  # norms and biases begin as ones and zeros
            weights += 0.05 * torch.randn_like(weights)
    model.half().save_pretrained(source_dir)
    tokenizer.save(str(source_dir / "tokenizer.json"))
    convert(source_dir, tmp_path / "model.gguf")

    store = BaseStore(load_settings({"STILLROOM_HOME": str(tmp_path / "home")}))
    base = add_base(store, tmp_path / "model.gguf", "again")

    ids = torch.tensor([tokenizer.encode(order(3)[0], add_special_tokens=False).ids[:60]])
    with torch.inference_mode():
        expected = load_base(source_dir)(input_ids=ids).logits
        actual = load_base(base.directory)(input_ids=ids).logits
    # Norms of Gemma pass through 32 bit with one added, all other numbers come back as they were.
    assert (actual - expected).abs().max() < 2e-3 * expected.abs().max()
    assert base.record.dequantized_from == "F16"
    assert json.loads((base.directory / "config.json").read_text())["vocab_size"] == tokenizer.get_vocab_size()
