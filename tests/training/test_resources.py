"""Runs that this machine could not end are refused at the start, with the options that need less."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from weight_files import write_sparse

from training.memory_need import MemoryNeed, TrainingPlan, memory_need, model_shape, training_bytes
from training.resources import Machine, TooLarge, check_resources

GB = 1_000_000_000


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shape of a model of 1.1 billion weights; its file has the heads of the tensors and a hole for them."""
    directory = tmp_path_factory.mktemp("bases") / "large"
    hidden, inner, layers, rows = 2048, 8192, 16, 32_000
    shapes = {"model.embed_tokens.weight": (rows, hidden)}
    for layer in range(layers):
        for name, shape in {"q_proj": (hidden, hidden), "up_proj": (inner, hidden), "gate_proj": (inner, hidden),
                            "down_proj": (hidden, inner), "o_proj": (hidden, hidden)}.items():  # fmt: skip
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    write_sparse(directory / "model.safetensors", shapes)
    settings = {"model_type": "llama", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
                "vocab_size": rows}  # fmt: skip
    (directory / "config.json").write_text(json.dumps(settings))
    return directory


def machine(**changes: int | None) -> Machine:
    return replace(Machine(memory_bytes=400 * GB, gpu_bytes=None, disk_bytes=400 * GB), **changes)


def needs(base_dir: Path, plan: TrainingPlan) -> int:
    return training_bytes(model_shape(base_dir), plan)


def test_a_machine_that_is_large_enough_is_taken(base_dir: Path) -> None:
    need = check_resources(base_dir, TrainingPlan(), machine())
    assert isinstance(need, MemoryNeed)
    assert set(need.exports) == {"gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "onnx-fp32", "onnx-int8"}


def test_a_training_that_does_not_fit_names_the_options_with_which_it_does(base_dir: Path) -> None:
    plan = TrainingPlan(pass_tokens=2048)
    fewer = replace(plan, pass_tokens=512)
    words = r"training large needs .* with 2,048 tokens a pass, float32, this machine has"
    with pytest.raises(TooLarge, match=words) as ended:
        check_resources(base_dir, plan, machine(memory_bytes=needs(base_dir, fewer)))
    assert ended.value.hint.startswith("add --micro-batch-tokens 512 to the command")
    least = replace(plan, pass_tokens=256, precision="bfloat16", checkpointing=True)
    with pytest.raises(TooLarge) as ended:
        check_resources(base_dir, plan, machine(gpu_bytes=needs(base_dir, least)))
    assert ended.value.hint.startswith(
        "add --micro-batch-tokens 256 --precision bfloat16 --checkpointing to the command"
    )


def test_four_bits_are_for_a_gpu(base_dir: Path) -> None:
    plan = TrainingPlan(precision="bfloat16", checkpointing=True, pass_tokens=256)
    least = needs(base_dir, replace(plan, load_in_4bit=True))
    with pytest.raises(TooLarge) as ended:
        check_resources(base_dir, plan, machine(gpu_bytes=least))
    assert ended.value.hint.startswith("add --load-in-4bit to the command")
    with pytest.raises(TooLarge) as ended:
        check_resources(base_dir, plan, machine(memory_bytes=least))
    assert ended.value.hint.startswith("choose a smaller base")


def test_fewer_tokens_are_not_named_where_the_longest_example_needs_them(base_dir: Path) -> None:
    plan = TrainingPlan(precision="bfloat16", checkpointing=True, longest_tokens=2000)
    with pytest.raises(TooLarge) as ended:
        check_resources(base_dir, plan, machine(gpu_bytes=needs(base_dir, plan) - 1))
    assert "--micro-batch-tokens" not in ended.value.hint


def test_merge_export_and_disk_are_looked_at_before_the_training(base_dir: Path) -> None:
    need = memory_need(model_shape(base_dir), TrainingPlan())
    gpu = machine(gpu_bytes=400 * GB)
    with pytest.raises(TooLarge, match="merging large after its training would need"):
        check_resources(base_dir, TrainingPlan(), replace(gpu, memory_bytes=need.merge - 1))
    with pytest.raises(TooLarge, match="no export of large would fit: the smallest, gguf-"):
        check_resources(base_dir, TrainingPlan(), replace(gpu, memory_bytes=min(need.exports.values()) - 1))
    with pytest.raises(TooLarge, match="of disk with a reserve of 200 MB, 1\\.0 GB are free"):
        check_resources(base_dir, TrainingPlan(), machine(disk_bytes=GB))
