"""Every architecture that is offered, from a base to the answer of an engine: the table of docs/bases.md.

The models are tiny and random and of the true shape, with tokenizers of the true structure; each is trained for a few
steps, merged, exported, and answers a document in both engines.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from decoder_fixtures import order, write_task_folder
from tokenizer_kinds import write_tokenizer

from appliance.engines.engine import Request, Result
from appliance.models.architectures import ARCHITECTURES

ROOT_DIR = Path(__file__).parents[2]
PAGE = ROOT_DIR / "docs" / "bases.md"
BEGIN, END = "<!-- matrix: written by tests/export/test_matrix.py -->", "<!-- end of the matrix -->"
RUNS_ONNX = False
"""Whether ONNX is exported and run here, too."""
WRITE_VARIABLE = "STILLROOM_WRITE_MATRIX"
"""Set to write the table instead of comparing it."""
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
    Case("llama", "llama2", "Llama 2, TinyLlama"),
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
    Case("smollm3", "llama3", "SmolLM3", {"num_hidden_layers": 4, "tie_word_embeddings": True}),
    Case("olmo2", "cl100k", "OLMo 2", {"tie_word_embeddings": False}),
    Case("granite", "smollm", "Granite 3", {"embedding_multiplier": 6.0, "logits_scaling": 4.0,
        "residual_multiplier": 0.22, "attention_multiplier": 0.1, "tie_word_embeddings": True}),
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


def train_and_merge(folder: Path) -> Path:
    """A few steps on a few orders; gives the merged folder."""
    from appliance.tasks.folder import RunFolder
    from appliance.tasks.taskfile import load_task
    from training.distill import distil
    from training.merge import merge
    from training.options import AdapterOptions, TrainingOptions
    from training.run_folder import new_run, write_record

    run_dir = new_run(folder)
    options = TrainingOptions(epochs=2, learning_rate=3e-3, adapter=AdapterOptions(rank=4, precision="float32"))
    best = distil(load_task(run_dir), folder, run_dir, options)
    write_record(run_dir, best, 1.0)
    merge(run_dir)
    return RunFolder(run_dir).merged_dir


def answers(artifact_dir: Path) -> list[Result]:
    """What the artifact's engine says of three orders."""
    from appliance.engines.open import open_engine
    from appliance.tasks.taskfile import load_task

    engine = open_engine(artifact_dir, load_task(artifact_dir), 1)
    try:
        results = list(engine.answer([Request(str(number), order(number)[0]) for number in range(50, 53)]))
    finally:
        engine.close()
    assert all(result.error is None for result in results), results
    return sorted(results, key=lambda result: result.key)


def tried(case: Case, folder: Path) -> str:
    """One line of the table."""
    from export.targets import export_all

    base_dir = write_model(folder / "base", case)
    write_task_folder(folder, base_dir, rows=8)
    merged_dir = train_and_merge(folder)
    known = ARCHITECTURES[case.model_type]
    replies = {}
    for target in ("gguf-f16", "onnx-fp32") if known.onnx and RUNS_ONNX else ("gguf-f16",):
        artifact = export_all(merged_dir, [target])[0]
        replies[target] = [result.raw for result in answers(artifact.directory)]
    assert len({tuple(raw) for raw in replies.values()}) == 1, "the two engines answer otherwise"
    onnx = "yes" if known.onnx else f"no: {known.why_no_onnx}"
    return f"| `{case.model_type}`: {case.note} | {case.tokenizer} | yes | yes | {onnx} |"


@pytest.mark.slow
def test_every_architecture_goes_all_the_way(tmp_path: Path) -> None:
    lines = ["| base | tokenizer like | trained, merged | GGUF, run | ONNX, run |", "|---|---|---|---|---|"]
    for number, case in enumerate(CASES):
        lines.append(tried(case, tmp_path / str(number)))
        shutil.rmtree(tmp_path / str(number))
    table = "\n".join(lines)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get(WRITE_VARIABLE):
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        written = table
    assert written.strip() == table, f"set {WRITE_VARIABLE}=1 to write the table"
