"""What a training needs, computed from headers alone, against what a training takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from weight_files import write_sparse

from training.memory_need import PROCESS_BYTES, TrainingPlan, memory_need, model_shape, training_bytes

BASE_DIR = Path(__file__).parents[2] / "training" / "demo" / "base"
PASS_TOKENS = 2048
SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
from appliance.engines.program_size import peak_bytes
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.taskfile import load_task
from training.distill import distil
from training.options import options_for

folder, base, tokens = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(folder / "task.toml").write_text(
    'version = 1\\nname = "a"\\nkind = "extract"\\ninstruction = "Read"\\n[[fields]]\\nname = "total"\\n'
    f'[student]\\nbase = "{base}"\\n'
)
(folder / "dataset").mkdir()
for name, numbers in (("train", range(9)), ("validation", [])):
    texts = [f"{number} {'street number paid ' * 60} total {number}.50" for number in numbers]
    rows = [LabelledRow(f"{n}.txt", text, {"total": f"{n}.50"}, text_hash(text)) for n, text in enumerate(texts)]
    (folder / "dataset" / f"{name}.jsonl").write_text("".join(row.line() + "\\n" for row in rows))
(folder / "run").mkdir()
requested = {"epochs": 1, "batch_tokens": tokens, "micro_batch_tokens": tokens, "rate": 1e-4, "precision": "float32",
             "field_dropout": 0.0}
distil(load_task(folder), folder, folder / "run", options_for("decoder", requested))
print(peak_bytes())
"""
PROGRAM = """
import peft, torch, transformers
from transformers.models.llama import LlamaForCausalLM
from appliance.engines.program_size import peak_bytes
from training.distill import distil

print(peak_bytes())
"""


def printed_bytes(script: str, *arguments: object) -> int:
    """What a script in a process of its own prints at its end."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_computed_peak_of_a_training_is_the_measured_one(tmp_path: Path) -> None:
    computed = training_bytes(model_shape(BASE_DIR), TrainingPlan(pass_tokens=PASS_TOKENS)) - PROCESS_BYTES
    # The libraries' own share differs by machine, and is no matter of the model.
    measured = printed_bytes(SCRIPT, tmp_path, BASE_DIR, PASS_TOKENS) - printed_bytes(PROGRAM)
    assert measured == pytest.approx(computed, rel=0.25), (measured, computed)


def write_shape(directory: Path, **settings: object) -> Path:
    """A base of two layers of these settings."""
    shapes = {"model.embed_tokens.weight": (100, 8), "model.layers.0.self_attn.q_proj.weight": (8, 8),
              "model.layers.1.mlp.up_proj.weight": (16, 8), "model.norm.weight": (8,),
              "vision_tower.encoder.layers.0.weight": (500, 500)}  # fmt: skip
    write_sparse(directory / "model.safetensors", shapes)
    described = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 100, **settings}
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", **described}))
    return directory


def test_the_shape_is_that_of_the_text_part(tmp_path: Path) -> None:
    shape = model_shape(write_shape(tmp_path))
    assert (shape.weights, shape.embedding_weights, shape.matrix_weights) == (100 * 8 + 64 + 128 + 8, 800, 64 + 128)
    assert (shape.matrix_edges, shape.layers, shape.inner_size) == (16 + 24, 2, 16)


def test_of_many_experts_those_count_that_a_token_goes_through(tmp_path: Path) -> None:
    shape = model_shape(write_shape(tmp_path, num_experts_per_tok=2, moe_intermediate_size=4))
    assert shape.inner_size == 8


def test_what_saves_memory_needs_less(tmp_path: Path) -> None:
    shape = model_shape(BASE_DIR)
    plain = TrainingPlan(pass_tokens=4096)
    half = TrainingPlan(pass_tokens=4096, precision="bfloat16")
    kept = TrainingPlan(pass_tokens=4096, precision="bfloat16", checkpointing=True)
    fewer = TrainingPlan(pass_tokens=512, precision="bfloat16", checkpointing=True)
    needs = [training_bytes(shape, plan) for plan in (plain, half, kept, fewer)]
    assert needs == sorted(needs, reverse=True)
    assert set(memory_need(shape, TrainingPlan("encoder")).exports) == {"onnx-fp32", "onnx-int8"}
