"""The forward pass in training is each architecture's own: packed examples have the loss that they have alone."""

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from training.losses import masked_cross_entropy
from training.students.decoder.attention import blocks_of, use_attention_by_document
from training.students.decoder.examples import TokenExample, pack
from training.students.decoder.forward import value_logits
from training.students.decoder.shared_prefix import shared_row, shares_prefix

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHAPE = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
FAST = {
    "llama": {},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22},
    "gemma2": {"sliding_window": 8, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0},
}
SLOW = {
    "mistral": {"sliding_window": 8},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "gemma3_text": {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "phi3": {"sliding_window": 8},
    "smollm3": {},
    "olmo2": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma": {},
    "starcoder2": {"sliding_window": 8},
    "cohere": {"logit_scale": 0.0625},
}
CASES = [
    *(pytest.param(name, settings, id=name) for name, settings in FAST.items()),
    *(pytest.param(name, settings, id=name, marks=pytest.mark.slow) for name, settings in SLOW.items()),
]


def model_of(model_type: str, settings: dict[str, object]) -> "PreTrainedModel":
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**SHAPE, **settings}))
    return model.eval()


def examples_of(beginning: int) -> list[TokenExample]:
    """Three examples that begin with so many tokens in common."""
    common = torch.randint(3, 96, (beginning,)).tolist()
    return [
        TokenExample(common + torch.randint(3, 96, (length,)).tolist(), [False] * (beginning + length - 5) + [True] * 5)
        for length in (30, 7, 19)
    ]


@pytest.mark.parametrize("beginning", [0, 24])
@pytest.mark.parametrize(("model_type", "settings"), CASES)
def test_packed_examples_have_the_loss_that_the_model_computes_for_each_alone(
    model_type: str, settings: dict[str, object], beginning: int
) -> None:
    model, examples = model_of(model_type, settings), examples_of(beginning)
    losses = []
    with torch.no_grad():
        for example in examples:
            pairs = zip(example.input_ids, example.is_value, strict=True)
            labels = [token if is_written else -100 for token, is_written in pairs]
            alone = model(input_ids=torch.tensor([example.input_ids]), labels=torch.tensor([labels]))
            losses.append(float(alone.loss))
        batch = pack(examples)
        packed = float(masked_cross_entropy(value_logits(model, batch), batch.labels))
        use_attention_by_document(model)
        assert shares_prefix(model) == ("sliding_window" not in settings)
        assert (shared_row(batch) is not None) == (beginning > 0)
        by_document = float(masked_cross_entropy(value_logits(model, batch), batch.labels))
    # Each example writes five tokens, so the mean over tokens is the mean of the examples.
    assert packed == pytest.approx(sum(losses) / 3, abs=5e-6)
    assert by_document == pytest.approx(sum(losses) / 3, abs=5e-6)


def test_what_examples_begin_with_is_computed_once_with_the_same_gradients() -> None:
    model = model_of("llama", {})
    use_attention_by_document(model)
    batch, gradients = pack(examples_of(24)), []
    row = shared_row(batch)
    assert row is not None
    assert row.input_ids.shape[1] == batch.tokens - 2 * 24
    assert row.input_ids[0, row.places + 1].tolist() == batch.labels.tolist()
    for may_share in (False, True):
        model.zero_grad()
        masked_cross_entropy(value_logits(model, batch, may_share), batch.labels).backward()
        gradients.append(
            torch.cat([weights.grad.flatten() for weights in model.parameters() if weights.grad is not None])
        )
    alone, shared = gradients
    assert torch.allclose(alone, shared, atol=1e-6, rtol=1e-4)
    assert not torch.equal(alone, shared), "sums are added in another order, so it was computed in another way"


def test_a_beginning_ends_before_what_is_written_and_a_short_one_is_not_shared() -> None:
    alike = [TokenExample(list(range(3, 43)), [False] * 30 + [True] * 10) for _ in range(2)]
    row = shared_row(pack(alike))
    assert row is not None
    assert row.input_ids.shape[1] == 29 + 2 * 11
    assert shared_row(pack(alike[:1])) is None
    assert shared_row(pack([TokenExample(each.input_ids, [False] * 10 + [True] * 30) for each in alike])) is None


def test_blocks_are_the_documents_that_do_not_see_one_another() -> None:
    causal = torch.ones(7, 7, dtype=torch.bool).tril()
    causal[3:, :3] = False
    near = causal & ~torch.ones(7, 7, dtype=torch.bool).tril(-2)  # a token sees itself and the one before it
    (first, second), _ = blocks_of(causal[None, None])
    assert (first.tokens, second.tokens, first.mask, second.mask) == (3, 4, None, None)
    (first, second), shared = blocks_of(near[None, None])
    assert shared == 0
    assert (first.tokens, second.tokens) == (3, 4)
    assert second.mask is not None
    assert torch.equal(second.mask[0, 0], near[3:, 3:])
