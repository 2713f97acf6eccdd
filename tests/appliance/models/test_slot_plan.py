"""How keys and values are shared among documents: the same memory for many short ones and few long ones."""

import pytest

from appliance.models.slot_plan import KEY_VALUE_BYTES, PADDING, Layout, key_value_bytes, plan_slots

SHAPES = {
    # layers, width, heads, heads of keys, head size, gigabytes of weights, memory that one document of 8,192 takes
    "SmolLM2-135M": (30, 576, 9, 3, None, 0.14, 0.195),
    "Qwen3-0.6B": (28, 1024, 16, 8, 128, 0.64, 0.97),
    "Qwen3-8B": (36, 4096, 32, 8, 128, 8.7, 1.25),
    "Gemma 3 27B": (62, 5376, 32, 16, 128, 28.7, 4.3),
}


def numbers(name: str) -> dict[str, int]:
    layers, width, heads, kv_heads, size, *_ = SHAPES[name]
    values = {"block_count": layers, "embedding_length": width, "attention.head_count": heads}
    values |= {"attention.head_count_kv": kv_heads} | (
        {"attention.key_length": size, "attention.value_length": size} if size else {}
    )
    return {key: int(value) for key, value in values.items() if value is not None}


@pytest.mark.parametrize("name", SHAPES)
def test_a_large_model_keeps_one_long_document_and_not_eight(name: str) -> None:
    *_, gigabytes, whole = SHAPES[name]
    assert gigabytes is not None
    assert whole is not None
    plan = plan_slots(8192, key_value_bytes(numbers(name).get), int(gigabytes * 1e9))
    assert plan.layouts[0].slots == 8
    assert plan.layouts[-1].tokens == 8192
    assert plan.size_bytes < max(KEY_VALUE_BYTES, gigabytes * 1e9 / 4, whole * 1e9) * 1.05
    assert plan.size_bytes > 0.9 * whole * 1e9


def test_the_memory_is_the_same_in_every_layout() -> None:
    plan = plan_slots(8192, 112_000, 600_000_000)
    reserved = {layout.slots * layout.reserved for layout in plan.layouts}
    assert max(reserved) <= 1.1 * min(reserved)
    assert [layout.slots for layout in plan.layouts] == [8, 4, 2, 1]


def test_a_small_model_keeps_all_slots_in_full() -> None:
    assert plan_slots(1024, 3072, 6_000_000).layouts == (Layout(8, 1024),)


def test_a_document_gets_the_most_slots_that_hold_it() -> None:
    plan = plan_slots(8192, 112_000, 600_000_000)
    for tokens in (1, 500, 1024, 3000, 8192):
        layout = plan.layout(tokens)
        fewer = [other for other in plan.layouts if other.slots > layout.slots]
        assert layout.tokens >= tokens
        assert all(other.tokens < tokens for other in fewer)
    assert plan.layout(9000) == Layout(1, 9000)
    assert all(layout.reserved >= layout.tokens + PADDING for layout in plan.layouts)


@pytest.mark.parametrize("most_slots", [1, 2, 3, 8])
@pytest.mark.parametrize("longest", [1, 100, 256, 1000, 131072])
def test_every_plan_has_a_slot_for_the_longest_document(longest: int, most_slots: int) -> None:
    for token_bytes in (100, 23_040, 507_904):
        plan = plan_slots(longest, token_bytes, 10**9, most_slots)
        assert plan.layouts[-1].tokens == longest
        assert all(1 <= layout.slots <= most_slots for layout in plan.layouts)
