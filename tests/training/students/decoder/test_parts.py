"""Losses, batches, the fused forward pass and checkpoints of decoder students."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from decoder_fixtures import order_row, write_base, write_task_folder
from torch.nn import functional

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import ResourceError, UsageError
from appliance.tasks.taskfile import load_task
from training import options, precision
from training.base_model import Held, load_base, stored_precision
from training.batch_plan import batch_plan, packed_plan, split_packed, split_padded
from training.checkpoint import Checkpoint, restore, save
from training.distillation_options import DistillationOptions
from training.loop import fit
from training.lora import copy_weights
from training.losses import masked_cross_entropy
from training.memory_errors import OutOfMemory, named_memory_errors
from training.options import AdapterOptions, TrainingOptions, options_for
from training.schedule import rate_factor
from training.students.decoder.adapted import hold_as_stored, new_adapter
from training.students.decoder.examples import TokenExample, build_examples, pack, targets_of
from training.students.decoder.forward import value_logits, whole_values
from training.students.decoder.fused_lora import fuse
from training.students.decoder.student import open_decoder

if TYPE_CHECKING:
    from peft import PeftModel

OPTIONS = AdapterOptions(rank=4, alpha=8, precision="float32")


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def examples(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TokenExample]:
    folder = write_task_folder(tmp_path_factory.mktemp("task"), base_dir)
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    return build_examples(load_task(folder), [order_row(n) for n in range(12)], tokenizer.template, tokenizer.encode)


def test_masked_cross_entropy_is_the_weighted_mean_of_torchs() -> None:
    logits, labels = torch.randn(5, 7), torch.tensor([1, -100, 3, 6, 0])
    weights = torch.tensor([1.0, 1.0, 0.5, 2.0, 0.0])
    losses = functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")
    kept = torch.tensor([1.0, 0.0, 0.5, 2.0, 0.0])
    assert masked_cross_entropy(logits, labels, weights) == pytest.approx(float((losses * kept).sum() / 3.5), abs=1e-6)


def test_loss_is_taken_on_values_and_line_ends_only(examples: list[TokenExample], base_dir: Path) -> None:
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    written = pack(examples[:1]).labels.tolist()
    row = order_row(0)
    text = tokenizer.decode(written)
    for value in row.answer.values():
        assert value is None or str(value) in text
    assert "order number:" not in text
    (line_end,) = tokenizer.encode("<|line|>", special=True)
    assert written.count(line_end) == 3


def test_a_label_distribution_becomes_weighted_examples(tmp_path: Path, base_dir: Path) -> None:
    (tmp_path / "task.toml").write_text(
        f'version = 1\nname = "k"\nkind = "classify"\ninstruction = "Which?"\nlabels = ["a", "b", "c"]\n'
        f'[student]\nbase = "{base_dir}"\n'
    )
    task = load_task(tmp_path)
    row = replace(order_row(0), answer={"label": "a"}, labels={"a": 0.6, "b": 0.2, "c": 0.001})
    assert targets_of(task, row) == [(["a"], pytest.approx(0.6)), (["b"], pytest.approx(0.2))]


def test_a_distribution_over_many_labels_keeps_its_likeliest_ones(tmp_path: Path, base_dir: Path) -> None:
    labels = [f"label{number}" for number in range(150)]
    (tmp_path / "task.toml").write_text(
        f'version = 1\nname = "k"\nkind = "classify"\ninstruction = "Which?"\nlabels = {labels}\n'
        f'[student]\nbase = "{base_dir}"\n'
    )
    row = replace(order_row(0), answer={"label": "label0"}, labels=dict.fromkeys(labels, 1 / 150))
    assert [share for _, share in targets_of(load_task(tmp_path), row)] == pytest.approx([1 / 150] * 150)


def test_batches_hold_every_example_once_and_stay_within_the_budget() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(20, 300, 90)]
    plan = batch_plan(lengths, 1024, None, np.random.default_rng(1))
    assert sorted(number for numbers in plan for number in numbers) == list(range(90))
    assert max(len(numbers) * max(lengths[n] for n in numbers) for numbers in plan) <= 1024
    padding = sum(len(numbers) * max(lengths[n] for n in numbers) for numbers in plan) / sum(lengths)
    assert padding < 1.15


def test_packs_hold_every_example_once_and_are_nearly_full() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(20, 900, 200)] + [1500]
    plan = packed_plan(lengths, 1024, None, np.random.default_rng(1))
    assert sorted(number for numbers in plan for number in numbers) == list(range(201))
    tokens = [sum(lengths[n] for n in numbers) for numbers in plan]
    assert [n for n in tokens if n > 1024] == [1500], "a longer example is a batch of its own"
    assert sum(lengths) / (1024 * len(plan)) > 0.85


@pytest.mark.parametrize("plan_of", [batch_plan, packed_plan])
def test_batches_hold_no_more_rows_than_allowed(plan_of: Callable[..., list[list[int]]]) -> None:
    plan = plan_of([20] * 30, 1024, 8, None)
    assert [len(numbers) for numbers in plan] == [8, 8, 8, 6]


def load_adapted(base_dir: Path, held: Held = "float32") -> "PeftModel":
    adapted = new_adapter(load_base(base_dir, held), OPTIONS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # B starts at zero, which would hide mistakes
        for weights in adapter_weights_in_place(adapted):
            weights.copy_(0.05 * torch.randn(weights.shape, generator=generator))
    return adapted


def adapter_weights_in_place(model: torch.nn.Module) -> list[torch.Tensor]:
    return [weights for weights in model.parameters() if weights.requires_grad]


def test_the_fused_forward_pass_is_pefts(base_dir: Path, examples: list[TokenExample]) -> None:
    adapted, batch = load_adapted(base_dir), pack(examples[:4])
    plain = adapted(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits[0, batch.places]
    masked_cross_entropy(plain, batch.labels).backward()
    expected = [weights.grad.clone() for weights in adapter_weights_in_place(adapted) if weights.grad is not None]
    logits = value_logits(adapted, batch).detach()
    assert torch.allclose(logits, plain, atol=1e-5)
    adapted.zero_grad()
    fuse(adapted, torch.float32)
    fused_logits = value_logits(adapted, batch)
    masked_cross_entropy(fused_logits, batch.labels).backward()
    # Sums are formed in another order, so float32 rounding differs.
    assert torch.allclose(fused_logits, logits, atol=1e-4)
    for weights, gradient in zip(adapter_weights_in_place(adapted), expected, strict=True):
        assert weights.grad is not None
        assert torch.allclose(weights.grad, gradient, atol=1e-5, rtol=1e-3)


def test_the_fused_forward_pass_in_bfloat16_rounds_no_more_than_pefts(
    base_dir: Path, examples: list[TokenExample]
) -> None:
    batch = pack(examples[:4])

    def gradients(adapted: "PeftModel", *, is_half: bool) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = masked_cross_entropy(value_logits(adapted, batch).float(), batch.labels)
        loss.backward()
        each = [weights.grad for weights in adapter_weights_in_place(adapted)]
        return torch.cat([gradient.flatten() for gradient in each if gradient is not None])

    exact = gradients(load_adapted(base_dir), is_half=False)
    pefts = gradients(load_adapted(base_dir, "bfloat16"), is_half=True)
    adapted = load_adapted(base_dir, "bfloat16")
    fuse(adapted, torch.bfloat16)
    fused = gradients(adapted, is_half=True)
    assert fused.dtype == torch.float32
    assert 0 < (fused - exact).norm() < 1.2 * (pefts - exact).norm() < 0.1 * exact.norm()


def test_packed_examples_have_the_logits_that_they_have_alone(base_dir: Path, examples: list[TokenExample]) -> None:
    adapted = load_adapted(base_dir)
    with torch.inference_mode():
        alone = torch.cat([value_logits(adapted, pack([example])) for example in examples[:5]])
        packed = value_logits(adapted, pack(examples[:5]))
    assert torch.allclose(packed, alone, atol=1e-5)


def test_whole_values_are_counted_over_packed_examples() -> None:
    batch = pack(
        [
            TokenExample([9, 1, 2, 9, 3], [False, True, True, False, True]),
            TokenExample([9, 9, 4], [False, False, True], 0.5),
        ]
    )
    assert batch.labels.tolist() == [1, 2, 3, 4]
    assert batch.values.tolist() == [0, 0, 1, 2]
    assert batch.weights.tolist() == [1, 1, 1, 0.5]
    assert batch.places.tolist() == [0, 1, 3, 6]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert whole_values(batch.values, torch.tensor([True, False, True, True])) == (2, 3)


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path: Path, base_dir: Path) -> None:
    adapted = load_adapted(base_dir)
    optimizer = torch.optim.AdamW(adapter_weights_in_place(adapted), lr=1e-3)
    for weights in adapter_weights_in_place(adapted):
        weights.grad = torch.ones_like(weights)
    optimizer.step()
    state = Checkpoint(
        epoch=2,
        step=9,
        tokens=900,
        seconds=4.5,
        losses=[0.5, 0.25],
        epochs_without_gain=1,
        best={"epoch": 1},
        best_weights=copy_weights(adapted),
    )
    save(tmp_path, state, optimizer, adapted)

    fresh = load_adapted(base_dir)
    fresh_optimizer = torch.optim.AdamW(adapter_weights_in_place(fresh), lr=1e-3)
    found = restore(tmp_path, fresh, fresh_optimizer)
    assert found is not None
    assert (found.epoch, found.step, found.losses, found.best) == (2, 9, [0.5, 0.25], {"epoch": 1})
    for ours, theirs in zip(adapter_weights_in_place(fresh), adapter_weights_in_place(adapted), strict=True):
        assert torch.equal(ours, theirs)
    moments, expected = fresh_optimizer.state_dict()["state"], optimizer.state_dict()["state"]
    assert all(torch.equal(moments[n][key], expected[n][key]) for n in expected for key in expected[n])


def test_the_rate_warms_up_and_falls() -> None:
    rates = [rate_factor(step / 100, 0.1) for step in range(101)]
    assert rates[0] == 0.0
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.02)
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"learning_rate": 2.0}, {"seconds": 0.0}], ids=str)
def test_invalid_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        replace(TrainingOptions(), **wrong)


def test_passes_of_a_step_hold_its_examples_in_their_order() -> None:
    assert split_packed([30, 30, 50, 10, 200, 5], 64) == [[0, 1], [2, 3], [4], [5]]
    assert split_padded([30, 30, 50, 10, 200, 5], 64) == [[0, 1], [2], [3], [4], [5]]


@pytest.mark.slow
def test_a_step_in_passes_learns_what_it_learns_in_one(base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir)
    student = open_decoder(load_task(folder), folder, DistillationOptions())
    ends = []
    for changes in ({}, {"micro_batch_tokens": 100}, {"checkpointing": True}):
        requested = {"epochs": 1, "rate": 5e-3, "rank": 4, "batch_tokens": 512, "precision": "float32", **changes}
        model, _ = fit(student, options_for("decoder", requested))
        ends.append(copy_weights(model))
    for end in ends[1:]:
        assert all(torch.allclose(end[name], ends[0][name], atol=1e-5) for name in end)


@pytest.mark.slow
def test_only_the_last_layers_are_trained_and_kept_states_change_nothing(base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir)
    task = load_task(folder)
    ends = []
    for cache_states in (True, False):
        requested = {"epochs": 2, "rate": 5e-3, "rank": 4, "train_layers": 1, "precision": "float32"}
        options = options_for("decoder", requested)
        options = replace(options, compute=replace(options.compute, cache_states=cache_states))
        student = open_decoder(task, folder, DistillationOptions())
        model, _ = fit(student, options)
        ends.append(copy_weights(model))
        assert {name.split(".layers.")[1][0] for name in ends[-1]} == {"1"}
        states = student._states
        assert (states is not None and states._is_usable and len(states._states) > 32) is cache_states
    assert all(torch.allclose(ends[0][name], ends[1][name], atol=1e-5) for name in ends[0])
    with pytest.raises(UsageError, match="the base has 2 layers; the last 3 cannot be trained"):
        fit(student, options_for("decoder", {"rate": 5e-3, "train_layers": 3}))


def test_matrices_stay_as_they_are_stored_and_compute_as_in_float32(
    base_dir: Path, tmp_path: Path, examples: list[TokenExample]
) -> None:
    stored_dir = tmp_path / "half"
    load_base(base_dir).half().save_pretrained(str(stored_dir))
    (stored_dir / "tokenizer.json").write_bytes((base_dir / "tokenizer.json").read_bytes())
    batch = pack(examples[:3])
    wide, held = load_base(stored_dir), load_base(stored_dir)
    hold_as_stored(held, torch.float16)
    assert stored_precision(stored_dir) == "float16"
    assert held.model.layers[0].mlp.up_proj.weight.dtype == torch.float16
    with torch.no_grad():
        assert torch.equal(value_logits(held, batch), value_logits(wide, batch))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "the memory of this machine ran out while training"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes. Error"),
            r"the memory of this machine ran out while training: 4\.0 GB more could not be had",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"),
            r"the memory of the GPU ran out while training: 2\.1 GB more could not be had",
        ),
    ],
    ids=["python", "torch", "cuda"],
)
def test_memory_that_runs_out_is_named_with_the_option_to_change(error: Exception, message: str) -> None:
    with pytest.raises(OutOfMemory, match=message) as ended, named_memory_errors(TrainingOptions()):
        raise error
    assert ended.value.hint.startswith("use --micro-batch-tokens 256, or --checkpointing")
    with pytest.raises(RuntimeError, match="shapes"), named_memory_errors(TrainingOptions()):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_four_bits_need_a_library_and_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceError, match="needs bitsandbytes, which is not installed"):
        options_for("decoder", {"load_in_4bit": True})
    monkeypatch.setattr(options, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--load-in-4bit needs a GPU"):
        options_for("decoder", {"load_in_4bit": True})


def test_bfloat16_is_taken_where_the_processor_has_it_and_is_faster_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for has, gain, expected in ((True, 1.4, "bfloat16"), (True, 1.0, "float32"), (False, 1.4, "float32")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        monkeypatch.setattr(precision, "bfloat16_gain", lambda gain=gain: gain)
        assert precision.resolve_precision("auto", "decoder", 135_000_000) == expected
        assert precision.resolve_precision("auto", "decoder", 6_000_000) == "float32", "it gains nothing"
        assert precision.resolve_precision("auto", "encoder", 6_000_000) == expected
        assert precision.resolve_precision("bfloat16", "decoder", 6_000_000) == "bfloat16"
