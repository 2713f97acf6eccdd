from typing import Any

import pytest

from appliance.models.model_config import read_model_config
from export.gguf.settings import ConversionError, architecture_of, settings_of
from export.gguf.tensor_plan import PlannedTensor, Shape, tensor_plan

SHAPE = {
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 64, "vocab_size": 10,
}  # fmt: skip
LAYER: dict[str, Shape] = {
    "input_layernorm": (8,), "post_attention_layernorm": (8,), "self_attn.q_proj": (8, 8), "self_attn.k_proj": (4, 8),
    "self_attn.v_proj": (4, 8), "self_attn.o_proj": (8, 8), "mlp.gate_proj": (12, 8), "mlp.up_proj": (12, 8),
    "mlp.down_proj": (8, 12),
}  # fmt: skip
GEMMA = {"pre_feedforward_layernorm": (8,), "post_feedforward_layernorm": (8,), "self_attn.q_norm": (4,),
         "self_attn.k_norm": (4,)}  # fmt: skip


def shapes(layer: dict[str, Shape], prefix: str = "model.") -> dict[str, Shape]:
    names: dict[str, Shape] = {f"{prefix}embed_tokens.weight": (10, 8), f"{prefix}norm.weight": (8,)}
    for number in range(2):
        names |= {f"{prefix}layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    return names


def plan(config: dict[str, Any], names: dict[str, Shape]) -> list[PlannedTensor]:
    read = read_model_config(config)
    return tensor_plan(read, architecture_of(read), names, own_head=False)


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
def test_text_part_is_taken_and_the_rest_of_a_multimodal_model_left(prefix: str) -> None:
    names = shapes(LAYER | GEMMA, prefix) | {"vision_tower.x": (3,), "model.multi_modal_projector.y.weight": (3,)}
    config = {"model_type": "gemma3", "text_config": {**SHAPE, "model_type": "gemma3_text", "sliding_window": 4}}

    planned = {tensor.name: tensor for tensor in plan(config, names)}

    assert planned["token_embd.weight"].sources == (f"{prefix}embed_tokens.weight",)
    assert planned["blk.1.post_ffw_norm.weight"].sources == (f"{prefix}layers.1.post_feedforward_layernorm.weight",)
    assert sorted(name for name in planned if name.startswith("blk.0.")) == [
        f"blk.0.{name}.weight"
        for name in ("attn_k", "attn_k_norm", "attn_norm", "attn_output", "attn_q", "attn_q_norm", "attn_v", "ffn_down",
                     "ffn_gate", "ffn_norm", "ffn_up", "post_attention_norm", "post_ffw_norm")
    ]  # fmt: skip


@pytest.mark.parametrize("is_stacked", [False, True], ids=["one-by-one", "stacked"])
def test_experts_become_one_tensor(is_stacked: bool) -> None:
    layer = {name: shape for name, shape in LAYER.items() if not name.startswith("mlp.")} | {"mlp.gate": (3, 8)}
    names = shapes(layer | {"self_attn.q_norm": (4,), "self_attn.k_norm": (4,)})
    for number in range(2):
        before = f"model.layers.{number}.mlp.experts"
        if is_stacked:
            names |= {f"{before}.gate_up_proj": (3, 10, 8), f"{before}.down_proj": (3, 8, 5)}
        for expert in range(0 if is_stacked else 3):
            names |= {f"{before}.{expert}.{name}.weight": (5, 8) for name in ("gate_proj", "up_proj")}
            names[f"{before}.{expert}.down_proj.weight"] = (8, 5)
    config = {**SHAPE, "model_type": "qwen3_moe", "num_experts": 3, "num_experts_per_tok": 2, "norm_topk_prob": True,
              "moe_intermediate_size": 5}  # fmt: skip

    planned = {tensor.name: tensor for tensor in plan(config, names)}

    assert planned["blk.0.ffn_up_exps.weight"].shape == (3, 5, 8)
    assert planned["blk.0.ffn_down_exps.weight"].shape == (3, 8, 5)
    assert planned["blk.0.ffn_gate_inp.weight"].is_f32
    assert len(planned["blk.1.ffn_gate_exps.weight"].sources) == (1 if is_stacked else 3)


def test_llama_cpp_has_one_set_of_long_rotary_factors_to_choose_from() -> None:
    rope = {"rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [4.0, 9.0]}
    config = {**SHAPE, "model_type": "phi3", "rope_parameters": rope, "original_max_position_embeddings": 32}
    layer = {name: shape for name, shape in LAYER.items() if "_proj" not in name or "o_proj" in name}
    names = shapes(layer | {"self_attn.qkv_proj": (16, 8), "mlp.gate_up_proj": (24, 8), "mlp.down_proj": (8, 12)})

    factors = [tensor.build([]).tolist() for tensor in plan(config, names) if tensor.name.startswith("rope_factors_")]

    assert factors == [[1.0, 1.5], [1.0, 1.5]]  # it chooses by the room that is reserved, transformers by the text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.layers.1.mlp.up_proj.weight": None}, "lack model.layers.1.mlp.up_proj.weight"),
        ({"model.layers.1.mlp.up_proj.weight": (12, 9)}, r"has the dimensions \[12, 9\], config.json makes them"),
        ({"model.layers.2.mlp.up_proj.weight": (12, 8)}, "no tensor for model.layers.2.mlp.up_proj.weight"),
        ({"model.embed_tokens.weight": None}, "no embed_tokens.weight"),
    ],
    ids=["missing", "shape", "surplus", "embedding"],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Shape | None], message: str) -> None:
    names = {name: shape for name, shape in (shapes(LAYER) | change).items() if shape}

    with pytest.raises(ConversionError, match=message):
        plan({**SHAPE, "model_type": "llama"}, names)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, "a gpt2 model cannot"),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "a cap on its attention"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "attention in both directions"),
        ({"model_type": "smollm3", "no_rope_layers": [1, 0]}, "rotary positions in other layers"),
        ({"model_type": "phi3", "head_dim": 8}, "heads of 16 dimensions"),
        ({"model_type": "qwen3_moe", "norm_topk_prob": False}, "shares do not sum to one"),
        ({"model_type": "qwen3_moe", "norm_topk_prob": True, "mlp_only_layers": [0]}, "some of its layers only"),
        ({"model_type": "qwen3", "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic rotary scaling"),
        ({"model_type": "llama", "partial_rotary_factor": 0.5}, "2 of 4 dimensions of a head rotated"),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        architecture_of(read_model_config({**SHAPE, **config}))


def test_scales_of_a_granite_stand_in_the_file() -> None:
    config = read_model_config({**SHAPE, "model_type": "granite", "embedding_multiplier": 12.0, "logits_scaling": 8})

    settings = settings_of(config, architecture_of(config), 10)

    assert [settings[key] for key in ("embedding_scale", "logit_scale", "residual_scale", "attention.scale")] == [
        12.0, 8.0, 1.0, 1.0,
    ]  # fmt: skip
