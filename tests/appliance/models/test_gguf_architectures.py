"""Heads of GGUF files of every architecture: what llama.cpp ends the process on, or computes otherwise, is refused."""

import math
from typing import Any

import pytest

from appliance.models.gguf_header import Array, GgufHead, Scalar, TensorEntry, Unsound
from appliance.models.gguf_model import check_model
from appliance.models.gguf_shapes import ARCHITECTURES, Sizes, tensor_shapes

U32, F32, BOOL, STRING = 4, 6, 7, 8
SIZES = Sizes(blocks=2, width=8, feed_forward=12, heads=2, kv_heads=1, head_size=4, rotated=4, tokens=3, experts=0,
              expert_forward=0)  # fmt: skip
OWN: dict[str, dict[str, Scalar | Array]] = {
    "granite": {
        "attention.scale": Scalar(F32, 0.5), "embedding_scale": Scalar(F32, 12.0), "residual_scale": Scalar(F32, 0.2),
        "logit_scale": Scalar(F32, 8.0),
    },
    "gemma3": {
        "attention.sliding_window": Scalar(U32, 4), "attention.sliding_window_pattern": Array(BOOL, 2),
        "rope.freq_base_swa": Scalar(F32, 1e4), "final_logit_softcapping": Scalar(F32, 30.0),
    },
    "qwen3moe": {
        "expert_count": Scalar(U32, 4), "expert_used_count": Scalar(U32, 2),
        "expert_feed_forward_length": Scalar(U32, 6),
    },
    "phi3": {"rope.dimension_count": Scalar(U32, 2), "rope.scaling.attn_factor": Scalar(F32, 1.2)},
}  # fmt: skip


def head_of(architecture: str, **changes: Scalar | Array | None) -> GgufHead:
    """The head of a sound file with other values of some keys; `__` in a name is a dot."""
    own = {
        "block_count": Scalar(U32, 2), "context_length": Scalar(U32, 64), "embedding_length": Scalar(U32, 8),
        "feed_forward_length": Scalar(U32, 12), "attention.head_count": Scalar(U32, 2),
        "attention.head_count_kv": Scalar(U32, 1), "attention.layer_norm_rms_epsilon": Scalar(F32, 1e-5),
        **OWN.get(architecture, {}),
    }  # fmt: skip
    for name, value in changes.items():
        own.pop(name.replace("__", "."), None)
        if value is not None:
            own[name.replace("__", ".")] = value
    values: dict[str, Scalar | Array] = {
        "general.architecture": Scalar(STRING, architecture.encode()),
        "tokenizer.ggml.model": Scalar(STRING, b"gpt2"),
        "tokenizer.ggml.tokens": Array(STRING, 3, [b"a", b"b", b"c"]),
        "tokenizer.ggml.merges": Array(STRING, 0),
    }
    has_experts = architecture == "qwen3moe"
    sizes = Sizes(**{**vars(SIZES), "rotated": 2 if architecture == "phi3" else 4, "experts": 4 * has_experts,
                     "expert_forward": 6 * has_experts})  # fmt: skip
    needed, _ = tensor_shapes(sizes, architecture)
    tensors = {name: TensorEntry(name, shape, 0, 0) for name, shape in needed.items()}
    return GgufHead(values | {f"{architecture}.{key}": value for key, value in own.items()}, tensors)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sound_head_is_let_through_and_every_tensor_counts(architecture: str) -> None:
    head = head_of(architecture)
    check_model(head)

    for name, tensor in head.tensors.items():
        rest = {other: entry for other, entry in head.tensors.items() if other != name}
        with pytest.raises(Unsound, match="is missing"):
            check_model(GgufHead(head.values, rest))
        wider = TensorEntry(name, (tensor.shape[0] + 1, *tensor.shape[1:]), 0, 0)
        with pytest.raises(Unsound, match="has the dimensions"):
            check_model(GgufHead(head.values, rest | {name: wider}))
    surplus = TensorEntry("blk.0.attn_sinks.weight", (2,), 0, 0)
    with pytest.raises(Unsound, match="is none of a"):
        check_model(GgufHead(head.values, head.tensors | {surplus.name: surplus}))


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        ("granite", {"logit_scale": None}, "logit_scale is missing"),
        ("granite", {"residual_scale": Scalar(F32, 0.0)}, "residual_scale is 0.0, not a positive number"),
        ("granite", {"attention__scale": Scalar(F32, math.nan)}, "attention.scale is nan"),
        ("granite", {"embedding_scale": Scalar(U32, 12)}, "embedding_scale is no float32"),
        ("granite", {"deepstack_mapping": Array(5, 2)}, "it has deepstack_mapping"),
        ("gemma3", {"attention__sliding_window_pattern": Array(BOOL, 3)}, "one flag for each of 2 blocks"),
        ("gemma3", {"attention__sliding_window_pattern": Array(STRING, 2, [b"a", b"b"])}, "one flag for each"),
        ("gemma3", {"attention__sliding_window_pattern": Array(BOOL, 2, is_zero=True)}, "is of no block"),
        ("gemma3", {"attention__sliding_window_pattern": Scalar(U32, 1)}, "is of no block"),
        ("gemma3", {"attention__key_length_swa": Scalar(U32, 2)}, "attention.key_length_swa is 2"),
        ("gemma3", {"rope__dimension_count_swa": Scalar(U32, 2)}, "rope.dimension_count_swa is 2"),
        ("gemma3", {"rope__freq_base_swa": Scalar(F32, -1.0)}, "rope.freq_base_swa is -1.0"),
        ("gemma3", {"final_logit_softcapping": Scalar(F32, math.inf)}, "final_logit_softcapping"),
        ("gemma3", {"attention__sliding_window": Scalar(F32, 4.0)}, "attention.sliding_window is no uint32"),
        ("llama", {"attention__sliding_window": Scalar(U32, 4)}, "it has attention.sliding_window"),
        ("olmo2", {"attention__sliding_window": Scalar(U32, 4)}, "it has attention.sliding_window"),
        ("qwen3moe", {"expert_used_count": Scalar(U32, 5)}, "expert_used_count is 5"),
        ("qwen3moe", {"expert_count": Scalar(U32, 4096)}, "expert_count is 4,096"),
        ("qwen3moe", {"expert_group_count": Scalar(U32, 2)}, "it has expert_group_count"),
        ("qwen3", {"expert_count": Scalar(U32, 4)}, "it has expert_count"),
        ("phi3", {"rope__dimension_count": Scalar(U32, 6)}, "rope.dimension_count is 6"),
        ("phi3", {"rope__dimension_count": Scalar(U32, 3)}, "cannot be rotated in pairs"),
        ("phi3", {"rope__scaling__original_context_length": Scalar(U32, 0)}, "original_context_length is 0"),
        ("smollm3", {"rope__dimension_count": Scalar(U32, 2)}, "rope.dimension_count is 2"),
    ],
)
def test_setting_that_does_not_fit_is_refused(architecture: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsound, match=message):
        check_model(head_of(architecture, **changes))
