"""A tiny random model of the true shape for every architecture that is offered, with tokenizers of every kind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizer_fixtures import add_image_token
from tokenizer_kinds import write_tokenizer

LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.2, 1.4, 1.7], "long_factor": [2.0] * 4, "rope_theta": 1e4}


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    model_type: str
    tokenizer: str
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


CASES = (
    Case("llama", "smollm", "SmolLM2"),
    Case("llama", "llama3", "Llama 3", {"tie_word_embeddings": False, "rope_parameters": {
        "rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256}}),
    Case("mistral", "tekken", "Nemo", {"sliding_window": None, "head_dim": 32, "tie_word_embeddings": False}),
    Case("mistral", "metaspace", "7B v0.1: the context is its window", {"sliding_window": 512}),
    Case("qwen2", "qwen2", "Qwen2.5", {"tie_word_embeddings": True}),
    Case("qwen3", "qwen2", "Qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    Case("gemma3_text", "gemma", "Gemma 3 270M, 1B", {"head_dim": 32, "sliding_window": 32, "layer_types": [
        "sliding_attention", "full_attention"], "query_pre_attn_scalar": 100, "tie_word_embeddings": True}),
    Case("gemma3", "gemma", "Gemma 3 4B and larger: its text part"),
    Case("phi3", "llama2", "Phi-3, 3.5", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 512,
        "max_position_embeddings": 1024, "num_attention_heads": 8, "num_key_value_heads": 8}),
    Case("phi3", "cl100k", "Phi-4", {"tie_word_embeddings": False}),
    Case("phi3", "o200k", "Phi-4-mini", {"tie_word_embeddings": True, "partial_rotary_factor": 0.5,
        "rope_parameters": {**LONGROPE, "partial_rotary_factor": 0.5}, "original_max_position_embeddings": 512,
        "max_position_embeddings": 4096}),
    Case("smollm3", "llama3", "SmolLM3", {"num_hidden_layers": 4, "tie_word_embeddings": True}),
    Case("olmo2", "cl100k", "OLMo 2", {"tie_word_embeddings": False}),
    Case("granite", "smollm", "Granite 3", {"embedding_multiplier": 3.0, "logits_scaling": 2.0,
        "residual_multiplier": 0.6, "attention_multiplier": 0.3, "tie_word_embeddings": True}),
    Case("qwen3_moe", "qwen2", "Qwen3 30B-A3B", {"head_dim": 16, "moe_intermediate_size": 32, "num_local_experts": 4,
        "num_experts_per_tok": 2, "norm_topk_prob": True}),
)  # fmt: skip
SHAPE = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.1, "bos_token_id": 1,
    "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


def write_model(directory: Path, case: Case) -> Path:
    """A base of the case: random weights of its true shape, and the files of its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Gemma3ForConditionalGeneration

    vocab_size = write_tokenizer(directory, case.tokenizer)
    if case.tokenizer == "gemma":
        add_image_token(directory)  # The text models of that family keep the whole family's tokenizer.
    settings = json.loads(json.dumps({**SHAPE, "vocab_size": vocab_size, **case.settings}))
    torch.manual_seed(0)
    if case.model_type == "gemma3":
        text = {
            **settings,
            "head_dim": 16,
            "sliding_window": 32,
            "layer_types": ["sliding_attention", "full_attention"],
        }
        text["rope_parameters"] = {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        }
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                  "image_size": 28, "patch_size": 14}  # fmt: skip
        config = AutoConfig.for_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=4)
        model = Gemma3ForConditionalGeneration(config)
    else:
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(case.model_type, **settings))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "norm" in name:  # They begin as ones or zeros, which would hide a lost one.
                weights.add_(0.3 * torch.randn_like(weights))
    model.save_pretrained(str(directory))
    return directory
