"""The forward pass of a small Llama without masks, caches and hooks: right-padded rows under a causal mask."""

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

BASE_CONFIG = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}


def new_model(vocab_size: int, end_id: int, pad_id: int) -> LlamaForCausalLM:
    """A model of the base's shape with random weights."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=pad_id,
        initializer_range=0.02,
        **BASE_CONFIG,
    )
    return LlamaForCausalLM(config)


def rotary(config: LlamaConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, (positions, head_dim)."""
    head_dim = config.hidden_size // config.num_attention_heads
    frequencies = 1.0 / (BASE_CONFIG["rope_theta"] ** (torch.arange(0, head_dim, 2, device=device).float() / head_dim))
    angles = torch.outer(torch.arange(config.max_position_embeddings, device=device).float(), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def hidden_states(model: LlamaForCausalLM, input_ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Final hidden states, (batch, seq_len, hidden), equal to those of `model.model` on unpadded rows."""
    config, decoder = model.config, model.model
    batch, length = input_ids.shape
    heads, groups = config.num_attention_heads, config.num_attention_heads // config.num_key_value_heads
    hidden = functional.embedding(input_ids, decoder.embed_tokens.weight)
    size, eps = (config.hidden_size,), config.rms_norm_eps
    cos, sin = cos[:length].to(hidden.dtype), sin[:length].to(hidden.dtype)
    for layer in decoder.layers:
        attention = layer.self_attn
        x = functional.rms_norm(hidden, size, layer.input_layernorm.weight, eps)
        q = _rotate(attention.q_proj(x).view(batch, length, heads, -1).transpose(1, 2), cos, sin)
        k = _rotate(attention.k_proj(x).view(batch, length, heads // groups, -1).transpose(1, 2), cos, sin)
        v = attention.v_proj(x).view(batch, length, heads // groups, -1).transpose(1, 2)
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        hidden = hidden + attention.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        x = functional.rms_norm(hidden, size, layer.post_attention_layernorm.weight, eps)
        hidden = hidden + layer.mlp.down_proj(functional.silu(layer.mlp.gate_proj(x)) * layer.mlp.up_proj(x))
    return functional.rms_norm(hidden, size, decoder.norm.weight, eps)
